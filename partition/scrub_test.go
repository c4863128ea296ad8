package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/memory"
	"github.com/undercroft/undercroft/metadata"
)

// settle holds the disks against the rows, as the repair job does after a start.
func settle(tb testing.TB, s *Store) {
	tb.Helper()
	for more := true; more; {
		var err error
		if _, more, err = s.Reconcile(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
}

// scrubAll scrubs a partition in steps of limit bytes.
func scrubAll(tb testing.TB, s *Store, id metadata.PartitionID, limit int64) (total ScrubStep) {
	tb.Helper()
	for from := int64(0); from >= 0; {
		step, err := s.Scrub(tb.Context(), id, from, limit)
		if err != nil {
			tb.Fatal(err)
		}
		if step.Next == from && step.Next != -1 && step.Recorded == 0 {
			tb.Fatalf("no way was made: %+v", step)
		}
		total.Add(&step.ScrubTally)
		total.Recorded += step.Recorded
		total.Read += step.Read
		from = step.Next
	}
	return total
}

// stripes lists the referenced stripes of a partition with their frames.
func (w *sealedWorld) stripes(tb testing.TB, s *Store) (sets []*frameSet) {
	tb.Helper()
	v := s.readView(w.row(tb, w.id))
	err := s.eachStripe(tb.Context(), w.id, func(stripe int64) error {
		f, err := s.survivors(tb.Context(), v, stripe)
		sets = append(sets, f)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return sets
}

// TestScrubReadsEveryFrame: whatever the steps, every frame is read, data and
// parity, and nothing is found.
func TestScrubReadsEveryFrame(t *testing.T) {
	for _, sc := range append(schemes(), Scheme{1, 1}, Scheme{3, 0}) {
		t.Run(sc.String(), func(t *testing.T) {
			w := newSealedWorld(t, newWorld(t, sc.K+sc.M), sc)
			s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
			defer closeStore(t, s)
			settle(t, s)
			var want metadata.ScrubTally
			for _, f := range w.stripes(t, s) {
				want.Stripes++
				want.Frames += int64(len(f.expected()))
				want.Bytes += int64(len(f.expected())) * f.header.Size()
			}
			for _, limit := range []int64{1, 1 << 20, 1 << 40} {
				got := scrubAll(t, s, w.id, limit)
				if got.ScrubTally != want || !got.Whole() || got.Read < want.Bytes-want.Frames*blobd.Align {
					t.Errorf("in steps of %d: %+v, want %+v", limit, got, want)
				}
			}
		})
	}
}

// TestScrubFindsAFlippedBitAnywhere flips a bit in each part of each frame: the shard is
// recorded, and repair makes it what it was.
func TestScrubFindsAFlippedBitAnywhere(t *testing.T) {
	for _, sc := range []Scheme{{2, 2}, {4, 2}} {
		w := newSealedWorld(t, newWorld(t, sc.K+sc.M), sc)
		s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
		settle(t, s)
		for _, f := range w.stripes(t, s) {
			blocks := int64(f.height) + 4*int64(blobd.BlockCount(f.height))
			for _, column := range f.expected() {
				for part, at := range map[string]int64{
					"magic": 0, "header": 40, "its checksum": blobd.FrameHeaderSize - 1, "first byte": blobd.FrameHeaderSize,
					"middle": blobd.FrameHeaderSize + blocks/2, "last checksum": blobd.FrameHeaderSize + blocks - 1,
				} {
					name := fmt.Sprintf("%s: %s of column %d of the stripe at %d", sc, part, column, f.stripe)
					shard := shardOf(column, f.stripe, sc.K)
					damager{w.world, w.row(t, w.id)}.flip(t, shard, f.stripe, at)
					got := scrubAll(t, s, w.id, 1<<20)
					if got.Damaged != 1 || got.Recorded != 1 || got.Unreadable+got.Mismatched != 0 || !slices.Equal(w.row(t, w.id).Damaged, []uint8{uint8(shard)}) {
						t.Fatalf("%s: %+v, %+v", name, got, w.row(t, w.id))
					}
					if again := scrubAll(t, s, w.id, 1<<40); again.Damaged != 0 || again.Passed == 0 || again.Whole() {
						t.Fatalf("%s, before it is repaired: %+v", name, again)
					}
					if n := w.repairAll(t, s); n != 1 {
						t.Fatalf("%s: %d repaired", name, n)
					}
				}
			}
			if got := scrubAll(t, s, w.id, 1<<40); !got.Whole() {
				t.Fatalf("%s: after the repairs: %+v", sc, got)
			}
		}
		w.holds(t, s)
		w.mustBeWhole(t, s)
		closeStore(t, s)
	}
}

// rewrite puts another shard in the place of one, whose frames change may alter before
// they get their checksums.
func (w *sealedWorld) rewrite(t *testing.T, s *Store, shard int, change func(*frame)) {
	t.Helper()
	row := w.row(t, w.id)
	v := s.readView(row)
	spec := blobd.ShardSpec{ID: v.shard(shard), Epoch: blobd.Epoch(row.Epoch), Secret: v.secret, Capacity: row.Capacity}
	to, err := w.disk(row.Shards[shard]).Restore(t.Context(), spec, row.End)
	if err != nil {
		t.Fatal(err)
	}
	err = s.eachStripe(t.Context(), w.id, func(stripe int64) error {
		f, err := s.rebuildFrame(t.Context(), v, shard, stripe, func(context.Context, int64) error { return nil })
		if err != nil || f == nil {
			return err
		}
		change(f)
		return to.Write(t.Context(), stripe, blobd.AppendFrame(nil, f.header, v.secret, f.payload.b[:f.header.Height], nil))
	})
	if err = errors.Join(err, to.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// TestScrubTellsContradictionsFromDamage: frames that verify and do not fit together
// are told, and left as they are.
func TestScrubTellsContradictionsFromDamage(t *testing.T) {
	sc := Scheme{2, 2}
	for name, change := range map[string]func(*frame){
		"parity that is not that of the data": func(f *frame) { f.payload.b[f.header.Height-1] ^= 1 },
		"another length of the content":       func(f *frame) { f.header.Used-- },
	} {
		t.Run(name, func(t *testing.T) {
			w := newSealedWorld(t, newWorld(t, 5), sc)
			s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
			defer closeStore(t, s)
			settle(t, s)
			sets := w.stripes(t, s)
			w.rewrite(t, s, 3, func(f *frame) {
				if f.header.Offset == sets[1].stripe {
					change(f)
				}
			})
			got := scrubAll(t, s, w.id, 1<<40)
			if got.Mismatched != 1 || got.Damaged+int64(got.Recorded) != 0 || got.Whole() {
				t.Errorf("%+v", got)
			}
			if row := w.row(t, w.id); len(row.Damaged)+len(row.Lost) != 0 {
				t.Errorf("recorded: %+v", row)
			}
			w.holds(t, s)
		})
	}
}

// TestScrubOfADiskThatFails: what a disk as a whole does is not damage of its shards.
func TestScrubOfADiskThatFails(t *testing.T) {
	sc := Scheme{2, 2}
	for name, fail := range map[string]func(*memory.Disk){
		"it answers nothing":     func(d *memory.Disk) { d.FailReads(-1, syscall.EIO) },
		"it is out of service":   func(d *memory.Disk) { d.Fail(errors.New("torn out")) },
		"it fails reads as such": func(d *memory.Disk) { d.FailReads(-1, blobd.ErrDiskFailed) },
	} {
		t.Run(name, func(t *testing.T) {
			base := newWorld(t, 4)
			w := newSealedWorld(t, base, sc)
			s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
			defer closeStore(t, s)
			put(t, s, pattern(9000, 99)) // so that each disk has another shard
			settle(t, s)
			fail(w.disks[1])
			got := scrubAll(t, s, w.id, 1<<40)
			w.disks[1].Recover()
			if got.Damaged+int64(got.Recorded)+got.Unreadable != 0 || got.Passed == 0 {
				t.Errorf("%+v", got)
			}
			if row := w.row(t, w.id); len(row.Damaged)+len(row.Lost) != 0 {
				t.Errorf("recorded: %+v", row)
			}
			if got := scrubAll(t, s, w.id, 1<<40); !got.Whole() {
				t.Errorf("when it serves again: %+v", got)
			}
		})
	}
}

// TestScrubLooksTwice: a read that fails once is no damage.
func TestScrubLooksTwice(t *testing.T) {
	sc := Scheme{2, 2}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	defer closeStore(t, s)
	put(t, s, pattern(9000, 99))
	settle(t, s)
	w.disks[0].FailReads(1, syscall.EIO)
	if got := scrubAll(t, s, w.id, 1<<40); !got.Whole() || len(w.row(t, w.id).Damaged) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestScrubFindsWhatCannotBeRead: frames of more columns than there is parity are bad.
func TestScrubFindsWhatCannotBeRead(t *testing.T) {
	sc := Scheme{2, 2}
	for name, at := range map[string]int64{"headers": 5, "payloads": blobd.FrameHeaderSize + 9} {
		t.Run(name, func(t *testing.T) {
			w := newSealedWorld(t, newWorld(t, 4), sc)
			s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
			defer closeStore(t, s)
			settle(t, s)
			sets := w.stripes(t, s)
			i := slices.IndexFunc(sets, func(f *frameSet) bool { return f.columns == sc.K })
			for shard := range 3 {
				damager{w.world, w.row(t, w.id)}.flip(t, shard, sets[i].stripe, at)
			}
			got := scrubAll(t, s, w.id, 1<<40)
			if got.Unreadable != 1 || got.Damaged != 3 || got.Recorded != 3 || len(w.row(t, w.id).Damaged) != 3 {
				t.Errorf("%+v, %+v", got, w.row(t, w.id))
			}
		})
	}
}

// TestScrubLeavesABusyPartitionAlone and one that is gone.
func TestScrubLeavesABusyPartitionAlone(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 3), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	defer closeStore(t, s)
	release, ok := s.claim(w.id)
	if !ok {
		t.Fatal("it is taken")
	}
	if _, err := s.Scrub(t.Context(), w.id, 0, 1); !errors.Is(err, ErrBusy) {
		t.Errorf("busy: %v", err)
	}
	release()
	if got, err := s.Scrub(t.Context(), w.id+1, 0, 1); err != nil || got.Next != -1 || got.Stripes != 0 {
		t.Errorf("gone: %+v, %v", got, err)
	}
}

// meddler is a disk that lets something happen under a read.
type meddler struct {
	*memory.Disk
	meddle func(id blobd.ShardID, p []byte, offset int64)
}

func (d *meddler) ReadAt(ctx context.Context, id blobd.ShardID, p []byte, offset int64) (int, error) {
	n, err := d.Disk.ReadAt(ctx, id, p, offset)
	if d.meddle != nil {
		d.meddle(id, p, offset)
	}
	return n, err
}

// TestScrubBesidePunchAndRepair: a stripe that is freed and punched while it is read
// (interleaving 12), and a partition that changes hands meanwhile, are not damage.
func TestScrubBesidePunchAndRepair(t *testing.T) {
	sc := Scheme{2, 2}
	base := newWorld(t, 4)
	w := newSealedWorld(t, base, sc)
	var disks []blobd.Disk
	var meddlers []*meddler
	for _, d := range w.disks {
		m := &meddler{Disk: d}
		meddlers, disks = append(meddlers, m), append(disks, m)
	}
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: disks})
	defer closeStore(t, s)
	settle(t, s)
	sets := w.stripes(t, s)
	victim := sets[1]
	shard := shardOf(victim.expected()[0], victim.stripe, sc.K)
	m := meddlers[w.index(t, w.id, shard)]
	punched := false
	m.meddle = func(id blobd.ShardID, p []byte, offset int64) {
		if punched || id != shardID(w.id, shard) || offset != victim.stripe {
			return
		}
		punched = true
		clear(p) // as if it had come a moment later
		err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
			refs, err := tx.Refs(w.id, victim.stripe, 1)
			if err != nil {
				return err
			}
			return tx.DeleteRefs(w.id, victim.stripe, refs[0].ID)
		})
		if err == nil {
			err = m.Punch(t.Context(), id, victim.stripe, victim.header.Size())
		}
		if err != nil {
			t.Error(err)
		}
	}
	got := scrubAll(t, s, w.id, 1<<40)
	if !punched || got.Damaged+got.Unreadable+int64(got.Recorded) != 0 || len(w.row(t, w.id).Damaged) != 0 {
		t.Errorf("punched: %+v, %+v", got, w.row(t, w.id))
	}

	moved := false
	victim = sets[2]
	m.meddle = func(id blobd.ShardID, p []byte, offset int64) {
		if moved || id != shardID(w.id, shard) || offset != victim.stripe {
			return
		}
		moved = true
		clear(p)
		err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
			row, err := tx.Partition(w.id)
			if err != nil {
				return err
			}
			row.Epoch++
			return tx.PutPartition(row)
		})
		if err != nil {
			t.Error(err)
		}
	}
	got = scrubAll(t, s, w.id, 1<<40)
	if !moved || got.Damaged+got.Unreadable+int64(got.Recorded) != 0 || len(w.row(t, w.id).Damaged) != 0 {
		t.Errorf("moved: %+v, %+v", got, w.row(t, w.id))
	}
}

