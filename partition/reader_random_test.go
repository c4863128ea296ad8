package partition

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// storm is readers of partitions whose shards come to harm, are repaired and
// move. What is given back is overwritten.
type storm struct {
	*rig
	blobs []stored
	seed  uint64
	over  atomic.Bool // readers are to end

	served, failed, partly atomic.Int64
}

func newStorm(t *testing.T, seed uint64, rng *rand.Rand) *storm {
	t.Helper()
	sc := []Scheme{{1, 1}, {2, 2}, {3, 3}, {4, 2}, {6, 4}}[rng.IntN(5)]
	w := newSealedWorld(t, newWorld(t, sc.K+sc.M+2), sc)
	w.add(t, sc, 3<<20, 1_500_000)
	g := &storm{rig: &rig{world: w.world}, blobs: w.blobs, seed: seed}
	var disks []blobd.Disk
	for _, d := range w.disks {
		g.devices = append(g.devices, &device{Disk: d, delay: time.Duration(rng.IntN(2000)) * time.Microsecond})
		disks = append(disks, g.devices[len(g.devices)-1])
	}
	g.row = w.row(t, w.id)
	g.s = w.open(t, Options{Disks: disks, Scheme: sc, Capacity: minCapacity})
	poison(g.s)
	return g
}

// add writes more blobs, of several chunks in each column, and seals them.
func (w *sealedWorld) add(t *testing.T, sc Scheme, sizes ...int) {
	t.Helper()
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, MinColumn: 16 << 10})
	for _, size := range sizes {
		b := stored{data: pattern(size, uint64(size))}
		b.placed = put(t, s, b.data)
		if err := w.publish(t.Context(), metadata.DataID{byte(len(w.blobs) + 100)}, b.placed); err != nil {
			t.Fatal(err)
		}
		w.blobs = append(w.blobs, b)
	}
	for _, p := range s.tracked() {
		s.retire(p)
	}
	if _, err := s.SealIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
}

// pick is a few ranges of blobs, in any order, and their bytes.
func (g *storm) pick(rng *rand.Rand) (list []Segment, want []byte) {
	for range 1 + rng.IntN(4) {
		b := g.blobs[rng.IntN(len(g.blobs))]
		from, to := 0, len(b.data)
		if rng.IntN(2) == 0 {
			from = rng.IntN(to)
			to = from + 1 + rng.IntN(to-from)
		}
		list = append(list, Segment{b.placed.Extent, int64(from), int64(to - from)})
		want = append(want, b.data[from:to]...)
	}
	return list, want
}

// slowly is a writer that takes its time, and gives up where it is to.
type slowly struct {
	bytes.Buffer

	rng   *rand.Rand
	limit int
	slept time.Duration
}

var errEnough = errors.New("test: enough")

func (w *slowly) Write(p []byte) (int, error) {
	if w.rng.IntN(4) == 0 {
		pause := time.Duration(w.rng.IntN(20)) * time.Millisecond
		w.slept += pause
		<-time.After(pause)
	}
	n, _ := w.Buffer.Write(p)
	if w.Len() > w.limit {
		return n, errEnough
	}
	return n, nil
}

// reads is one reader: to the end, or until it has enough, or cancelled.
func (g *storm) reads(t *testing.T, rng *rand.Rand) {
	t.Helper()
	list, want := g.pick(rng)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &slowly{rng: rng, limit: len(want)}
	switch rng.IntN(8) {
	case 0:
		out.limit = rng.IntN(len(want))
	case 1:
		time.AfterFunc(time.Duration(rng.IntN(100))*time.Millisecond, cancel)
	}
	r := g.s.NewReader(ctx, segments(list...))
	if rng.IntN(8) == 0 {
		r.inBackground()
	}
	var err error
	start := time.Now()
	if rng.IntN(3) == 0 { // by Read, into memory of any size
		_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{r}, make([]byte, 1+rng.IntN(200_000)))
	} else {
		_, err = r.WriteTo(out)
	}
	if e := r.Close(); e != nil {
		t.Error(e)
	}
	if took := time.Since(start) - out.slept; took > 3*readTimeout {
		t.Errorf("seed %d: %+v took %s, %v", g.seed, list, took, err)
	}
	got := out.Bytes()
	if !bytes.HasPrefix(want, got) || err == nil && len(got) != len(want) {
		t.Errorf("seed %d: wrong bytes: %d of %d of %+v, %v", g.seed, len(got), len(want), list, err)
	}
	switch {
	case err == nil:
		g.served.Add(1)
	case errors.Is(err, errEnough), errors.Is(err, context.Canceled):
		g.partly.Add(1)
	case errors.Is(err, ErrUnreadable), errors.Is(err, ErrOverloaded):
		g.failed.Add(1)
	default:
		t.Errorf("seed %d: %v", g.seed, err)
	}
}

