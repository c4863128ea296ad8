// Package mem is a kv.Engine in memory: the full contract, and faults on
// demand. It exists for tests of everything above metadata/kv.
//
// It promises the semantics of the contract, correctness before speed, and
// that the same [Faults] and the same sequence of calls fail in the same way.
// Content is gone with the engine. Tests and internal/testcluster import it.
package mem

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// Options shape an engine. The zero value is ready to use.
type Options struct {
	// Now is the clock of transaction age and timeouts; nil is the system's.
	Now func() time.Time
	// Faults makes the engine fail on purpose.
	Faults Faults
	// Outage, when set, makes the engine unwell for a time.
	Outage *Outage
	// Remote makes it an engine whose reads cross a network, as far as who uses it
	// can tell: see [kv.Remote]. It lets sessions read versions that are past.
	Remote bool
}

// Engine is a kv.Engine in memory.
type Engine struct {
	now      func() time.Time
	loop     txn.Loop
	injector *injector
	remote   bool
	outage   *Outage // nil: there is never one

	calls txn.Calls

	mu      sync.Mutex // guards what follows
	head    snapshot
	commits []commit       // by version, from the oldest that a reader needs
	floor   uint64         // commits up to it are forgotten
	reading map[uint64]int // running Updates by read version
	past    []snapshot     // that sessions may read, the latest last
}

var (
	_ kv.Engine = (*Engine)(nil)
	_ kv.Remote = (*Engine)(nil)
)

// commit is what a commit wrote.
type commit struct {
	version uint64
	writes  []kv.Range
}

// New returns an empty engine.
func New(o Options) *Engine {
	e := &Engine{now: o.Now, injector: newInjector(o.Faults), outage: o.Outage, remote: o.Remote, reading: map[uint64]int{}}
	if e.now == nil {
		e.now = time.Now //nolint:forbidigo // the one place that a default clock comes from
	}
	e.head = snapshot{version: 1, tree: tree{seed: maphash.MakeSeed()}}
	e.loop = txn.Loop{Now: e.now, Jitter: e.injector.delay}
	return e
}

// Name is "mem".
func (e *Engine) Name() string { return "mem" }

// Close ends the engine after the calls under way.
func (e *Engine) Close() error {
	return e.calls.End()
}

// View runs fn on the latest version.
func (e *Engine) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	if err := e.calls.Begin(); err != nil {
		return err
	}
	defer e.calls.Done()
	return e.loop.Run(ctx, o, func(n int, deadline time.Time) error {
		a := e.attempt(ctx, &o, n, deadline)
		defer a.finish()
		if err := a.wait(ctx, e.injector.faults.Delay/10); err != nil {
			return err
		}
		return fn(a.t.Snapshot())
	})
}

// Update runs fn and commits what it wrote.
func (e *Engine) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	if err := e.calls.Begin(); err != nil {
		return kv.Commit{}, err
	}
	defer e.calls.Done()
	var c kv.Commit
	err := e.loop.Run(ctx, o, func(n int, deadline time.Time) error {
		a := e.attempt(ctx, &o, n, deadline)
		defer a.finish()
		var err error
		c, err = a.run(ctx, fn)
		return err
	})
	return c, err
}

// attempt is one run of a function.
type attempt struct {
	e       *Engine
	t       *txn.Tx
	point   Point
	quiet   bool
	session *kv.Session // nil for none

	deadline time.Time
}

func (e *Engine) attempt(ctx context.Context, o *kv.TxOptions, n int, deadline time.Time) *attempt {
	a := &attempt{e: e, point: Point{Class: o.Class, Attempt: n}, quiet: isQuiet(ctx)}
	if e.remote {
		a.session = o.Session
	}
	a.t = txn.New(txn.Config{
		Source: a, Now: e.now, Context: ctx, Deadline: deadline, Attempt: n, Remote: e.remote,
		Fault: func() error {
			if err := a.suffer(ctx, AtRead); err != nil {
				return err
			}
			return failure(a.fault(AtRead))
		},
	})
	a.deadline = deadline
	return a
}

// Begin takes the version of the session, or the latest.
func (a *attempt) Begin() (txn.Snapshot, error) {
	s, err := a.begin()
	if err != nil || !a.e.remote {
		return s, err
	}
	return remote{s}, nil
}

func (a *attempt) begin() (*snapshot, error) {
	if a.session != nil {
		return a.beginIn(a.session)
	}
	a.e.mu.Lock()
	defer a.e.mu.Unlock()
	s := a.e.head
	a.e.reading[s.version]++
	return &s, nil
}

func (a *attempt) finish() {
	_ = a.t.Finish() // asked for where the result counts
	s := a.t.Taken()
	if s == nil {
		return
	}
	a.e.mu.Lock()
	defer a.e.mu.Unlock()
	if a.e.reading[s.Version()]--; a.e.reading[s.Version()] == 0 {
		delete(a.e.reading, s.Version())
	}
	a.e.forget()
}

// fault draws the fault of one place.
func (a *attempt) fault(p Place) Fault {
	if a.quiet {
		return None
	}
	point := a.point
	point.Place = p
	f := a.e.injector.at(point)
	if p == AtRead && f != TooOld && f != Unavailable {
		return None
	}
	return f
}

