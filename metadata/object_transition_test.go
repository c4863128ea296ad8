package metadata

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMovedDataKeepsItsFormat pins the bytes on disk.
func TestMovedDataKeepsItsFormat(t *testing.T) {
	owner := &Owner{Kind: OwnerVersion, Bucket: 3, Key: "a", Ord: 77}
	part := &Part{Slices: []Slice{
		{ID: sampleID(1), Length: 9, Origin: sampleID(70)}, {ID: sampleID(2), Length: 9, Owner: owner, Origin: sampleID(71)}, {ID: sampleID(3), Length: 9, Owner: owner},
	}}
	object := &Object{Ord: 1, Data: Data{Kind: DataRows, ID: sampleID(1), Origin: sampleID(70)}}
	intent := &Intent{Created: at(10), Bucket: 4, Owns: true}
	for _, c := range []codecCase{
		{"part", part, encodePart(part), erase(decodePart), "01296e100102030405060708090a0b0c0d0e0f100009464748494a4b4c4d4e4f5051525354551202030405060708090a0b0c0d0e0f101100094748494a4b4c4d4e4f5051525354555614010000000000000003610001ffffffffffffffb201030405060708090a0b0c0d0e0f1011120009"},
		{"object", object, encodeObject(object), erase(decodeObject), "0108014926080311100102030405060708090a0b0c0d0e0f102910464748494a4b4c4d4e4f505152535455"},
		{"intent", intent, encodeIntent(intent), erase(decodeIntent), "0108141300000000000000041801"},
	} {
		got, err := c.decode(c.value)
		if err != nil {
			t.Fatal(c.name, err)
		}
		if diff := cmp.Diff(c.record, got); diff != "" {
			t.Errorf("%s decoded differs (-want +got):\n%s", c.name, diff)
		}
		if got := hex.EncodeToString(c.value); got != c.golden {
			t.Errorf("%s is encoded as\n%s, want\n%s", c.name, got, c.golden)
		}
	}
}

// moved publishes other data of an object in the second partition.
func (f *moveFixture) moved(tx *Tx, o *Object, n int, origin DataID) (*Object, error) {
	placed := placeExtents(f.to, 0, n, 100)
	id := f.db.NewDataID()
	next := *o
	next.Attributes.StorageClass = "STANDARD_IA"
	next.Data = Data{Kind: DataExtents, ID: id, Extents: extentsOf(placed), Origin: origin}
	return &next, tx.Publish(id, placed)
}

// TestReplaceDataReleasesTheOld: of the current version and of a noncurrent one,
// with extents in the row and in rows, at home and shared.
func TestReplaceDataReleasesTheOld(t *testing.T) {
	for name, demoted := range map[string]bool{"current": false, "noncurrent": true} {
		for _, kind := range []DataKind{DataExtents, DataRows} {
			t.Run(name, func(t *testing.T) {
				f := newMoveFixture(t)
				o := f.object("k", 2, kind)
				update(t, f.db, func(tx *Tx) error {
					if !demoted {
						return nil
					}
					return errors.Join(tx.Demote(f.b.ID, o), tx.SetNull(f.b.ID, o.Key, o.Ord))
				})
				old := found(t, f.db, func(r *Reader) (*Object, error) {
					if demoted {
						return r.Version(f.b.ID, o.Key, o.Ord)
					}
					return r.Object(f.b.ID, o.Key)
				})
				origin := sampleID(9)
				var next *Object
				update(t, f.db, func(tx *Tx) (err error) {
					if next, err = f.moved(tx, old, 2, origin); err != nil {
						return err
					}
					return tx.ReplaceData(f.b.ID, old, next)
				})
				now := found(t, f.db, func(r *Reader) (*Object, error) {
					if demoted {
						return r.Version(f.b.ID, o.Key, o.Ord)
					}
					return r.Object(f.b.ID, o.Key)
				})
				if now.Data.ID != next.Data.ID || now.Data.Salt() != origin || now.Attributes.StorageClass != "STANDARD_IA" ||
					now.Token != o.Token || (now.Data.Kind == DataRows) != demoted {
					t.Errorf("the row is %+v", now)
				}
				g := found(t, f.db, func(r *Reader) (*Garbage, error) { return r.GarbageRow(o.Data.ID) })
				if g == nil || g.Kind != GarbageData {
					t.Errorf("the old data has the garbage row %+v", g)
				}
				clean(t, f.db)
			})
		}
	}
}

