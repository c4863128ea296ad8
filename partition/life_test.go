package partition

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// checkDisjoint fails when two stripes of a partition overlap.
func checkDisjoint(t *testing.T, blobs []stored) {
	t.Helper()
	type stripe struct {
		partition metadata.PartitionID
		from, to  int64
	}
	var all []stripe
	for _, b := range blobs {
		e := b.placed.Extent
		all = append(all, stripe{e.Partition, e.Stripe, e.Stripe + blobd.FrameSize(e.Height)})
	}
	slices.SortFunc(all, func(a, b stripe) int {
		if a.partition != b.partition {
			return int(int64(a.partition>>1) - int64(b.partition>>1))
		}
		return int(a.from - b.from)
	})
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if a != b && a.partition == b.partition && b.from < a.to {
			t.Errorf("stripes overlap: %+v %+v", a, b)
		}
	}
}

// Crash after crash: what was acknowledged and published is read, no offset is
// used twice, and no partition per restart is left behind.
func TestRestartsReusePartitions(t *testing.T) {
	w := newWorld(t, 6)
	rng := rand.New(rand.NewPCG(9, 9))
	var all []stored
	for round := range 6 {
		s := w.open(t, Options{})
		for _, b := range all {
			mustRead(t, s, b.placed.Extent, b.data)
		}
		blobs := mix(t, s, rng, 12)
		for _, b := range blobs {
			if err := w.publish(t.Context(), metadata.DataID{byte(round), 1}, b.placed); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, blobs...)
		if round%2 == 0 {
			closeStore(t, s)
		} // else it is dropped, as by a crash
	}
	checkDisjoint(t, all)
	if rows := w.rows(t); len(rows) > 2 {
		t.Errorf("%d partitions after 6 starts", len(rows))
	}
}

func TestLatePublishIsFenced(t *testing.T) {
	w := newWorld(t, 3)
	s1 := w.open(t, Options{})
	late := put(t, s1, pattern(5000, 1))
	s2 := w.open(t, Options{})
	defer closeStore(t, s2)
	id := w.db.NewDataID()
	if err := w.publish(t.Context(), id, late); !errors.Is(err, metadata.ErrFenced) {
		t.Errorf("publish after a takeover: %v", err)
	}
	fresh := put(t, s2, pattern(5000, 2))
	if fresh.Extent.Partition != late.Extent.Partition || fresh.Epoch <= late.Epoch {
		t.Errorf("written to %+v after %+v", fresh, late)
	}
	if fresh.Extent.Stripe < late.Extent.Stripe+blobd.FrameSize(late.Extent.Height) {
		t.Error("an offset was used again")
	}
	if err := w.publish(t.Context(), id, fresh); err != nil {
		t.Error(err)
	}
	// The earlier process, should it live: its shards refuse it.
	if put(t, s1, pattern(5000, 3)).Extent.Partition == late.Extent.Partition {
		t.Error("the fenced writer wrote on")
	}
	mustRead(t, s2, fresh.Extent, pattern(5000, 2))
	closeStore(t, s1)
}

func TestUnfinishedCreationsAreDropped(t *testing.T) {
	w := newWorld(t, 3)
	row := metadata.Partition{
		ID: w.db.NewPartitionID(), State: metadata.PartitionCreating, Epoch: 1, K: 2, M: 1,
		Shards: []metadata.DiskID{idOf(w, 0), idOf(w, 1), idOf(w, 2)}, Capacity: minCapacity,
	}
	err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		return tx.PutPartition(&row)
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // the process died before the third
		spec := blobd.ShardSpec{ID: shardID(row.ID, i), Epoch: 1, Capacity: minCapacity}
		if err := w.disks[i].Create(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, w.open(t, Options{Disks: w.attached(1), KnownDisks: 3}))
	if r := w.row(t, row.ID); r == nil || r.State != metadata.PartitionDropped {
		t.Errorf("with a disk away: %+v", r)
	}
	closeStore(t, w.open(t, Options{}))
	if r := w.row(t, row.ID); r != nil {
		t.Errorf("with all disks: %+v", r)
	}
	for i, d := range w.disks {
		if ids, err := d.List(t.Context()); err != nil || len(ids) > 0 {
			t.Errorf("disk %d: %v, %v", i, ids, err)
		}
	}
}

