package metadata

import (
	"bytes"

	"github.com/undercroft/undercroft/sse"
)

// EncryptionMode says who has the key that an object's key is sealed with.
type EncryptionMode uint8

// The modes of encryption. No encryption has no mode.
const (
	EncryptedC   EncryptionMode = 1 // SSE-C: the client, who sends it with each request
	EncryptedS3  EncryptionMode = 2 // SSE-S3: the store
	EncryptedKMS EncryptionMode = 3 // SSE-KMS: a key provider
)

// Encryption says how the bytes of an object, or of an upload's parts, are
// encrypted. All of them are encrypted under one object key, which nobody has
// unsealed but while it is used: see docs/format/encryption.md.
type Encryption struct {
	Mode      EncryptionMode
	KeyID     string // SSE-KMS: the key of the provider
	DataKey   []byte // not SSE-C: the data key that Sealed is sealed with, as the provider sealed it
	Sealed    []byte // the object key, sealed with the data key or the client's
	Context   []byte // SSE-KMS: what DataKey is bound to
	BucketKey bool   // SSE-KMS: the bucket key is enabled
}

// Fields of an Encryption, which is the field attrEncryption of an Object and
// of an Upload.
const (
	attrEncryption = 23

	encryptionMode      = 1
	encryptionKeyID     = 2
	encryptionDataKey   = 3
	encryptionSealed    = 4
	encryptionContext   = 5
	encryptionBucketKey = 6
)

func encodeEncryption(e *encoder, x *Encryption) {
	if x == nil {
		return
	}
	e.nested(attrEncryption, func(in *encoder) {
		in.uint(encryptionMode, uint64(x.Mode))
		in.text(encryptionKeyID, x.KeyID)
		in.bytes(encryptionDataKey, x.DataKey)
		in.bytes(encryptionSealed, x.Sealed)
		in.bytes(encryptionContext, x.Context)
		if x.BucketKey {
			in.uint(encryptionBucketKey, 1)
		}
	})
}

func decodeEncryption(d *decoder) *Encryption {
	x := &Encryption{}
	in := d.nested()
	for in.next() {
		switch in.field {
		case encryptionMode:
			x.Mode = EncryptionMode(in.uint(uint64(EncryptedKMS)))
		case encryptionKeyID:
			x.KeyID = in.text()
		case encryptionDataKey:
			x.DataKey = bytes.Clone(in.bytes())
		case encryptionSealed:
			x.Sealed = bytes.Clone(in.bytes())
		case encryptionContext:
			x.Context = bytes.Clone(in.bytes())
		case encryptionBucketKey:
			x.BucketKey = in.uint(1) == 1
		default:
			in.unknown()
		}
	}
	if in.err == nil && x.Mode == 0 {
		in.fail("no mode of encryption")
	}
	d.join(&in)
	return x
}

// stored is how many bytes the data of the version takes, whose size is that
// of the plaintext. Of a manifest it is the size: its parts know what they take.
func (o *Object) stored() int64 {
	if o.Encryption == nil || o.Data.Kind == DataManifest {
		return o.Size
	}
	return sse.StoredSize(o.Size)
}
