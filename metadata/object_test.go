package metadata

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBucketsByNameAndOwner(t *testing.T) {
	db := newDB(t)
	var names []string
	for _, n := range []string{"b", "a", "ab", "abc", "c"} {
		newBucket(t, db, n)
		names = append(names, n)
	}
	slices.Sort(names)
	for _, c := range []struct {
		after, prefix string
		limit         int
		want          []string
		more          bool
	}{
		{"", "", 0, names, false},
		{"", "", 2, names[:2], true},
		{"ab", "", 2, []string{"abc", "b"}, true},
		{"", "ab", 2, []string{"ab", "abc"}, false},
		{"ab", "ab", 5, []string{"abc"}, false},
		{"z", "a", 5, nil, false},
		{"a", "b", 5, []string{"b"}, false},
	} {
		view(t, db, func(r *Reader) error {
			got, more, err := r.Buckets("owner", c.after, c.prefix, c.limit)
			var have []string
			for _, b := range got {
				have = append(have, b.Name)
			}
			if !slices.Equal(have, c.want) || more != c.more {
				t.Errorf("after %q prefix %q limit %d: %q more %v, want %q more %v", c.after, c.prefix, c.limit, have, more, c.want, c.more)
			}
			return err
		})
	}
	b := found(t, db, func(r *Reader) (*Bucket, error) { return r.BucketByName("ab") })
	if b == nil || b.Name != "ab" || b.Region != "r" {
		t.Fatalf("bucket ab is %+v", b)
	}
	clean(t, db)
	update(t, db, func(tx *Tx) error { return tx.DeleteBucket(b) })
	if b := found(t, db, func(r *Reader) (*Bucket, error) { return r.BucketByName("ab") }); b != nil {
		t.Errorf("deleted bucket is still %+v", b)
	}
	clean(t, db)
}

func TestPutBucketChangesTheGeneration(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	generation := func() string {
		return string(found(t, db, func(r *Reader) ([]byte, error) { return r.Generation() }))
	}
	before := generation()
	b.Versioning = VersioningEnabled
	update(t, db, func(tx *Tx) error { return tx.PutBucket(b) })
	if generation() == before {
		t.Error("the generation stayed")
	}
	if got := found(t, db, func(r *Reader) (*Bucket, error) { return r.Bucket(b.ID) }); got.Versioning != VersioningEnabled {
		t.Errorf("versioning is %d", got.Versioning)
	}
}

func TestInlineObjectLife(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	old := inlineObject(db, "k\x00", []byte("one"), 5)
	update(t, db, func(tx *Tx) error { return tx.PutObject(b.ID, nil, old, []byte("one")) })
	o := inlineObject(db, "k\x00", []byte("three"), 6)
	update(t, db, func(tx *Tx) error { return tx.PutObject(b.ID, old, o, []byte("three")) })
	view(t, db, func(r *Reader) error {
		got, err := r.Object(b.ID, o.Key)
		if diff := cmp.Diff(o, got); diff != "" {
			t.Errorf("object differs:\n%s", diff)
		}
		bytes, err2 := r.Inline(b.ID, o.Key, 6)
		gone, err3 := r.Inline(b.ID, o.Key, 5)
		if string(bytes) != "three" || gone != nil {
			t.Errorf("inline bytes %q, those replaced %q", bytes, gone)
		}
		n, err4 := r.BucketCount(b.ID)
		if n != (BucketCounts{Objects: 1, Bytes: 5}) {
			t.Errorf("counters %+v", n)
		}
		return errors.Join(err, err2, err3, err4)
	})
	clean(t, db)
	update(t, db, func(tx *Tx) error {
		empty, err := tx.IsEmpty(b.ID)
		if empty {
			t.Error("bucket with an object is empty")
		}
		return errors.Join(err, tx.DeleteObject(b.ID, o))
	})
	view(t, db, func(r *Reader) error {
		n, err := r.BucketCount(b.ID)
		empty, err2 := r.IsEmpty(b.ID)
		if n != (BucketCounts{}) || !empty {
			t.Errorf("after the deletion: counters %+v, empty %v", n, empty)
		}
		return errors.Join(err, err2)
	})
	clean(t, db)
}

func TestVersionsAreNewestFirst(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	var live *Object
	for ord := Ord(1); ord <= 4; ord++ {
		o := inlineObject(db, "k", []byte("body"), ord)
		o.Null = ord == 1
		update(t, db, func(tx *Tx) error {
			if live != nil {
				if err := tx.Demote(b.ID, live); err != nil {
					return err
				}
				if live.Null {
					if err := tx.SetNull(b.ID, "k", live.Ord); err != nil {
						return err
					}
				}
			}
			return tx.PutObject(b.ID, nil, o, []byte("body"))
		})
		live = o
		clean(t, db)
	}
	marker := &Object{Key: "k", Ord: 5, DeleteMarker: true, Modified: db.Now()}
	update(t, db, func(tx *Tx) error { return errors.Join(tx.Demote(b.ID, live), tx.PutVersion(b.ID, marker)) })
	clean(t, db)
	view(t, db, func(r *Reader) error {
		all, err := r.Versions(b.ID, "k", 0)
		var ords []Ord
		for _, v := range all {
			ords = append(ords, v.Ord)
		}
		if !slices.Equal(ords, []Ord{5, 4, 3, 2, 1}) {
			t.Errorf("orders %v", ords)
		}
		null, err2 := r.NullOrd(b.ID, "k")
		if null != 1 {
			t.Errorf("null version has order %d", null)
		}
		body, err3 := r.Inline(b.ID, "k", 3)
		if string(body) != "body" {
			t.Errorf("inline bytes of a noncurrent version are %q", body)
		}
		n, err4 := r.BucketCount(b.ID)
		if n != (BucketCounts{Bytes: 16}) {
			t.Errorf("counters %+v", n)
		}
		return errors.Join(err, err2, err3, err4)
	})
	update(t, db, func(tx *Tx) error {
		null, err := tx.Version(b.ID, "k", 1)
		newest, err2 := tx.Version(b.ID, "k", 4)
		return errors.Join(err, err2, tx.DeleteVersion(b.ID, marker), tx.Promote(b.ID, newest),
			tx.DeleteVersion(b.ID, null), tx.ClearNull(b.ID, "k"))
	})
	clean(t, db)
	o := found(t, db, func(r *Reader) (*Object, error) { return r.Object(b.ID, "k") })
	if o == nil || o.Ord != 4 {
		t.Errorf("promoted %+v", o)
	}
}

