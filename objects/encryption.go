package objects

import (
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/sse"
)

// EncryptionMode says how an object is encrypted; zero: it is not.
type EncryptionMode = metadata.EncryptionMode

// The modes of encryption.
const (
	EncryptedC   = metadata.EncryptedC   // SSE-C
	EncryptedS3  = metadata.EncryptedS3  // SSE-S3, AES256
	EncryptedKMS = metadata.EncryptedKMS // SSE-KMS, aws:kms
)

// Encryption asks for an object to be encrypted. The zero value asks for none:
// who applies a bucket's default does so before.
type Encryption struct {
	Mode EncryptionMode
	// Customer is the key of SSE-C, which the caller wipes when the call has
	// returned.
	Customer *sse.CustomerKey
	// KeyID is the key of SSE-KMS as the client names it: a name, an alias or an ARN; "" is
	// the default key.
	KeyID string
	// Context is the encryption context of SSE-KMS: nil, or a JSON object of texts.
	Context []byte
	// BucketKey is whether the bucket key of SSE-KMS is enabled.
	BucketKey bool
}

// Encrypted describes how an object is encrypted. The zero value: it is not.
type Encrypted struct {
	Mode EncryptionMode
	// KeyID is the key of SSE-KMS: its name.
	KeyID string
	// CustomerMD5 is the base64 MD5 digest of the key of SSE-C that the request
	// came with.
	CustomerMD5 string
	// Context is the encryption context that the request came with; answers to
	// reads have none.
	Context   []byte
	BucketKey bool
}
