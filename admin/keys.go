package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// The paths of encryption keys and of the master key.
const (
	pathEncryptionKeys      = "/-/encryption-keys"
	pathEncryptionKey       = "/-/encryption-keys/{key}"
	pathEncryptionKeyRotate = "/-/encryption-keys/{key}/rotate"
	pathEncryptionKeyState  = "/-/encryption-keys/{key}/state"
	pathEncryptionKeyDrop   = "/-/encryption-keys/{key}/drop"
	pathMasterKeyRotate     = "/-/master-key/rotate"
)

// Errors about encryption keys.
var (
	// ErrNoEncryptionKey says that there is no encryption key of this name.
	ErrNoEncryptionKey = errors.New("there is no such encryption key")
	// ErrEncryptionKey says why an encryption key is not changed.
	ErrEncryptionKey = errors.New("the encryption key is not changed")
)

// The states of an encryption key that can be asked for.
const (
	KeyEnabled  = "enabled"
	KeyDisabled = "disabled"
)

// EncryptionKeyDirectory keeps the encryption keys of the store's own keyring.
type EncryptionKeyDirectory interface {
	EncryptionKeys(ctx context.Context) (EncryptionKeyList, error)
	// EncryptionKey is a key with what is sealed under it.
	EncryptionKey(ctx context.Context, name string) (EncryptionKey, error)
	CreateEncryptionKey(ctx context.Context, in NewEncryptionKey) (EncryptionKey, error)
	// RotateEncryptionKey makes a new version and has everything sealed under it
	// by the job that is named in the answer.
	RotateEncryptionKey(ctx context.Context, name string) (EncryptionKeyChange, error)
	// SwitchEncryptionKey enables or disables a key.
	SwitchEncryptionKey(ctx context.Context, name, state string) (EncryptionKey, error)
	// DropEncryptionKeyVersions ends the versions but the newest, once nothing is
	// sealed under them any more.
	DropEncryptionKeyVersions(ctx context.Context, name string) (EncryptionKeyChange, error)
	// DeleteEncryptionKey destroys a key for good.
	DeleteEncryptionKey(ctx context.Context, name string) (EncryptionKey, error)
	// RotateMasterKey seals anew what the previous master key sealed.
	RotateMasterKey(ctx context.Context) (MasterKeyRotation, error)
}

// EncryptionKey is a key of the store's keyring, without the key itself.
type EncryptionKey struct {
	Name        string                 `json:"name"`
	State       string                 `json:"state"` // enabled, disabled, deleted
	Description string                 `json:"description,omitempty"`
	Created     time.Time              `json:"created"`
	Changed     time.Time              `json:"changed,omitzero"`
	Versions    []EncryptionKeyVersion `json:"versions"` // the last is the newest
	Use         *EncryptionKeyUse      `json:"use,omitempty"`
}

// EncryptionKeyVersion is one version of a key.
type EncryptionKeyVersion struct {
	Number    uint32    `json:"number"`
	Created   time.Time `json:"created"`
	MasterKey string    `json:"master_key"` // the id of the one that seals it
	// Ending says that the version is dropped once nothing is sealed under it.
	Ending bool `json:"ending,omitempty"`
}

// EncryptionKeyUse is how much is sealed under a key.
type EncryptionKeyUse struct {
	Objects int64 `json:"objects"` // versions of objects and uploads
	// Partial says that there may be more: there was no time to count all.
	Partial bool `json:"partial,omitempty"`
}

// EncryptionKeyList is all encryption keys.
type EncryptionKeyList struct {
	Keys []EncryptionKey `json:"keys"`
	// Provider keeps the keys of SSE-KMS: "local" or "vault", whose keys are not
	// listed here. Default is the key for who names none.
	Provider string `json:"provider"`
	Default  string `json:"default,omitempty"`
}

// NewEncryptionKey is a key to be made.
type NewEncryptionKey struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// EncryptionKeyChange is a key that was changed, and the run of a job that
// follows from it.
type EncryptionKeyChange struct {
	EncryptionKey

	Job  string `json:"job"`
	Wish uint64 `json:"wish"`
}

// keyState is the body of a change of state.
type keyState struct {
	State string `json:"state"`
}

// MasterKeyRotation is how the replacement of the master key went.
type MasterKeyRotation struct {
	MasterKey      string   `json:"master_key"` // the id of the one in use
	Ended          []string `json:"ended"`      // ids that nothing is sealed under any more
	AccessKeys     int64    `json:"access_keys"`
	EncryptionKeys int64    `json:"encryption_keys"`
}

// handleEncryptionKeys adds the paths of encryption keys.
func (h *handler) handleEncryptionKeys(mux *http.ServeMux) {
	d := h.EncryptionKeyDirectory
	mux.Handle("GET "+pathEncryptionKeys, call(h, func(r *http.Request, _ empty) (EncryptionKeyList, error) {
		return d.EncryptionKeys(r.Context())
	}))
	mux.Handle("GET "+pathEncryptionKey, call(h, func(r *http.Request, _ empty) (EncryptionKey, error) {
		return d.EncryptionKey(r.Context(), r.PathValue("key"))
	}))
	mux.Handle("POST "+pathEncryptionKeys, changeKey(h, "encryption key created", func(r *http.Request, in NewEncryptionKey) (EncryptionKey, error) {
		return d.CreateEncryptionKey(r.Context(), in)
	}))
	mux.Handle("POST "+pathEncryptionKeyRotate, changeKey(h, "encryption key rotated", func(r *http.Request, _ empty) (EncryptionKeyChange, error) {
		return d.RotateEncryptionKey(r.Context(), r.PathValue("key"))
	}))
	mux.Handle("POST "+pathEncryptionKeyState, changeKey(h, "encryption key enabled or disabled", func(r *http.Request, in keyState) (EncryptionKey, error) {
		return d.SwitchEncryptionKey(r.Context(), r.PathValue("key"), in.State)
	}))
	mux.Handle("POST "+pathEncryptionKeyDrop, changeKey(h, "old versions of an encryption key ended", func(r *http.Request, _ empty) (EncryptionKeyChange, error) {
		return d.DropEncryptionKeyVersions(r.Context(), r.PathValue("key"))
	}))
	mux.Handle("DELETE "+pathEncryptionKey, changeKey(h, "encryption key deleted", func(r *http.Request, _ empty) (EncryptionKey, error) {
		return d.DeleteEncryptionKey(r.Context(), r.PathValue("key"))
	}))
	mux.Handle("POST "+pathMasterKeyRotate, call(h, func(r *http.Request, _ empty) (MasterKeyRotation, error) {
		out, err := d.RotateMasterKey(r.Context())
		if err == nil {
			h.note(r, "master key replaced", slog.String("master_key", out.MasterKey))
		}
		return out, err
	}))
}

// keyed is an answer about an encryption key.
type keyed interface{ about() (name, state string) }

func (k EncryptionKey) about() (name, state string) { return k.Name, k.State }

// changeKey answers a request that changes an encryption key.
func changeKey[In any, Out keyed](h *handler, what string, fn func(r *http.Request, in In) (Out, error)) http.Handler {
	return call(h, func(r *http.Request, in In) (Out, error) {
		out, err := fn(r, in)
		if err == nil {
			name, state := out.about()
			h.note(r, what, slog.String("key", name), slog.String("state", state))
		}
		return out, err
	})
}
