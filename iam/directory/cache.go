package directory

import (
	"bytes"
	"sync"

	"github.com/undercroft/undercroft/metadata"
)

// maxCached bounds a cache; past it, an arbitrary entry makes room. What does not
// exist is not kept, so that guessing evicts nothing.
const maxCached = 10_000

// cache remembers what was read, by name, with the generation stamp at which it
// was. An entry of another generation is read again.
type cache[T any] struct {
	mu      sync.RWMutex // guards entries
	entries map[string]cached[T]
}

type cached[T any] struct {
	value      T
	generation []byte
}

func newCache[T any]() *cache[T] { return &cache[T]{entries: make(map[string]cached[T])} }

// read returns what is cached, else what load reads in the same snapshot.
func (c *cache[T]) read(r *metadata.Reader, name string, load func(*metadata.Reader, string) (T, error)) (T, error) {
	generation, err := r.Generation()
	if err != nil {
		var none T
		return none, err
	}
	if value, ok := c.get(name, generation); ok {
		return value, nil
	}
	value, err := load(r, name)
	if err == nil {
		c.put(name, value, generation)
	}
	return value, err
}

// last returns what was read last, of any generation.
func (c *cache[T]) last(name string) (T, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.entries[name]
	return e.value, ok
}

func (c *cache[T]) get(name string, generation []byte) (T, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.entries[name]
	return e.value, ok && bytes.Equal(e.generation, generation)
}

func (c *cache[T]) put(name string, value T, generation []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.entries[name]; !there && len(c.entries) >= maxCached {
		for victim := range c.entries {
			delete(c.entries, victim)
			break
		}
	}
	c.entries[name] = cached[T]{value: value, generation: bytes.Clone(generation)}
}
