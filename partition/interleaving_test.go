package partition

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// A writer pauses between its append and its publication. Meanwhile the partition is taken
// over, sealed and swept. With a fresh look at the metadata it still publishes nothing.
func TestInterleaving1LatePublish(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{Capacity: minCapacity})
	late := put(t, s, pattern(500_000, 1))
	alive := put(t, s, pattern(600_000, 2))
	if err := w.publish(t.Context(), metadata.DataID{2}, alive); err != nil {
		t.Fatal(err)
	}
	late2 := w.open(t, Options{Capacity: minCapacity})
	for _, p := range late2.tracked() {
		late2.retire(p)
	}
	if n, err := late2.SealIdle(t.Context()); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	if _, freed, err := late2.Sweep(t.Context(), late.Extent.Partition, 0, 1000); err != nil || freed == 0 {
		t.Fatalf("freed %d, %v", freed, err)
	}
	for range 2 {
		if err := w.publish(t.Context(), metadata.DataID{1}, late); !errors.Is(err, metadata.ErrFenced) {
			t.Errorf("a late publish: %v", err)
		}
	}
	mustRead(t, late2, alive.Extent, pattern(600_000, 2))
	closeStore(t, s)
	closeStore(t, late2)
}

// A stripe is freed as a whole: what dies beside a blob of the same stripe stays, so that
// the living one bears the loss of m disks.
func TestInterleaving3OnlyWholeStripesAreFreed(t *testing.T) {
	w := newWorld(t, 4)
	s := w.open(t, Options{Capacity: minCapacity, MinColumn: 4096, Scheme: Scheme{2, 2}})
	defer closeStore(t, s)
	hold := make(chan struct{}) // until all of them wait, so that they share stripes
	for _, d := range w.disks {
		d.Delay(hold)
	}
	var pending []*Pending
	for i := range 12 {
		pending = append(pending, submit(t, s, pattern(30_000, uint64(i))))
	}
	close(hold)
	stripes := map[int64][]int{}
	var placed []metadata.Placed
	for i, p := range pending {
		x, err := p.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Done()
		placed = append(placed, x)
		stripes[x.Extent.Stripe] = append(stripes[x.Extent.Stripe], i)
		if err := w.publish(t.Context(), metadata.DataID{byte(i + 1)}, x); err != nil {
			t.Fatal(err)
		}
	}
	id := placed[0].Extent.Partition
	for _, p := range s.tracked() {
		s.retire(p)
	}
	if _, err := s.SealIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	shared := 0
	for _, blobs := range stripes {
		for n, i := range blobs {
			if n == 0 {
				continue // it lives
			}
			shared++
			x := []metadata.Extent{placed[i].Extent}
			if err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error { return tx.Unpublish(metadata.DataID{byte(i + 1)}, x) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if shared == 0 {
		t.Fatal("no two blobs share a stripe")
	}
	if _, _, err := s.Sweep(t.Context(), id, 0, 1000); err != nil {
		t.Fatal(err)
	}
	row := w.row(t, id)
	for _, set := range subsets(4) {
		gone := bits(set, 4)
		if len(gone) != 2 {
			continue
		}
		for _, i := range gone {
			w.disk(row.Shards[i]).FailReads(-1, errors.New("gone"))
		}
		for _, blobs := range stripes {
			mustRead(t, s, placed[blobs[0]].Extent, pattern(30_000, uint64(blobs[0])))
		}
		for _, i := range gone {
			w.disk(row.Shards[i]).FailReads(0, nil)
		}
	}
}

// Whatever append or sync fails, what is acknowledged then has every frame, and bears the loss
// of any m disks; and no offset that an append failed at is used again, also after a start.
func TestInterleaving4And8EveryFrameAndNoOffsetTwice(t *testing.T) {
	sc := Scheme{4, 2}
	for victims := range subsets(6) {
		failing := bits(victims, 6)
		if len(failing) == 0 || len(failing) > 3 {
			continue
		}
		w := newWorld(t, 9)
		s := w.open(t, Options{Scheme: sc})
		before := put(t, s, pattern(900_000, 1))
		row := w.row(t, before.Extent.Partition)
		for n, shard := range failing {
			if n%2 == 0 {
				w.disk(row.Shards[shard]).FailAppends(1, errors.New("EIO"))
			} else {
				w.disk(row.Shards[shard]).FailSyncs(1, errors.New("EIO"))
			}
		}
		data := pattern(900_000, 2)
		b := stored{data, put(t, s, data)}
		checkDisjoint(t, []stored{{nil, before}, b})
		if b.placed.Extent.Partition == row.ID {
			t.Fatalf("shards %v failed, and the stripe is in the same partition", failing)
		}
		if columns, frames := stripeColumns(t, s, b.placed.Extent); columns != 4 || frames != 6 {
			t.Errorf("acknowledged with %d frames", frames)
		}
		closeStore(t, s)
		for _, d := range w.disks {
			d.Recover()
		}
		s = w.open(t, Options{Scheme: sc})
		if again := put(t, s, data).Extent; again.Partition == row.ID && again.Stripe < before.Extent.Stripe+2*blobd.FrameSize(before.Extent.Height) {
			t.Errorf("the offset of a stripe that failed is used again: %+v after %+v", again, before.Extent)
		}
		closeStore(t, s)
	}
}

// A takeover with a dead shard goes on without it; what was published behind a stripe that
// failed is kept; and a shard never forgets the epoch.
func TestInterleaving11Fencing(t *testing.T) {
	w := newWorld(t, 3)
	w.inventory(t, metadata.DiskActive)
	s := w.open(t, Options{Capacity: minCapacity, Scheme: Scheme{2, 1}})
	first := stored{pattern(700_000, 1), put(t, s, pattern(700_000, 1))}
	p := s.parts[first.placed.Extent.Partition]
	gap, ok := p.reserve(1<<20, 0) // of a stripe of which no frame was written
	if !ok {
		t.Fatal("there is no room")
	}
	behind := stored{pattern(700_000, 2), put(t, s, pattern(700_000, 2))}
	for i, b := range []stored{first, behind} {
		if err := w.publish(t.Context(), metadata.DataID{byte(i + 1)}, b.placed); err != nil {
			t.Fatal(err)
		}
	}
	if behind.placed.Extent.Stripe < gap+1<<20 {
		t.Fatalf("%+v lies before the gap at %d", behind.placed.Extent, gap)
	}
	row := w.row(t, p.row.ID)
	for dead := range row.Shards {
		d := w.disk(row.Shards[dead])
		d.Fail(errors.New("dead"))
		s2 := w.open(t, Options{Capacity: minCapacity, Scheme: Scheme{2, 1}})
		now := w.row(t, row.ID)
		if now.Epoch <= row.Epoch {
			t.Errorf("shard %d is dead, and the epoch is %d, was %d", dead, now.Epoch, row.Epoch)
		}
		row = now
		for i, id := range row.Shards {
			if i == dead {
				continue
			}
			if st, err := w.disk(id).Stat(t.Context(), shardID(row.ID, i)); err != nil || st.Epoch != blobd.Epoch(row.Epoch) {
				t.Errorf("shard %d: %+v, %v; the row is at %d", i, st, err, row.Epoch)
			}
		}
		mustRead(t, s2, first.placed.Extent, first.data)
		mustRead(t, s2, behind.placed.Extent, behind.data)
		d.Recover()
		closeStore(t, s2)
	}
	closeStore(t, s)
	s = w.open(t, Options{Capacity: minCapacity, Scheme: Scheme{2, 1}})
	defer closeStore(t, s)
	if n, err := s.SealIdle(t.Context()); n != 1 || err != nil {
		t.Fatalf("sealed %d, %v", n, err)
	}
	if row := w.row(t, row.ID); row.End < behind.placed.Extent.Stripe+blobd.FrameSize(behind.placed.Extent.Height) || len(row.Lost)+len(row.Damaged) > 0 {
		t.Errorf("%+v", row)
	}
	mustRead(t, s, behind.placed.Extent, behind.data)
}

// No block of a disk holds bytes of two stripes.
func TestInterleaving17NoSharedBlocks(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{})
	var blobs []stored
	for i, size := range []int{1, 100, 4095, 4096, 4097, 65_533, 300_000, 1 << 20, 4 << 20, 7} {
		blobs = append(blobs, stored{nil, put(t, s, pattern(size, uint64(i)))})
	}
	closeStore(t, s)
	s = w.open(t, Options{})
	defer closeStore(t, s)
	blobs = append(blobs, stored{nil, put(t, s, pattern(9, 9))})
	checkDisjoint(t, blobs)
	for _, b := range blobs {
		e := b.placed.Extent
		if e.Stripe%blobd.Align != 0 || blobd.FrameSize(e.Height)%blobd.Align != 0 {
			t.Errorf("%+v shares a block", e)
		}
	}
}

// Starts do not leave partitions behind, also while a disk is away at every second one.
func TestInterleaving44APartitionPerStart(t *testing.T) {
	w := newWorld(t, 4)
	w.inventory(t, metadata.DiskActive)
	for round := range 12 {
		disks := w.attached()
		if round%2 == 1 {
			disks = w.attached(3)
		}
		s := w.open(t, Options{Scheme: Scheme{2, 1}, Disks: disks, KnownDisks: 4})
		placed := put(t, s, pattern(2000, uint64(round)))
		if err := w.publish(t.Context(), metadata.DataID{byte(round + 1)}, placed); err != nil {
			t.Fatal(err)
		}
		if _, err := s.SealIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
	}
	if rows := w.rows(t); len(rows) > 8 {
		t.Errorf("%d partitions after 12 starts", len(rows))
	}
}

// asked counts the calls of a disk.
type asked struct {
	blobd.Disk
	calls *atomic.Int64
}

func (d asked) Stat(ctx context.Context, id blobd.ShardID) (blobd.ShardStat, error) {
	d.calls.Add(1)
	return d.Disk.Stat(ctx, id)
}

func (d asked) Fence(ctx context.Context, id blobd.ShardID, epoch blobd.Epoch) (blobd.ShardStat, error) {
	d.calls.Add(1)
	return d.Disk.Fence(ctx, id, epoch)
}

func (d asked) List(ctx context.Context) ([]blobd.ShardID, error) {
	d.calls.Add(1)
	return d.Disk.List(ctx)
}

// A start with many sealed partitions asks the disks for none of their shards: the first
// request does not wait for that. They are looked at afterwards, some at a time.
func TestInterleaving48StartWithManyPartitions(t *testing.T) {
	const many = 5000
	w := newWorld(t, 3)
	s := w.open(t, Options{})
	data := pattern(100_000, 1)
	open := put(t, s, data)
	closeStore(t, s)
	row := w.row(t, open.Extent.Partition)
	for from := 0; from < many; from += 500 {
		err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
			for n := range 500 {
				sealed := *row
				sealed.ID, sealed.State = metadata.PartitionID(from+n+1), metadata.PartitionSealed
				if err := tx.PutPartition(&sealed); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var calls atomic.Int64
	var disks []blobd.Disk
	for _, d := range w.disks {
		disks = append(disks, asked{d, &calls})
	}
	s = w.open(t, Options{Disks: disks})
	defer closeStore(t, s)
	mustRead(t, s, open.Extent, data)
	if n := calls.Load(); n > 3 {
		t.Errorf("%d calls before the first read, for one partition that is not sealed", n)
	}
	calls.Store(0)
	if _, more, err := s.Reconcile(t.Context()); err != nil || !more {
		t.Fatal(more, err)
	}
	if n := calls.Load(); n == 0 || n > inspectPage {
		t.Errorf("one step of the look at the disks made %d calls", n)
	}
	found := reconcileAll(t, s)
	if found.Missing == 0 {
		t.Errorf("%+v", found)
	}
	if x, err := s.Redundancy(t.Context()); err != nil || x.Beyond != many || !slices.Contains(x.Short, 1) {
		t.Errorf("%+v, %v", x, err)
	}
}
