package s3

// AppendEmpty appends the document that answers for what is not configured: a
// root with nothing in it.
func AppendEmpty(dst []byte, root string) []byte {
	return closeElement(openDocument(dst, root), root)
}

// AppendEmptyList appends the whole list of configurations of a bucket that
// has none.
func AppendEmptyList(dst []byte, root string) []byte {
	dst = openDocument(dst, root)
	dst = appendBool(dst, "IsTruncated", false)
	return closeElement(dst, root)
}

// AppendAbacStatus appends the answer of GetBucketAbac: access is never
// decided by a bucket's tags.
func AppendAbacStatus(dst []byte) []byte {
	dst = openDocument(dst, "AbacStatus")
	dst = appendElement(dst, "Status", "Disabled")
	return closeElement(dst, "AbacStatus")
}
