package s3

import (
	"iter"
	"strings"
	"time"
)

// ObjectEntry is one object of a listing.
type ObjectEntry struct {
	Key               Key
	LastModified      time.Time
	ETag              ETag
	Size              int64
	StorageClass      StorageClass
	ChecksumAlgorithm ChecksumAlgorithm
	ChecksumType      ChecksumType
	// Owner is shown when it is not nil.
	Owner *Owner
}

// AppendXML appends the Contents element of the object.
func (o *ObjectEntry) AppendXML(dst []byte, encoding EncodingType) []byte {
	dst = append(dst, "<Contents>"...)
	dst = encoding.appendName(dst, "Key", string(o.Key))
	dst = appendTime(dst, "LastModified", o.LastModified)
	dst = appendETag(dst, o.ETag)
	dst = appendOptional(dst, "ChecksumAlgorithm", string(o.ChecksumAlgorithm))
	dst = appendOptional(dst, "ChecksumType", string(o.ChecksumType))
	dst = appendInt(dst, "Size", o.Size)
	if o.Owner != nil {
		dst = appendOwner(dst, "Owner", *o.Owner)
	}
	dst = appendElement(dst, "StorageClass", string(o.StorageClass))
	return append(dst, "</Contents>"...)
}

// ListObjectsResult is the answer of ListObjects, the first version.
type ListObjectsResult struct {
	Bucket     BucketName
	Prefix     string
	Marker     string
	NextMarker string
	Delimiter  string
	MaxKeys    int
	Encoding   EncodingType
	Truncated  bool
	// Objects yields the page; an entry is used until the next one. Nil is none.
	Objects        iter.Seq[*ObjectEntry]
	CommonPrefixes []string
}

// AppendXML appends the document.
func (r *ListObjectsResult) AppendXML(dst []byte) []byte {
	e := r.Encoding
	dst = openDocument(dst, "ListBucketResult")
	dst = appendElement(dst, "Name", string(r.Bucket))
	if strings.ContainsFunc(r.Prefix, unprintable) {
		dst = e.appendName(dst, "Prefix", r.Prefix) // else no client could parse the document
	} else {
		dst = appendElement(dst, "Prefix", r.Prefix) // not encoded: clients do not decode it in this version
	}
	dst = e.appendName(dst, "Marker", r.Marker)
	dst = e.appendOptionalName(dst, "NextMarker", r.NextMarker)
	dst = appendInt(dst, "MaxKeys", int64(r.MaxKeys))
	dst = e.appendOptionalName(dst, "Delimiter", r.Delimiter)
	dst = appendOptional(dst, "EncodingType", string(e))
	dst = appendBool(dst, "IsTruncated", r.Truncated)
	dst = appendObjects(dst, r.Objects, e)
	dst = appendPrefixes(dst, r.CommonPrefixes, e)
	return closeElement(dst, "ListBucketResult")
}

// ListObjectsV2Result is the answer of ListObjectsV2.
type ListObjectsV2Result struct {
	Bucket     BucketName
	Prefix     string
	StartAfter string
	// ContinuationToken repeats that of the request, nil when it had none.
	ContinuationToken     *string
	NextContinuationToken string
	Delimiter             string
	MaxKeys               int
	Encoding              EncodingType
	Truncated             bool
	// KeyCount is the number of objects and of common prefixes.
	KeyCount int
	// Objects yields the page; an entry is used until the next one. Nil is none.
	Objects        iter.Seq[*ObjectEntry]
	CommonPrefixes []string
}

// AppendXML appends the document.
func (r *ListObjectsV2Result) AppendXML(dst []byte) []byte {
	e := r.Encoding
	dst = openDocument(dst, "ListBucketResult")
	dst = appendElement(dst, "Name", string(r.Bucket))
	dst = e.appendName(dst, "Prefix", r.Prefix)
	dst = e.appendOptionalName(dst, "StartAfter", r.StartAfter)
	if r.ContinuationToken != nil {
		dst = appendElement(dst, "ContinuationToken", *r.ContinuationToken)
	}
	dst = appendOptional(dst, "NextContinuationToken", r.NextContinuationToken)
	dst = appendInt(dst, "KeyCount", int64(r.KeyCount))
	dst = appendInt(dst, "MaxKeys", int64(r.MaxKeys))
	dst = e.appendOptionalName(dst, "Delimiter", r.Delimiter)
	dst = appendOptional(dst, "EncodingType", string(e))
	dst = appendBool(dst, "IsTruncated", r.Truncated)
	dst = appendObjects(dst, r.Objects, e)
	dst = appendPrefixes(dst, r.CommonPrefixes, e)
	return closeElement(dst, "ListBucketResult")
}

func appendObjects(dst []byte, objects iter.Seq[*ObjectEntry], e EncodingType) []byte {
	if objects == nil {
		return dst
	}
	for o := range objects {
		dst = o.AppendXML(dst, e)
	}
	return dst
}

func appendPrefixes(dst []byte, prefixes []string, e EncodingType) []byte {
	for _, p := range prefixes {
		dst = append(dst, "<CommonPrefixes>"...)
		dst = e.appendName(dst, "Prefix", p)
		dst = append(dst, "</CommonPrefixes>"...)
	}
	return dst
}

// BucketEntry is one bucket of ListBuckets.
type BucketEntry struct {
	Name    BucketName
	Created time.Time
	Region  string
}

// ListBucketsResult is the answer of ListBuckets.
type ListBucketsResult struct {
	Owner             Owner
	Buckets           []BucketEntry
	Prefix            string
	ContinuationToken string
}

// AppendXML appends the document.
func (r *ListBucketsResult) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "ListAllMyBucketsResult")
	dst = appendOwner(dst, "Owner", r.Owner)
	dst = append(dst, "<Buckets>"...)
	for i := range r.Buckets {
		b := &r.Buckets[i]
		dst = append(dst, "<Bucket>"...)
		dst = appendElement(dst, "Name", string(b.Name))
		dst = appendTime(dst, "CreationDate", b.Created)
		dst = appendOptional(dst, "BucketRegion", b.Region)
		dst = append(dst, "</Bucket>"...)
	}
	dst = append(dst, "</Buckets>"...)
	dst = appendOptional(dst, "ContinuationToken", r.ContinuationToken)
	dst = appendOptional(dst, "Prefix", r.Prefix)
	return closeElement(dst, "ListAllMyBucketsResult")
}

// AppendLocation appends the answer of GetBucketLocation. AWS shows us-east-1
// as an empty element.
func AppendLocation(dst []byte, region string) []byte {
	if region == "us-east-1" {
		region = ""
	}
	dst = openDocument(dst, "LocationConstraint")
	dst = appendText(dst, region)
	return closeElement(dst, "LocationConstraint")
}
