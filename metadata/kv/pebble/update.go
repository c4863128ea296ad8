package pebble

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// Update runs fn and commits what it wrote.
func (e *Engine) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	if err := e.enter(); err != nil {
		return kv.Commit{}, err
	}
	defer e.calls.Done()
	var c kv.Commit
	err := e.loop.Run(ctx, o, func(n int, deadline time.Time) error {
		a := attempt{e: e, class: o.Class, deadline: deadline}
		a.t = txn.New(txn.Config{
			Source: updateSource{e}, Now: e.opts.Now, Context: ctx, Deadline: deadline, Attempt: n,
		})
		var err error
		c, err = a.run(ctx, fn)
		return err
	})
	return c, err
}

// attempt is one run of an Update's function.
type attempt struct {
	e        *Engine
	t        *txn.Tx
	class    string
	deadline time.Time
	left     bool // no longer registered with the oracle
}

func (a *attempt) run(ctx context.Context, fn func(kv.Tx) error) (kv.Commit, error) {
	defer a.finish()
	err := fn(a.t)
	if werr := a.t.Finish(); err == nil {
		err = werr
	}
	if err != nil || a.t.ReadOnly() {
		return a.withoutWrites(ctx, err)
	}
	if err := a.t.Alive(); err != nil {
		return kv.Commit{}, err
	}
	if err := a.e.space.allows(a.t, a.e.opts.FreesSpace, a.class); err != nil {
		return kv.Commit{}, err
	}
	version, f, err := a.apply()
	if err != nil {
		return kv.Commit{}, err
	}
	if err := a.e.await(ctx, f, a.deadline); err != nil {
		a.e.count.unknown.Add(1)
		return kv.Commit{}, fmt.Errorf("%w: %w", kv.ErrUnknownCommit, err)
	}
	return kv.Commit{Version: version}, nil
}

// finish gives back what the attempt held, also when fn panicked.
func (a *attempt) finish() {
	if s, ok := a.t.Taken().(*snapshot); ok && !a.left {
		a.e.mu.Lock()
		a.e.oracle.leave(s.version)
		a.e.mu.Unlock()
	}
	a.e.end(a.t)
}

// withoutWrites ends an attempt that commits nothing. Its answer, an error of
// fn included, may rest on what it read, so that has to be durable first.
func (a *attempt) withoutWrites(ctx context.Context, result error) (kv.Commit, error) {
	s, ok := a.t.Taken().(*snapshot)
	if !ok {
		return kv.Commit{ReadOnly: true}, result
	}
	if result != nil && txn.Repeatable(result) {
		return kv.Commit{}, result
	}
	a.e.mu.Lock()
	f := a.e.flushFor(s.version)
	a.e.mu.Unlock()
	if f != nil {
		if err := a.e.await(ctx, f, a.deadline); err != nil {
			return kv.Commit{}, err // and not result, which may never have been true
		}
	}
	if result != nil {
		return kv.Commit{}, result
	}
	a.e.count.readOnly.Add(1)
	return kv.Commit{Version: s.version, ReadOnly: true}, a.e.Err()
}

// apply checks the transaction against the commits since its read version and
// applies it. It returns the flush that will make it durable.
func (a *attempt) apply() (uint64, *flush, error) {
	e := a.e
	w, err := a.prepare()
	if err != nil {
		return 0, nil, err
	}
	defer w.free(e)

	e.mu.Lock()
	version, old, err := a.applyLocked(w)
	f := e.pending
	e.mu.Unlock()

	e.release(old)
	if err != nil {
		e.countRefusal(err)
		return 0, nil, err
	}
	e.count.commits.Add(1)
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return version, f, nil
}

// applyLocked returns the new version and the snapshot that is no longer the
// latest, for release once the mutex is free.
func (a *attempt) applyLocked(w *writes) (uint64, *snapshot, error) {
	e := a.e
	if err := e.Err(); err != nil {
		return 0, nil, err
	}
	now := e.opts.Now()
	if s, ok := a.t.Taken().(*snapshot); ok {
		e.oracle.leave(s.version)
		a.left = true
		if err := a.check(s); err != nil {
			return 0, nil, err
		}
		w.settle(&e.oracle, s.version)
	}
	version := e.last + 1
	if err := w.seal(a.t, version); err != nil {
		return 0, nil, err
	}
	if err := e.applyBatch(w.batch); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", kv.ErrUnknownCommit, err)
	}
	e.last = version
	if a.t.Bumped() {
		e.generation = stamp(version)
	}
	e.oracle.commit(a.t, version, now)
	old := e.latest
	e.latest = nil
	return version, old, nil
}

// check decides whether what the transaction read is still so.
func (a *attempt) check(s *snapshot) error {
	if len(a.t.ReadPoints()) == 0 && len(a.t.ReadRanges()) == 0 {
		return nil
	}
	if s.version < a.e.oracle.floor {
		return kv.ErrTooOld
	}
	if a.e.oracle.conflicts(a.t, s.version) {
		return kv.ErrConflict
	}
	return nil
}

// applyBatch hands the batch to Pebble without waiting for the log. After an
// error or a panic there is no telling what reached the log.
func (e *Engine) applyBatch(b *pebble.Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("apply: %v", r)
			e.fail(err)
		}
	}()
	if err := e.db.Apply(b, pebble.NoSync); err != nil {
		e.fail(fmt.Errorf("apply: %w", err))
	}
	return e.Err()
}

// stamp is the generation stamp that a commit leaves.
func stamp(version uint64) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 10), version), 0, 0)
}
