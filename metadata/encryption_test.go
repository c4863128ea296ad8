package metadata

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/sse"
)

func sealedUnder(dataKey string) *Encryption {
	return &Encryption{Mode: EncryptedS3, DataKey: []byte(dataKey), Sealed: []byte("sealed")}
}

// TestSizesOfEncryptedData: a row has the size of the plaintext, and its data the
// stored one; the transaction and the checker refuse any other.
func TestSizesOfEncryptedData(t *testing.T) {
	db := newDB(t)
	b, p := newBucket(t, db, "b"), newPartition(t, db)
	const size = sse.ChunkData + 5
	body := bytes.Repeat([]byte{1}, int(sse.StoredSize(size)))
	o := inlineObject(db, "inline", body, 1)
	o.Size, o.Encryption, o.Data.ID = size, sealedUnder("k"), db.NewDataID()
	update(t, db, func(tx *Tx) error { return tx.PutObject(b.ID, nil, o, body) })
	x := &Object{
		Key: "extents", Ord: 1, Null: true, Size: size, Modified: db.Now(), Encryption: sealedUnder("k"), Token: db.NewToken(),
		Data: Data{Kind: DataExtents, ID: db.NewDataID(), Extents: extentsOf(placeExtents(p, 0, 1, uint32(len(body))))},
	}
	update(t, db, func(tx *Tx) error {
		if err := tx.Publish(x.Data.ID, placeExtents(p, 0, 1, uint32(len(body)))); err != nil {
			return err
		}
		return tx.PutObject(b.ID, nil, x, nil)
	})
	s := clean(t, db)
	if s.LiveBytes != int64(len(body)) {
		t.Errorf("%d live bytes, want %d", s.LiveBytes, len(body))
	}
	for _, change := range []func(*Object){
		func(o *Object) { o.Size++ }, func(o *Object) { o.Encryption = nil }, func(o *Object) { o.Size = int64(len(body)) },
	} {
		for _, o := range []*Object{o, x} {
			bad := *o
			change(&bad)
			inline := body
			if o == x {
				inline = nil
			}
			if err := db.Update(t.Context(), "test", func(tx *Tx) error { return tx.PutObject(b.ID, o, &bad, inline) }); err == nil {
				t.Errorf("%q of %d bytes, encrypted %v, is taken with %d bytes of data", o.Key, bad.Size, bad.Encryption != nil, len(body))
			}
			update(t, db, func(tx *Tx) error { tx.kv.Set(tx.keys.object(b.ID, o.Key), encodeObject(&bad)); return nil })
			problems, _ := findings(t.Context(), t, db)
			if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Kind == MissingData || p.Kind == MissingInline }) {
				t.Errorf("the checker finds %v of %q of %d bytes, encrypted %v", problems, o.Key, bad.Size, bad.Encryption != nil)
			}
			update(t, db, func(tx *Tx) error { tx.kv.Set(tx.keys.object(b.ID, o.Key), encodeObject(o)); return nil })
		}
	}
	clean(t, db)
}

// encryptedKeys walks all rows in pages and returns their data keys.
func encryptedKeys(t *testing.T, db *DB, page int, between func(n int)) (out []string) {
	t.Helper()
	var cursor []byte
	for n := 0; ; n++ {
		var rows []EncryptedRow
		view(t, db, func(r *Reader) (err error) {
			rows, cursor, err = r.EncryptedRows(cursor, page)
			return err
		})
		for i := range rows {
			out = append(out, string(rows[i].Encryption.DataKey))
		}
		if cursor == nil {
			return out
		}
		if between != nil {
			between(n)
		}
	}
}

