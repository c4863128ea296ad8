package partition

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// Two columns of a stripe are gone, the first and the last: what was read to rebuild the
// first and serves to rebuild the last is not given back before that is done.
func TestReadersKeepWhatTheyRebuildFrom(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{MinColumn: 16 << 10})
	defer closeStore(t, s)
	data := pattern(300_000, 9)
	e := put(t, s, data).Extent
	row := w.row(t, e.Partition)
	for _, column := range []int{0, 3} {
		shard := shardOf(column, e.Stripe, 4)
		w.disk(row.Shards[shard]).Lose(shardID(e.Partition, shard))
	}
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for range 100 {
				r := s.NewReader(t.Context(), segments(whole1(e)))
				got, err := io.ReadAll(r)
				if e := r.Close(); err != nil || e != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, %v, %v", len(got), err, e)
					return
				}
			}
		})
	}
	readers.Wait()
}

// A column is gone, and of another one a block in the middle is bad: what was read for the
// first does not begin where the block does.
func TestReadersRebuildPartsFromWhatTheyKept(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{MinColumn: 16 << 10})
	defer closeStore(t, s)
	data := pattern(1<<20, 9)
	e := put(t, s, data).Extent
	row := w.row(t, e.Partition)
	lost, rotten := shardOf(0, e.Stripe, 4), shardOf(2, e.Stripe, 4)
	w.disk(row.Shards[lost]).Lose(shardID(e.Partition, lost))
	damager{w, row}.flip(t, rotten, e.Stripe, blobd.FrameHeaderSize+2*blobd.BlockSize+9)
	for range 3 {
		mustRead(t, s, e, data)
	}
}

// poison overwrites what is given back, so that who still reads it gets wrong bytes.
func poison(s *Store) {
	synctest.Wait() // for writers that are about to end
	s.slabs.freed = func(m *slab) {
		m.b[0] = 0xDD
		for n := 1; n < len(m.b); n *= 2 {
			copy(m.b[n:], m.b[:n])
		}
	}
}

// rot makes the first and the last block of a column bad.
func (b *rig) rot(t *testing.T, column int) {
	t.Helper()
	d := damager{b.world, b.row}
	last := int64(blobd.BlockCount(b.extent.Height)-1) * blobd.BlockSize
	for _, at := range []int64{0, last} {
		d.flip(t, shardOf(column, b.extent.Stripe, int(b.row.K)), b.extent.Stripe, blobd.FrameHeaderSize+at+5)
	}
}

// What is left of one stripe serves a chunk under way when a chunk of another
// stripe is handed out.
func TestWhatIsKeptOutlivesAnotherStripe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 600_000)
		poison(b.s)
		between := pattern(9000, 2)
		other := put(t, b.s, between).Extent
		b.rot(t, 0)
		b.rot(t, 1)
		on := b.world.row(t, other.Partition).Shards[shardOf(0, other.Stripe, 4)]
		for _, column := range []int{4, 5} {
			if d := b.on(column); metadata.DiskID(d.ID()) != on {
				d.set(20*time.Millisecond, nil)
			}
		}
		got, err := read(t, b.s, whole1(b.extent), whole1(other), whole1(b.extent))
		if err != nil || !bytes.Equal(got, slices.Concat(b.data, between, b.data)) {
			t.Errorf("%d bytes that are not those, %v", len(got), err)
		}
		b.end(t)
	})
}

// Two chunks that were rebuilt at once keep the same columns: these count once.
func TestWhatIsKeptTwiceCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{6, 4}, 900_000)
		poison(b.s)
		for column := range 4 {
			b.disk(metadata.DiskID(b.on(column).ID())).Lose(shardID(b.row.ID, shardOf(column, b.extent.Stripe, 6)))
		}
		b.must(t, time.Second)
		b.end(t)
	})
}

// A column that comes late, and then with a bad block, is made good block by block
// where the columns that were asked instead are bad in other blocks.
func TestLateAndScatteredDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 600_000)
		poison(b.s)
		d := damager{b.world, b.row}
		for block, column := range []int{0, 1, 4} {
			at := blobd.FrameHeaderSize + int64(block)*blobd.BlockSize + 7
			d.flip(t, shardOf(column, b.extent.Stripe, 4), b.extent.Stripe, at)
		}
		b.on(0).set(400*time.Millisecond, nil)
		b.must(t, 3*time.Second)
		if st := b.s.Status().Counters; st.Hedged == 0 || st.Unreadable != 0 {
			t.Errorf("counters %+v", st)
		}
		b.end(t)
	})
}

