package gateway

import (
	"encoding/base64"
	"strings"

	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// newEncryption is how the request wants a new object encrypted: as its headers
// say, else as the bucket does, else as the store does. The headers are looked at
// after the caller was allowed to write, as AWS does.
func (g *Gateway) newEncryption(x *exchange) (objects.Encryption, error) {
	byDefault, err := x.place.encryption()
	if err != nil {
		return objects.Encryption{}, err
	}
	customer, err := x.customerKey(s3.CustomerKeyPrefix)
	if err != nil {
		return objects.Encryption{}, err
	}
	mode := s3.SSEAlgorithm(x.header(s3.HeaderSSE))
	switch {
	case customer == nil:
	case mode != "" || x.header(s3.HeaderSSEKeyID) != "" || x.header(s3.HeaderSSEContext) != "":
		return objects.Encryption{}, argumentOf(s3.HeaderSSE, string(mode),
			"Server Side Encryption with Customer provided key is incompatible with the encryption method specified")
	case byDefault.BlocksCustomerKeys():
		return objects.Encryption{}, denied("the bucket's encryption configuration blocks keys of clients (SSE-C)")
	default:
		return objects.Encryption{Mode: objects.EncryptedC, Customer: customer}, nil
	}
	return g.managedEncryption(x, mode, byDefault)
}

// managedEncryption is the encryption with keys that the store finds by itself.
func (g *Gateway) managedEncryption(x *exchange, mode s3.SSEAlgorithm, byDefault *s3.BucketEncryption) (objects.Encryption, error) {
	out := objects.Encryption{KeyID: x.header(s3.HeaderSSEKeyID)}
	var err error
	if out.Context, err = encryptionContext(x.header(s3.HeaderSSEContext)); err != nil {
		return objects.Encryption{}, err
	}
	bucketKey, err := x.bucketKeyHeader()
	if err != nil {
		return objects.Encryption{}, err
	}
	if mode != s3.SSEKMS && mode != s3.SSEDSSE && (out.KeyID != "" || out.Context != nil) {
		return objects.Encryption{}, argumentOf(s3.HeaderSSE, string(mode),
			"Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
	}
	if mode == "" {
		mode, out.KeyID = g.defaultEncryption(byDefault)
	}
	switch mode {
	case "":
		return objects.Encryption{}, nil
	case s3.SSES3:
		return objects.Encryption{Mode: objects.EncryptedS3}, nil
	case s3.SSEKMS:
	case s3.SSEDSSE:
		return objects.Encryption{}, s3.NotImplementedHeader("x-amz-server-side-encryption")
	default:
		return objects.Encryption{}, argumentOf(s3.HeaderSSE, string(mode), "The encryption method specified is not supported")
	}
	if bucketKey == nil && byDefault != nil {
		bucketKey = byDefault.BucketKey
	}
	out.Mode, out.BucketKey = objects.EncryptedKMS, bucketKey != nil && *bucketKey
	return out, nil
}

// defaultEncryption is that of a bucket, and of the store where the bucket's
// configuration names none.
func (g *Gateway) defaultEncryption(e *s3.BucketEncryption) (mode s3.SSEAlgorithm, key string) {
	if e != nil && e.Algorithm != "" {
		return e.Algorithm, e.KeyID
	}
	return g.o.DefaultEncryption, ""
}

// encryption is the bucket's own configuration, nil where there is none. One that
// cannot be read is an error: what it asks for must not be forgotten.
func (p *place) encryption() (*s3.BucketEncryption, error) {
	e, err := objects.Parsed(p.BucketState, objects.ConfigEncryption, s3.DecodeBucketEncryption)
	if err != nil {
		return nil, s3.NewError(s3.InternalError).Because(err)
	}
	return e, nil
}

// asksEncryption reports whether headers say how a new object is to be encrypted.
func (x *exchange) asksEncryption() bool {
	return x.header(s3.HeaderSSE) != "" || x.header(s3.CustomerKeyPrefix+s3.SuffixCustomerAlgorithm) != ""
}

// partKey is the key of SSE-C that a request to an upload came with, nil for none.
func (g *Gateway) partKey(x *exchange) (*sse.CustomerKey, error) {
	if err := g.checkRepeated(x); err != nil {
		return nil, err
	}
	return x.customerKey(s3.CustomerKeyPrefix)
}

// checkRepeated holds the mode that a part or a completion repeats against that
// of its upload, which alone counts. AWS refuses the header there.
func (g *Gateway) checkRepeated(x *exchange) error {
	asked := x.header(s3.HeaderSSE)
	if asked == "" && x.header(s3.HeaderSSEKeyID) == "" {
		return nil
	}
	is, err := g.uploadEncryption(x)
	if err != nil {
		return err
	}
	if mode := encryptionName(is.Mode); asked != mode || mode == "" {
		return argumentOf(s3.HeaderSSE, asked, "The encryption method is not the one that the multipart upload was begun with.")
	}
	return nil
}

// uploadEncryption is the encryption of the upload that the request names.
func (g *Gateway) uploadEncryption(x *exchange) (objects.Encrypted, error) {
	parts, err := g.o.Objects.ListParts(x.r.Context(), objects.ListPartsInput{Bucket: x.bucket, Key: x.key, Upload: x.upload()})
	return parts.Upload.Encryption, err
}

// encryptionName is a mode as x-amz-server-side-encryption has it, empty for SSE-C and none.
func encryptionName(mode objects.EncryptionMode) string {
	switch mode {
	case objects.EncryptedS3:
		return string(s3.SSES3)
	case objects.EncryptedKMS:
		return string(s3.SSEKMS)
	case objects.EncryptedC:
	}
	return ""
}

// showEncryption sets the headers that tell how an object is encrypted.
func (x *exchange) showEncryption(e *objects.Encrypted) {
	switch e.Mode {
	case objects.EncryptedC:
		if e.CustomerMD5 == "" {
			return // a request without the key needs no description of it
		}
		x.set(s3.CustomerKeyPrefix+s3.SuffixCustomerAlgorithm, string(s3.SSES3))
		x.set(s3.CustomerKeyPrefix+s3.SuffixCustomerKeyMD5, e.CustomerMD5)
	case objects.EncryptedS3:
		x.set(s3.HeaderSSE, string(s3.SSES3))
	case objects.EncryptedKMS:
		x.set(s3.HeaderSSE, string(s3.SSEKMS))
		x.set(s3.HeaderSSEKeyID, e.KeyID)
		if len(e.Context) > 0 {
			x.set(s3.HeaderSSEContext, base64.StdEncoding.EncodeToString(e.Context))
		}
		if e.BucketKey {
			x.set(s3.HeaderSSEBucketKey, "true")
		}
	}
}

// argumentOf is InvalidArgument about a header of encryption.
func argumentOf(header, value, message string) error {
	return s3.InvalidArg(strings.ToLower(header), value, message)
}

// encryption are the condition keys of encryption. Those of a part and of a
// completion are their upload's: nobody repeats them. Keys of clients, their
// digests and contexts are none.
func (c *conditions) encryption(name string) []string {
	switch name {
	case "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-customer-algorithm":
	default:
		return nil
	}
	if encryptionUses(c.x.op.Name)&repeatsMode != 0 {
		return c.uploadEncryption(name)
	}
	values := c.header(name)
	if name == "x-amz-server-side-encryption-aws-kms-key-id" && len(values) > 0 {
		return c.keyNames(values[0])
	}
	return values
}

func (c *conditions) uploadEncryption(name string) []string {
	e, err := c.x.gateway.uploadEncryption(c.x)
	if err != nil {
		return nil // the operation meets the same upload, and says it better
	}
	switch name {
	case "x-amz-server-side-encryption":
		return optional(encryptionName(e.Mode))
	case "x-amz-server-side-encryption-aws-kms-key-id":
		if e.KeyID == "" {
			return nil
		}
		return c.keyNames(e.KeyID)
	}
	if e.Mode == objects.EncryptedC {
		return one(string(s3.SSES3))
	}
	return nil
}

// keyNames are all that a policy may call a key by: its name or alias, and its ARN
// as of the bucket's own account. An ARN of the client's is none: nobody looks at its
// region and account, which could hold whatever a pattern wants.
func (c *conditions) keyNames(given string) []string {
	name, err := keys.Name(given)
	if err != nil {
		return one(given)
	}
	names := []string{name, "arn:aws:kms:" + c.x.gateway.o.Region + ":" + string(c.x.place.facts.OwnerAccount) + ":key/" + name}
	if given == "alias/"+name {
		names = append(names, given)
	}
	return names
}
