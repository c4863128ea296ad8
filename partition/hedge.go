package partition

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/blobd"
)

const (
	// readPatience is how long a shard is waited for, while its stripe can be read
	// without it, whose disk answers nobody.
	readPatience = 2 * time.Second
	// readTimeout is how long a shard is waited for.
	readTimeout = 10 * time.Second
	// readSlots bounds the reads of one disk that wait for its device, those
	// included that nobody waits for any more.
	readSlots = 64
	// minQuiet and maxQuiet bound how long a disk that does not answer is not
	// asked; each try that fails doubles it.
	minQuiet = 5 * time.Second
	maxQuiet = 2 * time.Minute

	// hedgeMultiple of what is usual for a disk is too long.
	hedgeMultiple = 3
	// hedgeBurst reads may be hedged at once, and one more for each hedgeShare
	// reads that waited for a device.
	hedgeBurst = 16
	hedgeShare = 20
)

// A read is large when it is more than a block.
const (
	smallRead = iota
	largeRead
	readClasses
)

// hedgeFloor is never too long: what a solid-state disk does now and then.
func hedgeFloor(class int) time.Duration {
	if class == smallRead {
		return 20 * time.Millisecond
	}
	return 50 * time.Millisecond
}

func readClass(n int) int {
	if n <= blobd.BlockSize+blobd.FrameHeaderSize {
		return smallRead
	}
	return largeRead
}

// diskReads is what readers know of a disk, from reads that waited for its
// device. The zero value is ready; it is safe for concurrent use.
type diskReads struct {
	usual [readClasses]atomic.Int64 // nanoseconds that one in twenty reads takes longer than

	once  sync.Once
	slots chan struct{} // holds a value for each read that has not returned

	mu    sync.Mutex    // guards what follows
	last  time.Time     // when an answer came
	left  time.Time     // since when a read is unanswered that was overtaken, zero if none is
	quiet time.Time     // since when there is no answer, zero while there is
	probe time.Time     // when a quiet disk is asked again
	pause time.Duration // until the probe after that
}

// errQueue is a read that others of the same disk left no room for: it is not to
// be done from other disks, which are as busy.
var errQueue = fmt.Errorf("%w: too many reads wait for it", errSlow)

func (r *diskReads) init() {
	r.once.Do(func() { r.slots = make(chan struct{}, readSlots) })
}

// isFull reports whether a read would have to wait for a slot.
func (r *diskReads) isFull() bool {
	r.init()
	return len(r.slots) == readSlots
}

// enter takes a slot, for which it waits. After nil, leave must be called.
func (r *diskReads) enter(ctx context.Context, now func() time.Time) error {
	r.init()
	select {
	case r.slots <- struct{}{}:
		return nil
	default:
	}
	for waited := time.Duration(0); waited < maxReadWait; waited += readPatience {
		timer := time.NewTimer(readPatience)
		select {
		case r.slots <- struct{}{}:
			timer.Stop()
			return nil
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		if r.isQuiet(now()) {
			return errSlow
		}
	}
	return errQueue
}

func (r *diskReads) leave() { <-r.slots }

// answered says that a read has returned.
func (r *diskReads) answered(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.left, r.quiet = now, time.Time{}, time.Time{}
}

// late says that a read which began at start was waited for too long. Where
// nothing else was answered since, the disk is quiet.
func (r *diskReads) late(start, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lateLocked(start, now)
}

func (r *diskReads) lateLocked(start, now time.Time) {
	if !r.quiet.IsZero() || r.last.After(start) {
		return
	}
	r.quiet, r.pause = start, minQuiet
	r.probe = now.Add(r.pause)
}

// overtaken says that nobody waits any more for a read that began at start.
func (r *diskReads) overtaken(start time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left.IsZero() && !r.last.After(start) {
		r.left = start
	}
}

// withdraw takes back that a read was overtaken: it had returned, or its disk was
// never asked.
func (r *diskReads) withdraw(start time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left.Equal(start) {
		r.left = time.Time{}
	}
}

func (r *diskReads) isQuiet(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.left.IsZero() && now.Sub(r.left) >= readPatience {
		r.lateLocked(r.left, now)
	}
	return !r.quiet.IsZero()
}

// tries reports whether it is time to ask a quiet disk again. One reader does.
func (r *diskReads) tries(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.quiet.IsZero() {
		return true
	}
	if now.Before(r.probe) {
		return false
	}
	r.pause = min(2*r.pause, maxQuiet)
	r.probe = now.Add(r.pause)
	return true
}

// hangs reports whether the disk has been quiet for so long that writers and
// jobs had better leave it alone, until it is asked again.
func (r *diskReads) hangs(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.quiet.IsZero() && now.Sub(r.quiet) >= readTimeout && now.Before(r.probe)
}

// note moves what is usual towards a read that took so long: up by nineteen
// parts for one that took longer, down by one part for one that did not, which
// rest where one in twenty takes longer.
func (r *diskReads) note(class int, took time.Duration) {
	const part = 80
	u, t := &r.usual[class], max(int64(took), int64(50*time.Microsecond))
	old := u.Load()
	switch {
	case old == 0:
		u.Store(t)
	case t > old:
		u.Store(min(t, old+19*old/part))
	default:
		u.Store(old - old/part)
	}
}

// tooLong is when a read of a disk is hedged: at a multiple of what is usual for
// it, and for a disk that is usually slow at a multiple of what its peers take.
func (v *view) tooLong(d *disk, class int) time.Duration {
	if d.reads.isQuiet(v.now()) {
		return 0
	}
	var known [maxK + maxM]int64
	n := 0
	for _, peer := range v.disks {
		if peer == nil {
			continue
		}
		if u := peer.reads.usual[class].Load(); u > 0 {
			known[n] = u
			n++
		}
	}
	usual := d.reads.usual[class].Load()
	if n > 0 {
		slices.Sort(known[:n])
		median := 2 * known[n/2]
		usual = min(usual, median)
	}
	return min(max(hedgeMultiple*time.Duration(usual), hedgeFloor(class)), readPatience)
}

// hedges bounds how many reads are hedged: where everything is slow, reading
// more makes it slower. The zero value is ready; it is safe for concurrent use.
type hedges struct {
	mu    sync.Mutex // guards what follows
	spent int        // in parts of which a hedge takes hedgeShare
}

// earn counts a read that waits for a device.
func (h *hedges) earn() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spent = max(h.spent-1, 0)
}

// take reports whether a read may be hedged.
func (h *hedges) take() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.spent > (hedgeBurst-1)*hedgeShare {
		return false
	}
	h.spent += hedgeShare
	return true
}
