package pebble

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// backlog is a database with compactions to do.
type backlog struct {
	allowed int
	waiting atomic.Int32
	begun   chan pebble.CompactionGrantHandle
}

func (b *backlog) GetAllowedWithoutPermission() int { return b.allowed }

func (b *backlog) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	return b.waiting.Load() > 0, pebble.WaitingCompaction{}
}

func (b *backlog) Schedule(h pebble.CompactionGrantHandle) bool {
	if b.waiting.Load() == 0 {
		return false
	}
	b.waiting.Add(-1)
	b.begun <- h
	return true
}

// No compaction begins before the delay is over, then as many as are allowed, and each
// that ends makes room for another one.
func TestCompactionsWaitForTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backlog{allowed: 2, begun: make(chan pebble.CompactionGrantHandle, 4)}
		b.waiting.Store(3)
		c := newCompactions()
		c.Register(1, b)
		defer c.Unregister()
		c.release(time.Minute)
		c.UpdateGetAllowedWithoutPermission()
		if ok, _ := c.TrySchedule(); ok {
			t.Fatal("a compaction begins at once")
		}
		<-time.After(time.Minute - time.Millisecond)
		synctest.Wait()
		if n := len(b.begun); n != 0 {
			t.Fatalf("%d compactions began before the delay was over", n)
		}
		<-time.After(2 * time.Millisecond)
		synctest.Wait()
		if n := len(b.begun); n != 2 {
			t.Fatalf("%d compactions began, want 2", n)
		}
		if ok, _ := c.TrySchedule(); ok {
			t.Fatal("a third compaction begins beside two")
		}
		(<-b.begun).Done()
		synctest.Wait()
		if n := len(b.begun); n != 2 || b.waiting.Load() != 0 {
			t.Fatalf("%d compactions run and %d wait after one has ended", n, b.waiting.Load())
		}
		(<-b.begun).Done()
		if ok, h := c.TrySchedule(); !ok || h == nil {
			t.Fatal("no compaction begins where there is room")
		}
	})
}

// An engine that is closed before the delay is over compacts nothing afterwards.
func TestNoCompactionAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backlog{allowed: 1, begun: make(chan pebble.CompactionGrantHandle, 1)}
		b.waiting.Store(1)
		c := newCompactions()
		c.Register(1, b)
		c.release(time.Minute)
		c.Unregister()
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if ok, _ := c.TrySchedule(); ok || len(b.begun) > 0 {
			t.Fatal("a compaction begins after the end")
		}
	})
}
