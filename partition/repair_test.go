package partition

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/memory"
	"github.com/undercroft/undercroft/metadata"
)

// sealedWorld is disks in the inventory and one sealed partition with blobs of all shapes
// of stripes, garbage between them.
type sealedWorld struct {
	*world
	id    metadata.PartitionID
	blobs []stored
}

func newSealedWorld(tb testing.TB, w *world, sc Scheme) *sealedWorld {
	tb.Helper()
	sw := &sealedWorld{world: w}
	sw.inventory(tb, metadata.DiskActive)
	s := w.open(tb, Options{Scheme: sc, Capacity: minCapacity, MinColumn: 16 << 10})
	for i, size := range []int{100, 9000, 70_000, 300_000, 1 << 20, 20_000, 600_000} {
		data := pattern(size, uint64(i)+1)
		placed := put(tb, s, data)
		if i%3 == 1 {
			continue // garbage
		}
		if err := w.publish(tb.Context(), metadata.DataID{byte(i + 1)}, placed); err != nil {
			tb.Fatal(err)
		}
		sw.blobs = append(sw.blobs, stored{data, placed})
	}
	for _, p := range s.tracked() {
		s.retire(p)
	}
	if _, err := s.SealIdle(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	closeStore(tb, s)
	sw.id = sw.blobs[0].placed.Extent.Partition
	return sw
}

// inventory records all disks.
func (w *world) inventory(tb testing.TB, state metadata.DiskState, disks ...int) {
	tb.Helper()
	for i := range w.disks {
		if len(disks) > 0 && !slices.Contains(disks, i) {
			continue
		}
		d := metadata.Disk{ID: idOf(w, i), State: state, Path: fmt.Sprint("/", i)}
		if err := w.db.Update(tb.Context(), "test", func(tx *metadata.Tx) error { return tx.PutDisk(&d) }); err != nil {
			tb.Fatal(err)
		}
	}
}

// index is the number of the disk that has a shard of the partition.
func (w *sealedWorld) index(tb testing.TB, id metadata.PartitionID, shard int) int {
	tb.Helper()
	on := w.row(tb, id).Shards[shard]
	return slices.IndexFunc(w.disks, func(d *memory.Disk) bool { return metadata.DiskID(d.ID()) == on })
}

// holds reads every blob.
func (w *sealedWorld) holds(tb testing.TB, s *Store) {
	tb.Helper()
	for _, b := range w.blobs {
		mustRead(tb, s, b.placed.Extent, b.data)
	}
}

// mustBeWhole fails the test unless every frame of every referenced stripe is
// there, on disks that differ, and the rows say so.
func (w *sealedWorld) mustBeWhole(tb testing.TB, s *Store) {
	tb.Helper()
	for _, row := range w.rows(tb) {
		if row.State != metadata.PartitionSealed {
			continue
		}
		p := newOpenPartition(row, nil, 0)
		damaged, err := s.verifyReferenced(tb.Context(), p, &findings{disks: s.disks.attached(&row)})
		if err != nil || len(damaged) > 0 || len(row.Lost)+len(row.Damaged) > 0 {
			tb.Errorf("damaged shards %v, %v; %+v", damaged, err, row)
		}
		for i, id := range row.Shards {
			if slices.Contains(row.Shards[:i], id) {
				tb.Errorf("two shards on one disk: %+v", row)
			}
			if st, err := w.disk(id).Stat(tb.Context(), shardID(row.ID, i)); err != nil || !st.Sealed {
				tb.Errorf("shard %d: %+v, %v", i, st, err)
			}
		}
	}
}

// repairAll repairs every shard that is lost, damaged or on a disk that does
// not serve. It returns how many were.
func (w *sealedWorld) repairAll(tb testing.TB, s *Store) (done int) {
	tb.Helper()
	for _, row := range w.rows(tb) {
		for _, i := range row.Missing(func(id metadata.DiskID) bool { return !s.Serves(id) }) {
			r, err := s.Repair(tb.Context(), row.ID, i, nil)
			if err != nil {
				tb.Fatal(err)
			}
			if r.Done {
				done++
			}
		}
	}
	return done
}

func schemes() []Scheme { return []Scheme{{2, 1}, {2, 2}, {4, 2}} }

// Any m disks that are gone for good: their shards are rebuilt on others, byte
// for byte, and then any other m may go.
func TestRepairOfEveryCombinationOfLostDisks(t *testing.T) {
	for _, sc := range schemes() {
		n := sc.K + sc.M
		for _, set := range subsets(n) {
			gone := bits(set, n)
			if len(gone) == 0 || len(gone) > sc.M {
				continue
			}
			t.Run(fmt.Sprint(sc, gone), func(t *testing.T) {
				w := newSealedWorld(t, newWorld(t, n+sc.M), sc)
				var lost []int
				for _, shard := range gone {
					lost = append(lost, w.index(t, w.id, shard))
				}
				s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(lost...)})
				if got := w.repairAll(t, s); got < len(gone) {
					t.Errorf("%d shards were repaired, want %d at least", got, len(gone))
				}
				w.mustBeWhole(t, s)
				w.holds(t, s)
				closeStore(t, s)
				for _, other := range subsets(n) {
					if shards := bits(other, n); len(shards) == sc.M {
						w.holdsWithout(t, sc, shards, lost)
					}
				}
			})
		}
	}
}