func TestReplaceDataRefuses(t *testing.T) {
	f := newMoveFixture(t)
	o := f.object("k", 2, DataExtents)
	for name, change := range map[string]func(*Object){
		"another order": func(n *Object) { n.Ord++ },
		"another size":  func(n *Object) { n.Size++ },
		"the same data": func(n *Object) { n.Data = o.Data },
		"inline":        func(n *Object) { n.Data = Data{Kind: DataInline} },
		"a marker":      func(n *Object) { n.DeleteMarker = true },
	} {
		err := f.db.Update(t.Context(), "test", func(tx *Tx) error {
			next, err := f.moved(tx, o, 2, DataID{})
			if err != nil {
				return err
			}
			change(next)
			return tx.ReplaceData(f.b.ID, o, next)
		})
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	clean(t, f.db)
}

// TestManifestOfAnOwningIntent: the slices of a manifest that is not finished are
// its own where the intent says so.
func TestManifestOfAnOwningIntent(t *testing.T) {
	f := newMoveFixture(t)
	placed := placeExtents(f.from, 0, 1, 100)
	id, manifest := f.db.NewDataID(), f.db.NewDataID()
	update(t, f.db, func(tx *Tx) error {
		return errors.Join(
			tx.PutIntent(&Intent{ID: manifest, Created: f.db.Now(), Bucket: f.b.ID, Owns: true}),
			tx.PutExtents(id, 0, extentsOf(placed)), tx.Publish(id, placed),
			tx.PutManifest(manifest, 0, []ManifestPart{{Number: 1, Size: 100, Slices: []Slice{{ID: id, Length: 100}}}}),
		)
	})
	clean(t, f.db)
	update(t, f.db, func(tx *Tx) error {
		return errors.Join(tx.DeleteIntent(manifest), tx.ReleaseHome(manifest, GarbageManifest))
	})
	clean(t, f.db)
}

// TestManifestRow: rows follow each other, a part of no bytes at the end included.
func TestManifestRow(t *testing.T) {
	db := newDB(t)
	id := db.NewDataID()
	var parts []ManifestPart
	for n := 1; n <= 4; n++ {
		p := ManifestPart{Number: n, Size: MaxSlices}
		for i := range int64(MaxSlices) {
			p.Slices = append(p.Slices, Slice{ID: id, Offset: i, Length: 1})
		}
		parts = append(parts, p)
	}
	parts = append(parts, ManifestPart{Number: 5})
	update(t, db, func(tx *Tx) error {
		return errors.Join(tx.PutManifest(id, 0, parts[:4]), tx.PutManifest(id, 4*MaxSlices, parts[4:]))
	})
	var found []ManifestPart
	rows := 0
	view(t, db, func(r *Reader) error {
		var place []byte
		for {
			row, next, err := r.ManifestRow(id, place)
			if err != nil || len(row) == 0 {
				return err
			}
			if len(row) > 2 { // as large as one may get
				t.Errorf("a row of %d parts", len(row))
			}
			found, place = append(found, row...), next
			rows++
		}
	})
	if rows != 3 || len(found) != 5 || found[3].Number != 4 || len(found[3].Slices) != MaxSlices || found[4].Number != 5 {
		t.Errorf("%d parts in %d rows", len(found), rows)
	}
	update(t, db, func(tx *Tx) error { return tx.DeleteManifest(id) })
}
