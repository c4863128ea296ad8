package sse

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"
)

// redacted is how keys print.
const redacted = "[key]"

// CustomerKey is a key that a client sends with each request (SSE-C). It is
// safe for concurrent use until it is wiped.
type CustomerKey struct {
	key [KeySize]byte
	md5 string
}

// NewCustomerKey takes the 32 bytes of a key; the caller may wipe its own
// afterwards.
func NewCustomerKey(key []byte) (*CustomerKey, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("sse: a customer's key has %d bytes, not %d", len(key), KeySize)
	}
	sum := md5.Sum(key)
	return &CustomerKey{key: [KeySize]byte(key), md5: base64.StdEncoding.EncodeToString(sum[:])}, nil
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

// Wipe forgets the key. Nil has none.
func (k *CustomerKey) Wipe() {
	if k != nil {
		clear(k.key[:])
	}
}

// String implements [fmt.Stringer]; it shows nothing of the key.
func (k *CustomerKey) String() string { return redacted }

// GoString implements [fmt.GoStringer].
func (k *CustomerKey) GoString() string { return redacted }

// Format implements [fmt.Formatter] for every verb.
func (k *CustomerKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements [slog.LogValuer].
func (k *CustomerKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the key out of whatever encodes texts.
func (k *CustomerKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