// holdsWithout reads everything with more disks away: those of some shards of the first
// partition.
func (w *sealedWorld) holdsWithout(t *testing.T, sc Scheme, shards, lost []int) {
	t.Helper()
	away := slices.Clone(lost)
	for _, shard := range shards {
		away = append(away, w.index(t, w.id, shard))
	}
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(away...)})
	defer closeStore(t, s)
	for _, b := range w.blobs {
		if b.placed.Extent.Partition == w.id {
			mustRead(t, s, b.placed.Extent, b.data)
		}
	}
}

// Shards whose files are gone, on disks that are there, where there is no other
// disk: they are written where they were.
func TestRepairInPlace(t *testing.T) {
	for _, sc := range schemes() {
		t.Run(sc.String(), func(t *testing.T) {
			n := sc.K + sc.M
			w := newSealedWorld(t, newWorld(t, n), sc)
			row := w.row(t, w.id)
			for shard := range sc.M {
				w.disk(row.Shards[2*shard]).Lose(shardID(w.id, 2*shard))
			}
			s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
			defer closeStore(t, s)
			missing := 0
			for more := true; more; {
				var r Reconciled
				var err error
				if r, more, err = s.Reconcile(t.Context()); err != nil {
					t.Fatal(err)
				}
				missing += r.Missing
			}
			if missing != sc.M {
				t.Errorf("%d shards were found missing, want %d", missing, sc.M)
			}
			if x, err := s.Redundancy(t.Context()); err != nil || x.Short[sc.M] != 1 || x.Critical != 1 || x.Whole() {
				t.Errorf("redundancy %+v, %v", x, err)
			}
			if got := w.repairAll(t, s); got != sc.M {
				t.Errorf("%d shards were repaired", got)
			}
			if now := w.row(t, w.id); !slices.Equal(now.Shards, row.Shards) {
				t.Errorf("shards moved: %v, were %v", now.Shards, row.Shards)
			}
			w.mustBeWhole(t, s)
			w.holds(t, s)
			if x, err := s.Redundancy(t.Context()); err != nil || !x.Whole() {
				t.Errorf("redundancy %+v, %v", x, err)
			}
		})
	}
}

// Damage that a read finds is recorded and repaired, also where others of the stripe's
// frames are damaged in other blocks.
func TestRepairOfDamageFoundByReads(t *testing.T) {
	w := newSealedWorld(t, newWorld(t, 6), Scheme{4, 2})
	w.id = w.blobs[2].placed.Extent.Partition // of the larger ones
	row := w.row(t, w.id)
	s := w.open(t, Options{Capacity: minCapacity})
	defer closeStore(t, s)
	for _, b := range w.blobs {
		e := b.placed.Extent
		for shard := range 4 { // two bad blocks of a kind are what 4+2 bears
			n := shard / 2
			if e.Partition != w.id || n >= int(blobd.BlockCount(e.Height)) {
				continue
			}
			at := e.Stripe + blobd.FrameHeaderSize + 1 + int64(n)*blobd.BlockSize
			_ = w.disk(row.Shards[shard]).Corrupt(shardID(w.id, shard), at, 3) // a column may be absent
		}
	}
	noted := 0
	for range 20 {
		w.holds(t, s)
		n, err := s.NoteDamage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		noted += n
		if n == 0 && w.repairAll(t, s) == 0 {
			break
		}
	}
	if noted < 2 {
		t.Errorf("%d damaged shards were noted", noted)
	}
	w.mustBeWhole(t, s)
	w.holds(t, s)
	if n := s.damages.len(); n != 0 {
		t.Errorf("%d damages wait", n)
	}
}

