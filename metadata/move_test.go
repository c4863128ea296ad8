package metadata

import (
	"errors"
	"maps"
	"slices"
	"testing"
)

// moveFixture is an object with data in one partition, and another to move to.
type moveFixture struct {
	t        *testing.T
	db       *DB
	b        *Bucket
	from, to *Partition
}

func newMoveFixture(t *testing.T) *moveFixture {
	t.Helper()
	db := newDB(t)
	return &moveFixture{t: t, db: db, b: newBucket(t, db, "b"), from: newPartition(t, db), to: newPartition(t, db)}
}

// object puts an object of n extents of 100 bytes.
func (f *moveFixture) object(key string, n int, kind DataKind) *Object {
	f.t.Helper()
	placed := placeExtents(f.from, 0, n, 100)
	id := f.db.NewDataID()
	o := &Object{
		Key: key, Ord: 1, Null: true, Size: int64(100 * n), Modified: f.db.Now(), ETag: "e", Owner: "owner",
		Data: Data{Kind: kind, ID: id}, Token: f.db.NewToken(),
	}
	update(f.t, f.db, func(tx *Tx) error {
		if kind == DataExtents {
			o.Data.Extents = extentsOf(placed)
		} else if err := tx.PutExtents(id, 0, extentsOf(placed)); err != nil {
			return err
		}
		return errors.Join(tx.Publish(id, placed), tx.PutObject(f.b.ID, nil, o, nil))
	})
	return o
}

// moves are those of the extents of an object from the i-th to before the j-th.
func (f *moveFixture) moves(i, j int) (out []Move) {
	from, to := placeExtents(f.from, 0, j, 100), placeExtents(f.to, 1000, j, 100)
	for n := i; n < j; n++ {
		out = append(out, Move{Offset: int64(100 * n), Old: from[n].Extent, New: to[n]})
	}
	return out
}

func (f *moveFixture) home(key string) Home { return Home{Bucket: f.b.ID, Key: key} }

// carried is all of Reader.Carried, a version at a time.
func (f *moveFixture) carried(key string) map[DataID]Ord {
	f.t.Helper()
	out := map[DataID]Ord{}
	for below, more := Ord(0), true; more; more = below != 0 {
		view(f.t, f.db, func(r *Reader) error {
			page, next, err := r.Carried(f.b.ID, key, below, 1)
			maps.Copy(out, page)
			if next != 0 && below != 0 && next >= below {
				f.t.Fatalf("%d comes after %d", next, below)
			}
			below = next
			return err
		})
	}
	return out
}

// extents are those that rows E name.
func (f *moveFixture) extents(id DataID) []Extent {
	f.t.Helper()
	return found(f.t, f.db, func(r *Reader) ([]Extent, error) { x, _, err := r.Extents(id, 0, 0); return x, err })
}

func (f *moveFixture) live(p *Partition) int64 {
	f.t.Helper()
	return found(f.t, f.db, func(r *Reader) (int64, error) { return r.LiveBytes(p.ID) })
}

func TestMoveExtents(t *testing.T) {
	f := newMoveFixture(t)
	const n = 3 * extentsPerRow
	o := f.object("key", n, DataRows)
	moves := f.moves(100, 300)
	update(t, f.db, func(tx *Tx) error { return tx.MoveExtents(o.Data.ID, f.home("key"), moves) })
	want := extentsOf(placeExtents(f.from, 0, n, 100))
	for _, m := range moves {
		want[m.Offset/100] = m.New.Extent
	}
	if got := f.extents(o.Data.ID); !slices.Equal(got, want) {
		t.Errorf("%d extents are not the %d expected", len(got), len(want))
	}
	if from, to := f.live(f.from), f.live(f.to); from != 100*(n-200) || to != 100*200 {
		t.Errorf("live bytes: %d and %d", from, to)
	}
	clean(t, f.db)
	err := f.db.Update(t.Context(), "test", func(tx *Tx) error {
		return tx.MoveExtents(o.Data.ID, f.home("key"), moves[5:6])
	})
	if !errors.Is(err, ErrMoved) {
		t.Errorf("moved a second time: %v", err)
	}
	clean(t, f.db)
}

