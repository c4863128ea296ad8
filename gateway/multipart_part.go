package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// uploadPart answers UploadPart.
func (g *Gateway) uploadPart(x *exchange) error {
	number, err := x.partNumber()
	if err != nil {
		return err
	}
	key, err := g.partKey(x)
	if err != nil {
		return err
	}
	body, err := x.openUpload()
	if err != nil {
		return err
	}
	part, err := g.o.Objects.UploadPart(x.r.Context(), objects.UploadPartInput{
		Bucket: x.bucket, Key: x.key, Upload: x.upload(), Number: number, Body: body, CustomerKey: key,
	})
	if err != nil {
		return err
	}
	x.set(s3.HeaderETag, part.ETag.Quoted())
	x.showEncryption(&part.Encryption)
	if body.Checksum != 0 {
		for i := range part.Checksums {
			x.set(s3.ChecksumPrefix+part.Checksums[i].Algorithm, part.Checksums[i].Value)
		}
	}
	return x.finish(http.StatusOK)
}

// upload returns the upload that the request names.
func (x *exchange) upload() s3.UploadID { return s3.UploadID(x.param("uploadId")) }

// uploadPartCopy answers UploadPartCopy.
func (g *Gateway) uploadPartCopy(x *exchange) error {
	number, err := x.partNumber()
	if err != nil {
		return err
	}
	in := objects.UploadPartCopyInput{Bucket: x.bucket, Key: x.key, Upload: x.upload(), Number: number}
	if in.CustomerKey, err = g.partKey(x); err != nil {
		return err
	}
	if in.Source, err = g.copySource(x); err != nil {
		return err
	}
	if header := x.header(s3.HeaderCopySourceRange); header != "" {
		r, err := s3.ParseCopySourceRange(header)
		if err != nil {
			return err
		}
		in.Range = &r
	}
	out, err := g.o.Objects.UploadPartCopy(x.r.Context(), in)
	if err != nil {
		return err
	}
	if out.SourceVersioned {
		x.set(s3.HeaderCopySourceVersionID, string(out.SourceVersionID))
	}
	x.showEncryption(&out.Part.Encryption)
	res := s3.CopyResult{LastModified: out.Part.Modified, ETag: out.Part.ETag}
	res.Checksums, _ = checksums(out.Part.Checksums)
	return g.withDocument(x, res.AppendPartXML)
}
