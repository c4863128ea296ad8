// Package awake measures patience in time during which the process ran.
//
// A process that is stopped for a minute (a paused virtual machine, SIGSTOP, a
// host that swaps) wakes with all its timers due. Who takes such a timer for the
// silence of a disk condemns healthy disks, which had no chance to be heard.
package awake

import (
	"sync"
	"time"
)

// steps is in how many parts a Timer waits. A pause counts as one of them at most.
const steps = 8

// Timer fires when its duration has passed in steps that the process lived
// through. It is safe for concurrent use.
type Timer struct {
	// C gets a value when the time is over.
	C <-chan struct{}

	c chan struct{}

	mu    sync.Mutex // guards what follows
	timer *time.Timer
	step  time.Duration
	left  int
}

// NewTimer returns a Timer that fires after d, at the earliest.
func NewTimer(d time.Duration) *Timer {
	c := make(chan struct{}, 1)
	t := &Timer{C: c, c: c}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.step, t.left = d/steps, steps
	t.timer = time.AfterFunc(t.step, t.tick)
	return t
}

func (t *Timer) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.left == 0: // stopped
	case t.left > 1:
		t.left--
		t.timer.Reset(t.step)
	default:
		t.left = 0
		t.c <- struct{}{} // it has room: only Reset makes it due again, and that empties it
	}
}

// Reset makes the Timer fire after d from now, and not for what was set before.
func (t *Timer) Reset(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drain()
	t.step, t.left = d/steps, steps
	t.timer.Reset(t.step)
}

// Stop keeps the Timer from firing.
func (t *Timer) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = 0
	t.timer.Stop()
	t.drain()
}

// drain takes back a value that nobody received. The caller holds mu.
func (t *Timer) drain() {
	select {
	case <-t.c:
	default:
	}
}
