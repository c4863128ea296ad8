package pebble

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// grantEvery is the time between looks for compactions that wait.
const grantEvery = 100 * time.Millisecond

// compactions lets Pebble run as many compactions as it wants, but none while the
// engine opens and for a while after. What was written before a kill leaves a backlog,
// which would begin while Open still flushes what it has replayed, and would take the
// processor from the first requests.
type compactions struct {
	db      pebble.DBForCompaction // set by Register, before all else
	poke    chan struct{}
	stop    chan struct{}
	stopped chan struct{}

	mu      sync.Mutex // guards what follows; not held when the database is called but for its number
	running int
	free    bool
	ended   bool        // for good
	timer   *time.Timer // to be free
}

func newCompactions() *compactions {
	return &compactions{poke: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
}

// release lets compactions begin after a delay.
func (c *compactions) release(after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	if after > 0 {
		c.timer = time.AfterFunc(after, func() { c.release(0) })
		return
	}
	c.free = true
	c.look()
}

// Register implements [pebble.CompactionScheduler].
func (c *compactions) Register(_ int, db pebble.DBForCompaction) {
	c.db = db
	go c.grant()
}

// Unregister implements [pebble.CompactionScheduler].
func (c *compactions) Unregister() {
	close(c.stop)
	<-c.stopped
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free, c.ended = false, true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// TrySchedule implements [pebble.CompactionScheduler].
func (c *compactions) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	if !c.begin() {
		return false, nil
	}
	return true, c
}

// begin takes a place.
func (c *compactions) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.free || c.db.GetAllowedWithoutPermission() <= c.running {
		return false
	}
	c.running++
	return true
}

func (c *compactions) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
}

// UpdateGetAllowedWithoutPermission implements [pebble.CompactionScheduler].
func (c *compactions) UpdateGetAllowedWithoutPermission() { c.look() }

// look makes the granting goroutine look now.
func (c *compactions) look() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// grant starts compactions that had no place when they were tried.
func (c *compactions) grant() {
	defer close(c.stopped)
	ticker := time.NewTicker(grantEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-c.poke:
		case <-c.stop:
			return
		}
		for c.begin() {
			if waits, _ := c.db.GetWaitingCompaction(); !waits || !c.db.Schedule(c) {
				c.end()
				break
			}
		}
	}
}

// Done implements [pebble.CompactionGrantHandle].
func (c *compactions) Done() {
	c.end()
	c.look()
}

// Started implements [pebble.CompactionGrantHandle].
func (*compactions) Started() {}

// MeasureCPU implements [pebble.CompactionGrantHandle].
func (*compactions) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements [pebble.CompactionGrantHandle].
func (*compactions) CumulativeStats(pebble.CompactionGrantHandleStats) {}
