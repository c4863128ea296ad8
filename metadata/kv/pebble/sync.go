package pebble

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/undercroft/undercroft/metadata/kv"
)

// flush is one sync of the log that a group of calls waits for.
type flush struct {
	done chan struct{}
	err  error  // set before done is closed
	upto uint64 // once under way: the last version that it covers; under Engine.mu
}

func newFlush() *flush { return &flush{done: make(chan struct{})} }

// syncLoop syncs the log whenever there are applied commits that are not
// durable. A group is what came while the previous sync was under way.
func (e *Engine) syncLoop() {
	defer close(e.stopped)
	for {
		select {
		case <-e.wake:
		case <-e.stop:
			return
		}
		for e.syncOnce() {
			// Go on while commits came in.
		}
	}
}

// syncOnce makes what is applied durable and visible, in this order: snapshot,
// sync, show the snapshot, acknowledge. It reports whether there was anything
// to do.
func (e *Engine) syncOnce() bool {
	e.mu.Lock()
	if e.last == e.durable || e.Err() != nil {
		e.mu.Unlock()
		return false
	}
	f := e.pending
	e.pending, e.inflight = newFlush(), f
	f.upto = e.last
	s := e.snapshotLocked()
	s.refs.Add(1)
	e.mu.Unlock()

	if f.err = e.syncLog(); f.err != nil {
		e.fail(f.err)
		e.release(s)
		close(f.done)
		return false
	}
	e.count.syncs.Add(1)

	e.viewMu.Lock()
	old := e.visible
	e.visible = s
	e.viewMu.Unlock()
	e.mu.Lock()
	e.durable, e.inflight = s.version, nil
	e.mu.Unlock()
	close(f.done)
	e.release(old)
	e.space.watch()
	return true
}

// syncLog waits until the log is durable up to what is applied now.
func (e *Engine) syncLog() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: sync: %v", kv.ErrUnavailable, r)
		}
	}()
	// An empty record: Pebble writes and syncs everything queued before it. A
	// failure reaches the logger's Fatalf and not this error.
	if err := e.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("%w: sync: %w", kv.ErrUnavailable, err)
	}
	return e.Err()
}

// flushFor is the flush that makes version durable, nil if it is so already.
// Called under mu.
func (e *Engine) flushFor(version uint64) *flush {
	if version <= e.durable {
		return nil
	}
	if e.inflight != nil && version <= e.inflight.upto {
		return e.inflight
	}
	return e.pending
}

// await waits for f until ctx or the deadline ends it.
func (e *Engine) await(ctx context.Context, f *flush, deadline time.Time) error {
	timer := time.NewTimer(deadline.Sub(e.opts.Now()))
	defer timer.Stop()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the log: %w", ctx.Err())
	case <-timer.C:
		return fmt.Errorf("waiting for the log: %w", kv.ErrTimeout)
	case <-e.failed:
		return e.Err()
	}
}
