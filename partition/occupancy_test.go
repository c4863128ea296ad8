package partition

import (
	"testing"

	"github.com/undercroft/undercroft/metadata"
)

// TestOccupancyCountsWhatOnlyComesBack: a shard that counts as lost may be whole on its
// disk, and a disk that was not looked at may lack all.
func TestOccupancyCountsWhatOnlyComesBack(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	lost, away := idOf(w.world, w.index(t, w.id, 2)), idOf(w.world, w.index(t, w.id, 1))
	if err := s.RemoveDisk(lost); err != nil {
		t.Fatal(err)
	}
	see := func() Occupancy {
		t.Helper()
		o, err := s.Occupancy(t.Context(), lost)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if o := see(); o.Fatal != 0 || o.Doubtful == 0 {
		t.Errorf("before disks were looked at: %+v", o)
	}
	for more := true; more; {
		var err error
		if _, more, err = s.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if o := see(); o.Fatal != 0 || o.Doubtful != 0 {
		t.Errorf("after: %+v", o)
	}
	if _, err := s.RecordLost(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveDisk(away); err != nil {
		t.Fatal(err)
	}
	if o := see(); o.Fatal == 0 {
		t.Errorf("a partition can be read only if the disk comes back: %+v", o)
	}
	closeStore(t, s)
}

// TestNeededCountsCopiesThatMayBeAllThereIs: the row places a shard on another disk,
// which does not have it.
func TestNeededCountsCopiesThatMayBeAllThereIs(t *testing.T) {
	sc := Scheme{2, 1}
	w := newSealedWorld(t, newWorld(t, 4), sc)
	s := w.open(t, Options{Scheme: sc, Capacity: minCapacity})
	holder, spare := idOf(w.world, w.index(t, w.id, 0)), metadata.DiskID{}
	used := map[metadata.DiskID]bool{}
	for _, id := range w.row(t, w.id).Shards {
		used[id] = true
	}
	for i := range w.disks {
		if id := idOf(w.world, i); !used[id] {
			spare = id
		}
	}
	needed := func() int {
		t.Helper()
		n, err := s.Needed(t.Context(), holder)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := needed(); n != 0 {
		t.Errorf("%d where the row places it", n)
	}
	err := w.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		row, err := tx.Partition(w.id)
		if err != nil {
			return err
		}
		row.Shards[0], row.Lost = spare, []uint8{0}
		return tx.PutPartition(row)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := needed(); n != 1 {
		t.Errorf("%d are needed, want 1", n)
	}
	w.repairAll(t, s)
	if n := needed(); n != 0 {
		t.Errorf("%d after the repair", n)
	}
	closeStore(t, s)
}
