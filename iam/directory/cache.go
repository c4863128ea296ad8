package directory

import (
	"bytes"
	"sync"

	"github.com/undercroft/undercroft/iam"
)

// maxCached bounds the cache; past it, an arbitrary entry makes room. Access
// keys that do not exist are not kept, so that guessing evicts nothing.
const maxCached = 10_000

// cache remembers credentials with the generation stamp at which they were read.
type cache struct {
	mu      sync.RWMutex // guards entries
	entries map[string]cached
}

type cached struct {
	credential iam.Credential
	generation []byte
}

func newCache() *cache { return &cache{entries: make(map[string]cached)} }

func (c *cache) get(accessKey string, generation []byte) (iam.Credential, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.entries[accessKey]
	if !ok || !bytes.Equal(e.generation, generation) {
		return iam.Credential{}, false
	}
	return e.credential, true
}

func (c *cache) put(accessKey string, credential iam.Credential, generation []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.entries[accessKey]; !there && len(c.entries) >= maxCached {
		for victim := range c.entries {
			delete(c.entries, victim)
			break
		}
	}
	c.entries[accessKey] = cached{credential: credential, generation: bytes.Clone(generation)}
}
