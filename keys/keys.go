// Package keys is the contract of key providers: they make the data keys of
// server-side encryption and keep them sealed under a key that they never
// hand out.
//
// An object is encrypted under a data key of its own. Its row keeps the data key
// sealed: encrypted, by a [Provider], under a named key, and bound to an encryption
// context. To read the object, the provider opens the sealed data key. A key that
// is deleted opens nothing more, so that its objects are unreadable at once; a
// key that is rotated seals under a new version and still opens what the older
// ones sealed, until [Provider.Rewrap] has moved everything to the newest.
//
// The providers are keys/keyring (keys in the metadata, sealed under the master
// key), keys/transit (HashiCorp Vault, OpenBao) and keys/memory (for tests); all of
// them pass keys/keystest. [Cache] keeps the data keys of bucket keys for a while.
//
// The package knows no objects, no metadata and no HTTP. Anyone may import it.
package keys

import (
	"context"
	"errors"
)

// Errors of providers. They are wrapped with what was being done; nothing of
// a key is in their text.
var (
	// ErrNoKey says that there is no key of that name, or no more.
	ErrNoKey = errors.New("no such key")
	// ErrDisabled says that the key is there and must not be used.
	ErrDisabled = errors.New("key is disabled")
	// ErrUnavailable says that the provider cannot be asked at present. The same
	// call may succeed later.
	ErrUnavailable = errors.New("key provider is unavailable")
	// ErrDenied says that the provider does not let this server use the key.
	ErrDenied = errors.New("key provider denies access")
	// ErrInvalid says that a sealed data key does not open: it is damaged, of
	// another key, or of another encryption context.
	ErrInvalid = errors.New("sealed data key does not open")
	// ErrContext says that an encryption context is longer than [MaxContext].
	ErrContext = errors.New("encryption context is too long")
)

// SSES3 is the name of the key of the local keyring that seals the data keys of
// SSE-S3. Nothing but SSE-S3 uses it, and it cannot be disabled or deleted.
const SSES3 = "undercroft-sse-s3"

const (
	// MaxContext bounds an encryption context, in bytes: what AWS allows.
	MaxContext = 8192
	// MaxSealed bounds a sealed data key, in bytes.
	MaxSealed = 1024
)

// Provider makes and opens data keys. It is safe for concurrent use.
//
// keyID is a name that [Name] accepts and is taken as it is. encCtx is an
// encryption context in the one form that the caller always gives it (the
// provider compares bytes); nil and empty are the same. It is not secret. A caller
// wipes data keys when it is done ([DataKey.Wipe]).
type Provider interface {
	// Generate makes a data key and seals it under the newest version of a key.
	Generate(ctx context.Context, keyID string, encCtx []byte) (plain DataKey, sealed []byte, err error)
	// Unseal opens a data key that Generate or Rewrap sealed under any version
	// of the key that is still there.
	Unseal(ctx context.Context, keyID string, sealed, encCtx []byte) (DataKey, error)
	// Rewrap seals a sealed data key anew under the newest version of its key;
	// nil says that it is that already. What was sealed before still opens.
	Rewrap(ctx context.Context, keyID string, sealed, encCtx []byte) ([]byte, error)
	// Check is nil if the key can be used now.
	Check(ctx context.Context, keyID string) error
}

// Providers are what an object store encrypts with. A nil one does not exist:
// what needs it is not implemented.
type Providers struct {
	// S3 seals for SSE-S3, under [SSES3].
	S3 Provider
	// KMS seals for SSE-KMS.
	KMS Provider
	// BucketKeys seals for SSE-KMS where the bucket key is enabled: KMS, behind
	// a [Cache] where asking it is expensive. What one of both sealed, the other
	// opens.
	BucketKeys Provider
	// Default is the key of SSE-KMS for who names none.
	Default string
}