// TestScrubOfAnOpenPartition: damage ends its stripes; it is sealed without the shard
// and repaired.
func TestScrubOfAnOpenPartition(t *testing.T) {
	sc := Scheme{2, 2}
	w := &sealedWorld{world: newWorld(t, 4)}
	w.inventory(t, metadata.DiskActive)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	defer closeStore(t, s)
	settle(t, s)
	for i := range 3 {
		data := pattern(300_000, uint64(i))
		placed := put(t, s, data)
		if err := w.publish(t.Context(), metadata.DataID{byte(i + 1)}, placed); err != nil {
			t.Fatal(err)
		}
		w.blobs = append(w.blobs, stored{data, placed})
	}
	w.id = w.blobs[0].placed.Extent.Partition
	if got := scrubAll(t, s, w.id, 1); !got.Whole() || got.Stripes != 3 {
		t.Errorf("%+v", got)
	}
	damager{w.world, w.row(t, w.id)}.flip(t, 3, w.blobs[1].placed.Extent.Stripe, 200)
	if got := scrubAll(t, s, w.id, 1); got.Damaged != 1 || got.Recorded != 1 {
		t.Errorf("%+v", got)
	}
	if n, err := s.SealIdle(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d sealed, %v", n, err)
	}
	if row := w.row(t, w.id); !slices.Equal(row.Damaged, []uint8{3}) {
		t.Errorf("%+v", row)
	}
	w.repairAll(t, s)
	if got := scrubAll(t, s, w.id, 1<<40); !got.Whole() {
		t.Errorf("%+v", got)
	}
	w.holds(t, s)
}

