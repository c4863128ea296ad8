package gateway

import (
	"iter"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// listObjects answers ListObjects, the first version.
func (g *Gateway) listObjects(x *exchange) error {
	in, encoding, err := x.listInput()
	if err != nil {
		return err
	}
	in.After = x.param("marker")
	in.AfterPrefix = isCommonPrefix(in.After, in.Prefix, in.Delimiter)
	out, err := g.o.Objects.ListObjects(x.r.Context(), in)
	if err != nil {
		return err
	}
	res := s3.ListObjectsResult{
		Bucket: in.Bucket, Prefix: in.Prefix, Marker: in.After, Delimiter: in.Delimiter,
		MaxKeys: in.Max, Encoding: encoding, Truncated: out.Truncated,
		Objects: x.entries(out.Objects, x.owner), CommonPrefixes: out.CommonPrefixes,
	}
	if out.Truncated && in.Delimiter != "" {
		res.NextMarker = out.Next // without a delimiter, the last key is the marker
	}
	return g.withDocument(x, res.AppendXML)
}

// listInput reads what both versions of the listing share.
func (x *exchange) listInput() (objects.ListObjectsInput, s3.EncodingType, error) {
	in := objects.ListObjectsInput{
		Bucket: x.bucket, Prefix: x.param("prefix"), Delimiter: x.param("delimiter"),
	}
	encoding, err := s3.ParseEncodingType(x.param("encoding-type"))
	if err != nil {
		return in, "", err
	}
	if unordered := x.param("allow-unordered"); unordered == "true" && in.Delimiter != "" {
		// Ceph's parameter lets a listing come in any order, which ours does.
		return in, "", s3.InvalidArg("allow-unordered", unordered, "An unordered listing has no delimiter")
	}
	in.Max, err = x.count("max-keys")
	return in, encoding, err
}

// entries yields the objects of a page as a document shows them, with owners
// where show is not nil.
func (x *exchange) entries(page []objects.ListedObject, show func(s3.OwnerID) s3.Owner) iter.Seq[*s3.ObjectEntry] {
	return func(yield func(*s3.ObjectEntry) bool) {
		var entry s3.ObjectEntry
		var owner s3.Owner
		for i := range page {
			o := &page[i]
			entry = s3.ObjectEntry{
				Key: s3.Key(o.Key), LastModified: o.Modified, ETag: o.ETag, Size: o.Size,
				StorageClass:      s3.StorageClass(o.StorageClass),
				ChecksumAlgorithm: s3.ChecksumAlgorithm(o.ChecksumAlgorithm),
				ChecksumType:      s3.ChecksumType(o.ChecksumType),
			}
			if show != nil {
				if owner.ID != o.Owner {
					owner = show(o.Owner)
				}
				entry.Owner = &owner
			}
			if !yield(&entry) {
				return
			}
		}
	}
}