func TestEncryptedRows(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	want := []string{"upload 0", "upload 1", "object 0", "object 1", "version 0", "version 1"}
	for i := range 2 {
		upload := &Upload{ID: db.NewUploadID(db.Now()), Key: fmt.Sprint("k", i), Encryption: sealedUnder(want[i])}
		object := inlineObject(db, fmt.Sprint("k", i), nil, 9)
		object.Data.Kind, object.Encryption = DataEmpty, sealedUnder(want[2+i])
		plain := inlineObject(db, fmt.Sprint("plain", i), nil, 9)
		plain.Data.Kind = DataEmpty
		customers := inlineObject(db, fmt.Sprint("customer", i), nil, 9)
		customers.Data.Kind, customers.Encryption = DataEmpty, &Encryption{Mode: EncryptedC, Sealed: []byte("x")}
		version := inlineObject(db, fmt.Sprint("k", i), nil, 5)
		version.Data.Kind, version.Encryption = DataEmpty, sealedUnder(want[4+i])
		update(t, db, func(tx *Tx) error {
			for _, o := range []*Object{object, plain, customers} {
				if err := tx.PutObject(b.ID, nil, o, nil); err != nil {
					return err
				}
			}
			if err := tx.PutVersion(b.ID, version); err != nil {
				return err
			}
			return tx.PutUpload(b.ID, upload)
		})
	}
	for page := 1; page < 9; page++ {
		if got := encryptedKeys(t, db, page, nil); !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %q, want %q", page, got, want)
		}
	}
	moved := false
	got := encryptedKeys(t, db, 1, func(n int) {
		if n != 1 || moved {
			return
		}
		moved = true // an object that is not reached yet becomes noncurrent
		update(t, db, func(tx *Tx) error {
			o, err := tx.Object(b.ID, "k1")
			if err != nil {
				return err
			}
			return tx.Demote(b.ID, o)
		})
	})
	if slices.Sort(got); !slices.Contains(got, "object 1") {
		t.Errorf("what moved meanwhile is not seen: %q", got)
	}
}

func TestPutDataKey(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	o := inlineObject(db, "k", []byte("x"), 9)
	o.Size, o.Data.ID, o.Encryption = 1, db.NewDataID(), sealedUnder("old")
	stored := make([]byte, sse.StoredSize(1))
	u := &Upload{ID: db.NewUploadID(db.Now()), Key: "k", Encryption: sealedUnder("old")}
	update(t, db, func(tx *Tx) error {
		if err := tx.PutUpload(b.ID, u); err != nil {
			return err
		}
		return tx.PutObject(b.ID, nil, o, stored)
	})
	var rows []EncryptedRow
	view(t, db, func(r *Reader) (err error) {
		rows, _, err = r.EncryptedRows(nil, 10)
		var more []EncryptedRow
		more, _, err2 := r.EncryptedRows([]byte{1}, 10)
		rows = append(rows, more...)
		if err == nil {
			err = err2
		}
		return err
	})
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	put := func(want bool) {
		t.Helper()
		for i := range rows {
			update(t, db, func(tx *Tx) error {
				did, err := tx.PutDataKey(&rows[i], []byte("new"))
				if did != want {
					t.Errorf("row %d is changed: %v, want %v", i, did, want)
				}
				return err
			})
		}
	}
	put(true)
	put(false) // it is another by now
	view(t, db, func(r *Reader) error {
		got, err := r.Object(b.ID, "k")
		if err != nil {
			return err
		}
		up, err := r.Upload(b.ID, "k", u.ID)
		if err != nil {
			return err
		}
		if string(got.Encryption.DataKey) != "new" || string(up.Encryption.DataKey) != "new" || string(got.Encryption.Sealed) != "sealed" || got.Token != o.Token {
			t.Errorf("object %+v, upload %+v", got.Encryption, up.Encryption)
		}
		return nil
	})
	clean(t, db)
	update(t, db, func(tx *Tx) error {
		current, err := tx.Object(b.ID, "k")
		if err != nil {
			return err
		}
		return tx.DeleteObject(b.ID, current)
	})
	update(t, db, func(tx *Tx) error {
		did, err := tx.PutDataKey(&rows[1], []byte("new"))
		if did {
			t.Error("a row that is gone is changed")
		}
		return err
	})
}

// TestMoveOfEncryptedData: rows of moved extents lie where the stored bytes are,
// which are more than the row's size.
func TestMoveOfEncryptedData(t *testing.T) {
	f := newMoveFixture(t)
	o := &Object{
		Key: "k", Ord: 1, Null: true, Size: 100 - sse.Overhead, Modified: f.db.Now(), Encryption: sealedUnder("k"), Token: f.db.NewToken(),
		Data: Data{Kind: DataExtents, ID: f.db.NewDataID(), Extents: extentsOf(placeExtents(f.from, 0, 1, 100))},
	}
	update(t, f.db, func(tx *Tx) error {
		if err := tx.Publish(o.Data.ID, placeExtents(f.from, 0, 1, 100)); err != nil {
			return err
		}
		return tx.PutObject(f.b.ID, nil, o, nil)
	})
	update(t, f.db, func(tx *Tx) error { return tx.MoveExtents(o.Data.ID, f.home("k"), f.moves(0, 1)) })
	clean(t, f.db)
	view(t, f.db, func(r *Reader) error {
		extents, start, err := r.Extents(o.Data.ID, 0, 0)
		if err == nil && (len(extents) != 1 || start != 0 || extents[0].Partition != f.to.ID) {
			t.Errorf("extents %+v from %d", extents, start)
		}
		return err
	})
}
