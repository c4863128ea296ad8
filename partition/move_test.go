package partition

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// moveAll moves every shard off a disk and returns how many.
func (w *sealedWorld) moveAll(tb testing.TB, s *Store, disk int) (moved int) {
	tb.Helper()
	for _, row := range w.rows(tb) {
		shard := slices.Index(row.Shards, idOf(w.world, disk))
		if shard < 0 || row.State != metadata.PartitionSealed {
			continue
		}
		r, err := s.Move(tb.Context(), row.ID, uint8(shard), nil)
		if err != nil {
			tb.Fatal(err)
		}
		if r.Done {
			moved++
		}
	}
	return moved
}

// leave makes a disk one that is to be drained.
func (w *sealedWorld) leave(tb testing.TB, s *Store, disk int) {
	tb.Helper()
	w.inventory(tb, metadata.DiskDraining, disk)
	if err := s.Leave(idOf(w.world, disk)); err != nil {
		tb.Fatal(err)
	}
}

// TestMoveTakesEverythingOff moves the shards of each disk in turn, byte for byte, beside
// readers that saw the old place.
func TestMoveTakesEverythingOff(t *testing.T) {
	for _, sc := range append(schemes(), Scheme{1, 0}) {
		t.Run(sc.String(), func(t *testing.T) {
			w := newSealedWorld(t, newWorld(t, sc.K+sc.M+1), sc)
			s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
			for disk := range w.disks {
				shard := slices.Index(w.row(t, w.id).Shards, idOf(w.world, disk))
				if shard < 0 {
					continue
				}
				before := w.shardBytes(t, shard)
				stale, err := s.views.get(t.Context(), w.id)
				if err != nil {
					t.Fatal(err)
				}
				w.leave(t, s, disk)
				if w.moveAll(t, s, disk) == 0 {
					t.Fatal("nothing was moved")
				}
				if after := w.shardBytes(t, shard); !bytes.Equal(before, after) {
					t.Errorf("shard %d differs after the move", shard)
				}
				if left, err := w.disks[disk].List(t.Context()); err != nil || slices.ContainsFunc(left, func(id blobd.ShardID) bool {
					return id.Partition == blobd.PartitionID(w.id)
				}) {
					t.Errorf("the disk still has %v, %v", left, err)
				}
				w.readsOver(t, s, stale)
				w.holds(t, s)
				w.mustBeWhole(t, s)
				w.inventory(t, metadata.DiskActive, disk)
				if err := s.Stay(idOf(w.world, disk)); err != nil {
					t.Fatal(err)
				}
			}
			closeStore(t, s)
		})
	}
}

// shardBytes are the frames of a shard, where the row says that it is.
func (w *sealedWorld) shardBytes(tb testing.TB, shard int) (out []byte) {
	tb.Helper()
	row := w.row(tb, w.id)
	d := w.disk(row.Shards[shard])
	for _, b := range w.blobs {
		e := b.placed.Extent
		if e.Partition != w.id {
			continue
		}
		frame := make([]byte, blobd.FrameSize(e.Height))
		_, err := d.ReadAt(tb.Context(), shardID(w.id, shard), frame, e.Stripe)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, frame...)
	}
	return out
}

// readsOver reads every blob as a reader does that holds a view of before (interleaving 13).
func (w *sealedWorld) readsOver(tb testing.TB, s *Store, stale *view) {
	tb.Helper()
	for _, b := range w.blobs {
		e := b.placed.Extent
		if e.Partition != stale.id {
			continue
		}
		r := s.NewReader(tb.Context(), segments(whole1(e)))
		r.view = stale
		var got bytes.Buffer
		if _, err := r.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), b.data) {
			tb.Errorf("over a stale view: %d bytes, %v", got.Len(), err)
		}
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	}
	if n, err := s.NoteDamage(context.WithoutCancel(tb.Context())); n != 0 || err != nil {
		tb.Errorf("%d shards are said to be damaged: %v", n, err)
	}
}

// TestMoveRebuildsWhatDoesNotVerify: the source is rotten and nobody knows.
func TestMoveRebuildsWhatDoesNotVerify(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	disk := w.index(t, w.id, 1)
	for _, b := range w.blobs {
		if e := b.placed.Extent; e.Partition == w.id {
			_ = w.disks[disk].Corrupt(shardID(w.id, 1), e.Stripe+5000, 3) // where the shard has a frame
		}
	}
	w.leave(t, s, disk)
	if w.moveAll(t, s, disk) == 0 {
		t.Fatal("nothing was moved")
	}
	w.mustBeWhole(t, s)
	w.holds(t, s)
	closeStore(t, s)
}

