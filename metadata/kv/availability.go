package kv

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Errors of engines that others serve over a network. Each wraps
// [ErrUnavailable]: nothing was applied.
var (
	// ErrLocked says that somebody has locked the store: it gives no read version
	// and takes no writes.
	ErrLocked = fmt.Errorf("%w: the store is locked", ErrUnavailable)
	// ErrThrottled says that the store has too much to do.
	ErrThrottled = fmt.Errorf("%w: the store has too much to do", ErrUnavailable)
	// ErrAway says that the store has not answered for a while, and that it was
	// not asked.
	ErrAway = fmt.Errorf("%w: the store does not answer", ErrUnavailable)
)

// Wrapper is an engine that stands before another one. What an engine is as
// well is looked for with [Find], which goes through wrappers.
type Wrapper interface {
	// Unwrap returns the engine behind.
	Unwrap() Engine
}

// Find returns the first of an engine and those behind it that is a T.
func Find[T any](e Engine) (found T, ok bool) {
	for e != nil {
		if found, ok = e.(T); ok {
			return found, true
		}
		w, wraps := e.(Wrapper)
		if !wraps {
			break
		}
		e = w.Unwrap()
	}
	return found, false
}

// Watched is what an engine is as well that knows whether its store answers:
// it is found with [Find]. An engine that is not answers as long as it is open.
type Watched interface {
	// Answers returns nil while the store answered within the last few seconds,
	// else an error that wraps [ErrAway]. It answers from memory.
	Answers() error
}

// Reporter is what an engine is as well whose store tells about itself.
type Reporter interface {
	// Report asks the store about itself. What it does not tell is absent.
	Report(ctx context.Context) (Report, error)
}

// Report is what a store tells about itself.
type Report struct {
	// Available says that the store takes transactions.
	Available bool `json:"available"`
	// Healthy says that the store has all the copies that it wants.
	Healthy *bool `json:"healthy,omitempty"`
	// State is what the store does at present, in its own words.
	State string `json:"state,omitempty"`
	// FaultTolerance is how many more failures neither data nor availability
	// would suffer from.
	FaultTolerance *int64 `json:"fault_tolerance,omitempty"`
	// LagSeconds is by how much the slowest copy is behind.
	LagSeconds *float64 `json:"lag_seconds,omitempty"`
	// LimitedBy is what keeps the store from doing more; empty: nothing but
	// what is asked of it.
	LimitedBy string `json:"limited_by,omitempty"`
	// Locked says that somebody has locked the store.
	Locked bool `json:"locked"`
	// Messages are the store's own complaints.
	Messages []string `json:"messages,omitempty"`
	// Gauges are all the numbers, for metrics.
	Gauges []Gauge `json:"-"`
}

// Gauge is one number of a [Report].
type Gauge struct {
	// Name is in lower case with underscores, and ends with its unit.
	Name string
	// Help is a sentence.
	Help  string
	Value float64
}

// Budget is how long the transactions of one request may keep it waiting
// altogether. It is safe for concurrent use.
type Budget struct{ left atomic.Int64 }

type budgetKey struct{}

// WithBudget returns a context whose transactions share a budget, on engines
// that keep to budgets.
func WithBudget(ctx context.Context, d time.Duration) context.Context {
	b := new(Budget)
	b.left.Store(int64(d))
	return context.WithValue(ctx, budgetKey{}, b)
}

// BudgetOf returns the budget of a context, nil where there is none.
func BudgetOf(ctx context.Context) *Budget {
	b, _ := ctx.Value(budgetKey{}).(*Budget)
	return b
}

// Left is what is left of the budget; it may be negative.
func (b *Budget) Left() time.Duration { return time.Duration(b.left.Load()) }

// Spend takes d from the budget.
func (b *Budget) Spend(d time.Duration) { b.left.Add(-int64(d)) }
