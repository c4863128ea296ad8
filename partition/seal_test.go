package partition

import (
	"errors"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// k fenced shards suffice: the seal records the others as lost.
func TestPartitionOfMissingDiskIsSealedWithoutIt(t *testing.T) {
	for away := range 2 {
		w := newWorld(t, 2)
		published, garbage := inherit(t, w)
		id := published.placed.Extent.Partition
		s := w.open(t, Options{Capacity: minCapacity, Disks: w.attached(away), KnownDisks: 2})
		if n, err := s.SealIdle(t.Context()); n != 1 || err != nil {
			t.Fatalf("sealed %d, %v", n, err)
		}
		row := w.row(t, id)
		lost := uint8(slices.Index(row.Shards, idOf(w, away)))
		if row.State != metadata.PartitionSealed || !slices.Equal(row.Lost, []uint8{lost}) || row.Epoch != 3 {
			t.Errorf("disk %d is away: %+v", away, row)
		}
		if want := garbage.placed.Extent.Stripe + blobd.FrameSize(garbage.placed.Extent.Height); row.End < want {
			t.Errorf("end %d, the last stripe ends at %d", row.End, want)
		}
		mustRead(t, s, published.placed.Extent, published.data)
		pending := submit(t, s, pattern(100, 1))
		if _, err := pending.Wait(t.Context()); !errors.Is(err, ErrNoDisks) {
			t.Errorf("write on one of two disks: %v", err)
		}
		pending.Done()
		if err := s.AddDisk(w.disks[away]); err != nil {
			t.Fatal(err)
		}
		mustRead(t, s, put(t, s, pattern(100, 2)).Extent, pattern(100, 2))
		closeStore(t, s)
	}
}

// Fewer than k shards within reach decide nothing.
func TestPartitionOfTooFewShardsWaits(t *testing.T) {
	w := newWorld(t, 3)
	published, _ := inherit(t, w)
	s := w.open(t, Options{Capacity: minCapacity, Disks: w.attached(0, 1), KnownDisks: 3})
	defer closeStore(t, s)
	if n, err := s.SealIdle(t.Context()); n != 0 || err != nil {
		t.Fatalf("sealed %d, %v", n, err)
	}
	if row := w.row(t, published.placed.Extent.Partition); row.State != metadata.PartitionClosing || len(row.Lost) > 0 {
		t.Errorf("with one of three disks: %+v", row)
	}
	for i := range 2 {
		if err := s.AddDisk(w.disks[i]); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.SealIdle(t.Context()); n != 1 || err != nil {
		t.Fatalf("sealed %d, %v", n, err)
	}
	if row := w.row(t, published.placed.Extent.Partition); len(row.Lost)+len(row.Damaged) > 0 {
		t.Errorf("with all disks: %+v", row)
	}
	mustRead(t, s, published.placed.Extent, published.data)
}

// A disk that fails under the process that writes: its partitions are sealed
// without the shard.
func TestPartitionOfFailedDiskIsSealedWithoutIt(t *testing.T) {
	w := newWorld(t, 4)
	s := w.open(t, Options{Capacity: minCapacity, Scheme: Scheme{2, 1}})
	defer closeStore(t, s)
	data := pattern(1<<20, 3)
	placed := put(t, s, data)
	if err := w.publish(t.Context(), metadata.DataID{1}, placed); err != nil {
		t.Fatal(err)
	}
	row := w.row(t, placed.Extent.Partition)
	w.disk(row.Shards[2]).Fail(errors.New("gone"))
	put(t, s, pattern(1<<20, 4)) // retires the partition
	if n, err := s.SealIdle(t.Context()); n < 1 || err != nil {
		t.Fatalf("sealed %d, %v", n, err)
	}
	if row = w.row(t, row.ID); row.State != metadata.PartitionSealed || !slices.Equal(row.Lost, []uint8{2}) {
		t.Errorf("after the disk failed: %+v", row)
	}
	mustRead(t, s, placed.Extent, data)
}
