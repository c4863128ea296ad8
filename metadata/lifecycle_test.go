package metadata

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBucketsWithADocument(t *testing.T) {
	db := newDB(t)
	var want []BucketID
	for i := range 60 {
		b := newBucket(t, db, fmt.Sprint("bucket-", i))
		update(t, db, func(tx *Tx) error { return tx.PutBucketConfig(b, ConfigPolicy, []byte("{}")) })
		if i%2 == 0 {
			update(t, db, func(tx *Tx) error { return tx.PutBucketConfig(b, ConfigLifecycle, []byte("x")) })
			want = append(want, b.ID)
		}
		if i%3 == 0 {
			update(t, db, func(tx *Tx) error { return tx.PutBucketConfig(b, ConfigWebsite, []byte("y")) })
		}
	}
	slices.Sort(want)
	for _, limit := range []int{1, 7, 100} {
		var got []BucketID
		for from := BucketID(0); ; {
			page := found(t, db, func(r *Reader) ([]BucketID, error) { return r.BucketsWith(ConfigLifecycle, from, limit) })
			got = append(got, page...)
			if len(page) < limit {
				break
			}
			from = page[len(page)-1] + 1
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d at a time: %s", limit, diff)
		}
	}
	doc := found(t, db, func(r *Reader) ([]byte, error) { return r.BucketConfig(want[0], ConfigLifecycle) })
	if string(doc) != "x" {
		t.Errorf("document %q", doc)
	}
	if doc := found(t, db, func(r *Reader) ([]byte, error) { return r.BucketConfig(want[0], ConfigCORS) }); doc != nil {
		t.Errorf("a document that is not set is %q", doc)
	}
}

// TestLifecycleRows: what is read of a row is what the record says, as far as it was asked for.
func TestLifecycleRows(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "one")
	at := time.UnixMilli(1_700_000_000_123).UTC()
	tags := []Pair{{Name: "a", Value: "1"}, {Name: "b", Value: ""}}
	row := func(key string, ord Ord) *Object {
		return &Object{
			Key: key, Ord: ord, Suffix: 7, Modified: at, ETag: "0123456789abcdef0123456789abcdef", Owner: "o", Tags: tags, Token: Token{1},
			Attributes: Attributes{ContentType: "text/plain", StorageClass: "COLD", CacheControl: "none"},
		}
	}
	update(t, db, func(tx *Tx) error { return tx.PutObject(b.ID, nil, row("key", 30), nil) })
	marker := &Object{Key: "key", Ord: 20, DeleteMarker: true, Modified: at.Add(-time.Hour), Token: Token{1}}
	update(t, db, func(tx *Tx) error { return tx.PutVersion(b.ID, marker) })
	plain := &Object{Key: "other", Ord: 10, Modified: at, Token: Token{1}}
	update(t, db, func(tx *Tx) error { return tx.PutObject(b.ID, nil, plain, nil) })
	for fields, want := range map[LifecycleFields][]LifecycleRow{
		LifecycleTimes: {
			{Ord: 30, Latest: true, Modified: at.UnixMilli()},
			{Ord: 20, DeleteMarker: true, Modified: at.Add(-time.Hour).UnixMilli()},
			{Ord: 10, Latest: true, Modified: at.UnixMilli()},
		},
		LifecycleClasses: {
			{Ord: 30, Latest: true, Modified: at.UnixMilli(), StorageClass: "COLD"},
			{Ord: 20, DeleteMarker: true, Modified: at.Add(-time.Hour).UnixMilli()},
			{Ord: 10, Latest: true, Modified: at.UnixMilli()},
		},
		LifecycleTags: {
			{Ord: 30, Latest: true, Modified: at.UnixMilli(), StorageClass: "COLD", Tags: tags},
			{Ord: 20, DeleteMarker: true, Modified: at.Add(-time.Hour).UnixMilli()},
			{Ord: 10, Latest: true, Modified: at.UnixMilli()},
		},
	} {
		var got []LifecycleRow
		view(t, db, func(r *Reader) error {
			it, err := r.VersionsIn(b.ID, VersionRange{})
			if err != nil {
				return err
			}
			defer it.Close()
			var one LifecycleRow
			for it.Next() {
				if err := it.Lifecycle(&one, fields); err != nil {
					return err
				}
				kept := one
				kept.Tags = append([]Pair(nil), one.Tags...)
				got = append(got, kept)
			}
			return it.Err()
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("fields %d: %s", fields, diff)
		}
	}
}
