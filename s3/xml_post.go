package s3

// PostResult is the answer of PostObject to a form that asks for one. Unlike
// S3's other documents it has no namespace.
type PostResult struct {
	Location string
	Bucket   BucketName
	Key      Key
	ETag     ETag
}

// AppendXML appends the document.
func (r *PostResult) AppendXML(dst []byte) []byte {
	dst = append(dst, xmlHeader+"<PostResponse>"...)
	dst = appendElement(dst, "Location", r.Location)
	dst = appendElement(dst, "Bucket", string(r.Bucket))
	dst = appendElement(dst, "Key", string(r.Key))
	dst = appendETag(dst, r.ETag)
	return closeElement(dst, "PostResponse")
}
