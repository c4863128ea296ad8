package metadata

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExtentsFromAnyOffset(t *testing.T) {
	db := newDB(t)
	id := db.NewDataID()
	rng := rand.New(rand.NewPCG(5, 6))
	var all []Extent
	for i := range 1000 {
		all = append(all, Extent{Partition: PartitionID(i / 300), Stripe: int64(i) * 4096, Height: 9, Length: 1 + rng.Uint32N(50)})
	}
	offset := int64(0)
	for chunk := range slices.Chunk(all, 333) {
		update(t, db, func(tx *Tx) error { return tx.PutExtents(id, offset, chunk) })
		for _, x := range chunk {
			offset += int64(x.Length)
		}
	}
	size := offset
	for range 300 {
		from, limit := rng.Int64N(size+10), rng.IntN(300)
		var want []Extent
		start, at := int64(0), int64(0)
		for _, x := range all {
			if at+int64(x.Length) > from && (limit == 0 || len(want) < limit) {
				if len(want) == 0 {
					start = at
				}
				want = append(want, x)
			}
			at += int64(x.Length)
		}
		view(t, db, func(r *Reader) error {
			got, gotStart, err := r.Extents(id, from, limit)
			if diff := cmp.Diff(want, got); diff != "" || start != gotStart {
				t.Fatalf("from %d limit %d: start %d, want %d\n%s", from, limit, gotStart, start, diff)
			}
			return err
		})
	}
	update(t, db, func(tx *Tx) error { return tx.DeleteExtents(id, -1) })
	if got := found(t, db, func(r *Reader) ([]Extent, error) { x, _, err := r.Extents(id, 0, 0); return x, err }); got != nil {
		t.Errorf("%d extents are left", len(got))
	}
}

func TestDeleteExtentsUpToAnOffset(t *testing.T) {
	db := newDB(t)
	id := db.NewDataID()
	all := slices.Repeat([]Extent{{Length: 1}}, 3*extentsPerRow)
	update(t, db, func(tx *Tx) error { return tx.PutExtents(id, 0, all) })
	update(t, db, func(tx *Tx) error { return tx.DeleteExtents(id, 2*extentsPerRow) })
	view(t, db, func(r *Reader) error {
		left, start, err := r.Extents(id, 0, 0)
		if len(left) != extentsPerRow || start != 2*extentsPerRow {
			t.Errorf("%d extents from %d are left", len(left), start)
		}
		return err
	})
}

func TestPublishNeedsItsEpochAndAnOpenPartition(t *testing.T) {
	for _, c := range []struct {
		name  string
		state PartitionState
		epoch Epoch // of the row; the bytes were placed in epoch 3
		ok    bool
	}{
		{"open", PartitionOpen, 3, true},
		{"closing", PartitionClosing, 3, true},
		{"creating", PartitionCreating, 3, false},
		{"sealed", PartitionSealed, 3, false},
		{"dropped", PartitionDropped, 3, false},
		{"fenced", PartitionOpen, 4, false},
		{"of an older epoch", PartitionOpen, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := newDB(t)
			p := newPartition(t, db)
			placed := placeExtents(p, 0, 2, 100)
			p.State, p.Epoch = c.state, c.epoch
			update(t, db, func(tx *Tx) error { return tx.PutPartition(p) })
			err := db.Update(t.Context(), "test", func(tx *Tx) error { return tx.Publish(sampleID(1), placed) })
			if c.ok != (err == nil) || !c.ok && !errors.Is(err, ErrFenced) {
				t.Errorf("error %v", err)
			}
			live := found(t, db, func(r *Reader) (int64, error) { return r.LiveBytes(p.ID) })
			if c.ok != (live == 200) {
				t.Errorf("%d bytes are live", live)
			}
		})
	}
}

func TestPublishIntoAnUnknownPartitionIsFenced(t *testing.T) {
	db := newDB(t)
	placed := placeExtents(&Partition{ID: 9, Epoch: 3}, 0, 1, 1)
	err := db.Update(t.Context(), "test", func(tx *Tx) error { return tx.Publish(sampleID(1), placed) })
	if !errors.Is(err, ErrFenced) {
		t.Errorf("error %v, want ErrFenced", err)
	}
}

