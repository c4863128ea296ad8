// Package breaker stands before an engine whose store is reached over a network,
// and keeps requests from waiting for a store that does not answer.
//
// Promises: a transaction of a request has a time limit, and all of them together
// have the request's budget ([kv.WithBudget]). After a row of transactions that
// found no answer, or a few seconds without any, transactions fail at once with
// [kv.ErrAway], until a probe is answered; the store is probed all the time,
// so that this needs no request. There is a bound to the transactions that are
// under way or wait. Whether the store answers, and whether somebody has locked it,
// is known without asking it.
//
// It never repeats a transaction, and changes neither results nor conflicts. What
// the engine makes of a timeout is the engine's: this package cuts no call short.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Options configure a breaker. Zero fields take the defaults.
type Options struct {
	// Now is a clock that nobody sets; nil is the system's.
	Now func() time.Time
	// Timeout bounds a transaction of a request that says nothing; 5 seconds.
	Timeout time.Duration
	// Quick is how long a transaction of a request may take without counting
	// against its budget; 1 second.
	Quick time.Duration
	// Failures in a row open the breaker; 5.
	Failures int
	// Silence is how long the store may not have answered before the breaker
	// opens; 5 seconds.
	Silence time.Duration
	// ProbeInterval is the time between probes; half a second.
	ProbeInterval time.Duration
	// Most is how many transactions may be under way, or wait for their turn; 8192.
	Most int64
	// Logger is told when the store goes away and comes back. Nil is silent.
	Logger *slog.Logger
}

func (o *Options) defaults() {
	orElse(&o.Timeout, 5*time.Second)
	orElse(&o.Quick, time.Second)
	orElse(&o.Failures, 5)
	orElse(&o.Silence, 5*time.Second)
	orElse(&o.ProbeInterval, 500*time.Millisecond)
	orElse(&o.Most, 8192)
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the one place that a default clock comes from
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Engine is a kv.Engine before another one, which it owns.
type Engine struct {
	inner kv.Engine
	o     Options
	start time.Time

	inFlight atomic.Int64
	refused  atomic.Uint64
	opened   atomic.Uint64
	answered atomic.Int64 // when the store answered last, in nanoseconds since start
	open     atomic.Bool

	mu       sync.Mutex // guards what follows
	failures int        // in a row
	last     error      // why the store is thought to be away
	locked   bool

	end   context.CancelFunc
	tasks sync.WaitGroup
}

var (
	_ kv.Engine  = (*Engine)(nil)
	_ kv.Wrapper = (*Engine)(nil)
	_ kv.Remote  = (*Engine)(nil)
	_ kv.Watched = (*Engine)(nil)
)

// New puts a breaker before an engine, which has answered just now, and probes it
// from now on. Close ends both.
func New(inner kv.Engine, o Options) *Engine {
	o.defaults()
	e := &Engine{inner: inner, o: o, start: o.Now()}
	ctx, end := context.WithCancel(context.Background())
	e.end = end
	e.tasks.Go(func() { e.watch(ctx) })
	return e
}

// Name is that of the engine behind.
func (e *Engine) Name() string { return e.inner.Name() }

// Unwrap returns the engine behind.
func (e *Engine) Unwrap() kv.Engine { return e.inner }

// Remote is what the engine behind answers.
func (e *Engine) Remote() bool { return kv.IsRemote(e.inner) }

// Close ends the probes, then the engine behind.
func (e *Engine) Close() error {
	e.end()
	e.tasks.Wait()
	return e.inner.Close()
}

// View runs fn if the store is thought to answer.
func (e *Engine) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	c, err := e.begin(ctx, &o)
	if err != nil {
		return err
	}
	defer e.inFlight.Add(-1)
	return c.end(kv.Commit{ReadOnly: true}, e.inner.View(ctx, o, fn))
}

// Update runs fn and commits if the store is thought to answer.
func (e *Engine) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	c, err := e.begin(ctx, &o)
	if err != nil {
		return kv.Commit{}, err
	}
	defer e.inFlight.Add(-1)
	commit, err := e.inner.Update(ctx, o, fn)
	return commit, c.end(commit, err)
}

// call is one transaction under way.
type call struct {
	e      *Engine
	budget *kv.Budget // nil: there is none
	began  time.Time
}

