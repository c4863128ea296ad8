package pebble

import (
	"errors"
	"sync/atomic"

	"github.com/undercroft/undercroft/metadata/kv"
)

type counters struct {
	views, readOnly, commits, conflicts, tooOld, unknown, syncs atomic.Uint64
}

func (e *Engine) countRefusal(err error) {
	switch {
	case errors.Is(err, kv.ErrConflict):
		e.count.conflicts.Add(1)
	case errors.Is(err, kv.ErrTooOld):
		e.count.tooOld.Add(1)
	}
}

// Stats are counts since the engine was opened, and sizes of the moment.
type Stats struct {
	// Views and ReadOnly count the transactions that committed nothing.
	Views, ReadOnly uint64
	// Commits counts applied transactions; Conflicts and TooOld the attempts
	// that were refused.
	Commits, Conflicts, TooOld uint64
	// Unknown counts commits whose durability the caller was not told of.
	Unknown uint64
	// Syncs counts syncs of the log.
	Syncs uint64
	// History is the number of write spans that the conflict oracle remembers.
	History int
	// ShortOfSpace says that only deletions are accepted.
	ShortOfSpace bool
	// MemTableBytes, CacheBytes and DiskBytes are what Pebble holds.
	MemTableBytes, CacheBytes, DiskBytes uint64
	// ReadAmplification is the number of places that a read may have to look at.
	ReadAmplification int
}

// Stats returns the engine's counters.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	history := e.oracle.spans
	e.mu.Unlock()
	s := Stats{
		Views:        e.count.views.Load(),
		ReadOnly:     e.count.readOnly.Load(),
		Commits:      e.count.commits.Load(),
		Conflicts:    e.count.conflicts.Load(),
		TooOld:       e.count.tooOld.Load(),
		Unknown:      e.count.unknown.Load(),
		Syncs:        e.count.syncs.Load(),
		History:      history,
		ShortOfSpace: e.space.short.Load(),
	}
	if e.enter() != nil {
		return s
	}
	defer e.calls.Done()
	m := e.db.Metrics()
	s.MemTableBytes = m.MemTable.Size
	s.CacheBytes = uint64(max(m.BlockCache.Size, 0))
	s.DiskBytes = m.DiskSpaceUsage()
	s.ReadAmplification = m.ReadAmp()
	return s
}
