package sse

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
)

// CustomerKey is a key that a client sends with each request (SSE-C). It is
// safe for concurrent use until it is wiped, prints as "[key]", and nothing of
// it is kept: whether it is the right one shows in that it opens an object's key.
type CustomerKey struct {
	secret
	md5 string
}

// NewCustomerKey takes the 32 bytes of a key; the caller may wipe its own
// afterwards.
func NewCustomerKey(key []byte) (*CustomerKey, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("sse: a customer's key has %d bytes, not %d", len(key), KeySize)
	}
	sum := md5.Sum(key)
	return &CustomerKey{secret: secret{[KeySize]byte(key)}, md5: base64.StdEncoding.EncodeToString(sum[:])}, nil
}

// Wipe forgets the key. Nil has none.
func (k *CustomerKey) Wipe() {
	if k != nil {
		clear(k.key[:])
	}
}

// MD5 is the base64 MD5 digest of the key, as S3's headers have it.
func (k *CustomerKey) MD5() string { return k.md5 }

// Equal reports whether both are the same key; no key equals none.
func (k *CustomerKey) Equal(other *CustomerKey) bool {
	if k == nil || other == nil {
		return k == other
	}
	return subtle.ConstantTimeCompare(k.key[:], other.key[:]) == 1
}

// Seal seals an object's key with the client's.
func (k *CustomerKey) Seal(random io.Reader, object *ObjectKey) ([]byte, error) {
	return object.Seal(random, &k.key)
}

// Open is [OpenKey] with the client's key.
func (k *CustomerKey) Open(sealed []byte) (*ObjectKey, error) { return OpenKey(sealed, &k.key) }
