package s3

// StorageClass names how an object is stored.
type StorageClass string

// StorageStandard is the default class.
const StorageStandard StorageClass = "STANDARD"

// CannedACL is the value of x-amz-acl.
type CannedACL string

// The canned ACLs of S3.
const (
	ACLPrivate                CannedACL = "private"
	ACLPublicRead             CannedACL = "public-read"
	ACLPublicReadWrite        CannedACL = "public-read-write"
	ACLAuthenticatedRead      CannedACL = "authenticated-read"
	ACLAWSExecRead            CannedACL = "aws-exec-read"
	ACLBucketOwnerRead        CannedACL = "bucket-owner-read"
	ACLBucketOwnerFullControl CannedACL = "bucket-owner-full-control"
	ACLLogDeliveryWrite       CannedACL = "log-delivery-write"
)

// Valid reports whether AWS knows the canned ACL.
func (a CannedACL) Valid() bool {
	switch a {
	case ACLPrivate, ACLPublicRead, ACLPublicReadWrite, ACLAuthenticatedRead, ACLAWSExecRead,
		ACLBucketOwnerRead, ACLBucketOwnerFullControl, ACLLogDeliveryWrite:
		return true
	}
	return false
}

// Directive says where a copy takes its metadata or tags from.
type Directive string

// The directives; empty is COPY.
const (
	DirectiveCopy    Directive = "COPY"
	DirectiveReplace Directive = "REPLACE"
)

// ParseDirective accepts the empty string, COPY and REPLACE.
func ParseDirective(header, value string) (Directive, error) {
	switch d := Directive(value); d {
	case "":
		return DirectiveCopy, nil
	case DirectiveCopy, DirectiveReplace:
		return d, nil
	}
	message := "Unknown metadata directive."
	if header == HeaderTaggingDirective {
		message = "Unknown tagging directive."
	}
	return "", InvalidArg(header, value, message)
}

// ChecksumAlgorithm names one of S3's checksums.
type ChecksumAlgorithm string

// The checksum algorithms of S3.
const (
	ChecksumCRC32     ChecksumAlgorithm = "CRC32"
	ChecksumCRC32C    ChecksumAlgorithm = "CRC32C"
	ChecksumCRC64NVME ChecksumAlgorithm = "CRC64NVME"
	ChecksumSHA1      ChecksumAlgorithm = "SHA1"
	ChecksumSHA256    ChecksumAlgorithm = "SHA256"
	ChecksumSHA512    ChecksumAlgorithm = "SHA512"
	ChecksumMD5       ChecksumAlgorithm = "MD5"
)

// ChecksumType says what the checksum of a multipart object is made of.
type ChecksumType string

// The checksum types.
const (
	// ChecksumComposite is a checksum of the parts' checksums.
	ChecksumComposite ChecksumType = "COMPOSITE"
	// ChecksumFullObject is a checksum of the object's bytes.
	ChecksumFullObject ChecksumType = "FULL_OBJECT"
)

// Checksums holds checksums as S3 shows them: base64, a composite one with
// its -N suffix. Empty means that there is none.
type Checksums struct {
	CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512, MD5 string
}

// Get returns the checksum of an algorithm.
func (c *Checksums) Get(a ChecksumAlgorithm) string {
	if p := c.slot(a); p != nil {
		return *p
	}
	return ""
}

// Set stores the checksum of an algorithm; an unknown one is dropped.
func (c *Checksums) Set(a ChecksumAlgorithm, value string) {
	if p := c.slot(a); p != nil {
		*p = value
	}
}

func (c *Checksums) slot(a ChecksumAlgorithm) *string {
	switch a {
	case ChecksumCRC32:
		return &c.CRC32
	case ChecksumCRC32C:
		return &c.CRC32C
	case ChecksumCRC64NVME:
		return &c.CRC64NVME
	case ChecksumSHA1:
		return &c.SHA1
	case ChecksumSHA256:
		return &c.SHA256
	case ChecksumSHA512:
		return &c.SHA512
	case ChecksumMD5:
		return &c.MD5
	}
	return nil
}

// Empty reports whether there is no checksum.
func (c *Checksums) Empty() bool { return *c == Checksums{} }

// appendXML appends the elements of the checksums that are there.
func (c *Checksums) appendXML(dst []byte) []byte {
	dst = appendOptional(dst, "ChecksumCRC32", c.CRC32)
	dst = appendOptional(dst, "ChecksumCRC32C", c.CRC32C)
	dst = appendOptional(dst, "ChecksumCRC64NVME", c.CRC64NVME)
	dst = appendOptional(dst, "ChecksumSHA1", c.SHA1)
	dst = appendOptional(dst, "ChecksumSHA256", c.SHA256)
	dst = appendOptional(dst, "ChecksumSHA512", c.SHA512)
	return appendOptional(dst, "ChecksumMD5", c.MD5)
}
