// Package meter counts and times the transactions of an engine by their class.
//
// It promises to change nothing: results, conflicts and the number of runs are
// those of the engine behind. An engine tells only how the last attempt ended: one
// before it that came to its commit counts as a conflict, any other by the error of
// its reads, as too old where it has none.
// Classes are counted one by one up to a bound, and those beyond it together.
package meter

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// maxClasses bounds the classes that are told apart.
const maxClasses = 100

// Rest is the class of those beyond the bound.
const Rest = "other"

// Engine is a kv.Engine before another one, which it owns.
type Engine struct {
	inner kv.Engine
	now   func() time.Time

	mu      sync.Mutex // held to add a class
	classes atomic.Pointer[map[string]*class]
}

var (
	_ kv.Engine  = (*Engine)(nil)
	_ kv.Wrapper = (*Engine)(nil)
	_ kv.Remote  = (*Engine)(nil)
)

// New puts a meter before an engine. now is its clock.
func New(inner kv.Engine, now func() time.Time) *Engine {
	e := &Engine{inner: inner, now: now}
	e.classes.Store(new(map[string]*class))
	return e
}

// Name is that of the engine behind.
func (e *Engine) Name() string { return e.inner.Name() }

// Unwrap returns the engine behind.
func (e *Engine) Unwrap() kv.Engine { return e.inner }

// Remote is what the engine behind answers.
func (e *Engine) Remote() bool { return kv.IsRemote(e.inner) }

// Close closes the engine behind.
func (e *Engine) Close() error { return e.inner.Close() }

// View runs fn and counts it.
func (e *Engine) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	c := e.class(o.Class)
	began := e.now()
	c.inFlight.Add(1)
	defer c.inFlight.Add(-1)
	runs := uint64(0)
	var before error
	err := e.inner.View(ctx, o, func(r kv.Reader) error {
		if runs > 0 {
			c.repeated(before)
		}
		runs++
		before = fn(r)
		return before
	})
	c.views.observe(e.now().Sub(began))
	c.finish(err, runs)
	return err
}

// Update runs fn, commits what it wrote, and counts both.
func (e *Engine) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	c := e.class(o.Class)
	began := e.now()
	c.inFlight.Add(1)
	defer c.inFlight.Add(-1)
	u := update{class: c, now: e.now}
	commit, err := e.inner.Update(ctx, o, func(tx kv.Tx) error { return u.run(tx, fn) })
	ended := e.now()
	c.updates.observe(ended.Sub(began))
	if u.ready && (err == nil && !commit.ReadOnly || errors.Is(err, kv.ErrUnknownCommit)) {
		c.commits.observe(ended.Sub(u.read))
	}
	if err == nil && !commit.ReadOnly {
		c.bytes.Add(uint64(max(u.size, 0)))
	}
	c.finish(err, u.runs)
	return commit, err
}

// update is one Update under way.
type update struct {
	class *class
	now   func() time.Time
	runs  uint64
	read  time.Time // when fn returned
	ready bool      // fn wanted to commit
	err   error     // of fn
	size  int
}

func (u *update) run(tx kv.Tx, fn func(kv.Tx) error) error {
	began := u.now()
	switch {
	case u.ready: // and yet here it is again
		u.class.outcomes[Conflicts].Add(1)
	case u.runs > 0:
		u.class.repeated(u.err)
	}
	u.runs++
	u.ready = false
	err := fn(tx)
	u.err = err
	u.read = u.now()
	u.class.reads.observe(u.read.Sub(began))
	if u.ready = err == nil; u.ready {
		u.size = tx.Size()
	}
	return err
}

// class is what is counted of one class.
type class struct {
	inFlight               atomic.Int64
	views, updates         histogram
	reads, commits         histogram
	transactions, attempts atomic.Uint64
	bytes                  atomic.Uint64
	outcomes               [outcomes]atomic.Uint64
}

// repeated counts an attempt that did not come to its commit.
func (c *class) repeated(err error) {
	o := outcomeOf(err)
	if o == outcomes {
		o = TooOld
	}
	c.outcomes[o].Add(1)
}

func (c *class) finish(err error, runs uint64) {
	c.transactions.Add(1)
	c.attempts.Add(max(runs, 1))
	if o := outcomeOf(err); o < outcomes {
		c.outcomes[o].Add(1)
	}
}

// class returns the counts of a class.
func (e *Engine) class(name string) *class {
	if c := (*e.classes.Load())[name]; c != nil {
		return c
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	known := *e.classes.Load()
	if len(known) >= maxClasses {
		name = Rest
	}
	if c := known[name]; c != nil {
		return c
	}
	grown := make(map[string]*class, len(known)+1)
	maps.Copy(grown, known)
	c := new(class)
	grown[name] = c
	e.classes.Store(&grown)
	return c
}

// Outcome is how a transaction ended that did not end well.
type Outcome int

// Outcomes. Errors of fn, and callers that left, are none of them.
const (
	Conflicts Outcome = iota
	TooOld
	Unknown
	TimedOut
	Locked
	Throttled
	Unavailable
	outcomes
)

// String is the name of an outcome in metrics.
func (o Outcome) String() string {
	return [...]string{"conflict", "too_old", "unknown", "timeout", "locked", "throttled", "unavailable"}[o]
}

// outcomeOf sorts an error, the most telling first.
func outcomeOf(err error) Outcome {
	if err == nil {
		return outcomes
	}
	for _, known := range [...]struct {
		err     error
		outcome Outcome
	}{
		{kv.ErrUnknownCommit, Unknown},
		{kv.ErrConflict, Conflicts},
		{kv.ErrTooOld, TooOld},
		{kv.ErrTimeout, TimedOut},
		{kv.ErrLocked, Locked},
		{kv.ErrThrottled, Throttled},
		{kv.ErrUnavailable, Unavailable},
	} {
		if errors.Is(err, known.err) {
			return known.outcome
		}
	}
	return outcomes
}
