package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
)

// Errors of changes.
var (
	// ErrExists says that a name was given before, be it to a deleted key.
	ErrExists = errors.New("there is or was a key of that name")
	// ErrReserved says that a key is needed by the store itself.
	ErrReserved = errors.New("the key of SSE-S3 is never disabled or deleted")
	// ErrName says that a text cannot be the name of a key.
	ErrName = fmt.Errorf("a name has letters, digits and ._- after a letter or digit, at most %d", keys.MaxName)
	// ErrLimit says that there are too many keys or versions.
	ErrLimit = errors.New("too many")
	// ErrDescription says that a description is too long.
	ErrDescription = fmt.Errorf("a description has at most %d bytes", metadata.MaxKeyDescription)
)

// MaxKeys bounds the keys of a keyring, deleted ones included.
const MaxKeys = 10_000

// Create makes a key.
func (k *Keyring) Create(ctx context.Context, name, description string) (metadata.EncryptionKey, error) {
	if valid, err := keys.Name(name); err != nil || valid != name {
		return metadata.EncryptionKey{}, fmt.Errorf("%q: %w", shorten(name), ErrName)
	}
	if len(description) > metadata.MaxKeyDescription {
		return metadata.EncryptionKey{}, ErrDescription
	}
	key := &metadata.EncryptionKey{Name: name, State: metadata.KeyEnabled, Created: k.now(), Description: description}
	if err := k.addVersion(key); err != nil {
		return metadata.EncryptionKey{}, err
	}
	err := k.update(ctx, key, func(tx *metadata.Tx) error {
		there, err := tx.EncryptionKey(name)
		if err != nil {
			return err
		}
		if there != nil {
			return fmt.Errorf("%w: %s", ErrExists, name)
		}
		// Counted in a snapshot: the bound is one of size, not of truth.
		all, _, err := tx.Snapshot().EncryptionKeys("", MaxKeys)
		if err != nil {
			return err
		}
		if len(all) >= MaxKeys {
			return fmt.Errorf("%w keys: %d", ErrLimit, len(all))
		}
		return k.put(tx, key)
	})
	return *key, err
}

// shorten bounds a text in an error.
func shorten(text string) string { return text[:min(len(text), keys.MaxName)] }

// addVersion gives a key a new version, sealed.
func (k *Keyring) addVersion(key *metadata.EncryptionKey) error {
	number := uint32(1)
	if n := len(key.Versions); n > 0 {
		number = key.Versions[n-1].Number + 1
	}
	var fresh keys.DataKey
	defer fresh.Wipe()
	if _, err := io.ReadFull(k.o.Rand, fresh[:]); err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	sealed, err := k.seal.Seal(fresh[:], about(key.Name, number))
	if err != nil {
		return err
	}
	key.Versions = append(key.Versions, metadata.KeyVersion{Number: number, MasterKey: k.seal.ID(), Sealed: sealed, Created: k.now()})
	return nil
}

// put writes a key and sees that its master key is recorded.
func (k *Keyring) put(tx *metadata.Tx, key *metadata.EncryptionKey) error {
	if err := k.seal.Record(tx); err != nil {
		return err
	}
	return tx.PutEncryptionKey(key)
}

// Show is a key, in whatever state.
func (k *Keyring) Show(ctx context.Context, name string) (key metadata.EncryptionKey, err error) {
	err = k.db.View(ctx, "encryption key", func(r *metadata.Reader) error {
		row, err := r.EncryptionKey(name)
		if err == nil && row == nil {
			err = fmt.Errorf("%w: %q", keys.ErrNoKey, name)
		}
		if err == nil {
			key = *row
		}
		return err
	})
	return key, err
}

// List are all keys by name, deleted ones included.
func (k *Keyring) List(ctx context.Context) (all []metadata.EncryptionKey, err error) {
	err = k.db.View(ctx, "encryption key", func(r *metadata.Reader) error {
		all, _, err = r.EncryptionKeys("", 0)
		return err
	})
	return all, err
}

// Rotate gives a key a new version, under which everything is sealed from now on.
func (k *Keyring) Rotate(ctx context.Context, name string) (metadata.EncryptionKey, error) {
	return k.change(ctx, name, func(key *metadata.EncryptionKey) error {
		if key.State != metadata.KeyEnabled {
			return unusable(name, key.State)
		}
		if len(key.Versions) >= metadata.MaxKeyVersions {
			return fmt.Errorf("%w versions: %d; drop the old ones", ErrLimit, len(key.Versions))
		}
		return k.addVersion(key)
	})
}

