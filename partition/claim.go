package partition

import (
	"sync"

	"github.com/undercroft/undercroft/metadata"
)

// claims are the partitions that a job of this process is at work on: repair,
// scrub, compaction, drain and reclaim exclude each other. They save work and
// keep one job from reading what another takes away; what is safe rests on the
// metadata's epochs and states, since another process has claims of its own.
// The zero value is ready.
type claims struct {
	mu   sync.Mutex // guards what follows
	held map[metadata.PartitionID]bool
}

// claim takes a partition for a job. It returns false where another one has it:
// the caller then leaves the partition alone ([ErrBusy]) and comes back. release
// may be called repeatedly.
func (s *Store) claim(id metadata.PartitionID) (release func(), ok bool) {
	c := &s.claims
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[id] {
		return nil, false
	}
	if c.held == nil {
		c.held = make(map[metadata.PartitionID]bool)
	}
	c.held[id] = true
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.held, id)
	}), true
}
