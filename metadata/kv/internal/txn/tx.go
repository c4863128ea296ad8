package txn

import (
	"bytes"
	"fmt"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// reservedFrom is the first byte of keys that belong to the engines.
const reservedFrom = 0xff

// GenerationKey stands for the generation stamp in read and write sets and is
// where an engine may store it.
const GenerationKey = "\xffgeneration"

// Snapshot is one version of an engine's content. The values of Get are
// immutable and outlive it; those of cursors belong to the cursor.
type Snapshot interface {
	// Version is the version that the snapshot shows.
	Version() uint64
	// Generation is the generation stamp, nil before the first bump.
	Generation() []byte
	// Get returns the value of key, nil when it is absent.
	Get(key []byte) ([]byte, error)
	// Forward and Backward walk the pairs of r.
	Forward(r kv.Range) (Cursor, error)
	Backward(r kv.Range) (Cursor, error)
}

// Cursor walks stored pairs in one direction.
type Cursor interface {
	// Next moves on by one pair and reports whether there is one.
	Next() bool
	// Skip makes Next go on at key (forward) or just before it (backward). It
	// never moves back.
	Skip(key []byte)
	// Pair is the current pair, valid until the cursor moves.
	Pair() kv.Pair
	// Err is the error that ended the walk.
	Err() error
	// Close frees the cursor.
	Close()
}

// Source gives a transaction its snapshot, once, at its first read.
type Source interface {
	Begin() (Snapshot, error)
}

// Canceled is the part of a context that a transaction asks.
type Canceled interface{ Err() error }

// Config is what a transaction is made of. All fields are required except
// Deadline, which is unlimited when zero, Fault and Remote.
type Config struct {
	Source   Source
	Now      func() time.Time
	Context  Canceled
	Deadline time.Time
	Attempt  int
	// Fault, when set, is asked before each read; its error is the read's.
	Fault func() error
	// Remote says that the snapshots of Source are each a [Remote].
	Remote bool
}

// Tx is one attempt of a transaction. It implements kv.Tx.
type Tx struct {
	cfg      Config
	snap     Snapshot
	remote   Remote // snap, where it is one
	began    time.Time
	err      error // first failed write
	finished bool
	bumped   bool
	size     int

	writes     overlay
	readPoints [][]byte
	readRanges []kv.Range
	explicit   []kv.Range // write conflicts added by hand

	open         []*iterator
	arena        []byte
	futures      []future
	conflictFree snapshotReader
}

var _ kv.Tx = (*Tx)(nil)

// New starts a transaction.
func New(cfg Config) *Tx {
	t := &Tx{cfg: cfg}
	t.conflictFree.t = t
	return t
}

// Snapshot reads without adding read conflicts.
func (t *Tx) Snapshot() kv.Reader { return &t.conflictFree }

// Attempt is the number of earlier runs of the same function.
func (t *Tx) Attempt() int { return t.cfg.Attempt }

// Size is the bytes counted against kv.MaxTx so far.
func (t *Tx) Size() int { return t.size }

// ReadVersion is the version of the snapshot, taken now if need be.
func (t *Tx) ReadVersion() (uint64, error) {
	if err := t.ready(); err != nil {
		return 0, err
	}
	if t.remote != nil {
		return t.remote.Await()
	}
	return t.snap.Version(), nil
}

// ready takes the snapshot and checks that the transaction may still read.
func (t *Tx) ready() error {
	if t.finished {
		return fmt.Errorf("transaction used after its end: %w", kv.ErrClosed)
	}
	if t.cfg.Fault != nil {
		if err := t.cfg.Fault(); err != nil {
			return err
		}
	}
	if t.snap == nil {
		if err := t.alive(); err != nil {
			return err
		}
		_, err := t.Pin()
		return err
	}
	return t.Alive()
}

// alive checks the caller's context.
func (t *Tx) alive() error {
	if err := t.cfg.Context.Err(); err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	return nil
}

// Alive reports why the transaction may not go on: its context, its deadline
// or its age. It returns nil while it may.
func (t *Tx) Alive() error {
	if err := t.alive(); err != nil {
		return err
	}
	now := t.cfg.Now()
	if t.snap != nil && now.Sub(t.began) > kv.MaxAge {
		return kv.ErrTooOld
	}
	if !t.cfg.Deadline.IsZero() && now.After(t.cfg.Deadline) {
		return kv.ErrTimeout
	}
	return nil
}

// Finish ends the transaction's reads and returns the first error of its
// writes. The read and write sets stay readable; results of reads do not.
func (t *Tx) Finish() error {
	for len(t.open) > 0 {
		it := t.open[len(t.open)-1]
		it.Close()
		if it.err == nil {
			it.err = fmt.Errorf("iterator used after its transaction: %w", kv.ErrClosed)
		}
	}
	t.finished = true
	if t.err == nil && t.size > kv.MaxTx {
		t.err = fmt.Errorf("%w: %d bytes", kv.ErrTxTooLarge, t.size)
	}
	return t.err
}

// Pin takes the snapshot if none was taken yet, also after Finish.
func (t *Tx) Pin() (Snapshot, error) {
	if t.snap != nil {
		return t.snap, nil
	}
	began := t.cfg.Now()
	snap, err := t.cfg.Source.Begin()
	if err != nil {
		return nil, err
	}
	if t.cfg.Remote {
		var ok bool
		if t.remote, ok = snap.(Remote); !ok {
			return nil, fmt.Errorf("snapshot %T is not remote", snap)
		}
	}
	t.snap, t.began = snap, began
	return snap, nil
}

// Taken is the snapshot if one was taken, else nil.
func (t *Tx) Taken() Snapshot { return t.snap }

// ReadOnly reports whether there is nothing to commit.
func (t *Tx) ReadOnly() bool {
	return t.writes.empty() && len(t.explicit) == 0 && !t.bumped
}

// Frees reports whether the transaction stores no new value.
func (t *Tx) Frees() bool { return t.writes.sets == 0 }

// Bumped reports whether the generation is to change.
func (t *Tx) Bumped() bool { return t.bumped }

// ReadPoints are the single keys whose change is a conflict.
func (t *Tx) ReadPoints() [][]byte { return t.readPoints }

// ReadRanges are the ranges any change in which is a conflict.
func (t *Tx) ReadRanges() []kv.Range { return t.readRanges }

// Cleared are the ranges to delete before the operations are applied.
func (t *Tx) Cleared() []kv.Range { return t.writes.cleared }

// ExplicitWrites are the write conflict ranges added by hand.
func (t *Tx) ExplicitWrites() []kv.Range { return t.explicit }

// Ops calls f for each written key in order. f must not keep the key unless it
// keeps the transaction.
func (t *Tx) Ops(f func(key []byte, op Op)) {
	p, _ := t.writes.ops.Find(nil)
	for e := t.writes.ops.At(p); e != nil; e = t.writes.ops.At(p) {
		f(e.Key, e.Value)
		p = t.writes.ops.Next(p)
	}
}

// OpCount is the number of written keys.
func (t *Tx) OpCount() int { return t.writes.ops.Len() }

// largeKeep is the size from which bytes get memory of their own, so that what
// is left of the arena is not thrown away for them.
const largeKeep = 1 << 10

// keep copies b into memory that is never used for anything else.
func (t *Tx) keep(b []byte) []byte {
	if cap(t.arena)-len(t.arena) < len(b) {
		if len(b) >= largeKeep {
			return append(make([]byte, 0, len(b)), b...)
		}
		t.arena = make([]byte, 0, max(512, min(64<<10, 2*cap(t.arena)), len(b)))
	}
	n := len(t.arena)
	t.arena = append(t.arena, b...)
	return t.arena[n:len(t.arena):len(t.arena)]
}

// keepRange copies r, or reports that it is empty or reserved.
func (t *Tx) keepRange(r kv.Range) (kept kv.Range, ok bool, err error) {
	ok, err = checkRange(r)
	if !ok || err != nil {
		return kv.Range{}, false, err
	}
	return kv.Range{Begin: t.keep(r.Begin), End: t.keep(r.End)}, true, nil
}

// checkRange reports whether r holds any key, and an error if it reaches into
// the engine's keys.
func checkRange(r kv.Range) (bool, error) {
	if bytes.Compare(r.Begin, r.End) >= 0 {
		return false, nil
	}
	if r.End[0] == reservedFrom && len(r.End) > 1 {
		return false, fmt.Errorf("range end %q: %w", clip(r.End), kv.ErrKeyReserved)
	}
	return true, nil
}

func checkKey(key []byte) error {
	if len(key) > kv.MaxKey {
		return fmt.Errorf("%w: %d bytes", kv.ErrKeyTooLarge, len(key))
	}
	if len(key) > 0 && key[0] == reservedFrom {
		return fmt.Errorf("key %q: %w", clip(key), kv.ErrKeyReserved)
	}
	return nil
}

func clip(key []byte) []byte { return key[:min(len(key), 32)] }
