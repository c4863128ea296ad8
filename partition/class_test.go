package partition

import (
	"testing"

	"github.com/undercroft/undercroft/metadata"
)

// classWorld is blobs of several storage classes.
type classWorld struct {
	*rowsWorld
	o     Options
	class map[metadata.DataID]string
}

func newClassWorld(t *testing.T, disks int, standard Scheme, classes map[string]Scheme) *classWorld {
	t.Helper()
	w := &classWorld{
		rowsWorld: &rowsWorld{world: newWorld(t, disks), blobs: map[metadata.DataID][]byte{}},
		o:         Options{Scheme: standard, Classes: classes, Capacity: minCapacity, KnownDisks: disks},
		class:     map[metadata.DataID]string{},
	}
	w.inventory(t, metadata.DiskActive)
	return w
}

// fill puts blobs into a class: small ones, each in a stripe of its own, and a large one.
func (w *classWorld) fill(t *testing.T, s *Store, class string) {
	t.Helper()
	for i := range 9 {
		n := 9000 + 137*i
		if i == 8 {
			n = 400_000
		}
		id := w.db.NewDataID()
		w.putIn(t, s, class, id, pattern(n, uint64(len(w.ids))+1))
		w.class[id] = class
	}
}

// placed holds that every blob is where its class is kept, and in a partition of the
// scheme wanted of it, where one is.
func (w *classWorld) placed(t *testing.T, s *Store, want map[string]Scheme) {
	t.Helper()
	w.holds(t, s)
	rows := map[metadata.PartitionID]metadata.Partition{}
	for _, row := range w.rows(t) {
		rows[row.ID] = row
	}
	for id, class := range w.class {
		var x []metadata.Extent
		w.view(t, func(m *metadata.Reader) (err error) {
			x, _, err = m.Extents(id, 0, 0)
			return err
		})
		row := rows[x[0].Partition]
		if got := (Scheme{int(row.K), int(row.M)}); row.Class != class || want[class] != (Scheme{}) && got != want[class] {
			t.Fatalf("a blob of class %q is in a partition of %q, %s: want %s", class, row.Class, got, want[class])
		}
	}
}

func TestClassesHavePartitionsOfTheirOwn(t *testing.T) {
	want := map[string]Scheme{"": {2, 2}, "STANDARD_IA": {4, 2}, "GLACIER_IR": {2, 2}}
	w := newClassWorld(t, 6, want[""], map[string]Scheme{"STANDARD_IA": want["STANDARD_IA"], "GLACIER_IR": {}, "ONEZONE_IA": {4, 1}})
	s := w.open(t, w.o)
	for range 2 { // the second time with partitions of the first
		for class := range want {
			w.fill(t, s, class)
		}
		w.placed(t, s, want)
		closeStore(t, s)
		s = w.open(t, w.o)
		if n := s.Status().Counters.PartitionsReopened; n != 6 {
			t.Errorf("%d partitions are written on, of 3 classes with 2 each", n)
		}
	}
	w.sealAll(t, s)
	if c, err := w.compactAll(t.Context(), t, s, CompactOptions{All: true}); err != nil || c.Blobs != len(w.ids) {
		t.Errorf("compaction: %+v, %v", c, err)
	}
	w.placed(t, s, want)
	for _, row := range w.rows(t) {
		if row.Class == "ONEZONE_IA" {
			t.Errorf("partition %s of a class that nothing is written to", pid(row.ID))
		}
	}
	closeStore(t, s)
}

