// Package memory is a key provider whose keys are gone with the process: for
// tests of what encrypts.
package memory

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/undercroft/undercroft/keys"
)

// Provider implements [keys.Provider]. Its zero value has no key.
type Provider struct {
	mu    sync.RWMutex // guards known and what is in it
	known map[string]*key
}

type key struct {
	disabled bool
	versions []keys.DataKey // the first is version 1; an empty one was dropped
}

var _ keys.Provider = (*Provider)(nil)

// New is a provider with the named keys.
func New(names ...string) *Provider {
	p := &Provider{}
	for _, name := range names {
		p.Create(name)
	}
	return p
}

// Create makes a key, in place of one of that name.
func (p *Provider) Create(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = make(map[string]*key)
	}
	p.known[name] = &key{versions: []keys.DataKey{newKey()}}
}

// Rotate gives a key, which must be there, a new version.
func (p *Provider) Rotate(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[name].versions = append(p.known[name].versions, newKey())
}

// Disable keeps a key, which must be there, from being used.
func (p *Provider) Disable(name string) { p.state(name, true) }

// Enable ends Disable.
func (p *Provider) Enable(name string) { p.state(name, false) }

func (p *Provider) state(name string, disabled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[name].disabled = disabled
}

// Delete destroys a key.
func (p *Provider) Delete(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, name)
}

// Drop destroys the versions of a key, which must be there, but the newest.
func (p *Provider) Drop(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	versions := p.known[name].versions
	clear(versions[:len(versions)-1])
}

// newKey is a random key.
func newKey() (k keys.DataKey) {
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// usable is a key that may be used. The caller holds mu.
func (p *Provider) usable(name string) (*key, error) {
	k := p.known[name]
	switch {
	case k == nil:
		return nil, fmt.Errorf("%w: %s", keys.ErrNoKey, name)
	case k.disabled:
		return nil, fmt.Errorf("%w: %s", keys.ErrDisabled, name)
	}
	return k, nil
}

// Generate implements [keys.Provider].
func (p *Provider) Generate(ctx context.Context, keyID string, encCtx []byte) (keys.DataKey, []byte, error) {
	if err := ctx.Err(); err != nil {
		return keys.DataKey{}, nil, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	k, err := p.usable(keyID)
	if err != nil {
		return keys.DataKey{}, nil, err
	}
	plain := newKey()
	sealed, err := k.seal(&plain, keyID, encCtx)
	if err != nil {
		return keys.DataKey{}, nil, err
	}
	return plain, sealed, nil
}

// seal wraps under the newest version.
func (k *key) seal(plain *keys.DataKey, keyID string, encCtx []byte) ([]byte, error) {
	if len(encCtx) > keys.MaxContext {
		return nil, keys.ErrContext
	}
	newest := len(k.versions)
	return keys.Wrap(rand.Reader, &k.versions[newest-1], plain, keys.Bound{Key: keyID, Version: uint32(newest), Context: encCtx})
}

// Unseal implements [keys.Provider].
func (p *Provider) Unseal(ctx context.Context, keyID string, sealed, encCtx []byte) (keys.DataKey, error) {
	if err := ctx.Err(); err != nil {
		return keys.DataKey{}, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	k, err := p.usable(keyID)
	if err != nil {
		return keys.DataKey{}, err
	}
	return k.open(keyID, sealed, encCtx)
}

func (k *key) open(keyID string, sealed, encCtx []byte) (keys.DataKey, error) {
	v, err := keys.WrappedVersion(sealed)
	if err != nil {
		return keys.DataKey{}, err
	}
	if v == 0 || int64(v) > int64(len(k.versions)) || k.versions[v-1] == (keys.DataKey{}) {
		return keys.DataKey{}, fmt.Errorf("%w: key %s has no version %d", keys.ErrInvalid, keyID, v)
	}
	return keys.Unwrap(&k.versions[v-1], sealed, keys.Bound{Key: keyID, Version: v, Context: encCtx})
}

// Rewrap implements [keys.Provider].
func (p *Provider) Rewrap(ctx context.Context, keyID string, sealed, encCtx []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	k, err := p.usable(keyID)
	if err != nil {
		return nil, err
	}
	plain, err := k.open(keyID, sealed, encCtx)
	if err != nil {
		return nil, err
	}
	defer plain.Wipe()
	if v, err := keys.WrappedVersion(sealed); err != nil || int64(v) == int64(len(k.versions)) {
		return nil, err
	}
	return k.seal(&plain, keyID, encCtx)
}

// Check implements [keys.Provider].
func (p *Provider) Check(ctx context.Context, keyID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, err := p.usable(keyID)
	return err
}