// suffer is what the engine's outage does at one place.
func (a *attempt) suffer(ctx context.Context, p Place) error {
	if a.quiet || a.e.outage == nil {
		return nil
	}
	return a.e.outage.suffer(ctx, p, a.deadline.Sub(a.e.now()))
}

func (a *attempt) wait(ctx context.Context, limit time.Duration) error {
	if a.quiet || limit <= 0 {
		return nil
	}
	if err := txn.Wait(ctx, a.e.injector.delay(limit)); err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	return nil
}

func (a *attempt) run(ctx context.Context, fn func(kv.Tx) error) (kv.Commit, error) {
	if err := a.wait(ctx, a.e.injector.faults.Delay/10); err != nil {
		return kv.Commit{}, err
	}
	if err := fn(a.t); err != nil {
		return kv.Commit{}, err
	}
	if err := a.t.Finish(); err != nil {
		return kv.Commit{}, err
	}
	if a.t.ReadOnly() {
		c := kv.Commit{ReadOnly: true}
		if s := a.t.Taken(); s != nil {
			c.Version = s.Version()
		}
		return c, nil
	}
	if err := a.wait(ctx, a.e.injector.faults.Delay); err != nil {
		return kv.Commit{}, err
	}
	if err := a.t.Alive(); err != nil {
		return kv.Commit{}, err
	}
	return a.commit(ctx)
}

// commit applies the transaction, or does to it what the fault says.
func (a *attempt) commit(ctx context.Context) (kv.Commit, error) {
	if err := a.suffer(ctx, AtCommit); err != nil {
		return kv.Commit{}, err
	}
	f := a.fault(AtCommit)
	if f == UnknownLost {
		a.rival(ctx)
	}
	if err := failure(f); err != nil {
		return kv.Commit{}, err
	}
	version, err := a.e.apply(a.t)
	if err != nil {
		return kv.Commit{}, err
	}
	if f == UnknownApplied {
		a.rival(ctx)
		return kv.Commit{}, kv.ErrUnknownCommit
	}
	return kv.Commit{Version: version}, nil
}

func (a *attempt) rival(ctx context.Context) {
	if a.e.injector.faults.Rival != nil {
		a.e.injector.faults.Rival(Quiet(ctx), a.e)
	}
}

// apply checks the transaction against all later commits and applies it.
func (e *Engine) apply(t *txn.Tx) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(t); err != nil {
		return 0, err
	}
	next := e.head
	next.version++
	e.remember()
	c := commit{version: next.version}
	for _, r := range t.Cleared() {
		r = kv.Range{Begin: bytes.Clone(r.Begin), End: bytes.Clone(r.End)}
		next.tree = next.tree.remove(r)
		c.writes = append(c.writes, r)
	}
	t.Ops(func(key []byte, op txn.Op) {
		key = bytes.Clone(key)
		c.writes = append(c.writes, kv.Range{Begin: key, End: kv.KeyAfter(key)})
		switch op.Kind {
		case txn.KindSet:
			next.tree = next.tree.set(key, append([]byte{}, op.Value...))
		case txn.KindDelete:
			next.tree = next.tree.remove(kv.Range{Begin: key, End: kv.KeyAfter(key)})
		case txn.KindAdd:
			next.tree = next.tree.set(key, txn.Sum(next.tree.get(key), op.Delta))
		case txn.KindNone:
		}
	})
	c.writes = append(c.writes, t.ExplicitWrites()...)
	if t.Bumped() {
		next.generation = append(binary.BigEndian.AppendUint64(nil, next.version), 0, 0)
		c.writes = append(c.writes, point([]byte(txn.GenerationKey)))
	}
	e.head = next
	e.commits = append(e.commits, c)
	return next.version, nil
}

// check compares what t read with what later commits wrote.
func (e *Engine) check(t *txn.Tx) error {
	s := t.Taken()
	if s == nil || len(t.ReadPoints())+len(t.ReadRanges()) == 0 {
		return nil
	}
	if s.Version() < e.floor {
		return kv.ErrTooOld
	}
	for _, c := range e.commits {
		if c.version <= s.Version() {
			continue
		}
		if c.wroteReadOf(t) {
			return kv.ErrConflict
		}
	}
	return nil
}

// wroteReadOf reports whether the commit wrote what t read.
func (c commit) wroteReadOf(t *txn.Tx) bool {
	for _, w := range c.writes {
		for _, key := range t.ReadPoints() {
			if overlap(w, point(key)) {
				return true
			}
		}
		for _, r := range t.ReadRanges() {
			if overlap(w, r) {
				return true
			}
		}
	}
	return false
}

func point(key []byte) kv.Range { return kv.Range{Begin: key, End: kv.KeyAfter(key)} }

func overlap(a, b kv.Range) bool {
	return bytes.Compare(a.Begin, b.End) < 0 && bytes.Compare(b.Begin, a.End) < 0
}

// forget drops the commits that no running transaction needs.
func (e *Engine) forget() {
	oldest := e.head.version
	for version := range e.reading {
		oldest = min(oldest, version)
	}
	if len(e.past) > 0 {
		oldest = min(oldest, e.past[0].version)
	}
	e.floor = max(e.floor, oldest)
	keep := 0
	for keep < len(e.commits) && e.commits[keep].version <= e.floor {
		keep++
	}
	e.commits = append([]commit(nil), e.commits[keep:]...)
}
