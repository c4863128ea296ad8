package partition

import (
	"sync/atomic"
	"time"
)

// handClock is a clock that a test moves while a store asks it in the background.
type handClock struct{ at atomic.Int64 }

func newHandClock(at time.Time) *handClock {
	c := &handClock{}
	c.at.Store(at.UnixNano())
	return c
}

func (c *handClock) now() time.Time { return time.Unix(0, c.at.Load()) }

func (c *handClock) add(d time.Duration) { c.at.Add(int64(d)) }
