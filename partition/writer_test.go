package partition

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// openShared opens a store beside others; its lease is renewed by hand.
func (w *world) openShared(tb testing.TB, o Options) *Store {
	tb.Helper()
	o.Shared, o.LeaseInterval = true, -1
	if o.Capacity == 0 {
		o.Capacity = minCapacity
	}
	return w.open(tb, o)
}

// bury does what a keeper does with a process whose stamp stands still.
func (w *world) bury(tb testing.TB, id metadata.HolderID) {
	tb.Helper()
	if err := w.db.Update(tb.Context(), "test", func(tx *metadata.Tx) error { return tx.DeleteHolder(id) }); err != nil {
		tb.Fatal(err)
	}
}

func takeOver(tb testing.TB, s *Store, want int) {
	tb.Helper()
	if n, err := s.TakeOver(tb.Context()); n != want || err != nil {
		tb.Fatalf("%d partitions are taken over (%v), want %d", n, err, want)
	}
}

// published puts and publishes a blob.
func (w *world) published(tb testing.TB, s *Store, seed uint64) metadata.Placed {
	tb.Helper()
	placed := put(tb, s, pattern(300_000, seed))
	if err := w.publish(tb.Context(), metadata.DataID{byte(seed), 1}, placed); err != nil {
		tb.Fatal(err)
	}
	return placed
}

// Nobody takes anything from a writer that lives, also at a start, and each reads what the others wrote.
func TestSharedStoresLeaveEachOtherAlone(t *testing.T) {
	w := newWorld(t, 4)
	a := w.openShared(t, Options{})
	first := w.published(t, a, 1)
	late := put(t, a, pattern(300_000, 2))
	b := w.openShared(t, Options{})
	takeOver(t, b, 0)
	takeOver(t, a, 0)
	if err := w.publish(t.Context(), metadata.DataID{2}, late); err != nil {
		t.Errorf("a write under way when another process starts: %v", err)
	}
	second, third := w.published(t, b, 3), w.published(t, a, 4)
	if third.Extent.Partition != first.Extent.Partition || third.Epoch != first.Epoch {
		t.Error("the first writer has changed its partition")
	}
	if second.Extent.Partition == first.Extent.Partition {
		t.Error("two processes write to one partition")
	}
	for _, s := range []*Store{a, b} {
		mustRead(t, s, first.Extent, pattern(300_000, 1))
		mustRead(t, s, second.Extent, pattern(300_000, 3))
		mustRead(t, s, third.Extent, pattern(300_000, 4))
	}
	for _, row := range w.rows(t) {
		if row.Writer != a.Writer() && row.Writer != b.Writer() {
			t.Errorf("partition %s has the writer %x", pid(row.ID), row.Writer)
		}
	}
	closeStore(t, a)
	takeOver(t, b, 1)
	row := w.row(t, first.Extent.Partition)
	if row.Writer != b.Writer() || row.Epoch <= first.Epoch {
		t.Errorf("after a clean end: epoch %d, writer %x", row.Epoch, row.Writer)
	}
	mustRead(t, b, third.Extent, pattern(300_000, 4))
	closeStore(t, b)
}

