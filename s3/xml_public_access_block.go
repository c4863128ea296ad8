package s3

// PublicAccessBlock says what a bucket refuses of public access, whatever its
// policy and its access control lists grant.
type PublicAccessBlock struct {
	// BlockPublicACLs refuses to set access control lists that are public.
	BlockPublicACLs bool
	// IgnorePublicACLs takes public grants as not there.
	IgnorePublicACLs bool
	// BlockPublicPolicy refuses to set a policy that is public.
	BlockPublicPolicy bool
	// RestrictPublicBuckets limits a bucket with a public policy to its own account.
	RestrictPublicBuckets bool
}

// AppendXML appends the document.
func (b PublicAccessBlock) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "PublicAccessBlockConfiguration")
	dst = appendBool(dst, "BlockPublicAcls", b.BlockPublicACLs)
	dst = appendBool(dst, "IgnorePublicAcls", b.IgnorePublicACLs)
	dst = appendBool(dst, "BlockPublicPolicy", b.BlockPublicPolicy)
	dst = appendBool(dst, "RestrictPublicBuckets", b.RestrictPublicBuckets)
	return closeElement(dst, "PublicAccessBlockConfiguration")
}

// DecodePublicAccessBlock decodes a configuration; what it does not name is off.
func DecodePublicAccessBlock(body []byte) (PublicAccessBlock, error) {
	var b PublicAccessBlock
	err := decodeDocument(body, "PublicAccessBlockConfiguration", func(x *xmlReader) error {
		return x.children(func(name string) error {
			switch name {
			case "BlockPublicAcls":
				return x.boolean(&b.BlockPublicACLs)
			case "IgnorePublicAcls":
				return x.boolean(&b.IgnorePublicACLs)
			case "BlockPublicPolicy":
				return x.boolean(&b.BlockPublicPolicy)
			case "RestrictPublicBuckets":
				return x.boolean(&b.RestrictPublicBuckets)
			}
			return unknownElement(name)
		})
	})
	return b, err
}

// PolicyStatus says whether a bucket is public.
type PolicyStatus struct{ IsPublic bool }

// AppendXML appends the document.
func (s PolicyStatus) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "PolicyStatus")
	dst = appendBool(dst, "IsPublic", s.IsPublic)
	return closeElement(dst, "PolicyStatus")
}