// What reads report and is not so any more is not recorded: a frame that
// verifies, and one that is garbage.
func TestDamageIsLookedAtAgain(t *testing.T) {
	w := newSealedWorld(t, newWorld(t, 3), Scheme{2, 1})
	s := w.open(t, Options{Capacity: minCapacity})
	defer closeStore(t, s)
	v, err := s.views.get(t.Context(), w.id)
	if err != nil {
		t.Fatal(err)
	}
	s.damaged(v, 2, w.blobs[0].placed.Extent.Stripe, blobd.ErrCorrupt)
	s.damaged(v, 1, 7<<20, blobd.ErrCorrupt)
	s.damaged(v, 0, w.blobs[0].placed.Extent.Stripe, errSlow)
	if n := s.damages.len(); n != 2 {
		t.Errorf("%d damages wait, want 2: a slow disk is none", n)
	}
	if n, err := s.NoteDamage(t.Context()); n != 0 || err != nil {
		t.Errorf("noted %d, %v", n, err)
	}
	w.mustBeWhole(t, s)
}

// A lost shard that comes back whole is taken back as it is; one that lacks a
// frame is not.
func TestLostShardComesBack(t *testing.T) {
	for name, broken := range map[string]bool{"whole": false, "stale": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.inventory(t, metadata.DiskActive)
			published, _ := inherit(t, w)
			id := published.placed.Extent.Partition
			s := w.open(t, Options{Capacity: minCapacity, Disks: w.attached(0), KnownDisks: 2})
			if n, err := s.SealIdle(t.Context()); n != 1 || err != nil {
				t.Fatalf("sealed %d, %v", n, err)
			}
			lost := w.row(t, id).Lost
			if len(lost) != 1 {
				t.Fatalf("lost shards %v", lost)
			}
			if _, err := s.Repair(t.Context(), id, lost[0], nil); !errors.Is(err, ErrNoTarget) {
				t.Errorf("repair without a disk for it: %v", err)
			}
			if broken {
				if err := w.disks[0].Corrupt(shardID(id, int(lost[0])), published.placed.Extent.Stripe+200_000, 1); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.AddDisk(w.disks[0]); err != nil {
				t.Fatal(err)
			}
			r, err := s.Repair(t.Context(), id, lost[0], nil)
			if err != nil || !r.Done || r.Revived == broken {
				t.Errorf("%+v, %v", r, err)
			}
			sw := &sealedWorld{world: w, id: id, blobs: []stored{published}}
			sw.mustBeWhole(t, s)
			sw.holds(t, s)
			closeStore(t, s)
		})
	}
}

// interleavings 12 and 23: a disk that was away comes back after its shard was
// rebuilt elsewhere: the stale one goes, and nothing else.
func TestStaleShardOfADiskThatComesBack(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	away := w.index(t, w.id, 0)
	unknown := shardID(77, 1)
	if err := w.disks[away].Create(t.Context(), blobd.ShardSpec{ID: unknown, Epoch: 1, Capacity: 4096}); err != nil {
		t.Fatal(err)
	}
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity, Disks: w.attached(away)})
	if w.repairAll(t, s) == 0 {
		t.Error("nothing was repaired")
	}
	if err := s.AddDisk(w.disks[away]); err != nil {
		t.Fatal(err)
	}
	superseded := 0
	for more := true; more; {
		var r Reconciled
		var err error
		if r, more, err = s.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		superseded += r.Superseded
		if r.Missing != 0 {
			t.Errorf("%+v", r)
		}
	}
	ids, err := w.disks[away].List(t.Context())
	if err != nil || superseded == 0 || slices.Contains(ids, shardID(w.id, 0)) {
		t.Errorf("%d superseded shards; left: %v, %v", superseded, ids, err)
	}
	if got := w.disks[away].Disowned(); !slices.Equal(got, []blobd.ShardID{unknown}) {
		t.Errorf("disowned: %v", got)
	}
	w.mustBeWhole(t, s)
	w.holds(t, s)
	closeStore(t, s)
}

// Readers that hold a view of before follow a shard that moved.
func TestReaderFollowsARepairedShard(t *testing.T) {
	sc := Scheme{1, 1}
	w := newSealedWorld(t, newWorld(t, 3), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	defer closeStore(t, s)
	b := w.blobs[len(w.blobs)-1]
	r := s.NewReader(t.Context(), segments(whole1(b.placed.Extent)))
	head := make([]byte, 1000)
	if _, err := r.Read(head); err != nil {
		t.Fatal(err)
	}
	old := w.row(t, b.placed.Extent.Partition)
	w.disk(old.Shards[0]).Fail(errors.New("gone"))
	if _, err := s.Repair(t.Context(), old.ID, 0, nil); err != nil {
		t.Fatal(err)
	}
	w.disk(old.Shards[1]).Fail(errors.New("gone"))
	rest := make([]byte, len(b.data))
	n := copy(rest, head)
	for n < len(rest) {
		m, err := r.Read(rest[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	if string(rest) != string(b.data) {
		t.Error("wrong bytes")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
