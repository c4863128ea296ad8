package partition

import (
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// unpublish makes the references that publish wrote go.
func (w *world) unpublish(t *testing.T, id metadata.DataID, placed ...metadata.Placed) {
	t.Helper()
	extents := make([]metadata.Extent, len(placed))
	for i := range placed {
		extents[i] = placed[i].Extent
	}
	err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error { return tx.Unpublish(id, extents) })
	if err != nil {
		t.Fatal(err)
	}
}

// sealed writes blobs, publishes them under one id and seals their partition.
func (w *world) sealed(t *testing.T, s *Store, blobs ...[]byte) (metadata.DataID, []metadata.Placed) {
	t.Helper()
	var placed []metadata.Placed
	for _, b := range blobs {
		placed = append(placed, put(t, s, b))
	}
	id := w.db.NewDataID()
	if err := w.publish(t.Context(), id, placed...); err != nil {
		t.Fatal(err)
	}
	for _, p := range s.tracked() {
		if p.row.ID == placed[0].Extent.Partition {
			s.retire(p)
		}
	}
	if n, err := s.SealIdle(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d partitions sealed: %v", n, err)
	}
	return id, placed
}

func mustDrop(t *testing.T, s *Store, id metadata.PartitionID) {
	t.Helper()
	if gone, err := s.Drop(t.Context(), id); !gone || err != nil {
		t.Fatalf("Drop is %t, %v; want the partition gone", gone, err)
	}
}

func mustStay(t *testing.T, s *Store, id metadata.PartitionID) {
	t.Helper()
	if gone, err := s.Drop(t.Context(), id); gone || err != nil {
		t.Fatalf("Drop is %t, %v; want nothing dropped", gone, err)
	}
}

func (w *world) shards(t *testing.T, id metadata.PartitionID) (n int) {
	t.Helper()
	for _, d := range w.disks {
		list, err := d.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if metadata.PartitionID(s.Partition) == id {
				n++
			}
		}
	}
	return n
}

func TestDropNeedsASealedPartitionWithoutReferences(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	open := put(t, s, pattern(300<<10, 1))
	mustStay(t, s, open.Extent.Partition)

	id, placed := w.sealed(t, s, pattern(300<<10, 2))
	part := placed[0].Extent.Partition
	mustStay(t, s, part)
	mustRead(t, s, placed[0].Extent, pattern(300<<10, 2))
	w.unpublish(t, id, placed...)
	mustDrop(t, s, part)
	if w.row(t, part) != nil || w.shards(t, part) != 0 || s.Status().Counters.PartitionsDropped != 1 {
		t.Errorf("row %+v and %d shards are left", w.row(t, part), w.shards(t, part))
	}
	mustStay(t, s, part) // gone
	if _, err := read(t, s, whole1(placed[0].Extent)); !errors.Is(err, ErrGone) {
		t.Errorf("a read of a dropped partition ends with %v, want ErrGone", err)
	}
}

// TestDropWaitsForADisk drops a partition while a disk is away: it stays in
// state dropped, over a restart too, until the disk is back or removed.
func TestDropWaitsForADisk(t *testing.T) {
	for name, back := range map[string]func(w *world, s *Store, away int) error{
		"back": func(w *world, s *Store, away int) error { return s.AddDisk(w.disks[away]) },
		"removed": func(w *world, _ *Store, away int) error {
			return w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
				return tx.PutDisk(&metadata.Disk{ID: idOf(w, away), State: metadata.DiskRemoved})
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			s := w.open(t, Options{})
			id, placed := w.sealed(t, s, pattern(300<<10, 1))
			w.unpublish(t, id, placed...)
			closeStore(t, s)
			part := placed[0].Extent.Partition

			s = w.open(t, Options{Disks: w.attached(1), KnownDisks: 3})
			mustStay(t, s, part)
			closeStore(t, s)
			s = w.open(t, Options{Disks: w.attached(1), KnownDisks: 3})
			defer func() { closeStore(t, s) }()
			if row := w.row(t, part); row == nil || row.State != metadata.PartitionDropped || w.shards(t, part) != 1 {
				t.Fatalf("row %+v, %d shards", row, w.shards(t, part))
			}
			if err := back(w, s, 1); err != nil {
				t.Fatal(err)
			}
			mustDrop(t, s, part)
			if left := w.shards(t, part); w.row(t, part) != nil || name == "back" && left != 0 {
				t.Errorf("row %+v and %d shards are left", w.row(t, part), left)
			}
		})
	}
}

