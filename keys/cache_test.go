package keys_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/keystest"
	"github.com/undercroft/undercroft/keys/memory"
)

// counted counts the calls that reach a provider.
type counted struct {
	keys.Provider
	made, opened atomic.Int64
}

func (c *counted) Generate(ctx context.Context, keyID string, encCtx []byte) (keys.DataKey, []byte, error) {
	c.made.Add(1)
	return c.Provider.Generate(ctx, keyID, encCtx)
}

func (c *counted) Unseal(ctx context.Context, keyID string, sealed, encCtx []byte) (keys.DataKey, error) {
	c.opened.Add(1)
	return c.Provider.Unseal(ctx, keyID, sealed, encCtx)
}

// caching is a cache whose clock the test moves.
type caching struct {
	*keys.Cache
	behind *counted
	memory *memory.Provider
	now    time.Time
}

func newCaching(t *testing.T, o keys.CacheOptions) *caching {
	t.Helper()
	m := memory.New("one", "two")
	c := &caching{behind: &counted{Provider: m}, memory: m, now: time.UnixMilli(1)}
	o.Now = func() time.Time { return c.now }
	cache, err := keys.NewCache(c.behind, o)
	if err != nil {
		t.Fatal(err)
	}
	c.Cache = cache
	t.Cleanup(cache.Close)
	return c
}

func (c *caching) calls() string {
	return fmt.Sprintf("made %d opened %d", c.behind.made.Swap(0), c.behind.opened.Swap(0))
}

func (c *caching) generate(t *testing.T, name, encCtx string) (keys.DataKey, []byte) {
	t.Helper()
	plain, sealed, err := c.Generate(t.Context(), name, []byte(encCtx))
	if err != nil {
		t.Fatal(err)
	}
	return plain, sealed
}

func TestCachedDataKeysAreShared(t *testing.T) {
	c := newCaching(t, keys.CacheOptions{TTL: time.Minute, Uses: 3})
	first, sealed := c.generate(t, "one", "bucket")
	for range 2 {
		if again, _ := c.generate(t, "one", "bucket"); again != first {
			t.Error("another data key")
		}
		if got, err := c.Unseal(t.Context(), "one", sealed, []byte("bucket")); err != nil || got != first {
			t.Errorf("opened as another, or %v", err)
		}
	}
	if got := c.calls(); got != "made 1 opened 0" {
		t.Errorf("the provider was asked: %s", got)
	}
	// Used three times, it is made anew; another key or context has its own.
	for _, other := range [][2]string{{"one", "bucket"}, {"two", "bucket"}, {"one", "bucket2"}} {
		if plain, _ := c.generate(t, other[0], other[1]); plain == first {
			t.Errorf("%v shares a data key", other)
		}
	}
	if got := c.calls(); got != "made 3 opened 0" {
		t.Errorf("the provider was asked: %s", got)
	}
	// What is kept opens for its key and context only.
	for _, other := range [][2]string{{"one", ""}, {"two", "bucket"}, {"on", "ebucket"}} {
		if _, err := c.Unseal(t.Context(), other[0], sealed, []byte(other[1])); err == nil {
			t.Errorf("opened as %v", other)
		}
	}
}

func TestCachedDataKeysEnd(t *testing.T) {
	c := newCaching(t, keys.CacheOptions{TTL: time.Minute})
	_, sealed := c.generate(t, "one", "")
	c.memory.Disable("one")
	// Within the time it is still used: that is the price, and the bound of it.
	c.now = c.now.Add(time.Minute - 1)
	if _, err := c.Unseal(t.Context(), "one", sealed, nil); err != nil {
		t.Error(err)
	}
	if err := c.Check(t.Context(), "one"); !errors.Is(err, keys.ErrDisabled) {
		t.Errorf("Check is answered from the cache: %v", err)
	}
	c.now = c.now.Add(1)
	if _, err := c.Unseal(t.Context(), "one", sealed, nil); !errors.Is(err, keys.ErrDisabled) {
		t.Errorf("Unseal: %v", err)
	}
	if _, _, err := c.Generate(t.Context(), "one", nil); !errors.Is(err, keys.ErrDisabled) {
		t.Errorf("Generate: %v", err)
	}
	// An error is not kept.
	c.memory.Enable("one")
	if _, err := c.Unseal(t.Context(), "one", sealed, nil); err != nil {
		t.Error(err)
	}
}

