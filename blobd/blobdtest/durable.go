package blobdtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// Engine makes and opens disks on a file system. Open must preallocate in small
// steps: file systems in memory copy whole files.
type Engine struct {
	Format func(fsys vfs.FS, dir string) error
	Open   func(fsys vfs.FS, dir string) (blobd.Disk, error)
}

// RunDurable runs the rules about what outlives a restart and a power loss.
func RunDurable(t *testing.T, e Engine) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Engine){
		"everything outlives a restart":              outlivesRestart,
		"every promise outlives power loss anywhere": outlivesCrash,
		"restorations are whole or not there":        restoredOrNot,
	} {
		t.Run(name, func(t *testing.T) { test(t, e) })
	}
}

const (
	durableDir      = "/disk"
	durableCapacity = 256 << 10
)

func outlivesRestart(t *testing.T, e Engine) {
	fsys := vfs.NewCrashableMem()
	if err := e.Format(fsys, durableDir); err != nil {
		t.Fatal(err)
	}
	l := newLedger(t, e)
	d, err := e.Open(fsys, durableDir)
	if err != nil {
		t.Fatal(err)
	}
	l.work(d)
	id := d.ID()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		d, err := e.Open(fsys, durableDir)
		if err != nil {
			t.Fatal(err)
		}
		if d.ID() != id {
			t.Fatalf("identity %s became %s", id, d.ID())
		}
		if err := l.promised().check(t.Context(), d); err != nil {
			t.Fatalf("restart %d: %v", round, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func outlivesCrash(t *testing.T, e Engine) {
	for seed := range uint64(2) {
		l := newLedger(t, e)
		crashes := 0
		faultfs.Crashes(seed, func(fsys *faultfs.FS) {
			if err := e.Format(fsys, durableDir); err != nil {
				t.Fatal(err)
			}
			l.update(func(p *promises) { p.formatted = true })
			d, err := e.Open(fsys, durableDir)
			if err != nil {
				t.Fatal(err)
			}
			l.work(d)
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}, l.promised, func(c faultfs.Crash, p promises) {
			crashes++
			if err := l.verify(c, p); err != nil {
				t.Errorf("crash %d before %+v, %d%% survived: %v", c.Number, c.Op, c.Percent, err)
			}
		})
		if crashes < 100 {
			t.Errorf("only %d crashes", crashes)
		}
	}
}

// promises is what a caller had been told.
type promises struct {
	formatted bool
	shards    map[blobd.ShardID]shardPromise
}

type shardPromise struct {
	epoch  blobd.Epoch
	sealed bool
	gone   bool          // deleted
	unsure bool          // being deleted
	frames map[int64]int // offset to height; the payload's seed is the offset
	end    int64         // at least
}

// ledger runs a workload and keeps what was promised meanwhile.
type ledger struct {
	t *testing.T
	e Engine

	mu sync.Mutex // guards p
	p  promises
}

func newLedger(t *testing.T, e Engine) *ledger {
	return &ledger{t: t, e: e, p: promises{shards: map[blobd.ShardID]shardPromise{}}}
}

func (l *ledger) update(change func(p *promises)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.p)
}

func (l *ledger) shard(id blobd.ShardID, change func(s *shardPromise)) {
	l.update(func(p *promises) {
		s := p.shards[id]
		change(&s)
		p.shards[id] = s
	})
}

// promised is a copy that no longer changes.
func (l *ledger) promised() promises {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.p
	c.shards = maps.Clone(c.shards)
	for id, s := range c.shards {
		s.frames = maps.Clone(s.frames)
		c.shards[id] = s
	}
	return c
}

// work does some of everything, partly at once.
func (l *ledger) work(d blobd.Disk) {
	a, b, c := Shard(1, 0), Shard(2, 1), Shard(0x1000_0000_0000_0000, 2)
	var wg sync.WaitGroup
	wg.Go(func() {
		l.create(d, a, 1)
		end := l.append(d, a, 1, 0, 3)
		l.raise(d.Fence, a, 3)
		l.append(d, a, 3, end, 2)
		l.punch(d, a, 0)
		l.raise(d.Seal, a, 4)
	})
	wg.Go(func() {
		l.create(d, b, 7)
		var inner sync.WaitGroup
		for w := range int64(3) { // three writers share syncs
			inner.Go(func() { l.append(d, b, 7, w*64<<10, 3) })
		}
		inner.Wait()
		l.raise(d.Fence, b, 8)
		l.raise(d.Fence, b, 8)
	})
	wg.Go(func() {
		l.create(d, c, 1)
		l.append(d, c, 1, 0, 1)
		l.shard(c, func(s *shardPromise) { s.unsure = true })
		if err := d.Delete(context.Background(), c); err != nil {
			l.t.Errorf("delete: %v", err)
		}
		l.shard(c, func(s *shardPromise) { s.unsure, s.gone = false, true })
	})
	wg.Wait()
}

func (l *ledger) create(d blobd.Disk, id blobd.ShardID, epoch blobd.Epoch) {
	s := spec(id, epoch)
	s.Capacity = durableCapacity
	if err := d.Create(context.Background(), s); err != nil {
		l.t.Errorf("create %s: %v", id, err)
	}
	l.shard(id, func(s *shardPromise) { *s = shardPromise{epoch: epoch, frames: map[int64]int{}} })
}

func (l *ledger) append(d blobd.Disk, id blobd.ShardID, epoch blobd.Epoch, offset int64, n int) int64 {
	for i := range n {
		height := 100 + i*7000
		if err := d.Append(context.Background(), Frame(id, epoch, offset, Payload(uint64(offset), height))); err != nil {
			l.t.Errorf("append to %s at %d: %v", id, offset, err)
		}
		at := offset
		offset += blobd.FrameSize(uint32(height))
		l.shard(id, func(s *shardPromise) {
			s.frames[at] = height
			s.end = max(s.end, offset)
		})
	}
	return offset
}

func (l *ledger) raise(f func(context.Context, blobd.ShardID, blobd.Epoch) (blobd.ShardStat, error), id blobd.ShardID, epoch blobd.Epoch) {
	st, err := f(context.Background(), id, epoch)
	if err != nil {
		l.t.Errorf("raise %s to %d: %v", id, epoch, err)
	}
	l.shard(id, func(s *shardPromise) {
		s.epoch, s.sealed = epoch, st.Sealed
		if st.End < s.end {
			l.t.Errorf("end of %s is %d, below %d", id, st.End, s.end)
		}
	})
}

// punch frees all frames from an offset on, so that the end must be remembered.
func (l *ledger) punch(d blobd.Disk, id blobd.ShardID, from int64) {
	l.shard(id, func(s *shardPromise) {
		maps.DeleteFunc(s.frames, func(at int64, _ int) bool { return at >= from })
	})
	if err := d.Punch(context.Background(), id, from, durableCapacity-from); err != nil {
		l.t.Errorf("punch: %v", err)
	}
}

// verify opens what a crash left and checks every promise.
func (l *ledger) verify(c faultfs.Crash, p promises) error {
	d, err := l.e.Open(c.FS, durableDir)
	if err != nil && !p.formatted {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	err = p.check(context.Background(), d)
	if err == nil {
		err = p.goOn(context.Background(), d)
	}
	return errors.Join(err, d.Close())
}

func (p promises) check(ctx context.Context, d blobd.Disk) error {
	ids, err := d.List(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if p.shards[id].gone {
			return fmt.Errorf("%s was deleted and is back", id)
		}
	}
	for id, s := range p.shards {
		if s.gone || s.unsure {
			continue
		}
		if err := s.check(ctx, d, id); err != nil {
			return fmt.Errorf("shard %s: %w", id, err)
		}
	}
	return nil
}

func (s shardPromise) check(ctx context.Context, d blobd.Disk, id blobd.ShardID) error {
	st, err := d.Stat(ctx, id)
	if err != nil {
		return err
	}
	if st.Epoch < s.epoch || s.sealed && !st.Sealed || st.End < s.end || st.End%blobd.Align != 0 || st.Capacity != durableCapacity {
		return fmt.Errorf("state %+v, promised %+v", st, s)
	}
	for offset, height := range s.frames {
		got, err := ReadFrame(ctx, d, id, offset)
		if err != nil || !bytes.Equal(got, Payload(uint64(offset), height)) {
			return fmt.Errorf("frame at %d: %d bytes of %d: %w", offset, len(got), height, err)
		}
	}
	found := map[int64]bool{}
	for h, err := range d.Frames(ctx, id, 0) {
		if err != nil {
			return err
		}
		if h.Offset+h.Size() > st.End {
			return fmt.Errorf("frame at %d reaches past the end %d", h.Offset, st.End)
		}
		found[h.Offset] = true
	}
	for offset := range s.frames {
		if !found[offset] {
			return fmt.Errorf("frame at %d is not listed", offset)
		}
	}
	rest := make([]byte, durableCapacity-st.End)
	if _, err := d.ReadAt(ctx, id, rest, st.End); err != nil && len(rest) > 0 {
		return err
	}
	if !isZero(rest) {
		return fmt.Errorf("written at or after the end %d", st.End)
	}
	return nil
}

// goOn does what a new writer does: it fences and appends at the end, and all
// that was promised still holds.
func (p promises) goOn(ctx context.Context, d blobd.Disk) error {
	for id, s := range p.shards {
		if s.gone || s.unsure {
			continue
		}
		if _, err := d.Fence(ctx, id, s.epoch-1); !errors.Is(err, blobd.ErrStaleEpoch) {
			return fmt.Errorf("fence of %s below %d: %w", id, s.epoch, err)
		}
		st, err := d.Fence(ctx, id, s.epoch+10)
		if err != nil {
			return err
		}
		if st.Sealed || st.End+4096 > st.Capacity {
			continue
		}
		if err := d.Append(ctx, Frame(id, s.epoch+10, st.End, Payload(uint64(st.End), 200))); err != nil {
			return err
		}
		s.epoch += 10
		s.frames[st.End] = 200 // p is this crash's own copy
		s.end = st.End + 4096
		if err := s.check(ctx, d, id); err != nil {
			return fmt.Errorf("shard %s after a new append: %w", id, err)
		}
	}
	return nil
}
