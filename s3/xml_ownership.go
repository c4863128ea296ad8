package s3

// ObjectOwnership says whose the objects of a bucket are, and whether access
// control lists count there.
type ObjectOwnership string

// The ownerships. A bucket without ownership controls is one of ObjectWriter.
const (
	// BucketOwnerEnforced: the bucket's owner owns every object, and no access
	// control list counts.
	BucketOwnerEnforced ObjectOwnership = "BucketOwnerEnforced"
	// BucketOwnerPreferred: the bucket's owner owns what was written with the
	// canned ACL bucket-owner-full-control.
	BucketOwnerPreferred ObjectOwnership = "BucketOwnerPreferred"
	// ObjectWriter: who writes an object owns it.
	ObjectWriter ObjectOwnership = "ObjectWriter"
)

// Valid reports whether S3 knows the ownership.
func (o ObjectOwnership) Valid() bool {
	return o == BucketOwnerEnforced || o == BucketOwnerPreferred || o == ObjectWriter
}

// AppendXML appends the ownership controls as a document.
func (o ObjectOwnership) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "OwnershipControls")
	dst = append(dst, "<Rule>"...)
	dst = appendElement(dst, "ObjectOwnership", string(o))
	dst = append(dst, "</Rule>"...)
	return closeElement(dst, "OwnershipControls")
}

// DecodeOwnershipControls decodes ownership controls, of exactly one rule.
func DecodeOwnershipControls(body []byte) (ObjectOwnership, error) {
	var o ObjectOwnership
	rules := 0
	err := decodeDocument(body, "OwnershipControls", func(x *xmlReader) error {
		return x.children(func(name string) error {
			if rules++; name != "Rule" || rules > 1 {
				return unknownElement(name)
			}
			return x.children(func(name string) error {
				if name != "ObjectOwnership" || o != "" {
					return unknownElement(name)
				}
				return x.into((*string)(&o))
			})
		})
	})
	if err == nil && !o.Valid() {
		err = malformed("ownership " + string(o))
	}
	return o, err
}
