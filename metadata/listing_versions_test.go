package metadata

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// putVersions puts n versions of a key, orders 1 to n; the newest is a marker
// where hidden.
func putVersions(tb testing.TB, tx *Tx, b BucketID, key string, n int, hidden bool) { //nolint:revive // says what is put
	tb.Helper()
	for ord := 1; ord <= n; ord++ {
		o := sampleObject()
		o.Key, o.Ord, o.Null = key, Ord(ord), false
		var err error
		switch {
		case ord < n:
			err = tx.PutVersion(b, o)
		case hidden:
			err = tx.PutVersion(b, &Object{Key: key, Ord: o.Ord, DeleteMarker: true})
		default:
			err = tx.PutObject(b, nil, o, nil)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// versionName is how the tests here name a version.
func versionName(key string, ord int, marker, latest bool) string {
	return fmt.Sprintf("%q %d marker=%v latest=%v", key, ord, marker, latest)
}

func versionsFrom(tb testing.TB, db *DB, b BucketID, o VersionRange) (all []string) {
	tb.Helper()
	view(tb, db, func(r *Reader) error {
		it, err := r.VersionsIn(b, o)
		if err != nil {
			return err
		}
		defer it.Close()
		for it.Next() {
			s, err := it.Summary()
			if err != nil {
				return err
			}
			all = append(all, versionName(s.Key, int(s.Ord), s.DeleteMarker, s.Latest))
		}
		return it.Err()
	})
	return all
}

func TestVersionsInByteOrder(t *testing.T) {
	db := newDB(t)
	b, other := newBucket(t, db, "b"), newBucket(t, db, "other")
	rng := rand.New(rand.NewPCG(1, 2))
	type have struct {
		key    string
		n      int
		hidden bool
	}
	var keys []have
	for _, k := range []string{"\x00", "\x00\x00", "a", "a\x00", "a\x00b", "a\x01", "a/1", "a/2", "aa", "b", "é", "\xf4\x8f\xbf\xbf"} {
		keys = append(keys, have{k, 1 + rng.IntN(4), rng.IntN(2) == 0})
	}
	update(t, db, func(tx *Tx) error {
		for _, k := range keys {
			putVersions(t, tx, b.ID, k.key, k.n, k.hidden)
		}
		putVersions(t, tx, other.ID, "a", 2, false)
		return nil
	})
	for _, prefix := range []string{"", "\x00", "a", "a\x00", "a/", "nothing"} {
		for _, from := range []string{"", "\x00", "a", "a\x00", "a/1", "a/", "aa", "b", "z"} {
			for below := range Ord(6) {
				var want []string
				for _, k := range keys {
					if !strings.HasPrefix(k.key, prefix) || k.key < from {
						continue
					}
					for ord := k.n; ord > 0; ord-- {
						if k.key == from && from >= prefix && below != 0 && Ord(ord) >= below {
							continue
						}
						want = append(want, versionName(k.key, ord, k.hidden && ord == k.n, ord == k.n))
					}
				}
				got := versionsFrom(t, db, b.ID, VersionRange{Prefix: prefix, From: from, Below: below})
				if !slices.Equal(got, want) {
					t.Fatalf("prefix %q from %q below %d: %q, want %q", prefix, from, below, got, want)
				}
			}
		}
	}
}

func TestVersionsSkip(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	for group := range 40 {
		update(t, db, func(tx *Tx) error {
			for i := range 60 {
				putVersions(t, tx, b.ID, fmt.Sprintf("%02d/%02d", group, i), 1+(group+i)%3, i%2 == 0)
			}
			return nil
		})
	}
	for _, after := range []int{0, 1, 30, 58, 59} { // how many keys of a group are passed before the skip
		var got []string
		view(t, db, func(r *Reader) error {
			it, err := r.VersionsIn(b.ID, VersionRange{})
			if err != nil {
				return err
			}
			defer it.Close()
			for it.Next() {
				key := string(it.KeyBytes())
				if len(got) == 0 || got[len(got)-1] != key {
					got = append(got, key)
				}
				if key[3:] == fmt.Sprintf("%02d", after) {
					it.SkipTo(key[:2] + "0") // '0' follows '/'
				}
			}
			return it.Err()
		})
		var want []string
		for group := range 40 {
			for i := range after + 1 {
				want = append(want, fmt.Sprintf("%02d/%02d", group, i))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("skipping after %d keys gives %d keys, want %d", after+1, len(got), len(want))
		}
	}
}

// BenchmarkListingVersions beside BenchmarkListing: as many rows, half of them
// noncurrent.
func BenchmarkListingVersions(b *testing.B) {
	db := newDBOn(b, newPebble(b))
	bucket := newBucket(b, db, "b")
	const n = 20_000
	for i := 0; i < n/2; i += 500 {
		update(b, db, func(tx *Tx) error {
			for j := range 500 {
				putVersions(b, tx, bucket.ID, fmt.Sprintf("some/directory/file-%08d", i+j), 2, j%10 == 0)
			}
			return nil
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		view(b, db, func(r *Reader) error {
			it, err := r.VersionsIn(bucket.ID, VersionRange{})
			if err != nil {
				return err
			}
			defer it.Close()
			count := 0
			for it.Next() {
				if _, err := it.Summary(); err != nil {
					return err
				}
				count++
			}
			if count != n {
				b.Fatalf("%d versions", count)
			}
			return it.Err()
		})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/version")
}

// BenchmarkListingVersionsByPrefix skips what is under common prefixes: its
// cost follows from their number.
func BenchmarkListingVersionsByPrefix(b *testing.B) {
	for _, each := range []int{10, 1000} {
		b.Run(fmt.Sprint(each), func(b *testing.B) {
			db := newDBOn(b, newPebble(b))
			bucket := newBucket(b, db, "b")
			const groups = 20
			for group := range groups {
				update(b, db, func(tx *Tx) error {
					for i := range each {
						putVersions(b, tx, bucket.ID, fmt.Sprintf("%02d/%08d", group, i), 2, false)
					}
					return nil
				})
			}
			for b.Loop() {
				view(b, db, func(r *Reader) error {
					it, err := r.VersionsIn(bucket.ID, VersionRange{})
					if err != nil {
						return err
					}
					defer it.Close()
					count := 0
					for it.Next() {
						count++
						it.SkipTo(string(it.KeyBytes()[:2]) + "0")
					}
					if count != groups {
						b.Fatalf("%d groups", count)
					}
					return it.Err()
				})
			}
		})
	}
}
