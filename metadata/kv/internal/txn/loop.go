package txn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Defaults of a Loop.
const (
	defaultTimeout = 10 * time.Second
	firstBackoff   = 200 * time.Microsecond
	maxBackoff     = 50 * time.Millisecond
)

// Loop runs a transaction again after conflicts and expiry. It never repeats a
// commit whose outcome is unknown.
type Loop struct {
	// Now is the clock of the deadline.
	Now func() time.Time
	// Jitter returns a random duration in [0, limit).
	Jitter func(limit time.Duration) time.Duration
	// Wait, when set, replaces the timer between two attempts.
	Wait func(ctx context.Context, d time.Duration) error
}

// Deadline is when a call with these options has to end.
func (l *Loop) Deadline(o kv.TxOptions) time.Time {
	if o.Timeout > 0 {
		return l.Now().Add(o.Timeout)
	}
	return l.Now().Add(defaultTimeout)
}

// Run calls attempt until it does not ask for a repetition, that is until its
// error wraps neither kv.ErrConflict nor kv.ErrTooOld.
func (l *Loop) Run(ctx context.Context, o kv.TxOptions, attempt func(n int, deadline time.Time) error) error {
	deadline := l.Deadline(o)
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("transaction: %w", err)
		}
		err := attempt(n, deadline)
		if err == nil || !Repeatable(err) {
			return err
		}
		if o.MaxRetries < 0 || (o.MaxRetries > 0 && n >= o.MaxRetries) {
			return err
		}
		limit := min(firstBackoff<<min(n, 16), maxBackoff)
		left := deadline.Sub(l.Now())
		if left <= 0 {
			return fmt.Errorf("%w after %d attempts, the last: %w", kv.ErrTimeout, n+1, err)
		}
		if err := l.wait(ctx, min(l.Jitter(limit), left)); err != nil {
			return fmt.Errorf("transaction: %w", err)
		}
	}
}

// Repeatable reports whether nothing was applied and another attempt may
// succeed.
func Repeatable(err error) bool {
	if errors.Is(err, kv.ErrUnknownCommit) {
		return false
	}
	return errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrTooOld)
}

func (l *Loop) wait(ctx context.Context, d time.Duration) error {
	if l.Wait != nil {
		return l.Wait(ctx, d)
	}
	return Wait(ctx, d)
}

// Wait waits for d or for the end of ctx, whose error it returns.
func Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