// TestCachedDataKeysEndWhenTheyAreRewrapped: what is sealed after a rotation is
// under the newest version from then on.
func TestCachedDataKeysEndWhenTheyAreRewrapped(t *testing.T) {
	c := newCaching(t, keys.CacheOptions{TTL: time.Minute})
	_, old := c.generate(t, "one", "bucket")
	_, other := c.generate(t, "one", "bucket2")
	if fresh, err := c.Rewrap(t.Context(), "one", old, []byte("bucket")); fresh != nil || err != nil {
		t.Fatalf("it is under the newest version: %v", err)
	}
	c.memory.Rotate("one")
	if fresh, err := c.Rewrap(t.Context(), "one", old, []byte("bucket")); fresh == nil || err != nil {
		t.Fatalf("not sealed anew: %v", err)
	}
	if _, sealed := c.generate(t, "one", "bucket"); string(sealed) == string(old) {
		t.Error("the data key of the old version is still given out")
	} else if v, err := keys.WrappedVersion(sealed); v != 2 || err != nil {
		t.Errorf("sealed under version %d, %v", v, err)
	}
	// The one of another context is as it was, and so is what is sealed since.
	if _, sealed := c.generate(t, "one", "bucket2"); string(sealed) != string(other) {
		t.Error("the data key of another context is another")
	}
	if _, err := c.Rewrap(t.Context(), "one", old, []byte("bucket")); err != nil {
		t.Error(err)
	}
	c.calls()
	c.generate(t, "one", "bucket")
	if got := c.calls(); got != "made 0 opened 0" {
		t.Errorf("the provider was asked: %s", got)
	}
}

func TestCachesAreBounded(t *testing.T) {
	c := newCaching(t, keys.CacheOptions{Entries: 4})
	_, sealed := c.generate(t, "one", "first")
	for n := range 8 {
		c.generate(t, "one", fmt.Sprint(n))
	}
	c.calls()
	if _, err := c.Unseal(t.Context(), "one", sealed, []byte("first")); err != nil || c.calls() != "made 0 opened 1" {
		t.Errorf("kept more than it should, or %v", err)
	}
	c.generate(t, "one", "7")
	if got := c.calls(); got != "made 0 opened 0" {
		t.Errorf("what was used last is gone: %s", got)
	}
	c.Close()
	c.generate(t, "one", "7")
	if got := c.calls(); got != "made 1 opened 0" {
		t.Errorf("after Close: %s", got)
	}
}

// A cache over whose data keys no time passes is a provider like others, but
// that it makes no fresh ones and hears of changes late.
func TestCacheConforms(t *testing.T) {
	keystest.Run(t, func(t *testing.T) keystest.Store {
		t.Helper()
		m := memory.New()
		now := time.UnixMilli(1)
		cache, err := keys.NewCache(m, keys.CacheOptions{Now: func() time.Time {
			now = now.Add(2) // every entry is too old when it is looked at
			return now
		}, TTL: 1})
		if err != nil {
			t.Fatal(err)
		}
		named := func(f func(string)) func(*testing.T, string) { return func(_ *testing.T, name string) { f(name) } }
		return keystest.Store{
			Provider: cache, Create: named(m.Create), Rotate: named(m.Rotate),
			Disable: named(m.Disable), Enable: named(m.Enable), Delete: named(m.Delete), Drop: named(m.Drop),
		}
	})
}

func TestNewCacheNeedsItsOptions(t *testing.T) {
	for _, o := range []keys.CacheOptions{{}, {TTL: 1}} {
		if _, err := keys.NewCache(memory.New(), o); err == nil {
			t.Error("made without a clock")
		}
	}
	if _, err := keys.NewCache(nil, keys.CacheOptions{Now: time.Now}); err == nil {
		t.Error("made without a provider")
	}
}