// TestPublishAndDropExclude seals under a writer that still holds its blob:
// what it publishes late is refused, so that a drop never takes referenced bytes.
func TestPublishAndDropExclude(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	late := put(t, s, pattern(300<<10, 1)) // durable, given up, not published
	id, placed := w.sealed(t, s, pattern(300<<10, 2))
	if late.Extent.Partition != placed[0].Extent.Partition {
		t.Fatal("the blobs are in two partitions")
	}
	if err := w.publish(t.Context(), w.db.NewDataID(), late); !errors.Is(err, metadata.ErrFenced) {
		t.Errorf("publishing in a sealed partition ends with %v", err)
	}
	w.unpublish(t, id, placed...)
	mustDrop(t, s, late.Extent.Partition)
}

// sweepAll sweeps a partition, a few references at a time.
func sweepAll(t *testing.T, s *Store, id metadata.PartitionID, limit int) (freed int64, err error) {
	t.Helper()
	for from := int64(0); from >= 0; {
		next, n, err := s.Sweep(t.Context(), id, from, limit)
		if freed += n; err != nil {
			return freed, err
		}
		if next >= 0 && next <= from && next != 0 {
			t.Fatalf("a sweep from %d goes on at %d", from, next)
		}
		from = next
	}
	return freed, nil
}

func TestSweepFreesWhatIsDeadAndNothingElse(t *testing.T) {
	for _, limit := range []int{1, 2, 100} {
		w := newWorld(t, 4)
		s := w.open(t, Options{MinColumn: 64 << 10})
		blobs := make([][]byte, 12)
		sizes := []int{300 << 10, 5000, 1 << 20, 70_000} // several shapes of stripes
		for i := range blobs {
			blobs[i] = pattern(sizes[i%len(sizes)], uint64(i))
		}
		var ids []metadata.DataID
		var placed []metadata.Placed
		for _, b := range blobs {
			p := put(t, s, b)
			id := w.db.NewDataID()
			if err := w.publish(t.Context(), id, p); err != nil {
				t.Fatal(err)
			}
			ids, placed = append(ids, id), append(placed, p)
		}
		for _, p := range s.tracked() {
			s.retire(p)
		}
		if _, err := s.SealIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		parts := map[metadata.PartitionID]int64{}
		for i, p := range placed {
			parts[p.Extent.Partition] += 0
			if i%3 != 0 {
				w.unpublish(t, ids[i], p)
				parts[p.Extent.Partition] += int64(p.Extent.Length)
			}
		}
		for part, dead := range parts {
			freed, err := sweepAll(t, s, part, limit)
			if err != nil || freed < dead {
				t.Errorf("limit %d: %d bytes were freed of %d dead ones: %v", limit, freed, dead, err)
			}
			if again, err := sweepAll(t, s, part, limit); again != 0 || err != nil {
				t.Errorf("a second sweep freed %d: %v", again, err)
			}
		}
		for i, p := range placed {
			if i%3 == 0 {
				mustRead(t, s, p.Extent, blobs[i])
				for d := range w.disks { // whole, not merely readable
					closeStore(t, s)
					s = w.open(t, Options{MinColumn: 64 << 10, Disks: w.attached(d), KnownDisks: 4})
					mustRead(t, s, p.Extent, blobs[i])
				}
				closeStore(t, s)
				s = w.open(t, Options{MinColumn: 64 << 10})
				continue
			}
			if data, err := read(t, s, whole1(p.Extent)); err == nil || len(data) != 0 {
				t.Errorf("punched bytes read as %d bytes, %v", len(data), err)
			}
		}
		closeStore(t, s)
	}
}

func TestSweepLeavesUnsealedPartitionsAlone(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	data := pattern(300<<10, 1)
	p := put(t, s, data) // not published yet
	if next, freed, err := s.Sweep(t.Context(), p.Extent.Partition, 0, 10); next >= 0 || freed != 0 || err != nil {
		t.Errorf("Sweep of an open partition is %d, %d, %v", next, freed, err)
	}
	mustRead(t, s, p.Extent, data)
}

