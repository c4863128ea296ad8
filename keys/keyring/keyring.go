// Package keyring is the key provider of a store without one: keys in the
// metadata, sealed under the master key.
//
// The keys are rows k. Each version is encrypted under the process's master key,
// bound to the name of its key and its number. Who has the metadata without the
// master key has no key; who has a key's row at another place has none either.
// Unsealed versions are kept in memory, checked against the generation stamp of
// the metadata as the credentials of accounts are: what one gateway disables,
// deletes or rotates is in force for the next request of every other one.
//
// A data key is sealed by [keys.Wrap]. Sealing and opening read one stamp and
// compute; nothing waits for another machine. So there is no cache of data keys,
// and a key that is deleted opens nothing from then on.
//
// The package knows no objects. [Keyring.Retire] and [Keyring.Drop] end versions
// safely with the help of who publishes what was sealed: it asks
// metadata.Reader.MayPublish in its transaction. Only cmd, internal/single and
// tests import it.
package keyring

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/undercroft/undercroft/iam/directory"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/metadata"
)

// SSEKMS is the key of SSE-KMS for who names none, where no other is configured.
const SSEKMS = "undercroft-sse-kms"

// maxCached bounds the keys that are kept unsealed; past it, an arbitrary one
// makes room.
const maxCached = 10_000

// sealedKey is what a sealed version is bound to, with its name and number.
const sealedKey = "undercroft encryption key\x00"

// Options configure a Keyring. Now is required.
type Options struct {
	Now func() time.Time
	// Rand makes keys; nil is crypto/rand. It must be safe for concurrent use.
	Rand io.Reader
	// Made are the names of the keys that come to be when they are first used;
	// nil: [keys.SSES3] and [SSEKMS].
	Made []string
}

// Keyring implements [keys.Provider] and changes keys.
type Keyring struct {
	db   *metadata.DB
	seal *directory.Sealer
	o    Options

	mu    sync.RWMutex // guards known and what is in it
	known map[string]*entry
}

// entry is a key as it was at a generation.
type entry struct {
	generation []byte
	state      metadata.KeyState
	newest     uint32
	versions   map[uint32]keys.DataKey
}

var _ keys.Provider = (*Keyring)(nil)

// New is the keyring of a store. What is sealed is sealed by seal.
func New(db *metadata.DB, seal *directory.Sealer, o Options) (*Keyring, error) {
	if db == nil || seal == nil || o.Now == nil {
		return nil, errors.New("keyring: the metadata, the master key and Now are required")
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Made == nil {
		o.Made = []string{keys.SSES3, SSEKMS}
	}
	return &Keyring{db: db, seal: seal, o: o, known: make(map[string]*entry)}, nil
}

// Close wipes the keys in memory. Later calls read them again.
func (k *Keyring) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, e := range k.known {
		e.wipe()
		delete(k.known, name)
	}
}

func (e *entry) wipe() {
	for n, v := range e.versions {
		v.Wipe() // a copy
		e.versions[n] = v
	}
}

// version is a key's version, copied: the caller wipes it. Number 0 is the newest.
type version struct {
	number, newest uint32
	key            keys.DataKey
}

// use returns a version of a key that may be used now.
func (k *Keyring) use(ctx context.Context, name string, number uint32) (v version, err error) {
	if err := ctx.Err(); err != nil {
		return version{}, err
	}
	err = k.db.ViewShared(ctx, "encryption key", func(r *metadata.Reader) error {
		generation, err := r.Generation()
		if err != nil {
			return err
		}
		if found, ok, err := k.cached(name, number, generation); ok {
			v = found
			return err
		}
		v, err = k.load(r, name, number)
		return err
	})
	return v, err
}

// cached is use of what is known at a generation; ok says that it is known.
func (k *Keyring) cached(name string, number uint32, generation []byte) (v version, ok bool, err error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	e := k.known[name]
	if e == nil || !bytes.Equal(e.generation, generation) {
		return version{}, false, nil
	}
	v, err = e.pick(name, number)
	return v, true, err
}

// pick is a version of a key in a state that may be used.
func (e *entry) pick(name string, number uint32) (version, error) {
	if e.state != metadata.KeyEnabled {
		return version{}, unusable(name, e.state)
	}
	if number == 0 {
		number = e.newest
	}
	key, there := e.versions[number]
	if !there {
		return version{}, fmt.Errorf("%w: key %s has no version %d", keys.ErrInvalid, name, number)
	}
	return version{number: number, newest: e.newest, key: key}, nil
}

// unusable is why a key in a state is not used.
func unusable(name string, state metadata.KeyState) error {
	if state == metadata.KeyDisabled {
		return fmt.Errorf("%w: %s", keys.ErrDisabled, name)
	}
	return fmt.Errorf("%w: %s was deleted", keys.ErrNoKey, name)
}

// load reads, unseals and keeps a key, and picks a version. What does not exist
// is not kept, so that guessing evicts nothing.
func (k *Keyring) load(r *metadata.Reader, name string, number uint32) (version, error) {
	generation, err := r.Generation()
	if err != nil {
		return version{}, err
	}
	row, err := r.EncryptionKey(name)
	if err != nil {
		return version{}, err
	}
	if row == nil {
		return version{}, fmt.Errorf("%w: %s", keys.ErrNoKey, name)
	}
	e, err := k.unseal(row)
	if err != nil {
		return version{}, err
	}
	e.generation = bytes.Clone(generation)
	k.mu.Lock()
	defer k.mu.Unlock()
	if old := k.known[name]; old != nil {
		old.wipe()
	} else if len(k.known) >= maxCached {
		for victim := range k.known {
			k.known[victim].wipe()
			delete(k.known, victim)
			break
		}
	}
	k.known[name] = e
	return e.pick(name, number)
}

// unseal opens the versions of a key that may be used, and none of others.
func (k *Keyring) unseal(row *metadata.EncryptionKey) (*entry, error) {
	e := &entry{state: row.State, versions: make(map[uint32]keys.DataKey)}
	if row.State != metadata.KeyEnabled {
		return e, nil
	}
	for i := range row.Versions {
		v := &row.Versions[i]
		text, err := k.seal.Open(v.MasterKey, v.Sealed, about(row.Name, v.Number))
		if err == nil && len(text) != keys.Size {
			err = fmt.Errorf("a key of %d bytes", len(text))
		}
		if err != nil {
			return nil, fmt.Errorf("encryption key %s, version %d: %w", row.Name, v.Number, err)
		}
		e.versions[v.Number] = keys.DataKey(text)
		clear(text)
		e.newest = v.Number
	}
	return e, nil
}

// about is what a version's sealed text is bound to.
func about(name string, number uint32) string {
	return fmt.Sprintf("%s%s\x00%d", sealedKey, name, number)
}
