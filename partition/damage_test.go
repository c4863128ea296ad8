package partition

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// damager breaks shards of one partition.
type damager struct {
	w   *world
	row *metadata.Partition
}

func (d damager) disk(shard int) (id blobd.ShardID, disk interface {
	Corrupt(id blobd.ShardID, offset int64, bit uint) error
},
) {
	return shardID(d.row.ID, shard), d.w.disk(d.row.Shards[shard])
}

// flip inverts a bit of a frame, and back when it is called again.
func (d damager) flip(t *testing.T, shard int, stripe, at int64) {
	t.Helper()
	id, disk := d.disk(shard)
	if err := disk.Corrupt(id, stripe+at, uint(at)); err != nil {
		t.Fatal(err)
	}
}

// subsets yields every set of shards as bits.
func subsets(n int) []int {
	out := make([]int, 0, 1<<n)
	for s := range 1 << n {
		out = append(out, s)
	}
	return out
}

func bits(set, n int) (out []int) {
	for i := range n {
		if set>>i&1 == 1 {
			out = append(out, i)
		}
	}
	return out
}

// Every combination of corrupt frames: the right bytes while enough
// frames are left, ErrUnreadable beyond, wrong bytes never.
func TestEveryCombinationOfCorruptFrames(t *testing.T) {
	for _, disks := range []int{1, 2, 3, 4, 6} {
		for _, size := range []int{100, 40_000, 300_000} {
			t.Run(fmt.Sprintf("%s/%d", SchemeFor(disks), size), func(t *testing.T) {
				w := newWorld(t, disks)
				s := w.open(t, Options{MinColumn: 16 << 10})
				defer closeStore(t, s)
				data := pattern(size, 5)
				e := put(t, s, data).Extent
				row := w.row(t, e.Partition)
				columns, total := stripeColumns(t, s, e)
				shards := make([]int, 0, total)
				for column := range int(row.K) + int(row.M) {
					if column < columns || column >= int(row.K) {
						shards = append(shards, shardOf(column, e.Stripe, int(row.K)))
					}
				}
				for _, set := range subsets(total) {
					lost := bits(set, total)
					dm := damager{w, row}
					for _, i := range lost {
						dm.flip(t, shards[i], e.Stripe, blobd.FrameHeaderSize+1)
					}
					got, err := read(t, s, whole1(e))
					dataLost := slices.ContainsFunc(lost, func(i int) bool { return i <= int(e.Length-1)/int(e.Height) })
					switch {
					case dataLost && len(lost) > int(row.M):
						if !errors.Is(err, ErrUnreadable) {
							t.Errorf("lost %v of %d+%d: %v", lost, columns, row.M, err)
						}
						if len(got) > len(data) || string(got) != string(data[:len(got)]) {
							t.Fatalf("lost %v: wrong bytes", lost)
						}
					case err != nil || string(got) != string(data):
						t.Errorf("lost %v of %d+%d: wrong bytes or %v", lost, columns, row.M, err)
					}
					for _, i := range lost {
						dm.flip(t, shards[i], e.Stripe, blobd.FrameHeaderSize+1)
					}
				}
				if st := s.Status(); st.ReadMemory != 0 {
					t.Errorf("%d bytes of read memory leaked", st.ReadMemory)
				}
			})
		}
	}
}

func stripeColumns(t *testing.T, s *Store, e metadata.Extent) (columns, frames int) {
	t.Helper()
	v, err := s.views.get(t.Context(), e.Partition)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.survivors(t.Context(), v, e.Stripe)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.present) != f.columns+v.m {
		t.Fatalf("stripe of %d columns has %d frames", f.columns, len(f.present))
	}
	return f.columns, len(f.present)
}

// Different blocks of every column may be lost: what counts is each block.
func TestDamageSpreadOverColumns(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	data := pattern(4<<20, 6)
	e := put(t, s, data).Extent
	dm := damager{w, w.row(t, e.Partition)}
	for shard := range 6 {
		dm.flip(t, shard, e.Stripe, blobd.FrameHeaderSize+int64(shard)*blobd.BlockSize+99)
	}
	mustRead(t, s, e, data)
	c := s.Status().Counters
	if c.Reconstructed != 4 || c.Corrupt == 0 || c.Unreadable != 0 {
		t.Errorf("counters %+v", c)
	}
}

