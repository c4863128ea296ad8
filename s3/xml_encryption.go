package s3

import "slices"

// SSEAlgorithm names a form of server-side encryption, as x-amz-server-side-encryption
// and the configuration of a bucket have it.
type SSEAlgorithm string

// The forms of encryption with keys that the server finds by itself.
const (
	SSES3   SSEAlgorithm = "AES256"
	SSEKMS  SSEAlgorithm = "aws:kms"
	SSEDSSE SSEAlgorithm = "aws:kms:dsse"
)

// Valid reports whether S3 knows the algorithm for objects that clients write.
func (a SSEAlgorithm) Valid() bool { return a == SSES3 || a == SSEKMS || a == SSEDSSE }

// The types of encryption that a bucket can block; NONE blocks none.
const (
	BlockedNone = "NONE"
	BlockedSSEC = "SSE-C"
)

// maxKeyID bounds the name of a key in a document, in bytes: AWS's longest ARN.
const maxKeyID = 2048

// BucketEncryption is the default encryption of a bucket, in one rule.
type BucketEncryption struct {
	Algorithm SSEAlgorithm // empty: the rule names none
	KeyID     string       // of SSE-KMS, as it was written
	// BucketKey is nil where the rule says nothing of bucket keys.
	BucketKey *bool
	// Blocked are the types of encryption that are refused; nil where the rule
	// says nothing of them.
	Blocked []string
}

// BlocksCustomerKeys reports whether objects with customer-provided keys (SSE-C)
// are refused.
func (e *BucketEncryption) BlocksCustomerKeys() bool {
	return e != nil && slices.Contains(e.Blocked, BlockedSSEC)
}

// AppendXML appends the configuration as a document.
func (e *BucketEncryption) AppendXML(dst []byte) []byte {
	dst = openDocument(dst, "ServerSideEncryptionConfiguration")
	dst = openElement(dst, "Rule")
	if e.Algorithm != "" {
		dst = openElement(dst, "ApplyServerSideEncryptionByDefault")
		dst = appendElement(dst, "SSEAlgorithm", string(e.Algorithm))
		dst = appendOptional(dst, "KMSMasterKeyID", e.KeyID)
		dst = closeElement(dst, "ApplyServerSideEncryptionByDefault")
	}
	if e.BucketKey != nil {
		dst = appendBool(dst, "BucketKeyEnabled", *e.BucketKey)
	}
	if len(e.Blocked) > 0 {
		dst = openElement(dst, "BlockedEncryptionTypes")
		for _, kind := range e.Blocked {
			dst = appendElement(dst, "EncryptionType", kind)
		}
		dst = closeElement(dst, "BlockedEncryptionTypes")
	}
	dst = closeElement(dst, "Rule")
	return closeElement(dst, "ServerSideEncryptionConfiguration")
}

// DecodeBucketEncryption decodes the body of PutBucketEncryption: exactly one
// rule. Nil bytes are no configuration.
func DecodeBucketEncryption(body []byte) (*BucketEncryption, error) {
	if body == nil {
		return nil, nil //nolint:nilnil // nothing is configured
	}
	var e *BucketEncryption
	err := decodeDocument(body, "ServerSideEncryptionConfiguration", func(x *xmlReader) error {
		return x.children(func(name string) error {
			if name != "Rule" || e != nil {
				return unknownElement(name)
			}
			e = new(BucketEncryption)
			return x.encryptionRule(e)
		})
	})
	if err != nil {
		return nil, err
	}
	return e, e.check()
}

// encryptionRule reads the elements of a rule.
func (x *xmlReader) encryptionRule(e *BucketEncryption) error {
	var byDefault, bucketKey, blocked bool
	return x.children(func(name string) error {
		var seen *bool
		var read func() error
		switch name {
		case "ApplyServerSideEncryptionByDefault":
			seen, read = &byDefault, func() error { return x.encryptionDefault(e) }
		case "BucketKeyEnabled":
			seen, read = &bucketKey, func() error { e.BucketKey = new(bool); return x.boolean(e.BucketKey) }
		case "BlockedEncryptionTypes":
			seen, read = &blocked, func() error { return x.blockedTypes(e) }
		default:
			return unknownElement(name)
		}
		if *seen {
			return malformed(name + " occurs twice")
		}
		*seen = true
		return read()
	})
}