// Disable keeps a key from being used until [Keyring.Enable].
func (k *Keyring) Disable(ctx context.Context, name string) (metadata.EncryptionKey, error) {
	return k.turn(ctx, name, metadata.KeyDisabled)
}

// Enable ends Disable.
func (k *Keyring) Enable(ctx context.Context, name string) (metadata.EncryptionKey, error) {
	return k.turn(ctx, name, metadata.KeyEnabled)
}

// Delete destroys a key: whatever is sealed under it is lost. Its name stays
// taken.
func (k *Keyring) Delete(ctx context.Context, name string) (metadata.EncryptionKey, error) {
	return k.turn(ctx, name, metadata.KeyDeleted)
}

func (k *Keyring) turn(ctx context.Context, name string, to metadata.KeyState) (metadata.EncryptionKey, error) {
	if name == keys.SSES3 && to != metadata.KeyEnabled {
		return metadata.EncryptionKey{}, ErrReserved
	}
	return k.change(ctx, name, func(key *metadata.EncryptionKey) error {
		if key.State == metadata.KeyDeleted && to != metadata.KeyDeleted {
			return unusable(name, key.State)
		}
		key.State = to
		if to == metadata.KeyDeleted {
			key.Versions, key.Oldest = nil, 0
		}
		return nil
	})
}

// Retire lets nothing more be published under the versions of a key but the
// newest. What is sealed under them still opens. Once it has returned, whoever
// finds that nothing is sealed under them may [Keyring.Drop] them.
func (k *Keyring) Retire(ctx context.Context, name string) (metadata.EncryptionKey, error) {
	return k.change(ctx, name, func(key *metadata.EncryptionKey) error {
		if len(key.Versions) > 0 {
			key.Oldest = key.Versions[len(key.Versions)-1].Number
		}
		return nil
	})
}

// Drop destroys the versions of a key below a number, of those that are retired:
// what is sealed under them is lost.
func (k *Keyring) Drop(ctx context.Context, name string, below uint32) (metadata.EncryptionKey, error) {
	return k.change(ctx, name, func(key *metadata.EncryptionKey) error {
		kept := key.Versions[:0]
		for _, v := range key.Versions {
			if v.Number >= min(below, key.Oldest) {
				kept = append(kept, v)
			}
		}
		key.Versions = kept
		return nil
	})
}

// SealedUnder is the key and the version that the data key of a row is sealed
// under. It is false where that is none of a keyring: what another provider sealed
// has another form.
func (k *Keyring) SealedUnder(x *metadata.Encryption) (name string, version uint32, ok bool) {
	version, err := keys.WrappedVersion(x.DataKey)
	if x.Mode == metadata.EncryptedS3 {
		return keys.SSES3, version, err == nil
	}
	return x.KeyID, version, err == nil
}

// change reads, changes and writes a key.
func (k *Keyring) change(ctx context.Context, name string, fn func(*metadata.EncryptionKey) error) (metadata.EncryptionKey, error) {
	now := k.now()
	var after metadata.EncryptionKey
	err := k.update(ctx, &after, func(tx *metadata.Tx) error {
		key, err := tx.EncryptionKey(name)
		if err == nil && key == nil {
			err = fmt.Errorf("%w: %q", keys.ErrNoKey, name)
		}
		if err == nil {
			err = fn(key)
		}
		if err != nil {
			return err
		}
		key.Changed = now
		after = *key
		return k.put(tx, key)
	})
	return after, err
}

// update runs a transaction and settles an ambiguous commit by one read: the key
// is as it was to be.
func (k *Keyring) update(ctx context.Context, key *metadata.EncryptionKey, fn func(*metadata.Tx) error) error {
	err := k.db.Update(ctx, "encryption key", fn)
	if !errors.Is(err, kv.ErrUnknownCommit) {
		return err
	}
	there, readErr := k.Show(ctx, key.Name)
	if readErr != nil || !same(&there, key) {
		return errors.Join(err, readErr)
	}
	return nil
}

// same says whether two keys are alike in what changes.
func same(a, b *metadata.EncryptionKey) bool {
	if a.State != b.State || a.Oldest != b.Oldest || len(a.Versions) != len(b.Versions) {
		return false
	}
	for i := range a.Versions {
		if a.Versions[i].Number != b.Versions[i].Number || !bytes.Equal(a.Versions[i].Sealed, b.Versions[i].Sealed) {
			return false
		}
	}
	return true
}

// now is a time as records keep it.
func (k *Keyring) now() time.Time { return k.o.Now().UTC().Truncate(time.Millisecond) }
