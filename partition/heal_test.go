package partition

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/memory"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// reconcileAll reconciles until there is nothing left, and sums up what was found.
func reconcileAll(t *testing.T, s *Store) (sum Reconciled) {
	t.Helper()
	for more := true; more; {
		var r Reconciled
		var err error
		if r, more, err = s.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		sum.Missing += r.Missing
		sum.Superseded += r.Superseded
		sum.Kept += r.Kept
		sum.Unknown += r.Unknown
	}
	return sum
}

// onCommit calls fn once, in the next commit of this package that is armed.
func onCommit(armed *atomic.Pointer[func()]) mem.Options {
	return mem.Options{Now: time.Now, Faults: mem.Faults{Hook: func(p mem.Point) mem.Fault {
		if p.Place == mem.AtCommit && p.Class == class {
			if fn := armed.Swap(nil); fn != nil {
				(*fn)()
			}
		}
		return mem.None
	}}}
}

// A disk is replaced by an emptied one, and looked at, between the look that a
// seal takes at it and the row: the row does not say for long that its shard is whole.
func TestDiskReplacedDuringASeal(t *testing.T) {
	var armed atomic.Pointer[func()]
	w := newWorldOn(t, 4, mem.New(onCommit(&armed)))
	w.inventory(t, metadata.DiskActive)
	published, _ := inherit3(t, w)
	id := published.placed.Extent.Partition
	s := w.open(t, Options{Capacity: minCapacity, Scheme: Scheme{2, 1}})
	defer closeStore(t, s)
	row := w.row(t, id)
	emptied := memory.New(blobd.DiskID(row.Shards[0]))
	replace := func() {
		if err := s.AddDisk(emptied); err != nil {
			t.Error(err)
		}
		reconcileAll(t, s)
	}
	armed.Store(&replace)
	if _, err := s.SealIdle(t.Context()); err != nil {
		t.Log(err)
	}
	if row = w.row(t, id); row.State != metadata.PartitionSealed {
		t.Fatalf("%+v", row)
	}
	reconcileAll(t, s)
	if row = w.row(t, id); !slices.Contains(row.Lost, 0) {
		t.Errorf("a shard that is not there counts as whole: %+v", row)
	}
}

// inherit3 is inherit at 2+1 on four disks.
func inherit3(t *testing.T, w *world) (published, garbage stored) {
	t.Helper()
	s := w.open(t, Options{Capacity: minCapacity, Scheme: Scheme{2, 1}})
	published.data, garbage.data = pattern(4<<20, 1), pattern(4<<20, 2)
	published.placed, garbage.placed = put(t, s, published.data), put(t, s, garbage.data)
	if err := w.publish(t.Context(), metadata.DataID{1}, published.placed); err != nil {
		t.Fatal(err)
	}
	put(t, s, pattern(4<<20, 3))
	return published, garbage
}

// What a look at a disk finds missing is recorded although the row changes hands
// between the look and the record.
func TestReconcileBesideARepair(t *testing.T) {
	var armed atomic.Pointer[func()]
	w := newSealedWorld(t, newWorldOn(t, 4, mem.New(onCommit(&armed))), Scheme{2, 1})
	row := w.row(t, w.id)
	w.disk(row.Shards[1]).Lose(shardID(w.id, 1))
	s := w.open(t, Options{Capacity: minCapacity, Scheme: Scheme{2, 1}})
	defer closeStore(t, s)
	raise := func() { // as a repair of another shard does
		if err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
			row, err := tx.Partition(w.id)
			if err != nil {
				return err
			}
			row.Epoch++
			return tx.PutPartition(row)
		}); err != nil {
			t.Error(err)
		}
	}
	armed.Store(&raise)
	if found := reconcileAll(t, s); found.Missing != 1 {
		t.Errorf("%+v", found)
	}
	if row := w.row(t, w.id); !slices.Equal(row.Lost, []uint8{1}) {
		t.Errorf("%+v", row)
	}
}

