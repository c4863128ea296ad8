package partition

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// hung is a disk whose changes of shards never return while stuck is set, not
// even when their context ends: a system call that blocks.
type hung struct {
	blobd.Disk
	stuck chan struct{} // closed when it goes on; nil: never hung
}

func (h *hung) wait() {
	if h.stuck != nil {
		<-h.stuck
	}
}

func (h *hung) Create(ctx context.Context, spec blobd.ShardSpec) error {
	h.wait()
	return h.Disk.Create(ctx, spec)
}

func (h *hung) Delete(ctx context.Context, id blobd.ShardID) error {
	h.wait()
	return h.Disk.Delete(ctx, id)
}

func (h *hung) Seal(ctx context.Context, id blobd.ShardID, epoch blobd.Epoch) (blobd.ShardStat, error) {
	h.wait()
	return h.Disk.Seal(ctx, id, epoch)
}

// withHung is a world of n disks of which the first may hang.
func withHung(t *testing.T, n int) (*world, *hung, []blobd.Disk) {
	t.Helper()
	w := newWorld(t, n)
	h := &hung{Disk: w.disks[0]}
	disks := []blobd.Disk{h}
	for _, d := range w.disks[1:] {
		disks = append(disks, d)
	}
	return w, h, disks
}

// A disk that hangs while a partition is created is left behind like one that
// hangs in an append: writers go on without it.
func TestHungDiskDoesNotStopTheCreationOfPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h, disks := withHung(t, 4)
		s := w.open(t, Options{Disks: disks, Scheme: Scheme{K: 2, M: 1}, KnownDisks: 4})
		h.stuck = make(chan struct{})
		for i := range 40 { // every set of disks comes up
			p := submit(t, s, pattern(5000, uint64(i)))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			placed, err := p.Wait(ctx)
			cancel()
			if err != nil {
				t.Fatalf("write %d beside a hung disk: %v", i, err)
			}
			p.Done()
			mustRead(t, s, placed.Extent, pattern(5000, uint64(i)))
			for _, open := range s.tracked() {
				s.retire(open)
			}
		}
		close(h.stuck)
		closeStore(t, s)
		s = w.open(t, Options{Disks: disks})
		for _, row := range w.rows(t) {
			if row.State == metadata.PartitionCreating || row.State == metadata.PartitionDropped {
				t.Errorf("partition %s is left in state %d", pid(row.ID), row.State)
			}
		}
		closeStore(t, s)
	})
}

func (h *hung) ReadAt(ctx context.Context, id blobd.ShardID, p []byte, offset int64) (int, error) {
	h.wait()
	return h.Disk.ReadAt(ctx, id, p, offset)
}

// What lies on a disk that writers found hanging is read from the others.
func TestReadsPassOverAHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h, disks := withHung(t, 3)
		s := w.open(t, Options{Disks: disks})
		data := pattern(600_000, 1) // on every data shard
		e := put(t, s, data).Extent
		h.stuck = make(chan struct{})
		s.setAside(s.disks.get(idOf(w, 0)), errSlow)
		mustRead(t, s, e, data)
		// Not so where nothing else may have the bytes: then it is asked.
		s.setAside(s.disks.get(idOf(w, 1)), errSlow)
		mustRead(t, s, e, data)
		close(h.stuck)
		closeStore(t, s)
	})
}

func (h *hung) Stat(ctx context.Context, id blobd.ShardID) (blobd.ShardStat, error) {
	h.wait()
	return h.Disk.Stat(ctx, id)
}

// A disk that hangs holds neither scrub nor reclaim up, whose claims would keep repair
// from its partitions.
func TestHungDiskHoldsNoSweepUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h, disks := withHung(t, 3)
		s := w.open(t, Options{Disks: disks})
		placed := put(t, s, pattern(20_000, 1))
		if err := w.publish(t.Context(), metadata.DataID{1}, placed); err != nil {
			t.Fatal(err)
		}
		for _, p := range s.tracked() {
			s.retire(p)
		}
		if _, err := s.SealIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		for more := true; more; {
			var err error
			if _, more, err = s.Reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		row := w.row(t, placed.Extent.Partition)
		h.stuck = make(chan struct{})
		if space := s.Space(t.Context(), row); space.Shards != 2 {
			t.Errorf("%+v", space)
		}
		s.disks.get(idOf(w, 0)).restore() // or it is not asked at all
		if next, _, err := s.Sweep(t.Context(), row.ID, 0, 100); err != nil || next >= 0 {
			t.Errorf("next %d, %v", next, err)
		}
		if release, ok := s.claim(row.ID); !ok {
			t.Error("the partition is still claimed")
		} else {
			release()
		}
		close(h.stuck)
		closeStore(t, s)
	})
}
