package partition

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// A repair that ends at any transaction, frame or commit of its own leaves a partition
// that the next one repairs, and every blob readable.
func TestRepairIsCutShortAnywhere(t *testing.T) {
	sc := Scheme{2, 2}
	for cut := int64(1); ; cut++ {
		var steps atomic.Int64
		var armed atomic.Bool
		var cancel atomic.Pointer[context.CancelFunc]
		step := func() {
			if armed.Load() && steps.Add(1) == cut {
				(*cancel.Load())()
			}
		}
		engine := mem.New(mem.Options{Now: time.Now, Faults: mem.Faults{Hook: func(p mem.Point) mem.Fault {
			if p.Place == mem.AtCommit || p.Place == mem.AtRead {
				step()
			}
			return mem.None
		}}})
		w := newSealedWorld(t, newWorldOn(t, 5, engine), sc)
		away := w.index(t, w.id, 1)
		ctx, stop := context.WithCancel(t.Context())
		cancel.Store(&stop)
		s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(away)})
		armed.Store(true)
		r, _ := s.Repair(ctx, w.id, 1, func(ctx context.Context, _ int64) error {
			step()
			return ctx.Err()
		})
		armed.Store(false)
		stop()
		closeStore(t, s) // what a kill leaves: disks and metadata as they are
		s = w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(away)})
		w.holds(t, s)
		w.repairAll(t, s)
		for more := true; more; {
			var err error
			if _, more, err = s.Reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.mustBeWhole(t, s)
		w.holds(t, s)
		w.mustHaveNoStrays(t, away)
		closeStore(t, s)
		if r.Done && steps.Load() < cut {
			if cut < 8 {
				t.Errorf("only %d cuts", cut)
			}
			return
		}
	}
}