// TestPublishConflictsWithFencing is a publish that has read the partition
// while another transaction raises its epoch.
func TestPublishConflictsWithFencing(t *testing.T) {
	db := newDB(t)
	p := newPartition(t, db)
	placed := placeExtents(p, 0, 1, 10)
	err := db.Update(t.Context(), "test", func(tx *Tx) error {
		err := tx.Publish(sampleID(1), placed)
		if tx.Attempt() == 0 {
			p.Epoch++
			update(t, db, func(tx *Tx) error { return tx.PutPartition(p) })
		}
		return err
	})
	if !errors.Is(err, ErrFenced) {
		t.Errorf("error %v, want ErrFenced", err)
	}
	refs := found(t, db, func(r *Reader) ([]Ref, error) { return r.Refs(p.ID, 0, 0) })
	if len(refs) != 0 {
		t.Errorf("a fenced publish left %d references", len(refs))
	}
}

func TestRefsByStripe(t *testing.T) {
	db := newDB(t)
	p, other := newPartition(t, db), newPartition(t, db)
	update(t, db, func(tx *Tx) error {
		for stripe := range 4 {
			for id := range byte(3) {
				if err := tx.Publish(sampleID(id*20), placeExtents(p, stripe, 1, 1)); err != nil {
					return err
				}
			}
		}
		return tx.Publish(sampleID(1), placeExtents(other, 0, 1, 1))
	})
	for _, c := range []struct {
		from        int64
		limit, want int
	}{{0, 0, 12}, {1, 0, 9}, {4096, 0, 9}, {0, 1, 3}, {0, 3, 3}, {0, 4, 6}, {8192, 100, 6}, {1 << 40, 0, 0}} {
		refs := found(t, db, func(r *Reader) ([]Ref, error) { return r.Refs(p.ID, c.from, c.limit) })
		if len(refs) != c.want {
			t.Errorf("from %d limit %d: %d references, want %d", c.from, c.limit, len(refs), c.want)
		}
		if len(refs) > 0 && refs[0].Stripe < c.from {
			t.Errorf("from %d: stripe %d", c.from, refs[0].Stripe)
		}
	}
}

// storedObject publishes a version whose bytes are n extents, in its row or in rows E.
func storedObject(tb testing.TB, db *DB, b *Bucket, key string, placed []Placed) *Object {
	tb.Helper()
	o := &Object{Key: key, Ord: db.NextOrd(0), Null: true, Modified: db.Now(), Owner: "owner", Data: Data{ID: db.NewDataID(), Kind: DataRows}}
	for _, p := range placed {
		o.Size += int64(p.Extent.Length)
	}
	if len(placed) <= MaxRowExtents {
		o.Data.Kind, o.Data.Extents = DataExtents, extentsOf(placed)
	}
	update(tb, db, func(tx *Tx) error {
		if o.Data.Kind == DataRows {
			if err := tx.PutExtents(o.Data.ID, 0, extentsOf(placed)); err != nil {
				return err
			}
		}
		return errors.Join(tx.Publish(o.Data.ID, placed), tx.PutObject(b.ID, nil, o, nil))
	})
	return o
}

// share copies src to key: one small transaction.
func share(tb testing.TB, db *DB, b *Bucket, src *Object, key string) *Object {
	tb.Helper()
	o := *src
	o.Key, o.Ord, o.Token = key, db.NextOrd(0), db.NewToken()
	update(tb, db, func(tx *Tx) error {
		live, err := tx.Object(b.ID, src.Key)
		if err != nil || live == nil {
			return errors.Join(err, errors.New("no source"))
		}
		o.Data = Data{Kind: src.Data.Kind, ID: src.Data.ID, Shared: true}
		if src.Data.Kind == DataExtents {
			o.Data.Kind = DataRows
			if err := tx.PutExtents(src.Data.ID, 0, src.Data.Extents); err != nil {
				return err
			}
		}
		return errors.Join(
			tx.Pin(src.Data.ID, Owner{Kind: OwnerVersion, Bucket: b.ID, Key: key, Ord: o.Ord}),
			tx.PutObject(b.ID, nil, &o, nil))
	})
	return &o
}

func TestCopyOutlivesItsSource(t *testing.T) {
	for _, n := range []int{1, 200} {
		db := newDB(t)
		b, p := newBucket(t, db, "b"), newPartition(t, db)
		src := storedObject(t, db, b, "source", placeExtents(p, 0, n, 50))
		clean(t, db)
		dst := share(t, db, b, src, "copy")
		clean(t, db)
		update(t, db, func(tx *Tx) error { return tx.DeleteObject(b.ID, src) })
		clean(t, db)
		view(t, db, func(r *Reader) error {
			owners, gone, err := r.Owners(src.Data.ID, 0)
			if !gone || len(owners) != 1 || owners[0].Key != "copy" {
				t.Errorf("owners %+v, home gone %v", owners, gone)
			}
			extents, _, err2 := r.Extents(src.Data.ID, 0, 0)
			if len(extents) != n {
				t.Errorf("%d extents, want %d", len(extents), n)
			}
			return errors.Join(err, err2)
		})
		update(t, db, func(tx *Tx) error { return tx.DeleteObject(b.ID, dst) })
		clean(t, db)
		collect(t, db)
		s := clean(t, db)
		if s.Extents != 0 || s.Refs != 0 || s.Pins != 0 || s.Garbage != 0 || s.LiveBytes != 0 {
			t.Errorf("after the collection: %+v", s)
		}
	}
}