// A flip of any bit of the header or the block is seen; the reader never hands
// out wrong bytes.
func TestFlippedBitsAnywhere(t *testing.T) {
	w := newWorld(t, 2)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	data := pattern(700, 8)
	e := put(t, s, data).Extent
	dm := damager{w, w.row(t, e.Partition)}
	for at := range int64(blobd.FrameHeaderSize + e.Height + 4) {
		for shard := range 2 {
			dm.flip(t, shard, e.Stripe, at)
		}
		got, err := read(t, s, whole1(e))
		if err == nil && string(got) != string(data) || err != nil && !errors.Is(err, ErrUnreadable) {
			t.Fatalf("bit at %d flipped on both shards: %v", at, err)
		}
		dm.flip(t, 0, e.Stripe, at)
		mustRead(t, s, e, data)
		dm.flip(t, 1, e.Stripe, at)
	}
}

func TestLostAndFailingShards(t *testing.T) {
	for name, damage_ := range map[string]func(*world, blobd.ShardID, metadata.DiskID){
		"file lost":   func(w *world, id blobd.ShardID, d metadata.DiskID) { w.disk(d).Lose(id) },
		"disk failed": func(w *world, _ blobd.ShardID, d metadata.DiskID) { w.disk(d).Fail(errors.New("gone")) },
		"read errors": func(w *world, _ blobd.ShardID, d metadata.DiskID) { w.disk(d).FailReads(-1, errors.New("EIO")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 6)
			var mu sync.Mutex
			var damage []Damage
			s := w.open(t, Options{Damaged: func(d Damage) {
				mu.Lock()
				defer mu.Unlock()
				damage = append(damage, d)
			}})
			defer closeStore(t, s)
			data := pattern(2<<20, 7)
			e := put(t, s, data).Extent
			row := w.row(t, e.Partition)
			for i, shard := range []int{0, 3, 1} {
				damage_(w, shardID(row.ID, shard), row.Shards[shard])
				if i < 2 {
					mustRead(t, s, e, data)
				} else if _, err := read(t, s, whole1(e)); !errors.Is(err, ErrUnreadable) {
					t.Errorf("three shards of 4+2 lost: %v", err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if len(damage) == 0 || damage[0].Stripe != e.Stripe || damage[0].Shard.Partition != blobd.PartitionID(row.ID) {
				t.Errorf("damage reported: %v", damage)
			}
		})
	}
}

// With disks missing at the start the rest is read and written.
func TestMissingDisksAtStart(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{})
	rng := rand.New(rand.NewPCG(1, 1))
	blobs := mix(t, s, rng, 20)
	closeStore(t, s)
	s = w.open(t, Options{Disks: w.attached(1, 4), KnownDisks: 6})
	for _, b := range blobs {
		mustRead(t, s, b.placed.Extent, b.data)
	}
	st := s.Status()
	if !st.Degraded || st.InUse != (Scheme{2, 2}) || st.Wanted != (Scheme{4, 2}) {
		t.Errorf("status %+v", st)
	}
	p := put(t, s, pattern(1<<20, 3))
	if row := w.row(t, p.Extent.Partition); row.K != 2 || row.M != 2 {
		t.Errorf("new partition is %d+%d", row.K, row.M)
	}
	for _, i := range []int{1, 4} {
		if err := s.AddDisk(w.disks[i]); err != nil {
			t.Fatal(err)
		}
	}
	p2 := put(t, s, pattern(1<<20, 4))
	if row := w.row(t, p2.Extent.Partition); row.K != 4 || row.M != 2 {
		t.Errorf("partition after the disks came back is %d+%d", row.K, row.M)
	}
	mustRead(t, s, p.Extent, pattern(1<<20, 3))
	closeStore(t, s)

	s = w.open(t, Options{Disks: w.attached(1, 4, 5), KnownDisks: 6})
	defer closeStore(t, s)
	if _, err := read(t, s, whole1(p2.Extent)); !errors.Is(err, ErrUnreadable) {
		t.Errorf("three disks missing: %v", err)
	}
}