// Extents that a row carries itself are in rows E once they have moved, also
// where a copy has put them there before.
func TestMoveExtentsOfARow(t *testing.T) {
	for name, prepare := range map[string]func(*Tx, *moveFixture, *Object) error{
		"in the row": func(*Tx, *moveFixture, *Object) error { return nil },
		"copied": func(tx *Tx, f *moveFixture, o *Object) error {
			c := *o
			c.Key, c.Data = "copy", Data{Kind: DataRows, ID: o.Data.ID, Shared: true}
			return errors.Join(tx.PutExtents(o.Data.ID, 0, o.Data.Extents), tx.PutObject(f.b.ID, nil, &c, nil),
				tx.Pin(o.Data.ID, Owner{Kind: OwnerVersion, Bucket: f.b.ID, Key: "copy", Ord: c.Ord}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newMoveFixture(t)
			o := f.object("key", 3, DataExtents)
			update(t, f.db, func(tx *Tx) error { return prepare(tx, f, o) })
			moves := f.moves(1, 2)
			update(t, f.db, func(tx *Tx) error { return tx.MoveExtents(o.Data.ID, f.home("key"), moves) })
			clean(t, f.db)
			now := found(t, f.db, func(r *Reader) (*Object, error) { return r.Object(f.b.ID, "key") })
			if now.Data.Kind != DataRows || now.Data.ID != o.Data.ID || now.Token != o.Token || now.Data.Extents != nil {
				t.Errorf("the row says %+v", now.Data)
			}
			want := slices.Clone(o.Data.Extents)
			want[1] = moves[0].New.Extent
			if got := f.extents(o.Data.ID); !slices.Equal(got, want) {
				t.Errorf("extents %+v, want %+v", got, want)
			}
		})
	}
}

// A noncurrent version whose row carries extents, as earlier programs wrote
// it, is found by its key, also when it comes to light meanwhile.
func TestMoveExtentsOfANoncurrentRow(t *testing.T) {
	for name, promote := range map[string]bool{"noncurrent": false, "promoted": true} {
		t.Run(name, func(t *testing.T) {
			f := newMoveFixture(t)
			o := f.object("key", 2, DataExtents)
			o.Null = false
			update(t, f.db, func(tx *Tx) error { // Demote as it was
				tx.kv.Delete(f.db.keys.object(f.b.ID, "key"))
				tx.set(f.db.keys.version(f.b.ID, "key", o.Ord), encodeObject(o))
				tx.add(f.db.keys.bucketCounter(f.b.ID, countObjects), -1)
				return tx.PutVersion(f.b.ID, &Object{Key: "key", Ord: 2, DeleteMarker: true})
			})
			home := f.home("key")
			carried := f.carried("key")
			if home.Ord = carried[o.Data.ID]; home.Ord != o.Ord || len(carried) != 1 {
				t.Fatalf("carried: %v", carried)
			}
			if promote {
				update(t, f.db, func(tx *Tx) error {
					return errors.Join(tx.DeleteVersion(f.b.ID, &Object{Key: "key", Ord: 2, DeleteMarker: true}), tx.Promote(f.b.ID, o))
				})
			}
			update(t, f.db, func(tx *Tx) error { return tx.MoveExtents(o.Data.ID, home, f.moves(0, 2)) })
			clean(t, f.db)
			if f.live(f.from) != 0 || f.live(f.to) != 200 {
				t.Errorf("live bytes: %d and %d", f.live(f.from), f.live(f.to))
			}
		})
	}
}

func TestDemoteMovesExtentsToRows(t *testing.T) {
	f := newMoveFixture(t)
	o := f.object("key", 2, DataExtents)
	next := inlineObject(f.db, "key", []byte("x"), 2)
	next.Null = false
	update(t, f.db, func(tx *Tx) error {
		return errors.Join(tx.Demote(f.b.ID, o), tx.SetNull(f.b.ID, "key", o.Ord), tx.PutObject(f.b.ID, nil, next, []byte("x")))
	})
	clean(t, f.db)
	old := found(t, f.db, func(r *Reader) (*Object, error) { return r.Version(f.b.ID, "key", o.Ord) })
	if old.Data.Kind != DataRows || !slices.Equal(f.extents(o.Data.ID), o.Data.Extents) || o.Data.Kind != DataExtents {
		t.Errorf("the noncurrent version has %+v, rows %+v; the caller's %+v", old.Data, f.extents(o.Data.ID), o.Data)
	}
	if carried := f.carried("key"); len(carried) != 0 {
		t.Errorf("carried: %v", carried)
	}
}

// A move is refused when its target takes nothing any more, when it changes
// lengths, and when it would leave an extent in a stripe without its reference.
func TestMoveExtentsIsRefused(t *testing.T) {
	f := newMoveFixture(t)
	o := f.object("key", 3, DataRows)
	try := func(moves []Move) error {
		return f.db.Update(t.Context(), "test", func(tx *Tx) error { return tx.MoveExtents(o.Data.ID, f.home("key"), moves) })
	}
	stale := f.moves(0, 2)
	stale[1].New.Epoch--
	if err := try(stale); !errors.Is(err, ErrFenced) {
		t.Errorf("an old epoch: %v", err)
	}
	short := f.moves(0, 1)
	short[0].New.Extent.Length--
	if err := try(short); !errors.Is(err, ErrInvalid) {
		t.Errorf("another length: %v", err)
	}
	shared := f.object("shared", 1, DataRows)
	twice := placeExtents(f.from, 50, 1, 100)
	second := twice[0]
	second.Extent.Start = 100
	update(t, f.db, func(tx *Tx) error {
		big := *shared
		big.Size = 300
		both := append(slices.Clone(twice), second)
		return errors.Join(tx.PutExtents(shared.Data.ID, 100, extentsOf(both)), tx.Publish(shared.Data.ID, both), tx.PutObject(f.b.ID, nil, &big, nil))
	})
	err := f.db.Update(t.Context(), "test", func(tx *Tx) error {
		return tx.MoveExtents(shared.Data.ID, f.home("shared"), []Move{{Offset: 100, Old: twice[0].Extent, New: placeExtents(f.to, 9, 1, 100)[0]}})
	})
	if !errors.Is(err, ErrMoved) {
		t.Errorf("half of what lies in a stripe: %v", err)
	}
	if f.live(f.to) != 0 {
		t.Errorf("%d bytes were moved", f.live(f.to))
	}
}

func TestFindExtents(t *testing.T) {
	f := newMoveFixture(t)
	const n = 5 * extentsPerRow
	o := f.object("key", n, DataRows)
	for _, i := range []int{0, 1, extentsPerRow, n - 1} {
		for _, from := range []int64{0, int64(100 * (i / extentsPerRow * extentsPerRow))} {
			var got []Located
			for next := from; next >= 0 && len(got) == 0; {
				view(t, f.db, func(r *Reader) (err error) {
					got, next, err = r.FindExtents(o.Data.ID, f.from.ID, int64(i)*4096, next, 2)
					return err
				})
			}
			if len(got) != 1 || got[0].Offset != int64(100*i) || got[0].Extent.Stripe != int64(i)*4096 {
				t.Errorf("extent %d from %d: %+v", i, from, got)
			}
		}
	}
	view(t, f.db, func(r *Reader) error {
		got, next, err := r.FindExtents(o.Data.ID, f.to.ID, 0, 0, 100)
		if len(got) != 0 || next != -1 {
			t.Errorf("found %+v, next %d", got, next)
		}
		return err
	})
}