// fill writes until at least n partitions are closing, and returns what it wrote.
func fill(t *testing.T, w *world, s *Store, n int) []stored {
	t.Helper()
	var out []stored
	for seed := uint64(0); ; seed++ {
		closing := 0
		for _, row := range w.rows(t) {
			if row.State != metadata.PartitionOpen && row.State != metadata.PartitionCreating {
				closing++
			}
		}
		if closing >= n {
			return out
		}
		data := pattern(3<<20, seed)
		placed := put(t, s, data)
		if err := w.publish(t.Context(), metadata.DataID{byte(seed)}, placed); err != nil {
			t.Fatal(err)
		}
		out = append(out, stored{data, placed})
	}
}

func TestFullPartitionsAreSealed(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{Capacity: minCapacity})
	defer closeStore(t, s)
	blobs := fill(t, w, s, 3)
	checkDisjoint(t, blobs)
	n, err := s.SealIdle(t.Context())
	if err != nil || n < 3 {
		t.Fatalf("sealed %d: %v", n, err)
	}
	sealed := 0
	for _, row := range w.rows(t) {
		if row.State != metadata.PartitionSealed {
			continue
		}
		sealed++
		end := int64(0)
		for _, b := range blobs {
			if b.placed.Extent.Partition == row.ID {
				end = max(end, b.placed.Extent.Stripe+blobd.FrameSize(b.placed.Extent.Height))
			}
		}
		if row.Epoch != firstEpoch+1 || row.End < end || row.End > row.Capacity {
			t.Errorf("sealed %+v, stripes end at %d", row, end)
		}
		for i, id := range row.Shards {
			if st, err := w.disk(id).Stat(t.Context(), shardID(row.ID, i)); err != nil || !st.Sealed || st.Epoch != blobd.Epoch(row.Epoch) {
				t.Errorf("shard %d: %+v, %v", i, st, err)
			}
		}
	}
	if sealed != n {
		t.Errorf("%d rows sealed, %d counted", sealed, n)
	}
	for _, b := range blobs {
		mustRead(t, s, b.placed.Extent, b.data)
	}
	if err := w.publish(t.Context(), metadata.DataID{99}, blobs[0].placed); !errors.Is(err, metadata.ErrFenced) {
		t.Errorf("publish into a sealed partition: %v", err)
	}
}

func TestUnpublishedBlobsHoldTheSeal(t *testing.T) {
	w := newWorld(t, 2)
	s := w.open(t, Options{Capacity: minCapacity})
	defer closeStore(t, s)
	held := submit(t, s, pattern(3<<20, 77))
	placed, err := held.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, w, s, 2)
	if _, err := s.SealIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row := w.row(t, placed.Extent.Partition); row.State != metadata.PartitionClosing {
		t.Fatalf("state %d while a blob is unpublished", row.State)
	}
	if err := w.publish(t.Context(), metadata.DataID{1}, placed); err != nil {
		t.Error(err)
	}
	held.Done()
	held.Done()
	if _, err := s.SealIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row := w.row(t, placed.Extent.Partition); row.State != metadata.PartitionSealed {
		t.Errorf("state %d after Done", row.State)
	}
}

// inherit leaves a closing partition with a published and an unpublished stripe
// to the next process.
func inherit(t *testing.T, w *world) (published, garbage stored) {
	t.Helper()
	s := w.open(t, Options{Capacity: minCapacity})
	size := (len(w.disks) + 1) << 20 // on two disks or three
	published.data, garbage.data = pattern(size, 1), pattern(size, 2)
	published.placed = put(t, s, published.data)
	garbage.placed = put(t, s, garbage.data)
	if published.placed.Extent.Partition != garbage.placed.Extent.Partition {
		t.Fatal("in two partitions")
	}
	if err := w.publish(t.Context(), metadata.DataID{1}, published.placed); err != nil {
		t.Fatal(err)
	}
	return published, garbage // more than half full: not reopened
}