func TestClassesFollowTheDisks(t *testing.T) {
	classes := map[string]Scheme{"STANDARD_IA": {4, 2}, "GLACIER_IR": {}}
	w := newClassWorld(t, 6, Scheme{2, 1}, classes)
	s := w.open(t, w.o)
	defer closeStore(t, s)
	fill := func() {
		for _, class := range []string{"", "STANDARD_IA", "GLACIER_IR"} {
			w.fill(t, s, class)
		}
	}
	fill()
	if err := s.Leave(idOf(w.world, 5)); err != nil {
		t.Fatal(err)
	}
	w.sealAll(t, s)
	before := len(w.ids)
	fill()
	for _, id := range w.ids[:before] {
		delete(w.class, id)
	}
	w.placed(t, s, map[string]Scheme{"": {2, 1}, "STANDARD_IA": {3, 2}, "GLACIER_IR": {2, 1}})
	for i, st := range s.Classes() {
		want := []ClassStatus{{"", Scheme{2, 1}, Scheme{2, 1}, false}, {"GLACIER_IR", Scheme{2, 1}, Scheme{2, 1}, false}, {"STANDARD_IA", Scheme{4, 2}, Scheme{3, 2}, false}}[i]
		if st != want {
			t.Errorf("class %+v, want %+v", st, want)
		}
	}
	open := func(class string) (n int) {
		for _, p := range s.Status().Partitions {
			if p.Open && p.Class == class {
				n++
			}
		}
		return n
	}
	if err := s.SetInventory(6, Scheme{2, 1}, map[string]Scheme{"STANDARD_IA": {4, 1}, "GLACIER_IR": {}}); err != nil {
		t.Fatal(err)
	}
	if a, b, c := open(""), open("STANDARD_IA"), open("GLACIER_IR"); a != 2 || b != 0 || c != 2 {
		t.Errorf("open partitions of the classes: %d, %d, %d: one class has another scheme", a, b, c)
	}
	if err := s.SetInventory(6, Scheme{2, 1}, map[string]Scheme{"STANDARD_IA": {99, 1}}); err == nil {
		t.Error("a scheme that cannot be")
	}
}

// TestRetiredClass: what was written to a class that is not configured any more is
// read, and compacted in its class.
func TestRetiredClass(t *testing.T) {
	w := newClassWorld(t, 6, Scheme{2, 1}, map[string]Scheme{"STANDARD_IA": {4, 2}})
	s := w.open(t, w.o)
	w.fill(t, s, "STANDARD_IA")
	w.sealAll(t, s)
	closeStore(t, s)
	w.o.Classes = nil
	s = w.open(t, w.o)
	defer closeStore(t, s)
	w.placed(t, s, map[string]Scheme{"STANDARD_IA": {4, 2}})
	list := s.Classes()
	if want := (ClassStatus{"STANDARD_IA", Scheme{2, 1}, Scheme{2, 1}, true}); len(list) != 2 || list[1] != want {
		t.Errorf("classes %+v", list)
	}
	if c, err := w.compactAll(t.Context(), t, s, CompactOptions{All: true}); err != nil || c.Blobs != len(w.ids) {
		t.Errorf("compaction: %+v, %v", c, err)
	}
	w.placed(t, s, map[string]Scheme{"STANDARD_IA": {2, 1}})
	id := w.db.NewDataID()
	w.putIn(t, s, "NOBODY", id, pattern(10_000, 99))
	w.class[id] = ""
	w.placed(t, s, nil)
}

// TestClassOfTakenOverPartitions: a partition keeps its class when another process
// takes it over and seals it, and one that lost a shard when that is repaired.
func TestClassOfTakenOverPartitions(t *testing.T) {
	w := newClassWorld(t, 5, Scheme{1, 1}, map[string]Scheme{"STANDARD_IA": {2, 2}})
	s := w.open(t, w.o)
	w.fill(t, s, "STANDARD_IA")
	w.fill(t, s, "")
	closeStore(t, s)
	w.o.Disks = w.attached(0)
	s = w.open(t, w.o)
	w.sealAll(t, s)
	for _, row := range w.rows(t) {
		if row.State != metadata.PartitionSealed {
			continue
		}
		for len(row.Lost) > 0 {
			if _, err := s.Repair(t.Context(), row.ID, row.Lost[0], nil); err != nil {
				t.Fatal(err)
			}
			row = *w.row(t, row.ID)
		}
	}
	w.placed(t, s, map[string]Scheme{"": {1, 1}, "STANDARD_IA": {2, 2}})
	closeStore(t, s)
}
