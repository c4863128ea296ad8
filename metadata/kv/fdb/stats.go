//go:build fdb

package fdb

import (
	"errors"
	"sync/atomic"

	"github.com/undercroft/undercroft/metadata/kv"
)

type counters struct {
	views, readOnly, commits, made, reads, waited         atomic.Uint64
	conflicts, tooOld, unknown, busy, timeouts, otherwise atomic.Uint64
}

// failure counts an attempt that failed.
func (c *counters) failure(err error) {
	switch {
	case errors.Is(err, kv.ErrUnknownCommit):
		c.unknown.Add(1)
	case errors.Is(err, kv.ErrConflict):
		c.conflicts.Add(1)
	case errors.Is(err, kv.ErrTooOld):
		c.tooOld.Add(1)
	case errors.Is(err, kv.ErrThrottled):
		c.busy.Add(1)
	case errors.Is(err, kv.ErrTimeout):
		c.timeouts.Add(1)
	case errors.Is(err, kv.ErrUnavailable):
		c.otherwise.Add(1)
	}
}

// Stats are counts since the engine was opened, and sizes of the moment.
type Stats struct {
	// Views and ReadOnly count the transactions that committed nothing.
	Views, ReadOnly uint64
	// Commits counts applied transactions.
	Commits uint64
	// Made counts transactions of the client library: calls that need none have none.
	Made uint64
	// Reads counts requests for a key or a part of a range.
	Reads uint64
	// Conflicts, TooOld, Unknown, Busy and Timeouts count the attempts that failed
	// so; Unavailable those that failed with everything else that is the cluster's.
	Conflicts, TooOld, Unknown, Busy, Timeouts, Unavailable uint64
	// InFlight is the number of transactions under way, Waited how many had to
	// wait for others.
	InFlight int
	Waited   uint64
}

// Stats returns the engine's counters.
func (e *Engine) Stats() Stats {
	return Stats{
		Views:       e.count.views.Load(),
		ReadOnly:    e.count.readOnly.Load(),
		Commits:     e.count.commits.Load(),
		Made:        e.count.made.Load(),
		Reads:       e.count.reads.Load(),
		Conflicts:   e.count.conflicts.Load(),
		TooOld:      e.count.tooOld.Load(),
		Unknown:     e.count.unknown.Load(),
		Busy:        e.count.busy.Load(),
		Timeouts:    e.count.timeouts.Load(),
		Unavailable: e.count.otherwise.Load(),
		InFlight:    len(e.slots),
		Waited:      e.count.waited.Load(),
	}
}