// mustHaveNoStrays fails the test when a disk holds a shard that no row places there.
func (w *sealedWorld) mustHaveNoStrays(tb testing.TB, except ...int) {
	tb.Helper()
	known := map[blobd.ShardID]metadata.DiskID{}
	for _, row := range w.rows(tb) {
		for i, id := range row.Shards {
			known[shardID(row.ID, i)] = id
		}
	}
	for i, d := range w.disks {
		if slices.Contains(except, i) {
			continue
		}
		ids, err := d.List(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		for _, id := range ids {
			if known[id] != metadata.DiskID(d.ID()) {
				tb.Errorf("disk %d has a stray shard %s", i, id)
			}
		}
	}
}

// Two processes that repair the same shards at once, with metadata that
// conflict and lose answers: one of them counts, and nothing is left of the other.
func TestTwoRepairsAtOnce(t *testing.T) {
	sc := Scheme{2, 2}
	for seed := range uint64(8) {
		var armed atomic.Bool
		engine := mem.New(mem.Options{Now: time.Now, Faults: mem.Faults{Seed: seed, Hook: func(p mem.Point) mem.Fault {
			if !armed.Load() || p.Place != mem.AtCommit || p.Class != class {
				return mem.None
			}
			return []mem.Fault{mem.None, mem.None, mem.UnknownApplied, mem.UnknownLost, mem.Conflict}[p.Seq%5]
		}}})
		w := newSealedWorld(t, newWorldOn(t, 6, engine), sc)
		lost := []int{w.index(t, w.id, 0), w.index(t, w.id, 3)}
		var stores []*Store
		for range 2 {
			stores = append(stores, w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(lost...)}))
		}
		armed.Store(true)
		var wg sync.WaitGroup
		for n, s := range stores {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(n)))
				for range 6 {
					for _, i := range rng.Perm(4) {
						if _, err := s.Repair(t.Context(), w.id, uint8(i), nil); err != nil {
							t.Error(err)
						}
					}
					if _, _, err := s.Reconcile(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		armed.Store(false)
		for _, s := range stores {
			w.repairAll(t, s)
			s.views.clear()
			for _, d := range s.disks.all() {
				d.known = false
			}
			for more := true; more; {
				var err error
				if _, more, err = s.Reconcile(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			w.mustBeWhole(t, s)
			w.holds(t, s)
		}
		w.mustHaveNoStrays(t, lost...)
		for _, s := range stores {
			closeStore(t, s)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A partition that is dropped while a shard of it is rebuilt leaves nothing.
func TestDropDuringARepair(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	away := w.index(t, w.id, 0)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(away)})
	defer closeStore(t, s)
	other := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(away)}) // in this process they exclude each other
	defer closeStore(t, other)
	w.inventory(t, metadata.DiskRemoved, away)
	frames := 0
	r, err := s.Repair(t.Context(), w.id, 0, func(ctx context.Context, _ int64) error {
		if frames++; frames > 1 {
			return nil
		}
		if err := w.db.Update(ctx, "test", func(tx *metadata.Tx) error {
			refs, err := tx.Refs(w.id, 0, 0)
			for _, ref := range refs {
				err = errors.Join(err, tx.DeleteRefs(w.id, ref.Stripe, ref.ID))
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		gone, err := other.Drop(ctx, w.id)
		if !gone || err != nil {
			t.Errorf("dropped: %v, %v", gone, err)
		}
		return nil
	})
	if r.Done || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	w.mustHaveNoStrays(t, away)
}

// A repair that finds a stripe beyond repair changes nothing while a disk may
// come back.
func TestRepairKeepsWhatMayComeBack(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	before := w.row(t, w.id)
	away := w.index(t, w.id, 0)
	bad := w.blobs[1].placed.Extent
	damager{w.world, before}.flip(t, 2, bad.Stripe, blobd.FrameHeaderSize+5)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(away)})
	defer closeStore(t, s)
	if _, err := s.Repair(t.Context(), w.id, 0, nil); !errors.Is(err, ErrUnreadable) {
		t.Errorf("repair of a stripe without its parity: %v", err)
	}
	if row := w.row(t, w.id); !slices.Equal(row.Shards, before.Shards) {
		t.Errorf("the shard moved: %+v", row)
	}
	w.mustHaveNoStrays(t)
	// The administrator says that it does not.
	w.inventory(t, metadata.DiskRemoved, away)
	r, err := s.Repair(t.Context(), w.id, 0, nil)
	if err != nil || !r.Done || r.Unreadable != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if row := w.row(t, w.id); !slices.Equal(row.Damaged, []uint8{0}) || slices.Equal(row.Shards, before.Shards) {
		t.Errorf("after a repair that lost a stripe: %+v", row)
	}
	for i, b := range w.blobs {
		if i != 1 {
			mustRead(t, s, b.placed.Extent, b.data)
		}
	}
}

// What dies after repair has read it, and is punched on the old shards, comes to the
// new one as garbage: the next sweep frees it there.
func TestInterleaving12RepairAgainstSweep(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	parity := 2 // it has a frame of every stripe
	away := w.index(t, w.id, parity)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(away)})
	defer closeStore(t, s)
	dead := w.blobs[0].placed.Extent
	sweep := func() (freed int64) {
		_, freed, err := s.Sweep(t.Context(), w.id, 0, 1000)
		if err != nil {
			t.Error(err)
		}
		return freed
	}
	frames := 0
	r, err := s.Repair(t.Context(), w.id, uint8(parity), func(ctx context.Context, _ int64) error {
		if frames++; frames > 1 {
			return nil
		}
		return w.db.Update(ctx, "test", func(tx *metadata.Tx) error { return tx.DeleteRefs(w.id, dead.Stripe, metadata.DataID{1}) })
	})
	if err != nil || !r.Done {
		t.Fatalf("%+v, %v", r, err)
	}
	row := w.row(t, w.id)
	header := make([]byte, blobd.FrameHeaderSize)
	read := func() error {
		_, err := w.disk(row.Shards[parity]).ReadAt(t.Context(), shardID(w.id, parity), header, dead.Stripe)
		if err == nil {
			_, err = blobd.ParseFrameHeader(header, blobd.Secret(row.Secret), shardID(w.id, parity), dead.Stripe)
		}
		return err
	}
	if err := read(); err != nil {
		t.Errorf("the dead frame was not copied, so that this test shows nothing: %v", err)
	}
	if freed := sweep(); freed == 0 {
		t.Error("the sweep freed nothing")
	}
	if err := read(); !errors.Is(err, blobd.ErrCorrupt) {
		t.Errorf("the dead frame after the sweep: %v", err)
	}
	w.blobs = w.blobs[1:]
	w.holds(t, s)
	w.repairAll(t, s) // the other partition of the disk
	w.mustBeWhole(t, s)
}

// A disk that cannot be listed does not keep the others from being reconciled.
func TestReconcileGoesPastABadDisk(t *testing.T) {
	w := newSealedWorld(t, newWorld(t, 3), Scheme{2, 1})
	stray := shardID(77, 1)
	for _, d := range w.disks {
		if err := d.Create(t.Context(), blobd.ShardSpec{ID: stray, Epoch: 1, Capacity: 4096}); err != nil {
			t.Fatal(err)
		}
	}
	now := newHandClock(time.Now())
	disks := w.attached()
	bad := &unlisted{Disk: disks[0]}
	disks[0] = bad
	s := w.open(t, Options{Capacity: minCapacity, Disks: disks, Now: now.now})
	defer closeStore(t, s)
	run := func() (unknown, failed int) {
		for range 8 {
			r, _, err := s.Reconcile(t.Context())
			unknown += r.Unknown
			if err != nil {
				failed++
			}
		}
		return unknown, failed
	}
	if unknown, failed := run(); unknown != 2 || failed != 1 {
		t.Errorf("%d shards were set aside, %d failures", unknown, failed)
	}
	bad.well = true
	now.add(reconcileRetry)
	if unknown, failed := run(); unknown != 1 || failed != 0 {
		t.Errorf("%d shards were set aside, %d failures", unknown, failed)
	}
	w.mustBeWhole(t, s)
}

// unlisted is a disk whose directory cannot be read until it is well.
type unlisted struct {
	blobd.Disk
	well bool
}

func (d *unlisted) List(ctx context.Context) ([]blobd.ShardID, error) {
	if !d.well {
		return nil, errors.New("EIO")
	}
	return d.Disk.List(ctx)
}
