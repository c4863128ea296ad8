package gateway

import (
	"iter"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// listObjectVersions answers ListObjectVersions.
func (g *Gateway) listObjectVersions(x *exchange) error {
	in, encoding, err := x.listVersionsInput()
	if err != nil {
		return err
	}
	out, err := g.o.Objects.ListObjectVersions(x.r.Context(), in)
	if err != nil {
		return err
	}
	res := s3.ListVersionsResult{
		Bucket: in.Bucket, Prefix: in.Prefix, KeyMarker: in.KeyMarker, VersionMarker: in.VersionMarker,
		Delimiter: in.Delimiter, MaxKeys: in.Max, Encoding: encoding, Truncated: out.Truncated,
		Versions: x.versionEntries(out.Versions), CommonPrefixes: out.CommonPrefixes,
	}
	if out.Truncated {
		res.NextKeyMarker, res.NextVersionMarker = out.NextKey, out.NextVersion
	}
	return g.withDocument(x, res.AppendXML)
}

func (x *exchange) listVersionsInput() (in objects.ListVersionsInput, encoding s3.EncodingType, err error) {
	in = objects.ListVersionsInput{
		Bucket: x.bucket, Prefix: x.param("prefix"), Delimiter: x.param("delimiter"),
		KeyMarker: x.param("key-marker"), VersionMarker: s3.VersionID(x.param("version-id-marker")),
	}
	if in.VersionMarker != "" && in.KeyMarker == "" {
		return in, "", s3.InvalidArg("version-id-marker", string(in.VersionMarker),
			"A version-id marker cannot be specified without a key marker.")
	}
	in.AfterPrefix = isCommonPrefix(in.KeyMarker, in.Prefix, in.Delimiter)
	if encoding, err = s3.ParseEncodingType(x.param("encoding-type")); err != nil {
		return in, "", err
	}
	in.Max, err = x.count("max-keys")
	return in, encoding, err
}

// versionEntries yields the versions of a page as the document shows them.
func (x *exchange) versionEntries(page []objects.ListedVersion) iter.Seq[*s3.VersionEntry] {
	return func(yield func(*s3.VersionEntry) bool) {
		var entry s3.VersionEntry
		var owner s3.Owner
		for i := range page {
			v := &page[i]
			if owner.ID != v.Owner || i == 0 {
				owner = x.owner(v.Owner)
			}
			entry = s3.VersionEntry{
				Key: s3.Key(v.Key), Version: v.VersionID, Latest: v.Latest, DeleteMarker: v.DeleteMarker,
				LastModified: v.Modified, ETag: v.ETag, Size: v.Size, StorageClass: s3.StorageClass(v.StorageClass),
				ChecksumAlgorithm: s3.ChecksumAlgorithm(v.ChecksumAlgorithm),
				ChecksumType:      s3.ChecksumType(v.ChecksumType), Owner: owner,
			}
			if !yield(&entry) {
				return
			}
		}
	}
}
