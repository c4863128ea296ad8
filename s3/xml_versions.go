package s3

import (
	"iter"
	"time"
)

// VersioningStatus is the state of a bucket's versioning: empty while it was
// never set.
type VersioningStatus string

// The states that a client can ask for.
const (
	VersioningEnabled   VersioningStatus = "Enabled"
	VersioningSuspended VersioningStatus = "Suspended"
)

// MFADeleteEnabled asks for what is not there.
const MFADeleteEnabled = "Enabled"

// VersioningConfiguration is the body of PutBucketVersioning.
type VersioningConfiguration struct {
	Status VersioningStatus // empty when the document has none
	// MFADelete is Enabled, Disabled or empty.
	MFADelete string
}

// DecodeVersioning decodes the body of PutBucketVersioning.
func DecodeVersioning(body []byte) (VersioningConfiguration, error) {
	var c VersioningConfiguration
	err := decodeDocument(body, "VersioningConfiguration", func(x *xmlReader) error {
		return x.children(func(name string) error {
			switch name {
			case "Status":
				return x.into((*string)(&c.Status))
			case "MfaDelete":
				return x.into(&c.MFADelete)
			}
			return unknownElement(name)
		})
	})
	if err != nil {
		return c, err
	}
	switch c.Status {
	case "", VersioningEnabled, VersioningSuspended:
	default:
		return c, malformed("versioning status " + string(c.Status))
	}
	switch c.MFADelete {
	case "", MFADeleteEnabled, "Disabled":
	default:
		return c, malformed("MFA delete " + c.MFADelete)
	}
	return c, nil
}

// AppendVersioning appends the answer of GetBucketVersioning, an empty element
// while versioning was never set.
func AppendVersioning(dst []byte, status VersioningStatus) []byte {
	dst = openDocument(dst, "VersioningConfiguration")
	dst = appendOptional(dst, "Status", string(status))
	return closeElement(dst, "VersioningConfiguration")
}

// VersionEntry is one version or delete marker of a listing.
type VersionEntry struct {
	Key               Key
	Version           VersionID
	Latest            bool
	DeleteMarker      bool // of what follows, only LastModified and Owner are shown
	LastModified      time.Time
	ETag              ETag
	Size              int64
	StorageClass      StorageClass
	ChecksumAlgorithm ChecksumAlgorithm
	ChecksumType      ChecksumType
	Owner             Owner
}

// AppendXML appends the Version or DeleteMarker element.
func (v *VersionEntry) AppendXML(dst []byte, encoding EncodingType) []byte {
	element := "Version"
	if v.DeleteMarker {
		element = "DeleteMarker"
	}
	dst = openElement(dst, element)
	dst = encoding.appendName(dst, "Key", string(v.Key))
	dst = appendElement(dst, "VersionId", string(v.Version))
	dst = appendBool(dst, "IsLatest", v.Latest)
	dst = appendTime(dst, "LastModified", v.LastModified)
	if !v.DeleteMarker {
		dst = appendETag(dst, v.ETag)
		dst = appendOptional(dst, "ChecksumAlgorithm", string(v.ChecksumAlgorithm))
		dst = appendOptional(dst, "ChecksumType", string(v.ChecksumType))
		dst = appendInt(dst, "Size", v.Size)
		dst = appendElement(dst, "StorageClass", string(v.StorageClass))
	}
	dst = appendOwner(dst, "Owner", v.Owner)
	return closeElement(dst, element)
}

// ListVersionsResult is the answer of ListObjectVersions.
type ListVersionsResult struct {
	Bucket            BucketName
	Prefix            string
	KeyMarker         string
	VersionMarker     VersionID
	NextKeyMarker     string
	NextVersionMarker VersionID
	Delimiter         string
	MaxKeys           int
	Encoding          EncodingType
	Truncated         bool
	// Versions yields the page; an entry is used until the next one. Nil is none.
	Versions       iter.Seq[*VersionEntry]
	CommonPrefixes []string
}

// AppendXML appends the document.
func (r *ListVersionsResult) AppendXML(dst []byte) []byte {
	e := r.Encoding
	dst = openDocument(dst, "ListVersionsResult")
	dst = appendElement(dst, "Name", string(r.Bucket))
	dst = e.appendName(dst, "Prefix", r.Prefix)
	dst = e.appendName(dst, "KeyMarker", r.KeyMarker)
	dst = appendElement(dst, "VersionIdMarker", string(r.VersionMarker))
	dst = e.appendOptionalName(dst, "NextKeyMarker", r.NextKeyMarker)
	dst = appendOptional(dst, "NextVersionIdMarker", string(r.NextVersionMarker))
	dst = appendInt(dst, "MaxKeys", int64(r.MaxKeys))
	dst = e.appendOptionalName(dst, "Delimiter", r.Delimiter)
	dst = appendOptional(dst, "EncodingType", string(e))
	dst = appendBool(dst, "IsTruncated", r.Truncated)
	if r.Versions != nil {
		for v := range r.Versions {
			dst = v.AppendXML(dst, e)
		}
	}
	dst = appendPrefixes(dst, r.CommonPrefixes, e)
	return closeElement(dst, "ListVersionsResult")
}
