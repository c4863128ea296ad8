package gateway

import (
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// listParts answers ListParts.
func (g *Gateway) listParts(x *exchange) error {
	in := objects.ListPartsInput{Bucket: x.bucket, Key: x.key, Upload: x.upload()}
	encoding, err := s3.ParseEncodingType(x.param("encoding-type"))
	if err != nil {
		return err
	}
	if in.CustomerKey, err = x.customerKey(s3.CustomerKeyPrefix); err != nil {
		return err
	}
	if in.Max, err = x.count("max-parts"); err != nil {
		return err
	}
	if in.After, err = x.marker("part-number-marker"); err != nil {
		return err
	}
	out, err := g.o.Objects.ListParts(x.r.Context(), in)
	if err != nil {
		return err
	}
	up := &out.Upload
	x.showAbort(up.Initiated)
	res := s3.ListPartsResult{
		Bucket: x.bucket, Key: x.key, Upload: in.Upload,
		Initiator: x.owner(up.Initiator), Owner: x.owner(up.Owner),
		StorageClass: s3.StorageClass(up.StorageClass), Encoding: encoding,
		PartMarker: in.After, MaxParts: in.Max, Truncated: out.Truncated,
		ChecksumAlgorithm: s3.ChecksumAlgorithm(up.ChecksumAlgorithm),
	}
	if up.ChecksumAlgorithm != "" {
		res.ChecksumType = s3.ChecksumType(up.ChecksumType)
	}
	res.Parts = make([]s3.PartEntry, 0, len(out.Parts))
	for i := range out.Parts {
		p := &out.Parts[i]
		entry := s3.PartEntry{Number: p.Number, LastModified: p.Modified, ETag: p.ETag, Size: p.Size}
		entry.Checksums, _ = checksums(p.Checksums)
		res.Parts = append(res.Parts, entry)
		res.NextPartMarker = p.Number
	}
	return g.withDocument(x, res.AppendXML)
}

// listMultipartUploads answers ListMultipartUploads.
func (g *Gateway) listMultipartUploads(x *exchange) error {
	in := objects.ListUploadsInput{
		Bucket: x.bucket, Prefix: x.param("prefix"), Delimiter: x.param("delimiter"),
		KeyMarker: x.param("key-marker"), UploadMark: s3.UploadID(x.param("upload-id-marker")),
	}
	in.AfterPrefix = in.UploadMark == "" && isCommonPrefix(in.KeyMarker, in.Prefix, in.Delimiter)
	encoding, err := s3.ParseEncodingType(x.param("encoding-type"))
	if err != nil {
		return err
	}
	if in.Max, err = x.count("max-uploads"); err != nil {
		return err
	}
	out, err := g.o.Objects.ListMultipartUploads(x.r.Context(), in)
	if err != nil {
		return err
	}
	res := s3.ListUploadsResult{
		Bucket: x.bucket, Prefix: in.Prefix, Delimiter: in.Delimiter,
		KeyMarker: in.KeyMarker, UploadMarker: in.UploadMark, MaxUploads: in.Max,
		Encoding: encoding, Truncated: out.Truncated, CommonPrefixes: out.CommonPrefixes,
	}
	if out.Truncated {
		res.NextKeyMarker, res.NextUploadMarker = out.NextKey, out.NextUpload
	}
	res.Uploads = make([]s3.UploadEntry, 0, len(out.Uploads))
	for i := range out.Uploads {
		res.Uploads = append(res.Uploads, x.uploadEntry(&out.Uploads[i]))
	}
	return g.withDocument(x, res.AppendXML)
}

func (x *exchange) uploadEntry(u *objects.Upload) s3.UploadEntry {
	entry := s3.UploadEntry{
		Key: u.Key, Upload: u.ID, Initiator: x.owner(u.Initiator), Owner: x.owner(u.Owner),
		StorageClass: s3.StorageClass(u.StorageClass), Initiated: u.Initiated,
		ChecksumAlgorithm: s3.ChecksumAlgorithm(u.ChecksumAlgorithm),
	}
	if u.ChecksumAlgorithm != "" {
		entry.ChecksumType = s3.ChecksumType(u.ChecksumType)
	}
	return entry
}
