package partition

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/awake"
)

// asking is a read of a shard that waits for its device, on a goroutine of its
// own: one that never returns keeps that goroutine, a slot of its disk and the
// memory it reads into, and nobody waits for it for ever.
type asking struct {
	view   *view
	disk   *disk
	shard  int
	column int
	slab   *slab   // the goroutine's until done
	reads  []piece // in order
	check  func(*asking) error
	done   chan<- *asking // has room
	start  time.Time
	err    error
	over   atomic.Bool // one side has let the memory go

	unbegun  bool // nobody waited any more when its turn came
	borrowed bool // the memory is somebody else's, and holds what was read
}

// piece is where in memory a range of the shard goes.
type piece struct {
	buf    []byte
	offset int64
}

// cached reads what it can without waiting. It reports whether nothing is left.
func (a *asking) cached() bool {
	id := a.view.shard(a.shard)
	for len(a.reads) > 0 {
		p := &a.reads[0]
		n := a.disk.cached(id, p.buf, p.offset)
		if n < len(p.buf) {
			p.buf, p.offset = p.buf[n:], p.offset+int64(n)
			return false
		}
		a.reads = a.reads[1:]
	}
	return true
}

// cached fills as much of p, from its start, as the disk has in memory.
func (d *disk) cached(id blobd.ShardID, p []byte, offset int64) int {
	if c, ok := d.Disk.(blobd.CachedReader); ok {
		return c.ReadCached(id, p, offset)
	}
	return 0
}

// begin starts the read. After an error the memory is the caller's; after nil it
// is when a comes from its channel, unless letGo was called.
func (a *asking) begin(ctx context.Context) error {
	a.start = a.view.now()
	if err := a.disk.reads.enter(ctx, a.view.now); err != nil {
		return fmt.Errorf("read of %s: %w", a.view.shard(a.shard), err)
	}
	go a.run(ctx)
	return nil
}

func (a *asking) run(ctx context.Context) {
	r, size, asked := &a.disk.reads, 0, a.view.now()
	a.err = ctx.Err()
	a.unbegun = a.err != nil
	for _, p := range a.reads {
		size += len(p.buf)
		if a.unbegun {
			break
		}
		if a.err = a.readPiece(ctx, p); a.err != nil {
			break
		}
	}
	if errors.Is(a.err, blobd.ErrShardNotFound) {
		a.view.absent[a.shard].Store(asked.UnixNano())
	}
	if a.err == nil || ctx.Err() == nil { // else it is we who did not wait
		now := a.view.now()
		r.answered(now)
		if a.view.foreground {
			r.note(readClass(size), now.Sub(asked))
		}
	}
	r.leave()
	if a.err == nil && a.check != nil && !a.over.Load() {
		a.err = a.check(a)
	}
	if a.over.Swap(true) {
		if a.unbegun {
			r.withdraw(a.start)
		}
		a.view.store.slabs.put(a.slab)
		return
	}
	a.done <- a
}

func (a *asking) readPiece(ctx context.Context, p piece) error {
	id := a.view.shard(a.shard)
	n, err := a.disk.ReadAt(ctx, id, p.buf, p.offset)
	if n == len(p.buf) && (err == nil || errors.Is(err, io.EOF)) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d of %s: %w", len(p.buf), p.offset, id, err)
}

// letGo says that nobody waits any more. The memory goes back when the read
// has returned.
func (a *asking) letGo() {
	a.disk.reads.overtaken(a.start) // before that the read may know of it
	if a.over.Swap(true) {
		a.disk.reads.withdraw(a.start)
		a.view.store.slabs.put(a.slab)
	}
}

// late says that the read takes too long.
func (a *asking) late() { a.disk.reads.late(a.start, a.view.now()) }

// giveUp lets go of a read that took longer than any may.
func (a *asking) giveUp() error {
	a.letGo()
	a.view.store.reads.stats.givenUp.Add(1)
	return fmt.Errorf("read of %s: %w", a.view.shard(a.shard), errSlow)
}

// wait waits for the read. After an error the memory is not the caller's.
func (a *asking) wait(ctx context.Context, done <-chan *asking) error {
	timer := awake.NewTimer(readPatience)
	defer timer.Stop()
	for late := false; ; late = true {
		select {
		case <-done:
			if a.err != nil {
				a.view.store.slabs.put(a.slab)
			}
			return a.err
		case <-ctx.Done():
			a.letGo()
			return ctx.Err()
		case <-timer.C:
			if late {
				return a.giveUp()
			}
			a.late()
			timer.Reset(readTimeout - readPatience)
		}
	}
}

var errMissing = errors.New("partition: shard is not attached")

// readShard fills p from a shard. It returns within a bounded time, and then
// leaves p alone.
func (v *view) readShard(ctx context.Context, shard int, p []byte, offset int64) error {
	d := v.disks[shard]
	if d == nil {
		return errMissing
	}
	got := d.cached(v.shard(shard), p, offset)
	if got == len(p) {
		return nil
	}
	if err := v.unasked(shard); err != nil {
		return err
	}
	p = p[got:]
	m, done := v.store.slabs.get(len(p)), make(chan *asking, 1)
	a := &asking{
		view: v, disk: d, shard: shard, slab: m, done: done,
		reads: []piece{{m.b[:len(p)], offset + int64(got)}},
	}
	if err := a.begin(ctx); err != nil {
		v.store.slabs.put(m)
		return err
	}
	if err := a.wait(ctx, done); err != nil {
		return err
	}
	copy(p, m.b)
	v.store.slabs.put(m)
	return nil
}

// absence is how long a shard that its disk did not have is not asked for again.
const absence = time.Second

var errAbsent = fmt.Errorf("%w, a moment ago", blobd.ErrShardNotFound)

// unasked returns why a shard is better not read, nil if it is.
func (v *view) unasked(shard int) error {
	if at := v.absent[shard].Load(); at != 0 {
		if since := v.now().UnixNano() - at; since >= 0 && since < int64(absence) {
			return errAbsent
		}
	}
	if v.passOver(v.disks[shard]) {
		return fmt.Errorf("read of %s: %w", v.shard(shard), errSlow)
	}
	return nil
}

// passOver reports whether a shard's disk is better not asked: it does not
// answer, and so few do not that every stripe can be read without them. Now and
// then it is asked nevertheless.
func (v *view) passOver(d *disk) bool {
	now := v.now()
	if v.m == 0 || !d.silent(now) {
		return false
	}
	silent := 0
	for _, other := range v.disks {
		if other == nil || other.silent(now) {
			silent++
		}
	}
	return silent <= v.m && (d.asideAsSlow(now) || !d.reads.tries(now))
}

// silent reports whether the disk does not answer: reads now, or writers lately.
func (d *disk) silent(now time.Time) bool {
	return d.reads.isQuiet(now) || d.asideAsSlow(now)
}