func TestInheritedPartitionIsVerifiedBeforeItsSeal(t *testing.T) {
	for name, c := range map[string]struct {
		broken  func(published, garbage stored) stored
		shards  []int // of which a frame of it is damaged
		want    metadata.PartitionState
		damaged []uint8
	}{
		"damaged garbage":    {func(_, g stored) stored { return g }, []int{0, 1, 2}, metadata.PartitionSealed, nil},
		"damaged reference":  {func(p, _ stored) stored { return p }, []int{1}, metadata.PartitionSealed, []uint8{1}},
		"too much is damage": {func(p, _ stored) stored { return p }, []int{1, 2}, metadata.PartitionClosing, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			published, garbage := inherit(t, w)
			row := w.row(t, published.placed.Extent.Partition)
			for _, shard := range c.shards {
				damager{w, row}.flip(t, shard, c.broken(published, garbage).placed.Extent.Stripe, 200_000)
			}
			now := newHandClock(time.Now())
			s := w.open(t, Options{Capacity: minCapacity, Now: now.now})
			defer closeStore(t, s)
			if row := w.row(t, row.ID); row.State != metadata.PartitionClosing || row.Epoch != 2 {
				t.Errorf("taken over: %+v", row)
			}
			if _, err := s.SealIdle(t.Context()); err != nil {
				t.Fatal(err)
			}
			row = w.row(t, row.ID)
			if row.State != c.want || !slices.Equal(row.Damaged, c.damaged) || len(row.Lost) > 0 {
				t.Errorf("state %d with damaged shards %v and lost %v, want %d with %v", row.State, row.Damaged, row.Lost, c.want, c.damaged)
			}
			if c.want == metadata.PartitionSealed {
				mustRead(t, s, published.placed.Extent, published.data)
				return
			}
			for _, shard := range c.shards { // the damage goes, and so does the obstacle
				damager{w, row}.flip(t, shard, published.placed.Extent.Stripe, 200_000)
			}
			now.add(sealRetry)
			if n, err := s.SealIdle(t.Context()); n != 1 || err != nil {
				t.Errorf("sealed %d, %v", n, err)
			}
		})
	}
}

// A commit whose outcome is unknown neither loses nor doubles a partition.
func TestUnknownCommits(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var armed bool
	engine := mem.New(mem.Options{Now: time.Now, Faults: mem.Faults{Seed: 1, Hook: func(p mem.Point) mem.Fault {
		if !armed || p.Place != mem.AtCommit || p.Class != class {
			return mem.None
		}
		return []mem.Fault{mem.None, mem.None, mem.UnknownApplied, mem.UnknownLost, mem.Conflict}[p.Seq%5]
	}}})
	w := newWorldOn(t, 3, engine)
	armed = true
	var all []stored
	for round := range 4 {
		s := w.open(t, Options{Capacity: minCapacity})
		for range 6 {
			data := pattern(2<<20+rng.IntN(1<<20), rng.Uint64())
			b := stored{data, put(t, s, data)}
			if err := w.publish(t.Context(), metadata.DataID{byte(round)}, b.placed); err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
		if _, err := s.SealIdle(t.Context()); err != nil {
			t.Error(err)
		}
		closeStore(t, s)
	}
	s := w.open(t, Options{Capacity: minCapacity})
	defer closeStore(t, s)
	for _, b := range all {
		mustRead(t, s, b.placed.Extent, b.data)
	}
	checkDisjoint(t, all)
	known := map[blobd.ShardID]bool{}
	for _, row := range w.rows(t) {
		for i := range row.Shards {
			known[shardID(row.ID, i)] = true
		}
	}
	for _, d := range w.disks {
		ids, err := d.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if !known[id] {
				t.Errorf("shard %s has no row", id)
			}
		}
	}
}

func TestReaderFollowsAMovedShard(t *testing.T) {
	w := newWorld(t, 4)
	s := w.open(t, Options{Scheme: Scheme{1, 1}})
	defer closeStore(t, s)
	data := pattern(50_000, 3)
	e := put(t, s, data).Extent
	mustRead(t, s, e, data) // remembers the row
	for _, d := range w.disks {
		d.Lose(shardID(e.Partition, 0))
		d.Lose(shardID(e.Partition, 1))
	}
	if _, err := read(t, s, whole1(e)); !errors.Is(err, ErrUnreadable) {
		t.Errorf("all shards lost: %v", err)
	}
	err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		row, err := tx.Partition(e.Partition)
		if err != nil {
			return err
		}
		row.State = metadata.PartitionDropped
		return tx.PutPartition(row)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, s, whole1(e)); !errors.Is(err, ErrGone) {
		t.Errorf("dropped: %v", err)
	}
}
