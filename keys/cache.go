package keys

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// Defaults of CacheOptions.
const (
	DefaultCacheTTL     = 5 * time.Minute
	DefaultCacheUses    = 1 << 20
	DefaultCacheEntries = 1024
)

// CacheOptions configure a Cache. Now is required.
type CacheOptions struct {
	Now func() time.Time
	// TTL is how long a data key is kept after it was made or opened: how long a
	// key that was deleted or disabled may still be used. Zero: [DefaultCacheTTL].
	TTL time.Duration
	// Uses bounds how often one data key is given to be sealed with. Zero:
	// [DefaultCacheUses].
	Uses int
	// Entries bounds the data keys that are kept. Zero: [DefaultCacheEntries].
	Entries int
}

// Cache keeps the data keys of a provider for a while: it is what a bucket key
// means, fewer calls of the provider. Generate gives the data key that it made for
// a key and context before, and Unseal remembers what it opened. So objects
// share data keys: who encrypts must derive from the data key and something of the
// object's own.
//
// The provider is asked again after the TTL at the latest. Only what it answers
// well is kept, and an entry is wiped when it goes.
type Cache struct {
	provider Provider
	o        CacheOptions

	mu      sync.Mutex // guards entries, order and what is in them
	entries map[cacheKey]*list.Element
	order   *list.List // of *cached, the one used last in front
}

var _ Provider = (*Cache)(nil)

// cacheKey is a digest of what an entry is for.
type cacheKey [sha256.Size]byte

type cached struct {
	of     cacheKey
	plain  DataKey
	sealed []byte // of what Generate made
	until  time.Time
	uses   int
}

// NewCache is a Cache of a provider.
func NewCache(p Provider, o CacheOptions) (*Cache, error) {
	if p == nil || o.Now == nil {
		return nil, errors.New("keys: a cache needs a provider and Now")
	}
	if o.TTL <= 0 {
		o.TTL = DefaultCacheTTL
	}
	if o.Uses <= 0 {
		o.Uses = DefaultCacheUses
	}
	if o.Entries <= 0 {
		o.Entries = DefaultCacheEntries
	}
	return &Cache{provider: p, o: o, entries: make(map[cacheKey]*list.Element), order: list.New()}, nil
}

// digest has one reading: the lengths come before the texts.
func digest(what string, texts ...[]byte) (k cacheKey) {
	h := sha256.New()
	_, _ = h.Write([]byte(what)) // never fails, like those below
	for _, text := range texts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(text)))
		_, _ = h.Write(n[:])
		_, _ = h.Write(text)
	}
	h.Sum(k[:0])
	return k
}

// Generate implements [Provider].
func (c *Cache) Generate(ctx context.Context, keyID string, encCtx []byte) (DataKey, []byte, error) {
	if err := ctx.Err(); err != nil {
		return DataKey{}, nil, err
	}
	made := digest("made", []byte(keyID), encCtx)
	if plain, sealed, ok := c.get(made); ok {
		return plain, sealed, nil
	}
	plain, sealed, err := c.provider.Generate(ctx, keyID, encCtx)
	if err != nil {
		return DataKey{}, nil, err
	}
	c.put(made, plain, sealed)
	c.put(digest("opened", []byte(keyID), sealed, encCtx), plain, nil)
	return plain, sealed, nil
}

// Unseal implements [Provider].
func (c *Cache) Unseal(ctx context.Context, keyID string, sealed, encCtx []byte) (DataKey, error) {
	if err := ctx.Err(); err != nil {
		return DataKey{}, err
	}
	opened := digest("opened", []byte(keyID), sealed, encCtx)
	if plain, _, ok := c.get(opened); ok {
		return plain, nil
	}
	plain, err := c.provider.Unseal(ctx, keyID, sealed, encCtx)
	if err != nil {
		return DataKey{}, err
	}
	c.put(opened, plain, nil)
	return plain, nil
}

// Rewrap implements [Provider]: it is never answered from the cache. A data key
// that shows to be sealed under an older version is not sealed with any more.
func (c *Cache) Rewrap(ctx context.Context, keyID string, sealed, encCtx []byte) ([]byte, error) {
	fresh, err := c.provider.Rewrap(ctx, keyID, sealed, encCtx)
	if err == nil && fresh != nil {
		c.end(digest("made", []byte(keyID), encCtx), sealed)
	}
	return fresh, err
}

// end drops what Generate made, if it is this.
func (c *Cache) end(made cacheKey, sealed []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[made]; ok {
		if entry, _ := e.Value.(*cached); bytes.Equal(entry.sealed, sealed) {
			c.drop(e)
		}
	}
}

// Check implements [Provider]: it is never answered from the cache.
func (c *Cache) Check(ctx context.Context, keyID string) error { return c.provider.Check(ctx, keyID) }

func (c *Cache) get(k cacheKey) (plain DataKey, sealed []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[k]
	if !ok {
		return DataKey{}, nil, false
	}
	entry, _ := e.Value.(*cached)
	if !c.o.Now().Before(entry.until) || entry.uses >= c.o.Uses {
		c.drop(e)
		return DataKey{}, nil, false
	}
	if entry.sealed != nil {
		entry.uses++
	}
	c.order.MoveToFront(e)
	return entry.plain, append([]byte(nil), entry.sealed...), true
}

func (c *Cache) put(k cacheKey, plain DataKey, sealed []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, there := c.entries[k]; there {
		c.drop(e)
	}
	for len(c.entries) >= c.o.Entries {
		c.drop(c.order.Back())
	}
	entry := &cached{of: k, plain: plain, until: c.o.Now().Add(c.o.TTL), uses: 1}
	if sealed != nil {
		entry.sealed = append([]byte(nil), sealed...)
	}
	c.entries[k] = c.order.PushFront(entry)
}

// drop forgets an entry. The caller holds mu.
func (c *Cache) drop(e *list.Element) {
	entry, _ := c.order.Remove(e).(*cached)
	entry.plain.Wipe()
	delete(c.entries, entry.of)
}

// Close wipes what is kept.
func (c *Cache) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.order.Front(); e != nil; e = c.order.Front() {
		c.drop(e)
	}
}
