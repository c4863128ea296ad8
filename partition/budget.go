package partition

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

// budget hands out a bounded number of bytes, first come first served. It is
// safe for concurrent use.
type budget struct {
	total    int64
	maxQueue int           // waiters beyond this are refused at once
	maxWait  time.Duration // and those that waited this long

	mu      sync.Mutex // guards what follows
	free    int64
	waiters list.List // of *waiter
	refused int64
}

type waiter struct {
	n     int64
	ready chan struct{} // closed once n was taken for it
}

func newBudget(total int64, maxQueue int, maxWait time.Duration) *budget {
	return &budget{total: total, free: total, maxQueue: maxQueue, maxWait: maxWait}
}

// try takes n bytes when nobody waits and at least keep bytes stay free.
func (b *budget) try(n, keep int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiters.Len() > 0 || b.free-n < keep {
		return false
	}
	b.free -= n
	return true
}

// acquire takes n bytes, waiting for them. It returns ErrOverloaded, or the
// context's error.
func (b *budget) acquire(ctx context.Context, n int64) error {
	if b.try(n, 0) {
		return nil
	}
	b.mu.Lock()
	if b.waiters.Len() >= b.maxQueue || n > b.total {
		b.refused++
		b.mu.Unlock()
		return fmt.Errorf("%w: the queue for memory is full", ErrOverloaded)
	}
	w := &waiter{n: n, ready: make(chan struct{})}
	e := b.waiters.PushBack(w)
	b.grant()
	b.mu.Unlock()

	timer := time.NewTimer(b.maxWait)
	defer timer.Stop()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		return b.leave(e, w, ctx.Err())
	case <-timer.C:
		return b.leave(e, w, fmt.Errorf("%w: no memory became free in %s", ErrOverloaded, b.maxWait))
	}
}

// leave gives up a place in the queue, unless the bytes came in the meantime.
func (b *budget) leave(e *list.Element, w *waiter, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	default:
	}
	b.waiters.Remove(e)
	b.refused++
	b.grant() // the next may need less
	return err
}

func (b *budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.grant()
}

// grant serves waiters in order. The caller holds mu.
func (b *budget) grant() {
	for e := b.waiters.Front(); e != nil; e = b.waiters.Front() {
		w, _ := e.Value.(*waiter)
		if w.n > b.free {
			return
		}
		b.free -= w.n
		b.waiters.Remove(e)
		close(w.ready)
	}
}

func (b *budget) used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total - b.free
}

func (b *budget) refusals() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused
}