// TestMoveHasNowhereToGo: as many disks as shards (interleaving 42).
func TestMoveHasNowhereToGo(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 3), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	w.leave(t, s, 1)
	o, err := s.Occupancy(t.Context(), idOf(w.world, 1))
	if err != nil || o.Homeless == 0 || o.Homeless != o.Shards || o.Fatal != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	shard := slices.Index(w.row(t, w.id).Shards, idOf(w.world, 1))
	if _, err := s.Move(t.Context(), w.id, uint8(shard), nil); !errors.Is(err, ErrNoTarget) {
		t.Errorf("move: %v", err)
	}
	w.holds(t, s)
	w.mustBeWhole(t, s)
	closeStore(t, s)
}

// TestMoveToADiskThatLeaves: the target is to be drained before the row is changed.
func TestMoveToADiskThatLeaves(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	disk := w.index(t, w.id, 0)
	spare := 0
	for i := range w.disks {
		if !slices.Contains(w.row(t, w.id).Shards, idOf(w.world, i)) {
			spare = i
		}
	}
	w.leave(t, s, disk)
	once := false
	r, err := s.Move(t.Context(), w.id, 0, func(context.Context, int64) error {
		if !once {
			once = true
			w.leave(t, s, spare) //nolint:contextcheck // it has the test's
		}
		return nil
	})
	if err != nil || r.Done {
		t.Errorf("%+v, %v", r, err)
	}
	if ids, err := w.disks[spare].List(t.Context()); err != nil || slices.ContainsFunc(ids, func(id blobd.ShardID) bool {
		return id.Partition == blobd.PartitionID(w.id)
	}) {
		t.Errorf("the target has %v, %v", ids, err)
	}
	w.holds(t, s)
	w.mustBeWhole(t, s)
	closeStore(t, s)
}

// TestNothingNewOnADiskThatLeaves: partitions go elsewhere, and open ones end.
func TestNothingNewOnADiskThatLeaves(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	put(t, s, pattern(9000, 1))
	put(t, s, pattern(1<<20, 2))
	w.leave(t, s, 2)
	for i := range 20 {
		p := put(t, s, pattern(300_000, uint64(i)))
		if slices.Contains(w.row(t, p.Extent.Partition).Shards, idOf(w.world, 2)) {
			t.Fatalf("blob %d is on the disk that leaves", i)
		}
	}
	closeStore(t, s)
	s = w.open(t, Options{Scheme: sc, Capacity: minCapacity}) // the metadata say so
	for _, p := range s.tracked() {
		if slices.Contains(p.row.Shards, idOf(w.world, 2)) && !p.isRetired() {
			t.Errorf("partition %s takes stripes on the disk that leaves", pid(p.row.ID))
		}
	}
	closeStore(t, s)
}

// TestDiskComesBackOlder: a disk that was attached again lacks what this process wrote to
// it: the seal finds out.
func TestDiskComesBackOlder(t *testing.T) {
	sc := Scheme{2, 1}
	w := newWorld(t, 3)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	data := pattern(20_000, 5)
	placed := put(t, s, data)
	if err := w.publish(t.Context(), metadata.DataID{1}, placed); err != nil {
		t.Fatal(err)
	}
	row := w.row(t, placed.Extent.Partition)
	shard := row.K // the first parity: every stripe has it
	d := w.disk(row.Shards[shard])
	if err := d.Delete(t.Context(), shardID(row.ID, int(shard))); err != nil {
		t.Fatal(err)
	}
	if err := s.AddDisk(d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SealIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row := w.row(t, row.ID); row.State != metadata.PartitionSealed || !slices.Equal(row.Lost, []uint8{shard}) {
		t.Errorf("%+v", row)
	}
	mustRead(t, s, placed.Extent, data)
	closeStore(t, s)
}

// TestRecordLostSaysWhatIsGone and leaves other partitions alone.
func TestRecordLostSaysWhatIsGone(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	disk := w.index(t, w.id, 2)
	if err := s.RemoveDisk(idOf(w.world, disk)); err != nil {
		t.Fatal(err)
	}
	n, err := s.RecordLost(t.Context(), idOf(w.world, disk))
	if err != nil || n == 0 {
		t.Errorf("%d, %v", n, err)
	}
	if row := w.row(t, w.id); !slices.Equal(row.Lost, []uint8{2}) {
		t.Errorf("%+v", row)
	}
	if again, err := s.RecordLost(t.Context(), idOf(w.world, disk)); again != 0 || err != nil {
		t.Errorf("again: %d, %v", again, err)
	}
	w.inventory(t, metadata.DiskRemoved, disk)
	w.repairAll(t, s)
	w.holds(t, s)
	w.mustBeWhole(t, s)
	closeStore(t, s)
}
