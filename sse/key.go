package sse

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
)

// What keys are derived for: each is one text of HKDF.
const (
	forChunks  = "undercroft chunks"
	forSealing = "undercroft object key"
	forTags    = "undercroft entity tag"
)

// ObjectKey is the key under which all data of an object is encrypted. It is
// made once and stays the same for as long as the data is there, whatever it
// is sealed with. It is safe for concurrent use until it is wiped.
type ObjectKey struct{ secret }

// NewObjectKey makes a key.
func NewObjectKey(random io.Reader) (*ObjectKey, error) {
	k := &ObjectKey{}
	if _, err := io.ReadFull(random, k.key[:]); err != nil {
		return nil, fmt.Errorf("sse: making a key: %w", err)
	}
	return k, nil
}

// Wipe forgets the key. Nil has none.
func (k *ObjectKey) Wipe() {
	if k != nil {
		clear(k.key[:])
	}
}

// A sealed object key:
//
//	1 byte    format, 1
//	16 bytes  salt, random
//	48 bytes  AES-256-GCM of the object key, nonce zero
//
// The key of AES-GCM is HKDF-SHA256(sealing key, salt): one sealing key seals any
// number of object keys, and no pair of key and nonce is used twice.
const (
	sealFormat = 1
	saltSize   = 16
	sealHeader = 1 + saltSize
	// SealedSize is the length of a sealed object key, in bytes.
	SealedSize = sealHeader + KeySize + Overhead
)

// Seal seals the key with another.
func (k *ObjectKey) Seal(random io.Reader, with *[KeySize]byte) ([]byte, error) {
	out := make([]byte, sealHeader, SealedSize)
	out[0] = sealFormat
	if _, err := io.ReadFull(random, out[1:]); err != nil {
		return nil, fmt.Errorf("sse: sealing a key: %w", err)
	}
	aead, err := aeadOf(with[:], out[1:], forSealing)
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, make([]byte, aead.NonceSize()), k.key[:], nil), nil
}

// OpenKey opens what Seal sealed with the same key; with another it is
// [ErrWrongKey].
func OpenKey(sealed []byte, with *[KeySize]byte) (*ObjectKey, error) {
	if len(sealed) != SealedSize || sealed[0] != sealFormat {
		return nil, fmt.Errorf("%w: a sealed key of %d bytes", ErrTampered, len(sealed))
	}
	aead, err := aeadOf(with[:], sealed[1:sealHeader], forSealing)
	if err != nil {
		return nil, err
	}
	k := &ObjectKey{}
	// Into the key itself, so that no copy is left behind.
	if _, err := aead.Open(k.key[:0], make([]byte, aead.NonceSize()), sealed[sealHeader:], nil); err != nil {
		return nil, ErrWrongKey
	}
	return k, nil
}

// Tag is an entity tag made of a digest of the plaintext, which shows nothing
// of that to who has not the key.
func (k *ObjectKey) Tag(digest []byte) [16]byte {
	mac := hmac.New(sha256.New, k.key[:])
	_, _ = mac.Write([]byte(forTags)) // never fails
	_, _ = mac.Write(digest)
	return [16]byte(mac.Sum(nil))
}

func aeadOf(key, salt []byte, purpose string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, salt, purpose, KeySize)
	if err != nil {
		return nil, fmt.Errorf("sse: deriving a key: %w", err)
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("sse: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("sse: %w", err)
	}
	return aead, nil
}