// collect frees what has no owner left, as the collector will.
func collect(tb testing.TB, db *DB) {
	tb.Helper()
	for {
		todo := found(tb, db, func(r *Reader) ([]Garbage, error) { return r.Garbage(DataID{}, 0) })
		if len(todo) == 0 {
			return
		}
		for _, g := range todo {
			update(tb, db, func(tx *Tx) error { return free(tx, &g) })
		}
	}
}

func free(tx *Tx, g *Garbage) error {
	if err := tx.DeleteGarbage(g.ID); err != nil {
		return err
	}
	if g.Kind == GarbageUpload {
		parts, _, err := tx.Parts(g.Bucket, UploadID(g.ID), 0, 0)
		for i := range parts {
			err = errors.Join(err, tx.DeletePart(g.Bucket, UploadID(g.ID), &parts[i]))
		}
		return err
	}
	owners, gone, err := tx.Owners(g.ID, 1)
	if err != nil || !gone || len(owners) > 0 {
		return err
	}
	if g.Kind == GarbageManifest {
		parts, _, err := tx.ManifestParts(g.ID, 0, 0)
		for i := range parts {
			err = errors.Join(err, tx.ReleaseSlices(parts[i].Slices))
		}
		return errors.Join(err, tx.DeleteManifest(g.ID), tx.DeleteHomeGone(g.ID))
	}
	extents, _, err := tx.Extents(g.ID, 0, 0)
	return errors.Join(err, tx.Unpublish(g.ID, extents), tx.DeleteExtents(g.ID, -1), tx.DeleteHomeGone(g.ID))
}

func TestIntentFencesLateWriters(t *testing.T) {
	db := newDB(t)
	id := db.NewDataID()
	update(t, db, func(tx *Tx) error { return tx.PutIntent(&Intent{ID: id, Created: db.Now(), Bucket: 1}) })
	update(t, db, func(tx *Tx) error { return tx.RequireIntent(id) })
	if got := found(t, db, func(r *Reader) ([]Intent, error) { return r.Intents(DataID{}, 10) }); len(got) != 1 || got[0].ID != id {
		t.Errorf("intents %+v", got)
	}
	update(t, db, func(tx *Tx) error { return tx.FinishIntent(id) })
	for _, fn := range []func(*Tx) error{
		func(tx *Tx) error { return tx.RequireIntent(id) },
		func(tx *Tx) error { return tx.FinishIntent(id) },
	} {
		if err := db.Update(t.Context(), "test", fn); !errors.Is(err, ErrFenced) {
			t.Errorf("error %v, want ErrFenced", err)
		}
	}
}

func TestPartitionsAndDisks(t *testing.T) {
	db := newDB(t)
	var ids []PartitionID
	for range 5 {
		ids = append(ids, newPartition(t, db).ID)
	}
	slices.Sort(ids)
	all := found(t, db, func(r *Reader) ([]Partition, error) { return r.Partitions(0, 0) })
	after := found(t, db, func(r *Reader) ([]Partition, error) { return r.Partitions(ids[1], 2) })
	if len(all) != 5 || len(after) != 2 || after[0].ID != ids[2] {
		t.Errorf("%d partitions, %+v after the second", len(all), after)
	}
	disks := found(t, db, func(r *Reader) ([]Disk, error) { return r.Disks() })
	if len(disks) != 5 {
		t.Errorf("%d disks", len(disks))
	}
	disk := found(t, db, func(r *Reader) (*Disk, error) { return r.Disk(disks[0].ID) })
	if diff := cmp.Diff(&disks[0], disk); diff != "" {
		t.Errorf("disk differs:\n%s", diff)
	}
	bad := all[0]
	bad.M = 4
	if err := db.Update(t.Context(), "test", func(tx *Tx) error { return tx.PutPartition(&bad) }); !errors.Is(err, ErrInvalid) {
		t.Errorf("error %v, want ErrInvalid", err)
	}
	update(t, db, func(tx *Tx) error { return tx.DeletePartition(ids[0]) })
	if p := found(t, db, func(r *Reader) (*Partition, error) { return r.Partition(ids[0]) }); p != nil {
		t.Errorf("deleted partition is %+v", p)
	}
}
