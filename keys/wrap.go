package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
)

// A data key that [Wrap] sealed:
//
//	1 byte    format, 1
//	4 bytes   version of the key
//	16 bytes  salt, random
//	48 bytes  AES-256-GCM of the data key
//
// The key of AES-GCM is HKDF-SHA256(version's key, salt), so that one key seals
// any number of data keys with a constant nonce: no pair of key and nonce is used
// twice. The associated data are the name of the key, its version and the
// encryption context.
const (
	wrapFormat = 1
	saltSize   = 16
	headerSize = 1 + 4 + saltSize
	// WrappedSize is the length of what Wrap returns.
	WrappedSize = headerSize + Size + 16
)

// Bound is what a wrapped data key is bound to.
type Bound struct {
	Key     string
	Version uint32
	Context []byte
}

// Wrap seals a data key under one version of a key.
func Wrap(random io.Reader, under *DataKey, plain *DataKey, to Bound) ([]byte, error) {
	out := make([]byte, headerSize, WrappedSize)
	out[0] = wrapFormat
	binary.BigEndian.PutUint32(out[1:], to.Version)
	if _, err := io.ReadFull(random, out[headerSize-saltSize:]); err != nil {
		return nil, fmt.Errorf("sealing a data key: %w", err)
	}
	aead, err := to.aead(under, out[headerSize-saltSize:])
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, make([]byte, aead.NonceSize()), plain[:], to.associated()), nil
}

// WrappedVersion is the version of the key under which Wrap sealed.
func WrappedVersion(sealed []byte) (uint32, error) {
	if len(sealed) != WrappedSize || sealed[0] != wrapFormat {
		return 0, fmt.Errorf("%w: not of this form", ErrInvalid)
	}
	return binary.BigEndian.Uint32(sealed[1:]), nil
}

// Unwrap opens what Wrap sealed.
func Unwrap(under *DataKey, sealed []byte, to Bound) (plain DataKey, err error) {
	if v, err := WrappedVersion(sealed); err != nil {
		return DataKey{}, err
	} else if v != to.Version {
		return DataKey{}, fmt.Errorf("%w: sealed under version %d", ErrInvalid, v)
	}
	aead, err := to.aead(under, sealed[headerSize-saltSize:headerSize])
	if err != nil {
		return DataKey{}, err
	}
	// Into plain itself, so that no copy is left behind.
	if _, err := aead.Open(plain[:0], make([]byte, aead.NonceSize()), sealed[headerSize:], to.associated()); err != nil {
		return DataKey{}, fmt.Errorf("%w: key %s version %d", ErrInvalid, to.Key, to.Version)
	}
	return plain, nil
}

func (b Bound) aead(under *DataKey, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, under[:], salt, "undercroft data key", Size)
	if err != nil {
		return nil, fmt.Errorf("sealing a data key: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing a data key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("sealing a data key: %w", err)
	}
	return aead, nil
}

// associated has one reading: the lengths come before the texts.
func (b Bound) associated() []byte {
	out := make([]byte, 0, 8+len(b.Key)+len(b.Context))
	out = binary.BigEndian.AppendUint32(out, b.Version)
	out = binary.BigEndian.AppendUint32(out, uint32(len(b.Key)))
	out = append(out, b.Key...)
	return append(out, b.Context...)
}