func listAll(t *testing.T, db *DB, b BucketID, begin, prefix string) (keys []string) {
	t.Helper()
	view(t, db, func(r *Reader) error {
		it := r.Objects(b, begin, prefix)
		defer it.Close()
		for it.Next() {
			s, err := it.Summary()
			if err != nil {
				return err
			}
			keys = append(keys, s.Key)
		}
		return it.Err()
	})
	return keys
}

func TestListingInByteOrder(t *testing.T) {
	db := newDB(t)
	b, other := newBucket(t, db, "b"), newBucket(t, db, "other")
	keys := []string{"\x00", "a", "a\x00b", "a/1", "a/2", "b", "é", "\xf4\x8f\xbf\xbf"}
	update(t, db, func(tx *Tx) error {
		for _, k := range keys {
			if err := tx.PutObject(b.ID, nil, inlineObject(db, k, nil, 1), nil); err != nil {
				return err
			}
		}
		return tx.PutObject(other.ID, nil, inlineObject(db, "x", nil, 1), nil)
	})
	slices.Sort(keys)
	for _, begin := range append([]string{"", "a/", "zzz"}, keys...) {
		for _, prefix := range []string{"", "a", "a/", "b", "nothing"} {
			var want []string
			for _, k := range keys {
				if k >= begin && strings.HasPrefix(k, prefix) {
					want = append(want, k)
				}
			}
			if got := listAll(t, db, b.ID, begin, prefix); !slices.Equal(got, want) {
				t.Errorf("from %q with prefix %q: %q, want %q", begin, prefix, got, want)
			}
		}
	}
}

func TestListingSkipsAndCrossesPages(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	var keys []string
	for i := range 30 {
		for j := range 100 {
			keys = append(keys, fmt.Sprintf("%02d/%03d", i, j))
		}
	}
	for chunk := range slices.Chunk(keys, 500) {
		update(t, db, func(tx *Tx) error {
			for _, k := range chunk {
				if err := tx.PutObject(b.ID, nil, inlineObject(db, k, []byte("x"), 1), []byte("x")); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if got := listAll(t, db, b.ID, "", ""); !slices.Equal(got, keys) {
		t.Errorf("%d keys across pages, want %d", len(got), len(keys))
	}
	for _, skip := range []int{1, 3, 15, 16, 17, 99} { // near the end of a group and far from it
		var got, want []string
		view(t, db, func(r *Reader) error {
			it := r.Objects(b.ID, "", "")
			defer it.Close()
			for it.Next() {
				got = append(got, it.Key())
				if strings.HasSuffix(it.Key(), fmt.Sprintf("/%03d", 100-skip)) {
					it.SkipTo(it.Key()[:2] + "0") // '0' follows '/'
				}
			}
			return it.Err()
		})
		for _, k := range keys {
			if k[3:] <= fmt.Sprintf("%03d", 100-skip) {
				want = append(want, k)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("skipping the last %d of a group gives %d keys, want %d", skip-1, len(got), len(want))
		}
	}
	s := clean(t, db)
	if s.Objects != 3000 {
		t.Errorf("the checker saw %d objects", s.Objects)
	}
}

func TestLiveObjectMustFitItsData(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	for name, o := range map[string]*Object{
		"no order":          {Key: "k", Data: Data{Kind: DataInline}},
		"size of inline":    {Key: "k", Ord: 1, Size: 2, Data: Data{Kind: DataInline}},
		"size of nothing":   {Key: "k", Ord: 1, Size: 2},
		"a delete marker":   {Key: "k", Ord: 1, DeleteMarker: true},
		"size of extents":   {Key: "k", Ord: 1, Size: 2, Data: Data{Kind: DataExtents, Extents: []Extent{{Length: 1}}}},
		"shared extents":    {Key: "k", Ord: 1, Size: 1, Data: Data{Kind: DataExtents, Shared: true, Extents: []Extent{{Length: 1}}}},
		"too many extents":  {Key: "k", Ord: 1, Size: 5, Data: Data{Kind: DataExtents, Extents: slices.Repeat([]Extent{{Length: 1}}, 5)}},
		"inline bytes else": {Key: "k", Ord: 1, Size: 1, Data: Data{Kind: DataRows}},
	} {
		err := db.Update(t.Context(), "test", func(tx *Tx) error { return tx.PutObject(b.ID, nil, o, []byte("x")) })
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
	clean(t, db)
}
