package txn

import (
	"sync"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Calls are those under way on an engine, which its end waits for. The zero value is
// an open engine without any. It is safe for concurrent use.
type Calls struct {
	mu    sync.Mutex // guards ended, and the first addition to under against its wait
	ended bool
	under sync.WaitGroup
}

// Begin counts a call until Done; after End it fails with kv.ErrClosed.
func (c *Calls) Begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return kv.ErrClosed
	}
	c.under.Add(1)
	return nil
}

// Done ends a call.
func (c *Calls) Done() { c.under.Done() }

// End lets no call begin any more, and waits for those under way. The second one
// fails with kv.ErrClosed.
func (c *Calls) End() error {
	c.mu.Lock()
	ended := c.ended
	c.ended = true
	c.mu.Unlock()
	if ended {
		return kv.ErrClosed
	}
	c.under.Wait()
	return nil
}
