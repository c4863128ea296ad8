package mem

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Trouble is what a store that is not well does to transactions.
type Trouble int

// Troubles.
const (
	// Hanging reads and commits wait until the outage ends, or until their
	// transaction's time is up: reads with kv.ErrTimeout, commits without having
	// been applied, with kv.ErrUnknownCommit.
	Hanging Trouble = iota + 1
	// TimingOut reads and commits fail with kv.ErrTimeout at once.
	TimingOut
	// Down reads and commits fail with kv.ErrUnavailable at once.
	Down
	// Locked reads and commits fail with kv.ErrLocked at once.
	Locked
	// Throttling lets each read wait for a while.
	Throttling
)

// throttled is how long a read waits that is throttled.
const throttled = 100 * time.Millisecond

// Outage makes an engine unwell from one moment to another, transactions that
// run included. It is safe for concurrent use; the zero value is an engine that
// is well.
type Outage struct {
	mu      sync.Mutex // guards what follows
	trouble Trouble
	ended   chan struct{} // of the present trouble
}

// Begin begins an outage, in place of the one before.
func (o *Outage) Begin(t Trouble) {
	o.End()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.trouble, o.ended = t, make(chan struct{})
}

// End ends the outage. What waited for that goes on.
func (o *Outage) End() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.trouble != 0 {
		close(o.ended)
	}
	o.trouble = 0
}

func (o *Outage) now() (Trouble, <-chan struct{}) {
	if o == nil {
		return 0, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.trouble, o.ended
}

// suffer is what the outage does to a transaction at a place.
func (o *Outage) suffer(ctx context.Context, p Place, left time.Duration) error {
	trouble, ended := o.now()
	switch trouble {
	case Hanging:
		return hang(ctx, p, left, ended)
	case TimingOut:
		return kv.ErrTimeout
	case Down:
		return kv.ErrUnavailable
	case Locked:
		return kv.ErrLocked
	case Throttling:
		if p == AtRead {
			return hang(ctx, p, min(left, throttled), ended)
		}
	}
	return nil
}

func hang(ctx context.Context, p Place, left time.Duration, ended <-chan struct{}) error {
	timer := time.NewTimer(left)
	defer timer.Stop()
	err := kv.ErrTimeout
	select {
	case <-ended:
		return nil
	case <-timer.C:
		if left == throttled {
			return nil
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	if p == AtCommit {
		err = fmt.Errorf("%w: %w", kv.ErrUnknownCommit, err)
	}
	return err
}