// begin lets a transaction in and says what time it has.
func (e *Engine) begin(ctx context.Context, o *kv.TxOptions) (call, error) {
	if e.open.Load() {
		e.refused.Add(1)
		return call{}, e.away()
	}
	if e.inFlight.Add(1) > e.o.Most {
		e.inFlight.Add(-1)
		e.refused.Add(1)
		return call{}, fmt.Errorf("%w: too many transactions wait for it", kv.ErrAway)
	}
	c := call{e: e, budget: kv.BudgetOf(ctx), began: e.o.Now()}
	if c.budget == nil {
		return c, nil
	}
	if o.Timeout == 0 {
		o.Timeout = e.o.Timeout
	}
	left := c.budget.Left()
	if left <= 0 {
		e.inFlight.Add(-1)
		e.refused.Add(1)
		return call{}, fmt.Errorf("%w: %w: the request has waited for it long enough", kv.ErrUnavailable, kv.ErrTimeout)
	}
	o.Timeout = min(o.Timeout, left)
	return c, nil
}

// end learns from how a transaction ended, and returns its error.
func (c call) end(commit kv.Commit, err error) error {
	now := c.e.o.Now()
	if took := now.Sub(c.began); c.budget != nil && took > c.e.o.Quick {
		c.budget.Spend(took)
	}
	switch {
	case err == nil:
		c.e.answer(now, commit)
	case errors.Is(err, kv.ErrLocked):
		c.e.answerLocked(now)
	case errors.Is(err, kv.ErrConflict):
		c.e.answered.Store(int64(now.Sub(c.e.start))) // a commit was decided
	case errors.Is(err, kv.ErrThrottled) && !errors.Is(err, kv.ErrUnknownCommit):
		// It has too much to do, which is no silence: others may be let through.
	case failed(err):
		c.e.fail(err)
	}
	if errors.Is(err, kv.ErrTimeout) && failed(err) && !errors.Is(err, kv.ErrUnknownCommit) {
		err = fmt.Errorf("%w: %w", kv.ErrUnavailable, err) // it was not for others that time ran out
	}
	return err
}

// failed says that a transaction found no answer, other than because of what its
// caller did.
func failed(err error) bool {
	if errors.Is(err, kv.ErrConflict) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	return errors.Is(err, kv.ErrTimeout) || errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrUnknownCommit)
}

// answer notes an answer.
func (e *Engine) answer(now time.Time, commit kv.Commit) {
	silence := e.silent()
	e.answered.Store(int64(now.Sub(e.start)))
	e.mu.Lock()
	defer e.mu.Unlock()
	if !commit.ReadOnly && e.locked {
		e.locked = false
		e.o.Logger.Info("the metadata store is unlocked")
	}
	e.failures = 0
	if e.open.Swap(false) {
		e.o.Logger.Info("the metadata store answers again", slog.Duration("after", silence))
	}
}

// answerLocked notes that the store answers, and that it is locked.
func (e *Engine) answerLocked(now time.Time) {
	e.answered.Store(int64(now.Sub(e.start)))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failures = 0
	if !e.locked {
		e.locked = true
		e.o.Logger.Warn("the metadata store is locked: requests are refused until somebody unlocks it")
	}
	if e.open.Swap(false) {
		e.o.Logger.Info("the metadata store answers again")
	}
}

// fail notes a transaction that found no answer.
func (e *Engine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failures++
	e.last = err
	if e.failures >= e.o.Failures {
		e.trip()
	}
}

// trip opens the breaker. The caller holds mu.
func (e *Engine) trip() {
	if e.open.Swap(true) {
		return
	}
	e.opened.Add(1)
	e.o.Logger.Warn("the metadata store does not answer: requests are refused until it does", slog.Any("error", e.last))
}

// silent is for how long the store has not answered.
func (e *Engine) silent() time.Duration {
	return max(0, e.o.Now().Sub(e.start)-time.Duration(e.answered.Load()))
}

// away is the error while the breaker is open.
func (e *Engine) away() error {
	e.mu.Lock()
	last := e.last
	e.mu.Unlock()
	silence := e.silent().Round(time.Second)
	if last == nil {
		return fmt.Errorf("%w, for %s now", kv.ErrAway, silence)
	}
	return fmt.Errorf("%w, for %s now: %s", kv.ErrAway, silence, last.Error())
}

// Answers implements [kv.Watched].
func (e *Engine) Answers() error {
	if e.open.Load() || e.silent() > e.o.Silence {
		return e.away()
	}
	return nil
}
