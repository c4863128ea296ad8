package s3

import "time"

// CopyResult is the answer of CopyObject and of UploadPartCopy.
type CopyResult struct {
	LastModified time.Time
	ETag         ETag
	Checksums    Checksums
	ChecksumType ChecksumType
}

// AppendObjectXML appends the document of CopyObject.
func (r *CopyResult) AppendObjectXML(dst []byte) []byte {
	return r.appendXML(dst, "CopyObjectResult")
}

// AppendPartXML appends the document of UploadPartCopy.
func (r *CopyResult) AppendPartXML(dst []byte) []byte {
	return r.appendXML(dst, "CopyPartResult")
}

func (r *CopyResult) appendXML(dst []byte, root string) []byte {
	dst = openDocument(dst, root)
	dst = appendTime(dst, "LastModified", r.LastModified)
	dst = appendETag(dst, r.ETag)
	dst = r.Checksums.appendXML(dst)
	dst = appendOptional(dst, "ChecksumType", string(r.ChecksumType))
	return closeElement(dst, root)
}

// DeletedObject is one key that DeleteObjects deleted.
type DeletedObject struct {
	Key     Key
	Version VersionID
	// Marker is set when a delete marker was written or deleted.
	Marker        bool
	MarkerVersion VersionID
}

// DeleteError is one key that DeleteObjects did not delete.
type DeleteError struct {
	Key     Key
	Version VersionID
	Err     *Error
}

// DeleteResult is the answer of DeleteObjects.
type DeleteResult struct {
	Deleted []DeletedObject
	Errors  []DeleteError
}

// AppendXML appends the document.
func (r *DeleteResult) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "DeleteResult")
	for i := range r.Deleted {
		d := &r.Deleted[i]
		dst = append(dst, "<Deleted>"...)
		dst = appendElement(dst, "Key", string(d.Key))
		dst = appendOptional(dst, "VersionId", string(d.Version))
		if d.Marker {
			dst = appendBool(dst, "DeleteMarker", true)
		}
		dst = appendOptional(dst, "DeleteMarkerVersionId", string(d.MarkerVersion))
		dst = append(dst, "</Deleted>"...)
	}
	for i := range r.Errors {
		e := &r.Errors[i]
		dst = append(dst, "<Error>"...)
		dst = appendElement(dst, "Key", string(e.Key))
		dst = appendOptional(dst, "VersionId", string(e.Version))
		dst = appendElement(dst, "Code", string(e.Err.Code))
		dst = appendElement(dst, "Message", e.Err.Message)
		dst = append(dst, "</Error>"...)
	}
	return closeElement(dst, "DeleteResult")
}

// AttributePart is one part of GetObjectAttributes.
type AttributePart struct {
	Number    int
	Size      int64
	Checksums Checksums
}

// AttributeParts is the ObjectParts of GetObjectAttributes.
type AttributeParts struct {
	Total          int
	PartMarker     int
	NextPartMarker int
	MaxParts       int
	Truncated      bool
	// Parts are shown only when the object was uploaded with checksums.
	Parts []AttributePart
}

// Attributes is the answer of GetObjectAttributes; what was not asked for is
// the zero value.
type Attributes struct {
	ETag         ETag
	Checksums    Checksums
	ChecksumType ChecksumType
	Parts        *AttributeParts
	StorageClass StorageClass
	// Size is shown when it is not nil.
	Size *int64
}

// AppendXML appends the document.
func (a *Attributes) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "GetObjectAttributesResponse")
	dst = appendOptional(dst, "ETag", string(a.ETag))
	if !a.Checksums.Empty() {
		dst = append(dst, "<Checksum>"...)
		dst = a.Checksums.appendXML(dst)
		dst = appendOptional(dst, "ChecksumType", string(a.ChecksumType))
		dst = append(dst, "</Checksum>"...)
	}
	if a.Parts != nil {
		dst = a.Parts.appendXML(dst)
	}
	dst = appendOptional(dst, "StorageClass", string(a.StorageClass))
	if a.Size != nil {
		dst = appendInt(dst, "ObjectSize", *a.Size)
	}
	return closeElement(dst, "GetObjectAttributesResponse")
}

func (p *AttributeParts) appendXML(dst []byte) []byte {
	dst = append(dst, "<ObjectParts>"...)
	dst = appendInt(dst, "PartsCount", int64(p.Total))
	dst = appendInt(dst, "PartNumberMarker", int64(p.PartMarker))
	dst = appendInt(dst, "NextPartNumberMarker", int64(p.NextPartMarker))
	dst = appendInt(dst, "MaxParts", int64(p.MaxParts))
	dst = appendBool(dst, "IsTruncated", p.Truncated)
	for i := range p.Parts {
		part := &p.Parts[i]
		dst = append(dst, "<Part>"...)
		dst = part.Checksums.appendXML(dst)
		dst = appendInt(dst, "PartNumber", int64(part.Number))
		dst = appendInt(dst, "Size", part.Size)
		dst = append(dst, "</Part>"...)
	}
	return append(dst, "</ObjectParts>"...)
}