// A shard that was rebuilt elsewhere while its disk was away is the last that there
// is, once the new one and another disk are gone: it is kept, and counted on again.
func TestSupersededShardIsTheLastOne(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	away := w.index(t, w.id, 0)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(away)})
	w.repairAll(t, s)
	closeStore(t, s)
	target, other := w.index(t, w.id, 0), w.index(t, w.id, 1)
	if target == away {
		t.Fatal("nothing was rebuilt")
	}
	s = w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(target, other)})
	defer closeStore(t, s)
	for range 3 {
		reconcileAll(t, s)
		if ids, err := w.disks[away].List(t.Context()); err != nil || !slices.Contains(ids, shardID(w.id, 0)) {
			t.Fatalf("the last copy of the shard is gone: %v, %v", ids, err)
		}
		for _, d := range s.disks.all() {
			d.doubt() // as after a start
		}
	}
	if r, err := s.Repair(t.Context(), w.id, 0, nil); err != nil || !r.Revived {
		t.Errorf("%+v, %v", r, err)
	}
	for _, b := range w.blobs {
		if b.placed.Extent.Partition == w.id {
			mustRead(t, s, b.placed.Extent, b.data)
		}
	}
	if row := w.row(t, w.id); row.Shards[0] != idOf(w.world, away) {
		t.Errorf("%+v", row)
	}
}

// Metadata that are older than the disks, as restored from a copy: epochs and offsets go on
// above those of the shards, and what was written since is set aside or passed over.
func TestInterleaving18EpochsOfRestoredMetadata(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{Capacity: minCapacity})
	first := pattern(100_000, 1)
	placed := put(t, s, first)
	if err := w.publish(t.Context(), metadata.DataID{1}, placed); err != nil {
		t.Fatal(err)
	}
	id := placed.Extent.Partition
	saved := *w.row(t, id)
	creating := saved
	closeStore(t, s)
	for range 5 { // starts, with stripes that the saved metadata do not know
		s = w.open(t, Options{Capacity: minCapacity})
		put(t, s, pattern(100_000, 2))
		closeStore(t, s)
	}
	later := w.row(t, id)
	creating.ID, creating.State = w.db.NewPartitionID(), metadata.PartitionCreating
	for i := range creating.Shards {
		spec := blobd.ShardSpec{ID: shardID(creating.ID, i), Epoch: 1, Capacity: minCapacity}
		if err := w.disk(creating.Shards[i]).Create(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		if _, err := w.disk(creating.Shards[i]).Fence(t.Context(), spec.ID, 3); err != nil {
			t.Fatal(err)
		}
	}
	err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		return errors.Join(tx.PutPartition(&saved), tx.PutPartition(&creating))
	})
	if err != nil {
		t.Fatal(err)
	}
	s = w.open(t, Options{Capacity: minCapacity})
	defer closeStore(t, s)
	mustRead(t, s, placed.Extent, first)
	fresh := put(t, s, pattern(100_000, 3))
	if now := w.row(t, id); fresh.Extent.Partition != id || now.Epoch <= later.Epoch {
		t.Errorf("written to %+v; the row is %+v, was %+v before the restore", fresh, now, later)
	}
	if end := placed.Extent.Stripe + 6*blobd.FrameSize(placed.Extent.Height); fresh.Extent.Stripe < end {
		t.Errorf("written at %d, younger stripes end at %d", fresh.Extent.Stripe, end)
	}
	if err := w.publish(t.Context(), metadata.DataID{3}, fresh); err != nil {
		t.Error(err)
	}
	for _, d := range w.disks {
		if got := d.Disowned(); len(got) != 1 || got[0].Partition != blobd.PartitionID(creating.ID) {
			t.Errorf("set aside: %v", got)
		}
	}
}

// A shard that was rebuilt on another disk after the metadata were saved is found there.
func TestInterleaving18ShardsMovedSinceTheBackup(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	saved := w.row(t, w.id)
	away := w.index(t, w.id, 0)
	for range 3 { // it moves, and epochs rise
		s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(away)})
		w.repairAll(t, s)
		closeStore(t, s)
		away = w.index(t, w.id, 0)
	}
	for i, d := range w.disks { // the disks that it left are new and empty
		if i != away {
			d.Lose(shardID(w.id, 0))
		}
	}
	if err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error { return tx.PutPartition(saved) }); err != nil {
		t.Fatal(err)
	}
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	defer closeStore(t, s)
	reconcileAll(t, s)
	w.repairAll(t, s)
	w.mustBeWhole(t, s)
	w.holds(t, s)
	if on := w.index(t, w.id, 0); on != away || s.Status().Counters.Revived == 0 {
		t.Errorf("the shard was rebuilt on disk %d, it was on %d", on, away)
	}
}

