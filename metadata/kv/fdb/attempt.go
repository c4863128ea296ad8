//go:build fdb

package fdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// commitGrace is what a commit gets at least: cut off by a timeout, nobody would
// know whether it was applied. It is how much longer than its timeout a call may
// take.
const commitGrace = time.Second

// resetFrom is the size from which a transaction's memory in the library is
// freed at the end of its call, and not when the collector comes to it.
const resetFrom = 32 << 10

// attempt is one run of a function.
type attempt struct {
	*call
	ctx  context.Context //nolint:containedctx // it lives as long as one call with it
	t    *txn.Tx
	snap *snapshot // nil before the first read
	n    int
	set  bool  // the library's transaction is there, with the options of this attempt
	dead error // of a read that found the transaction ended in the library
}

func (c *call) attempt(ctx context.Context, n int) *attempt {
	a := &attempt{call: c, ctx: ctx, n: n}
	a.t = txn.New(txn.Config{
		Source: a, Now: c.e.opts.Now, Context: ctx, Deadline: c.deadline, Attempt: n, Remote: true,
	})
	return a
}

// native is the library's transaction.
func (a *attempt) native() (fdb.Transaction, error) {
	if a.set {
		return a.tr, nil
	}
	if err := a.make(a.ctx); err != nil {
		return fdb.Transaction{}, readError(a.ctx, err)
	}
	if err := a.configure(); err != nil {
		return fdb.Transaction{}, readError(a.ctx, err)
	}
	if a.snap != nil && a.snap.reused {
		a.tr.SetReadVersion(int64(a.snap.stamp.Version))
	}
	a.set = true
	return a.tr, nil
}

// Begin starts to read. The version comes with the first reply.
func (a *attempt) Begin() (txn.Snapshot, error) {
	a.snap = newSnapshot(a)
	return a.snap, nil
}

// finish ends the reads, also when the function panicked.
func (a *attempt) finish() {
	_ = a.t.Finish() // asked for where the result counts
	if a.snap != nil {
		a.snap.keepStamp()
	}
	// Not reset here: before another attempt the library has to know still for how long it
	// was told to hold back.
	a.large = a.large || a.made && a.t.Size() >= resetFrom
}

// failed is what a read failed with. After some errors the library would refuse
// the commit too, and not say whether it had sent it.
func (a *attempt) failed(err error) error {
	var e fdb.Error
	if errors.As(err, &e) && (e.Code == codeTimedOut || e.Code == codeCanceled) {
		a.dead = readError(a.ctx, err)
	}
	return readError(a.ctx, err)
}

func (a *attempt) page(r kv.Range, o fdb.RangeOptions) reply {
	a.e.count.reads.Add(1)
	tr, err := a.native()
	if err != nil {
		return refused{err}
	}
	return tr.Snapshot().GetRange(a.e.space.rng(r), o)
}

func (a *attempt) strip(key fdb.Key) []byte { return a.e.space.strip(key) }

func (a *attempt) update(fn func(kv.Tx) error) (kv.Commit, error) {
	if err := fn(a.t); err != nil {
		return kv.Commit{}, err
	}
	if err := a.t.Finish(); err != nil {
		return kv.Commit{}, err
	}
	if a.t.ReadOnly() {
		return a.readOnly()
	}
	if err := a.t.Alive(); err != nil {
		return kv.Commit{}, err
	}
	if a.dead != nil {
		return kv.Commit{}, a.dead
	}
	if _, err := a.native(); err != nil {
		return kv.Commit{}, err
	}
	if err := a.write(); err != nil {
		return kv.Commit{}, fmt.Errorf("%w: %w", errRefused, err)
	}
	return a.commit()
}

func (a *attempt) readOnly() (kv.Commit, error) {
	c := kv.Commit{ReadOnly: true}
	if a.snap != nil {
		var err error
		if c.Version, err = a.snap.Await(); err != nil {
			return kv.Commit{}, err
		}
	}
	a.e.count.readOnly.Add(1)
	return c, nil
}

// write hands the library what the commit consists of.
func (a *attempt) write() error {
	s := a.e.space
	for _, r := range a.t.Cleared() {
		a.tr.ClearRange(s.rng(r))
	}
	a.t.Ops(func(key []byte, op txn.Op) {
		switch k := s.key(key); op.Kind {
		case txn.KindSet:
			a.tr.Set(k, op.Value)
		case txn.KindDelete:
			a.tr.Clear(k)
		case txn.KindAdd:
			a.tr.Add(k, txn.Sum(nil, op.Delta))
		case txn.KindNone:
		}
	})
	if a.t.Bumped() {
		a.tr.SetVersionstampedValue(fdb.Key(generationKey), []byte(stampOperand))
	}
	for _, key := range a.t.ReadPoints() {
		r := s.point(key)
		if string(key) == txn.GenerationKey {
			r = fdb.KeyRange{Begin: fdb.Key(generationKey), End: fdb.Key(generationKey + "\x00")}
		}
		if err := a.tr.AddReadConflictRange(r); err != nil {
			return err
		}
	}
	for _, r := range a.t.ReadRanges() {
		if err := a.tr.AddReadConflictRange(s.rng(r)); err != nil {
			return err
		}
	}
	for _, r := range a.t.ExplicitWrites() {
		if err := a.tr.AddWriteConflictRange(s.rng(r)); err != nil {
			return err
		}
	}
	return nil
}

// commit sends the transaction and waits for the answer. The stamp is asked for
// here and nowhere else, as only a transaction that writes gets one.
func (a *attempt) commit() (kv.Commit, error) {
	if left := a.deadline.Sub(a.e.opts.Now()); left < commitGrace {
		if err := a.allow(commitGrace); err != nil {
			return kv.Commit{}, readError(a.ctx, err)
		}
	}
	stamp := a.tr.GetVersionstamp()
	if err := a.tr.Commit().Get(); err != nil {
		return kv.Commit{}, commitError(a.ctx, err)
	}
	a.e.count.commits.Add(1)
	s, err := stamp.Get()
	if err != nil {
		return kv.Commit{}, fmt.Errorf("%w: %w", kv.ErrUnknownCommit, err) // never seen: it did commit
	}
	return kv.Commit{Version: commitVersion(s)}, nil
}