func (x *xmlReader) encryptionDefault(e *BucketEncryption) error {
	err := x.children(func(name string) error {
		switch name {
		case "SSEAlgorithm":
			return x.into((*string)(&e.Algorithm))
		case "KMSMasterKeyID":
			return x.into(&e.KeyID)
		}
		return unknownElement(name)
	})
	if err == nil && !e.Algorithm.Valid() {
		err = malformed("algorithm " + string(e.Algorithm))
	}
	return err
}

func (x *xmlReader) blockedTypes(e *BucketEncryption) error {
	return x.children(func(name string) error {
		var kind string
		if name != "EncryptionType" {
			return unknownElement(name)
		}
		if err := x.into(&kind); err != nil {
			return err
		}
		if kind != BlockedNone && kind != BlockedSSEC || slices.Contains(e.Blocked, kind) {
			return malformed("encryption type " + kind)
		}
		e.Blocked = append(e.Blocked, kind)
		return nil
	})
}

// check holds a rule against what S3 accepts of well-formed ones.
func (e *BucketEncryption) check() error {
	switch {
	case e == nil:
		return malformed("no rule")
	case e.Algorithm == "" && e.BucketKey == nil && e.Blocked == nil:
		return malformed("empty rule")
	case len(e.KeyID) > maxKeyID:
		return malformed("key id too long")
	case len(e.Blocked) > 1:
		return malformed("NONE with another encryption type")
	case e.KeyID != "" && e.Algorithm == SSES3:
		return InvalidArg("KMSMasterKeyID", e.KeyID,
			"a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")
	}
	return nil
}

// ObjectEncryption is the body of UpdateObjectEncryption.
type ObjectEncryption struct {
	KeyID     string // as the client names it
	BucketKey bool
}

// DecodeObjectEncryption decodes the body of UpdateObjectEncryption, which has to
// name a key of SSE-KMS.
func DecodeObjectEncryption(body []byte) (ObjectEncryption, error) {
	var e ObjectEncryption
	seen := false
	err := decodeDocument(body, "ObjectEncryption", func(x *xmlReader) error {
		return x.children(func(name string) error {
			switch {
			case name == "SSE-S3" || name == "DSSE-KMS" || name == "SSE-C":
				return errNotToKMS()
			case name != "SSE-KMS" || seen:
				return unknownElement(name)
			}
			seen = true
			return x.children(func(name string) error {
				switch name {
				case "KMSKeyArn":
					return x.into(&e.KeyID)
				case "BucketKeyEnabled":
					if err := x.boolean(&e.BucketKey); err != nil {
						return NewError(InvalidRequest).Because(err).
							WithMessage("The BucketKeyEnabled value isn't valid. Valid values are true or false. Modify the request to specify a valid value, and then try again.")
					}
					return nil
				}
				return unknownElement(name)
			})
		})
	})
	switch {
	case err != nil:
		return e, err
	case !seen:
		return e, errNotToKMS()
	case e.KeyID == "" || len(e.KeyID) > maxKeyID:
		return e, NewError(InvalidRequest).WithMessage("Requests that modify an object's encryption type to SSE-KMS require an AWS KMS key Amazon Resource Name (ARN). " +
			"Modify the request to specify a KMS key ARN, and then try again.")
	}
	return e, nil
}

// errNotToKMS refuses to update an object's encryption to anything but SSE-KMS.
func errNotToKMS() error {
	return NewError(InvalidRequest).WithMessage("Requests that modify an object encryption configuration require a valid new encryption type. Valid values are SSEKMS. " +
		"Modify the request to specify SSE-KMS for the updated encryption type, and then try again.")
}