// A read that was given up before its disk was asked says nothing of the disk.
func TestReadsThatWereNotBegunDoNotMakeADiskQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		s := w.open(t, Options{})
		e := put(t, s, pattern(9000, 1)).Extent
		v := s.readView(w.row(t, e.Partition))
		ctx, cancel := context.WithCancel(t.Context())
		a := &asking{view: v, disk: v.disks[0], start: time.Now(), slab: s.slabs.get(100), done: make(chan *asking, 1)}
		a.reads = []piece{{a.slab.b[:100], e.Stripe}}
		if err := a.disk.reads.enter(ctx, time.Now); err != nil {
			t.Fatal(err)
		}
		cancel()
		a.letGo()
		a.run(ctx)
		<-time.After(2 * readPatience)
		if a.disk.reads.isQuiet(time.Now()) {
			t.Error("the disk is said not to answer")
		}
		closeStore(t, s)
	})
}

// That nobody waits any more is no damage.
func TestCancelledReadsAreNoDamage(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{Damaged: func(d Damage) { t.Errorf("%+v", d) }})
	defer closeStore(t, s)
	e := put(t, s, pattern(9000, 1)).Extent
	s.damaged(s.readView(w.row(t, e.Partition)), 0, e.Stripe, fmt.Errorf("read: %w", context.Canceled))
	if st := s.Status().Counters; st.Missing != 0 {
		t.Errorf("counters %+v", st)
	}
}

// A view that was read before a move and remembered after it is not used for ever.
func TestStaleViewIsGivenUp(t *testing.T) {
	w := newSealedWorld(t, newWorld(t, 4), Scheme{2, 1})
	now := newHandClock(time.Now())
	s := w.open(t, Options{Scheme: Scheme{2, 1}, Capacity: minCapacity, Now: now.now})
	defer closeStore(t, s)
	stale, err := s.views.get(t.Context(), w.id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Move(t.Context(), w.id, 0, nil); err != nil {
		t.Fatal(err)
	}
	s.views.views[w.id] = stale
	now.add(2 * absence)
	w.holds(t, s)
	before := s.Status().Counters.Reconstructed
	w.holds(t, s)
	if n := s.Status().Counters.Reconstructed - before; n != 0 {
		t.Errorf("%d blocks rebuilt that are in another place by now", n)
	}
}

// Where too much of a stripe is gone, the shards that are there are not said to be gone too.
func TestNotedDamageIsOfTheShardItself(t *testing.T) {
	w := newSealedWorld(t, newWorld(t, 3), Scheme{2, 1})
	s := w.open(t, Options{Scheme: Scheme{2, 1}, Capacity: minCapacity})
	defer closeStore(t, s)
	row := w.row(t, w.id)
	for shard := range 2 {
		w.disk(row.Shards[shard]).Lose(shardID(w.id, shard))
	}
	wide := slices.IndexFunc(w.blobs, func(b stored) bool { return b.placed.Extent.Length > b.placed.Extent.Height })
	stripe := w.blobs[wide].placed.Extent.Stripe
	for shard := range 3 {
		s.damages.add(s.readView(row), shard, stripe, blobd.ErrCorrupt)
	}
	if _, err := s.NoteDamage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row := w.row(t, w.id); slices.Contains(slices.Concat(row.Lost, row.Damaged), 2) || len(row.Lost) == 0 {
		t.Errorf("lost %v, damaged %v", row.Lost, row.Damaged)
	}
}

// A chunk is rebuilt from disks that have room for a read.
func TestRebuildsPassOverABusyDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, Scheme{4, 2}, 600_000)
		b.must(t, 20*time.Millisecond)
		b.disk(metadata.DiskID(b.on(0).ID())).Lose(shardID(b.row.ID, shardOf(0, b.extent.Stripe, 4)))
		busy := b.reads(1)
		for range readSlots {
			if err := busy.enter(t.Context(), time.Now); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		got, err := read(t, b.s, Segment{b.extent, 0, 1000})
		if took := time.Since(start); err != nil || !bytes.Equal(got, b.data[:1000]) || took > time.Second {
			t.Errorf("%d bytes in %s, %v", len(got), took, err)
		}
		for range readSlots {
			busy.leave()
		}
		b.end(t)
	})
}