// harm does something to a disk, or to the shards on it. It returns whether these
// are to be written anew.
func (g *storm) harm(t *testing.T, rng *rand.Rand, rows []metadata.Partition, disk int) bool {
	t.Helper()
	d, m := g.devices[disk], g.disks[disk]
	var ids []blobd.ShardID
	for _, row := range rows {
		if shard := slices.Index(row.Shards, idOf(g.world, disk)); shard >= 0 {
			ids = append(ids, shardID(row.ID, shard))
		}
	}
	switch rng.IntN(6) {
	case 0:
		d.hang()
	case 1:
		d.set(time.Duration(rng.IntN(500))*time.Millisecond, nil)
	case 2:
		d.set(0, syscall.EIO)
	case 3:
		for _, id := range ids {
			m.Lose(id)
		}
		return true
	default: // the most: partly bad columns are where chunks are pieced together
		for range 1 + rng.IntN(60) {
			e := g.blobs[rng.IntN(len(g.blobs))].placed.Extent
			for _, id := range ids {
				if id.Partition == blobd.PartitionID(e.Partition) {
					_ = m.Corrupt(id, e.Stripe+rng.Int64N(blobd.FrameSize(e.Height)), uint(rng.IntN(8))) // the stripe may have no frame there
				}
			}
		}
		return true
	}
	return false
}

// round harms disks, at most as many as there is parity, moves a shard beside that,
// lets the disks go on and writes anew what is to be.
func (g *storm) round(t *testing.T, rng *rand.Rand) {
	t.Helper()
	rows := g.rows(t)
	var broken []metadata.DiskID
	for _, disk := range rng.Perm(len(g.disks))[:1+rng.IntN(int(g.row.M))] {
		if g.harm(t, rng, rows, disk) {
			broken = append(broken, idOf(g.world, disk))
		}
	}
	hog := int64(0)
	if rng.IntN(3) == 0 && g.s.reads.try(readMemory/2, 0) { // chunks are cut
		hog = readMemory / 2
	}
	if rng.IntN(3) == 0 { // headers are read again
		l := &g.s.reads.layouts
		l.mu.Lock()
		clear(l.cache)
		l.mu.Unlock()
	}
	<-time.After(time.Duration(rng.IntN(3000)) * time.Millisecond)
	row := &rows[rng.IntN(len(rows))]
	if rng.IntN(2) == 0 {
		_, _ = g.s.Move(t.Context(), row.ID, uint8(rng.IntN(len(row.Shards))), nil) // or not, as the harm is
	}
	for _, d := range g.devices {
		d.wake()
		d.set(time.Duration(rng.IntN(2000))*time.Microsecond, nil)
	}
	g.s.reads.release(hog)
	<-time.After(time.Duration(rng.IntN(500)) * time.Millisecond)
	for _, row := range rows {
		for shard, id := range row.Shards {
			if slices.Contains(broken, id) {
				g.repair(t, row.ID, uint8(shard))
			}
		}
	}
}

// repair writes a shard anew, whatever it takes.
func (g *storm) repair(t *testing.T, id metadata.PartitionID, shard uint8) {
	t.Helper()
	for try := 0; ; try++ {
		now := g.world.row(t, id)
		if _, err := g.s.recordShort(t.Context(), now, shard, false); err != nil {
			t.Fatal(err)
		}
		r, err := g.s.Repair(t.Context(), now.ID, shard, nil)
		if err == nil && r.Done {
			return
		}
		if try == 20 {
			t.Errorf("seed %d: shard %d is not repaired: %+v, %v", g.seed, shard, r, err)
			return
		}
		<-time.After(minAside) // disks that hung are left alone for a while
	}
}

func (g *storm) run(t *testing.T, rng *rand.Rand) {
	t.Helper()
	var readers sync.WaitGroup
	for range 6 {
		own := rand.New(rand.NewPCG(g.seed, rng.Uint64()))
		readers.Go(func() {
			for !g.over.Load() {
				g.reads(t, own)
				<-time.After(time.Duration(own.IntN(400)) * time.Millisecond)
			}
		})
	}
	for range 8 {
		g.round(t, rng)
	}
	g.over.Store(true)
	readers.Wait()
	if n := g.served.Load(); n < 50 || g.failed.Load() > n/10 {
		t.Errorf("seed %d: %d served, %d not", g.seed, n, g.failed.Load())
	}
	for _, b := range g.blobs { // all is repaired
		mustRead(t, g.s, b.placed.Extent, b.data)
	}
	g.end(t)
}

// Readers of anything, in any order, beside anything that may happen to what they
// read: the right bytes or an error.
func TestReadersInAStorm(t *testing.T) {
	seeds := uint64(5)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 31))
			g := newStorm(t, seed, rng)
			g.run(t, rng)
			t.Logf("seed %d: %d+%d: %d served, %d in part, %d not; %+v",
				seed, g.row.K, g.row.M, g.served.Load(), g.partly.Load(), g.failed.Load(), g.s.Status().Counters)
		})
	}
}