// The ledger knows what is missing of partitions that are not sealed.
func TestRedundancyOfUnsealedPartitions(t *testing.T) {
	w := newWorld(t, 3)
	published, _ := inherit(t, w)
	row := w.row(t, published.placed.Extent.Partition)
	w.disk(row.Shards[1]).Lose(shardID(row.ID, 1))
	now := newHandClock(time.Now())
	s := w.open(t, Options{Capacity: minCapacity, Now: now.now})
	defer closeStore(t, s)
	if x, err := s.Redundancy(t.Context()); err != nil || x.Whole() || x.Short[1] != 1 {
		t.Errorf("with a shard lost: %+v, %v", x, err)
	}
	damager{w, row}.flip(t, 0, published.placed.Extent.Stripe, 200_000)
	if n, err := s.SealIdle(t.Context()); n != 0 || err != nil {
		t.Fatalf("sealed %d, %v", n, err)
	}
	if x, err := s.Redundancy(t.Context()); err != nil || x.Beyond != 1 {
		t.Errorf("with a stripe that cannot be read: %+v, %v", x, err)
	}
	damager{w, row}.flip(t, 0, published.placed.Extent.Stripe, 200_000)
	now.add(sealRetry)
	if n, err := s.SealIdle(t.Context()); n != 1 || err != nil {
		t.Fatalf("sealed %d, %v", n, err)
	}
	if x, err := s.Redundancy(t.Context()); err != nil || x.Beyond != 0 || x.Short[1] != 1 {
		t.Errorf("sealed without it: %+v, %v", x, err)
	}
}

// A disk that has failed keeps neither the space of the others nor a drop from going on.
func TestFreeingBesideAFailedDisk(t *testing.T) {
	w := newSealedWorld(t, newWorld(t, 3), Scheme{2, 1})
	s := w.open(t, Options{Capacity: minCapacity})
	defer closeStore(t, s)
	reconcileAll(t, s)
	row := w.row(t, w.id)
	failed := w.disk(row.Shards[1])
	failed.Fail(errors.New("gone"))
	next, freed, err := s.Sweep(t.Context(), w.id, 0, 1000)
	if next != -1 || err != nil || freed == 0 {
		t.Errorf("the sweep freed %d bytes and goes on at %d, %v", freed, next, err)
	}
	err = w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		refs, err := tx.Refs(w.id, 0, 0)
		for _, ref := range refs {
			err = errors.Join(err, tx.DeleteRefs(w.id, ref.Stripe, ref.ID))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if gone, err := s.Drop(t.Context(), w.id); gone || err != nil {
		t.Errorf("dropped: %v, %v", gone, err)
	}
	failed.Recover()
	if gone, err := s.Drop(t.Context(), w.id); !gone || err != nil {
		t.Errorf("dropped with all disks: %v, %v", gone, err)
	}
}

// A shard that was away when its partition was sealed has frames behind the end that the
// row says: they are freed when it is back.
func TestFramesBehindTheEndAreFreed(t *testing.T) {
	w := newWorld(t, 2)
	w.inventory(t, metadata.DiskActive)
	published, _ := inherit(t, w)
	id := published.placed.Extent.Partition
	row := w.row(t, id)
	// An append that the other disk did not live to see.
	at := row.Capacity - 1<<20
	h := blobd.FrameHeader{
		Shard: shardID(id, 1), Column: 1, Columns: 1, K: 1, M: 1, Epoch: blobd.Epoch(row.Epoch), Offset: at,
		StripeID: 7, Height: 500_000, Used: 500_000,
	}
	frame := blobd.AppendFrame(nil, h, blobd.Secret(row.Secret), make([]byte, h.Height), nil)
	if err := w.disk(row.Shards[1]).Append(t.Context(), blobd.Append{Shard: h.Shard, Epoch: h.Epoch, Offset: at, Data: frame}); err != nil {
		t.Fatal(err)
	}
	longer := slices.IndexFunc(w.disks, func(d *memory.Disk) bool { return metadata.DiskID(d.ID()) == row.Shards[1] })
	s := w.open(t, Options{Capacity: minCapacity, Disks: w.attached(longer), KnownDisks: 2})
	defer closeStore(t, s)
	if n, err := s.SealIdle(t.Context()); n != 1 || err != nil {
		t.Fatalf("sealed %d, %v", n, err)
	}
	if err := s.AddDisk(w.disks[longer]); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Repair(t.Context(), id, 1, nil); err != nil || !r.Revived {
		t.Fatalf("%+v, %v", r, err)
	}
	reconcileAll(t, s)
	if _, _, err := s.Sweep(t.Context(), id, 0, 1000); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, blobd.FrameHeaderSize)
	if _, err := w.disks[longer].ReadAt(t.Context(), h.Shard, header, at); err != nil || slices.Max(header) != 0 {
		t.Errorf("the frame is still there, %v", err)
	}
	mustRead(t, s, published.placed.Extent, published.data)
}
