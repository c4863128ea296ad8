package txn

import (
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Remote is a snapshot whose reads cross a network: they are sent where they are
// asked for, and waited for where their result is. Which one an engine has, it
// says with Config.Remote.
type Remote interface {
	Snapshot
	// Start sends a read of key. It keeps key only until it returns.
	Start(key []byte) kv.Future
	// StartGeneration sends a read of the generation stamp.
	StartGeneration() kv.Future
	// Scan sends the first request of a walk over r, which it may keep.
	Scan(r kv.Range, o kv.RangeOptions) Cursor
	// Touch sends the request for the version, where none was sent.
	Touch()
	// Await waits for the version.
	Await() (uint64, error)
}

// remoteFuture is a read that is under way, and what the transaction adds to it.
type remoteFuture struct {
	t       *Tx // nil once it is done
	pending kv.Future
	own     Op // a KindAdd, or none
	future
}

// startRead sends a read that is not decided by own writes.
func (t *Tx) startRead(key []byte, own Op) kv.Future {
	return &remoteFuture{t: t, pending: t.remote.Start(key), own: own}
}

// Wait returns the result, once it is there.
func (f *remoteFuture) Wait() ([]byte, error) {
	switch {
	case f.t == nil:
		return f.value, f.err
	case f.t.finished:
		f.err = fmt.Errorf("read not waited for before the end of its transaction: %w", kv.ErrClosed)
	default:
		f.value, f.err = f.pending.Wait()
		if f.own.Kind == KindAdd && f.err == nil {
			f.value = Sum(f.value, f.own.Delta)
		}
	}
	f.t, f.pending, f.own = nil, nil, Op{}
	return f.value, f.err
}
