package s3

import "time"

// InitiateResult is the answer of CreateMultipartUpload.
type InitiateResult struct {
	Bucket BucketName
	Key    Key
	Upload UploadID
}

// AppendXML appends the document.
func (r *InitiateResult) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "InitiateMultipartUploadResult")
	dst = appendElement(dst, "Bucket", string(r.Bucket))
	dst = appendElement(dst, "Key", string(r.Key))
	dst = appendElement(dst, "UploadId", string(r.Upload))
	return closeElement(dst, "InitiateMultipartUploadResult")
}

// CompleteResult is the answer of CompleteMultipartUpload.
type CompleteResult struct {
	Location     string
	Bucket       BucketName
	Key          Key
	ETag         ETag
	Checksums    Checksums
	ChecksumType ChecksumType
}

// AppendXML appends the document.
func (r *CompleteResult) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "CompleteMultipartUploadResult")
	dst = appendElement(dst, "Location", r.Location)
	dst = appendElement(dst, "Bucket", string(r.Bucket))
	dst = appendElement(dst, "Key", string(r.Key))
	dst = appendETag(dst, r.ETag)
	dst = r.Checksums.appendXML(dst)
	dst = appendOptional(dst, "ChecksumType", string(r.ChecksumType))
	return closeElement(dst, "CompleteMultipartUploadResult")
}

// PartEntry is one part of ListParts.
type PartEntry struct {
	Number       int
	LastModified time.Time
	ETag         ETag
	Size         int64
	Checksums    Checksums
}

// ListPartsResult is the answer of ListParts.
type ListPartsResult struct {
	Bucket            BucketName
	Key               Key
	Upload            UploadID
	Initiator         Owner
	Owner             Owner
	StorageClass      StorageClass
	PartMarker        int
	NextPartMarker    int
	MaxParts          int
	Encoding          EncodingType
	Truncated         bool
	ChecksumAlgorithm ChecksumAlgorithm
	ChecksumType      ChecksumType
	Parts             []PartEntry
}

// AppendXML appends the document.
func (r *ListPartsResult) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "ListPartsResult")
	dst = appendElement(dst, "Bucket", string(r.Bucket))
	dst = r.Encoding.appendName(dst, "Key", string(r.Key))
	dst = appendElement(dst, "UploadId", string(r.Upload))
	dst = appendOwner(dst, "Initiator", r.Initiator)
	dst = appendOwner(dst, "Owner", r.Owner)
	dst = appendElement(dst, "StorageClass", string(r.StorageClass))
	dst = appendInt(dst, "PartNumberMarker", int64(r.PartMarker))
	if r.NextPartMarker > 0 {
		dst = appendInt(dst, "NextPartNumberMarker", int64(r.NextPartMarker))
	}
	dst = appendInt(dst, "MaxParts", int64(r.MaxParts))
	dst = appendOptional(dst, "EncodingType", string(r.Encoding))
	dst = appendBool(dst, "IsTruncated", r.Truncated)
	dst = appendOptional(dst, "ChecksumAlgorithm", string(r.ChecksumAlgorithm))
	dst = appendOptional(dst, "ChecksumType", string(r.ChecksumType))
	for i := range r.Parts {
		p := &r.Parts[i]
		dst = append(dst, "<Part>"...)
		dst = appendInt(dst, "PartNumber", int64(p.Number))
		dst = appendTime(dst, "LastModified", p.LastModified)
		dst = appendETag(dst, p.ETag)
		dst = appendInt(dst, "Size", p.Size)
		dst = p.Checksums.appendXML(dst)
		dst = append(dst, "</Part>"...)
	}
	return closeElement(dst, "ListPartsResult")
}

// UploadEntry is one upload of ListMultipartUploads.
type UploadEntry struct {
	Key               Key
	Upload            UploadID
	Initiator         Owner
	Owner             Owner
	StorageClass      StorageClass
	Initiated         time.Time
	ChecksumAlgorithm ChecksumAlgorithm
	ChecksumType      ChecksumType
}

// ListUploadsResult is the answer of ListMultipartUploads.
type ListUploadsResult struct {
	Bucket           BucketName
	Prefix           string
	Delimiter        string
	KeyMarker        string
	UploadMarker     UploadID
	NextKeyMarker    string
	NextUploadMarker UploadID
	MaxUploads       int
	Encoding         EncodingType
	Truncated        bool
	Uploads          []UploadEntry
	CommonPrefixes   []string
}

// AppendXML appends the document.
func (r *ListUploadsResult) AppendXML(dst []byte) []byte {
	e := r.Encoding
	dst = openDocument(dst, "ListMultipartUploadsResult")
	dst = appendElement(dst, "Bucket", string(r.Bucket))
	dst = e.appendName(dst, "KeyMarker", r.KeyMarker)
	dst = appendElement(dst, "UploadIdMarker", string(r.UploadMarker))
	dst = e.appendOptionalName(dst, "NextKeyMarker", r.NextKeyMarker)
	dst = appendOptional(dst, "NextUploadIdMarker", string(r.NextUploadMarker))
	dst = e.appendOptionalName(dst, "Delimiter", r.Delimiter)
	dst = e.appendName(dst, "Prefix", r.Prefix)
	dst = appendInt(dst, "MaxUploads", int64(r.MaxUploads))
	dst = appendOptional(dst, "EncodingType", string(e))
	dst = appendBool(dst, "IsTruncated", r.Truncated)
	for i := range r.Uploads {
		dst = r.Uploads[i].appendXML(dst, e)
	}
	dst = appendPrefixes(dst, r.CommonPrefixes, e)
	return closeElement(dst, "ListMultipartUploadsResult")
}

func (u *UploadEntry) appendXML(dst []byte, e EncodingType) []byte {
	dst = append(dst, "<Upload>"...)
	dst = e.appendName(dst, "Key", string(u.Key))
	dst = appendElement(dst, "UploadId", string(u.Upload))
	dst = appendOwner(dst, "Initiator", u.Initiator)
	dst = appendOwner(dst, "Owner", u.Owner)
	dst = appendElement(dst, "StorageClass", string(u.StorageClass))
	dst = appendTime(dst, "Initiated", u.Initiated)
	dst = appendOptional(dst, "ChecksumAlgorithm", string(u.ChecksumAlgorithm))
	dst = appendOptional(dst, "ChecksumType", string(u.ChecksumType))
	return append(dst, "</Upload>"...)
}