// A writer is taken for gone and lives: what it has not published by the takeover it never
// publishes there, and it goes on elsewhere under another id.
func TestAWriterThatIsTakenForGone(t *testing.T) {
	w := newWorld(t, 4)
	a, b := w.openShared(t, Options{}), w.openShared(t, Options{})
	kept := w.published(t, a, 1)
	late := submit(t, a, pattern(300_000, 2))
	lost, err := late.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	was := a.Writer()
	w.bury(t, was)
	if err := w.publish(t.Context(), metadata.DataID{9}, lost); err != nil {
		t.Errorf("nobody has taken the partition yet: %v", err)
	}
	takeOver(t, b, 1)
	takeOver(t, b, 0)
	if err := w.publish(t.Context(), metadata.DataID{2}, lost); !errors.Is(err, metadata.ErrFenced) {
		t.Errorf("a late publish: %v", err)
	}
	late.Done()
	next := w.published(t, a, 3) // it hears of it from the shards
	if next.Extent.Partition == kept.Extent.Partition || a.Writer() == was || a.Writer() == (metadata.HolderID{}) {
		t.Errorf("it writes on in %s as %x", pid(next.Extent.Partition), a.Writer())
	}
	if err := a.KeepLease(t.Context()); err != nil {
		t.Error(err)
	}
	takeOver(t, b, 0)
	for _, s := range []*Store{a, b} {
		mustRead(t, s, kept.Extent, pattern(300_000, 1))
		mustRead(t, s, next.Extent, pattern(300_000, 3))
	}
	for _, s := range []*Store{a, b} {
		for _, p := range s.tracked() {
			s.retire(p)
		}
		for range 2 {
			if _, err := s.SealIdle(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	for _, row := range w.rows(t) {
		if row.State != metadata.PartitionSealed || row.Writer != (metadata.HolderID{}) {
			t.Errorf("partition %s is in state %d, of writer %x", pid(row.ID), row.State, row.Writer)
		}
	}
	closeStore(t, a)
	closeStore(t, b)
}

// It hears of it when it renews its lease: then it takes up another id before it writes.
func TestALostLeaseEndsStripes(t *testing.T) {
	w := newWorld(t, 4)
	a := w.openShared(t, Options{})
	kept := w.published(t, a, 1)
	was := a.Writer()
	w.bury(t, was)
	if err := a.KeepLease(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.Writer() == was {
		t.Error("it has the same id")
	}
	next := w.published(t, a, 2)
	if next.Extent.Partition == kept.Extent.Partition {
		t.Error("it writes on where it wrote under the lease that is gone")
	}
	takeOver(t, a, 1) // what was its own
	mustRead(t, a, kept.Extent, pattern(300_000, 1))
	closeStore(t, a)
	var left []metadata.Holder
	err := w.db.View(t.Context(), "test", func(r *metadata.Reader) (err error) {
		left, err = r.Holders()
		return err
	})
	if err != nil || len(left) > 0 {
		t.Errorf("leases are left: %v, %v", left, err)
	}
}

// Of several who take over at once each partition goes to one.
func TestManyTakeOverAtOnce(t *testing.T) {
	w := newWorld(t, 5)
	gone := w.openShared(t, Options{Classes: map[string]Scheme{"A": {}, "B": {}, "C": {}}})
	for seed, class := range []string{"", "A", "B", "C"} {
		buf, err := gone.Buffer(t.Context(), 300_000)
		if err != nil {
			t.Fatal(err)
		}
		copy(buf.Bytes(), pattern(300_000, uint64(seed)))
		p := gone.Submit(t.Context(), Blob{ID: w.db.NewDataID(), Key: "k", Class: class}, buf, 300_000)
		placed, err := p.Wait(t.Context())
		p.Done()
		if err == nil {
			err = w.publish(t.Context(), metadata.DataID{byte(seed + 1)}, placed)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var stores []*Store
	for range 4 {
		stores = append(stores, w.openShared(t, Options{}))
	}
	w.bury(t, gone.Writer())
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			if _, err := s.TakeOver(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	of := map[metadata.PartitionID]int{}
	for _, s := range stores {
		for _, p := range s.tracked() {
			of[p.row.ID]++
			row := w.row(t, p.row.ID)
			if row.Writer != s.Writer() || row.Epoch != p.row.Epoch || row.Epoch != 2 {
				t.Errorf("partition %s: epoch %d of %x, held at epoch %d", pid(row.ID), row.Epoch, row.Writer, p.row.Epoch)
			}
		}
	}
	if len(of) != 4 {
		t.Errorf("%d partitions are held, want 4", len(of))
	}
	for id, n := range of {
		if n != 1 {
			t.Errorf("%d processes have partition %s", n, pid(id))
		}
	}
	closeStore(t, gone)
	for _, s := range stores {
		closeStore(t, s)
	}
}

// A takeover that was cut short after it raised the epochs: the taker lives, and finds what it
// does not know.
func TestATakeoverThatWasCutShort(t *testing.T) {
	w := newWorld(t, 4)
	a, b := w.openShared(t, Options{}), w.openShared(t, Options{})
	kept := w.published(t, a, 1)
	w.bury(t, a.Writer())
	rows := []metadata.Partition{*w.row(t, kept.Extent.Partition)}
	if err := b.raiseEpochs(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	takeOver(t, b, 1)
	if row := w.row(t, kept.Extent.Partition); row.Epoch != 3 || row.Writer != b.Writer() {
		t.Errorf("epoch %d of %x", row.Epoch, row.Writer)
	}
	takeOver(t, b, 0)
	closeStore(t, a)
	closeStore(t, b)
}

// A process that has a partition's disks not in reach leaves it to others.
func TestTakeoverNeedsTheDisks(t *testing.T) {
	w := newWorld(t, 4)
	a := w.openShared(t, Options{Disks: w.attached(2, 3)})
	kept := w.published(t, a, 1)
	b := w.openShared(t, Options{Disks: w.attached(0, 1)})
	closeStore(t, a)
	takeOver(t, b, 0)
	c := w.openShared(t, Options{})
	if row := w.row(t, kept.Extent.Partition); row.Writer != c.Writer() || len(row.Lost) > 0 {
		t.Errorf("it went to %x, without %v", row.Writer, row.Lost)
	}
	closeStore(t, b)
	closeStore(t, c)
}

// A store that is alone takes over whatever others have left, and names nobody.
func TestAStoreThatIsAloneTakesOverAll(t *testing.T) {
	w := newWorld(t, 4)
	a := w.openShared(t, Options{})
	kept := w.published(t, a, 1)
	b := w.open(t, Options{Capacity: minCapacity})
	if row := w.row(t, kept.Extent.Partition); row.Writer != (metadata.HolderID{}) || row.Epoch != 2 {
		t.Errorf("epoch %d of %x", row.Epoch, row.Writer)
	}
	takeOver(t, b, 0) // is not for it
	mustRead(t, b, kept.Extent, pattern(300_000, 1))
	closeStore(t, b)
	c := w.openShared(t, Options{}) // and what nobody is named in is anybody's
	if row := w.row(t, kept.Extent.Partition); row.Writer != c.Writer() || row.Epoch != 3 {
		t.Errorf("epoch %d of %x", row.Epoch, row.Writer)
	}
	closeStore(t, c)
	closeStore(t, a)
}

// Another process begins to drain a disk: this one writes to it no more.
func TestDrainsOfOthersAreFollowed(t *testing.T) {
	w := newWorld(t, 4)
	s := w.openShared(t, Options{Scheme: Scheme{1, 1}})
	kept := w.published(t, s, 1)
	leaving := w.row(t, kept.Extent.Partition).Shards[0]
	state := func(to metadata.DiskState) {
		t.Helper()
		err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
			return tx.PutDisk(&metadata.Disk{ID: leaving, State: to})
		})
		if err == nil {
			err = s.KeepLease(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	state(metadata.DiskDraining)
	next := w.published(t, s, 2)
	for _, id := range w.row(t, next.Extent.Partition).Shards {
		if id == leaving {
			t.Error("a new partition is on a disk that another process drains")
		}
	}
	state(metadata.DiskActive)
	if s.disks.isLeaving(leaving) {
		t.Error("it stays away from a disk that is not drained any more")
	}
	closeStore(t, s)
}

// A writer dies while it creates a partition: another one drops it. If it lives, it leaves
// nothing behind, whatever comes first.
func TestATakeoverMeetsACreation(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.openShared(t, Options{}), w.openShared(t, Options{})
	hold := make(chan struct{})
	created := make(chan struct{}, 1)
	disks := w.attached()
	slow := &slowCreate{Disk: disks[0], created: created, hold: hold}
	if err := a.AddDisk(slow); err != nil {
		t.Fatal(err)
	}
	p := submit(t, a, pattern(300_000, 1))
	<-created
	w.bury(t, a.Writer())
	takeOver(t, b, 1)
	if rows := w.rows(t); len(rows) != 0 {
		t.Errorf("a partition that was never opened is there: %+v", rows)
	}
	close(hold)
	placed, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.publish(t.Context(), metadata.DataID{1}, placed); err != nil {
		t.Error(err)
	}
	p.Done()
	for i, d := range w.disks {
		ids, err := d.List(t.Context())
		if err != nil || len(ids) != 1 {
			t.Errorf("disk %d holds %v (%v), want the one shard", i, ids, err)
		}
	}
	closeStore(t, a)
	closeStore(t, b)
}

// slowCreate waits before the first shard is created on it.
type slowCreate struct {
	blobd.Disk
	created chan<- struct{}
	hold    <-chan struct{}
}

func (d *slowCreate) Create(ctx context.Context, spec blobd.ShardSpec) error {
	select {
	case d.created <- struct{}{}:
	default:
	}
	<-d.hold
	return d.Disk.Create(ctx, spec)
}