// BenchmarkScrub reads whole partitions of small and of large stripes.
func BenchmarkScrub(b *testing.B) {
	for _, size := range []int{16 << 10, 4 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			sc := Scheme{4, 2}
			w := &sealedWorld{world: newWorld(b, 6)}
			w.inventory(b, metadata.DiskActive)
			s := w.open(b, Options{Scheme: sc, Capacity: 64 << 20})
			defer closeStore(b, s)
			settle(b, s)
			for i := range min(32<<20/size, 500) {
				placed := put(b, s, pattern(size, uint64(i)))
				if err := w.publish(b.Context(), metadata.DataID{byte(i), byte(i >> 8)}, placed); err != nil {
					b.Fatal(err)
				}
				w.id = placed.Extent.Partition
			}
			b.SetBytes(scrubAll(b, s, w.id, 1<<40).Bytes)
			for b.Loop() {
				if got := scrubAll(b, s, w.id, 16<<20); !got.Whole() {
					b.Fatalf("%+v", got)
				}
			}
		})
	}
}

// TestScrubOfADiskLeavesARepairAlone: what a repair has put in place and does not count on yet
// stays while that is at work, and goes when nothing counts on it.
func TestScrubOfADiskLeavesARepairAlone(t *testing.T) {
	sc := Scheme{2, 2}
	w := newSealedWorld(t, newWorld(t, 5), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	defer closeStore(t, s)
	settle(t, s)
	row := w.row(t, w.id)
	spare := w.disks[slices.IndexFunc(w.disks, func(d *memory.Disk) bool { return !slices.Contains(row.Shards, metadata.DiskID(d.ID())) })]
	spec := blobd.ShardSpec{ID: shardID(w.id, 1), Epoch: blobd.Epoch(row.Epoch), Secret: blobd.Secret(row.Secret), Capacity: row.Capacity}
	to, err := spare.Restore(t.Context(), spec, row.End)
	if err == nil {
		err = to.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	release, _ := s.claim(w.id)
	if got, err := s.ScrubDisk(t.Context(), metadata.DiskID(spare.ID())); err != nil || got.Superseded != 0 || w.row(t, w.id).Epoch != row.Epoch {
		t.Errorf("at work: %+v, %v, %+v", got, err, w.row(t, w.id))
	}
	release()
	if got, err := s.ScrubDisk(t.Context(), metadata.DiskID(spare.ID())); err != nil || got.Superseded != 1 {
		t.Errorf("left over: %+v, %v", got, err)
	}
	if _, err := spare.Stat(t.Context(), spec.ID); !errors.Is(err, blobd.ErrShardNotFound) {
		t.Errorf("left over: %v", err)
	}
	w.holds(t, s)
}