// TestSweepStopsAtAStripeOfUnknownSize corrupts the headers that tell where a
// referenced stripe ends.
func TestSweepStopsAtAStripeOfUnknownSize(t *testing.T) {
	w := newWorld(t, 3) // 2+1
	s := w.open(t, Options{})
	defer closeStore(t, s)
	id, placed := w.sealed(t, s, pattern(300<<10, 1), pattern(300<<10, 2), pattern(300<<10, 3))
	w.unpublish(t, id, placed[0], placed[2])
	x := placed[1].Extent
	row := w.row(t, x.Partition)
	for _, shard := range []int{shardOf(0, x.Stripe, 2), 2} {
		err := w.disk(row.Shards[shard]).Corrupt(shardID(x.Partition, shard), x.Stripe+8, 1)
		if err != nil {
			t.Fatal(err)
		}
	}
	freed, err := sweepAll(t, s, x.Partition, 10)
	if !errors.Is(err, blobd.ErrCorrupt) || freed != 0 {
		t.Errorf("the sweep freed %d bytes and ended with %v", freed, err)
	}
}

func TestRetireDeadSparesLiveAndHeldPartitions(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{Capacity: minCapacity})
	defer closeStore(t, s)
	retire := func(want int) {
		t.Helper()
		if n, err := s.RetireDead(t.Context()); n != want || err != nil {
			t.Fatalf("%d partitions were retired (%v), want %d", n, err, want)
		}
	}
	retire(0)
	p := submit(t, s, pattern(2<<20, 1))
	placed, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	retire(0) // held
	id := w.db.NewDataID()
	if err := w.publish(t.Context(), id, placed); err != nil {
		t.Fatal(err)
	}
	p.Done()
	retire(0) // live
	w.unpublish(t, id, placed)
	retire(1)
	retire(0)
	if n, err := s.SealIdle(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d sealed: %v", n, err)
	}
	mustDrop(t, s, placed.Extent.Partition)
}

func TestShortDisksAreAskedAgainOnceSpaceWasFreed(t *testing.T) {
	w := newWorld(t, 3)
	now := time.Unix(1_000_000, 0) // stands still: nothing is asked again by time alone
	s := w.open(t, Options{Capacity: minCapacity, Now: func() time.Time { return now }})
	defer closeStore(t, s)
	id, placed := w.sealed(t, s, pattern(3<<20, 1))
	if s.Short(t.Context()) {
		t.Error("disks are short of space at the start")
	}
	w.unpublish(t, id, placed...)
	for _, d := range w.disks {
		d.SetFree(0)
	}
	p := submit(t, s, pattern(300<<10, 2))
	if _, err := p.Wait(t.Context()); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("a write to full disks ends with %v", err)
	}
	p.Done()
	for _, d := range s.disks.all() {
		d.setAside(now, blobd.ErrNoSpace)
	}
	if !s.Short(t.Context()) {
		t.Error("full disks are not short of space")
	}
	mustDrop(t, s, placed[0].Extent.Partition)
	for _, d := range s.disks.all() {
		if err := d.usable(now); err != nil {
			t.Errorf("a disk that got space back is set aside: %v", err)
		}
	}
}

// A process that dies between the row of a seal and the files leaves shards
// that keep the space they had in advance: the first sweep ends the seal.
func TestSweepEndsASealThatWasCutShort(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{})
	placed := put(t, s, pattern(5000, 1))
	if err := w.publish(t.Context(), w.db.NewDataID(), placed); err != nil {
		t.Fatal(err)
	}
	p := s.parts[placed.Extent.Partition]
	s.retire(p)
	if err := s.close(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := s.sealRow(t.Context(), p, &findings{end: p.next}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = w.open(t, Options{})
	defer closeStore(t, s)
	if next, _, err := s.Sweep(t.Context(), p.row.ID, 0, 10); next != -1 || err != nil {
		t.Fatalf("Sweep goes on at %d: %v", next, err)
	}
	if st, err := p.disks[0].Stat(t.Context(), shardID(p.row.ID, 0)); err != nil || st.Sealed {
		t.Errorf("a shard that nobody has looked at: %+v, %v", st, err)
	}
	for _, d := range s.disks.all() {
		d.setInspected(0)
	}
	if next, _, err := s.Sweep(t.Context(), p.row.ID, 0, 10); next != -1 || err != nil {
		t.Fatalf("Sweep goes on at %d: %v", next, err)
	}
	for i, d := range p.disks {
		st, err := d.Stat(t.Context(), shardID(p.row.ID, i))
		if err != nil || !st.Sealed || st.Epoch != blobd.Epoch(w.row(t, p.row.ID).Epoch) {
			t.Errorf("shard %d after the sweep: %+v, %v", i, st, err)
		}
	}
	mustRead(t, s, placed.Extent, pattern(5000, 1))
}
