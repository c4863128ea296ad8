package metadata

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// testUpload is an upload with where it is.
type testUpload struct {
	*Upload
	db     *DB
	bucket *Bucket
}

func newUpload(tb testing.TB, db *DB, b *Bucket, key string) *testUpload {
	tb.Helper()
	u := &Upload{ID: db.NewUploadID(db.Now()), Key: key, Initiated: db.Now(), Owner: "owner", Token: db.NewToken()}
	update(tb, db, func(tx *Tx) error { return tx.PutUpload(b.ID, u) })
	return &testUpload{Upload: u, db: db, bucket: b}
}

// put uploads a part of n extents of 100 bytes in place of the one there.
func (u *testUpload) put(tb testing.TB, number int, placed []Placed) *Part {
	tb.Helper()
	p := &Part{Number: number, Modified: u.db.Now(), ETag: "e", Token: u.db.NewToken()}
	id := u.db.NewDataID()
	for _, x := range placed {
		p.Size += int64(x.Extent.Length)
	}
	if p.Size > 0 {
		p.Slices = []Slice{{ID: id, Length: p.Size}}
	}
	update(tb, u.db, func(tx *Tx) error {
		old, err := tx.Part(u.bucket.ID, u.ID, number)
		return errors.Join(err, tx.PutExtents(id, 0, extentsOf(placed)), tx.Publish(id, placed), tx.PutPart(u.bucket.ID, u.ID, old, p))
	})
	return p
}

// complete makes an object of some parts of an upload and drops the others.
func complete(tb testing.TB, db *DB, b *Bucket, u *testUpload, use func(int) bool) *Object {
	tb.Helper()
	o := &Object{Key: u.Key, Modified: db.Now(), Data: Data{Kind: DataManifest, ID: db.NewDataID()}, Token: Token(u.ID)}
	update(tb, db, func(tx *Tx) error {
		parts, _, err := tx.Parts(b.ID, u.ID, 0, 0)
		var manifest []ManifestPart
		var last Ord
		o.Size, o.Parts = 0, 0
		total := int64(0)
		for _, p := range parts {
			total += p.Size
			if !use(p.Number) {
				err = errors.Join(err, tx.ReleaseSlices(p.Slices))
				continue
			}
			manifest = append(manifest, ManifestPart{Number: p.Number, Size: p.Size, Slices: p.Slices})
			o.Size += p.Size
			o.Parts++
		}
		old, err2 := tx.Object(b.ID, u.Key)
		newest, err3 := tx.Versions(b.ID, u.Key, 1)
		for _, o := range newest {
			last = o.Ord
		}
		if old != nil {
			last = max(last, old.Ord)
		}
		o.Ord = db.NextOrd(last)
		return errors.Join(err, err2, err3, tx.PutManifest(o.Data.ID, 0, manifest), tx.DeleteUpload(b.ID, u.Upload),
			tx.DeleteParts(b.ID, u.ID, total), tx.PutObject(b.ID, old, o, nil))
	})
	return o
}

func TestUploadLife(t *testing.T) {
	db := newDB(t)
	b, p := newBucket(t, db, "b"), newPartition(t, db)
	u := newUpload(t, db, b, "k")
	clean(t, db)
	for n := range 5 {
		u.put(t, n+1, placeExtents(p, 10*n, 3, 100))
	}
	u.put(t, 2, placeExtents(p, 100, 2, 100)) // replaces
	clean(t, db)
	view(t, db, func(r *Reader) error {
		n, err := r.BucketCount(b.ID)
		if n != (BucketCounts{Uploads: 1, PartBytes: 1400}) {
			t.Errorf("counters %+v", n)
		}
		parts, more, err2 := r.Parts(b.ID, u.ID, 1, 2)
		if len(parts) != 2 || parts[0].Number != 2 || parts[0].Size != 200 || !more {
			t.Errorf("parts %+v more %v", parts, more)
		}
		return errors.Join(err, err2)
	})
	o := complete(t, db, b, u, func(n int) bool { return n != 3 })
	clean(t, db)
	collect(t, db)
	s := clean(t, db)
	if s.LiveBytes != 1100 || s.Objects != 1 || s.Uploads != 0 || s.Parts != 0 {
		t.Errorf("after completion: %+v", s)
	}
	dst := share(t, db, b, o, "copy")
	update(t, db, func(tx *Tx) error { return tx.DeleteObject(b.ID, o) })
	collect(t, db)
	if s := clean(t, db); s.LiveBytes != 1100 {
		t.Errorf("the copy lost its bytes: %+v", s)
	}
	update(t, db, func(tx *Tx) error { return tx.DeleteObject(b.ID, dst) })
	collect(t, db)
	if s := clean(t, db); s.LiveBytes != 0 || s.Manifests != 0 || s.Refs != 0 {
		t.Errorf("after the deletion: %+v", s)
	}
}

func TestAbortedUploadIsCollected(t *testing.T) {
	db := newDB(t)
	b, p := newBucket(t, db, "b"), newPartition(t, db)
	u := newUpload(t, db, b, "k")
	for n := range 4 {
		u.put(t, n+1, placeExtents(p, 10*n, 1, 100))
	}
	update(t, db, func(tx *Tx) error { return errors.Join(tx.DeleteUpload(b.ID, u.Upload), tx.ReleaseUpload(b.ID, u.ID)) })
	if s := clean(t, db); s.Parts != 4 {
		t.Errorf("the abort removed parts: %+v", s)
	}
	update(t, db, func(tx *Tx) error { return tx.DeleteBucket(b) })
	clean(t, db)
	collect(t, db)
	if s := clean(t, db); s.Parts != 0 || s.LiveBytes != 0 || s.Garbage != 0 {
		t.Errorf("after the collection: %+v", s)
	}
}

func TestPartsStampChangesWithEveryPart(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	u := newUpload(t, db, b, "k")
	stamp := func() []byte {
		return found(t, db, func(r *Reader) ([]byte, error) { return r.PartsStamp(b.ID, u.ID) })
	}
	before := stamp()
	for range 3 {
		u.put(t, 1, nil)
		after := stamp()
		if bytes.Equal(before, after) {
			t.Fatalf("the stamp stayed %x", after)
		}
		before = after
	}
}

func TestPartsDoNotConflictWithEachOther(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	u := newUpload(t, db, b, "k")
	update(t, db, func(tx *Tx) error {
		if tx.Attempt() > 0 {
			t.Error("a part conflicts with another part")
		}
		_, err := tx.Upload(b.ID, "k", u.ID)
		old, err2 := tx.Part(b.ID, u.ID, 1)
		u.put(t, 2, nil)
		return errors.Join(err, err2, tx.PutPart(b.ID, u.ID, old, &Part{Number: 1}))
	})
}

func TestPartPinnedFromAnObject(t *testing.T) {
	db := newDB(t)
	b, p := newBucket(t, db, "b"), newPartition(t, db)
	src := storedObject(t, db, b, "source", placeExtents(p, 0, 2, 100))
	u := newUpload(t, db, b, "k")
	pin := func(number int) {
		part := &Part{Number: number, Size: 150, Token: db.NewToken()}
		owner := Owner{Kind: OwnerPart, Bucket: b.ID, Upload: u.ID, Part: number, Token: part.Token}
		part.Slices = []Slice{{ID: src.Data.ID, Offset: 25, Length: 100, Owner: &owner}, {ID: src.Data.ID, Length: 50, Owner: &owner}}
		update(t, db, func(tx *Tx) error {
			old, err := tx.Part(b.ID, u.ID, number)
			return errors.Join(err, tx.PutExtents(src.Data.ID, 0, src.Data.Extents), tx.Pin(src.Data.ID, owner), tx.PutPart(b.ID, u.ID, old, part))
		})
	}
	pin(1)
	pin(1)
	pin(2)
	update(t, db, func(tx *Tx) error { return tx.DeleteObject(b.ID, src) })
	collect(t, db)
	if s := clean(t, db); s.Pins != 2 || s.LiveBytes != 200 {
		t.Errorf("pinned parts: %+v", s)
	}
	o := complete(t, db, b, u, func(n int) bool { return n == 2 })
	collect(t, db)
	if s := clean(t, db); s.Pins != 1 || s.LiveBytes != 200 {
		t.Errorf("completed: %+v", s)
	}
	update(t, db, func(tx *Tx) error { return tx.DeleteObject(b.ID, o) })
	collect(t, db)
	if s := clean(t, db); s.Pins != 0 || s.LiveBytes != 0 {
		t.Errorf("deleted: %+v", s)
	}
}

func TestUploadsByKeyAndTime(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	type entry struct {
		key string
		id  UploadID
	}
	var all []entry
	for _, key := range []string{"a", "a\x00", "a/x", "b", "b\xff"} {
		for range 3 {
			all = append(all, entry{key, newUpload(t, db, b, key).ID})
		}
	}
	slices.SortFunc(all, func(x, y entry) int {
		if c := strings.Compare(x.key, y.key); c != 0 {
			return c
		}
		return bytes.Compare(x.id[:], y.id[:])
	})
	list := func(o UploadRange, skip func(*UploadIter, string)) (out []entry) {
		view(t, db, func(r *Reader) error {
			it := r.Uploads(b.ID, o)
			defer it.Close()
			for it.Next() {
				u, err := it.Upload()
				if err != nil {
					return err
				}
				out = append(out, entry{u.Key, u.ID})
				if skip != nil {
					skip(it, u.Key)
				}
			}
			return it.Err()
		})
		return out
	}
	check := func(name string, got []entry, want func(entry) bool) {
		t.Helper()
		var expected []entry
		for _, e := range all {
			if want(e) {
				expected = append(expected, e)
			}
		}
		if !slices.Equal(got, expected) {
			t.Errorf("%s: %d uploads, want %d", name, len(got), len(expected))
		}
	}
	check("all", list(UploadRange{Page: 2}, nil), func(entry) bool { return true })
	check("prefix", list(UploadRange{Prefix: "a"}, nil), func(e entry) bool { return e.key[0] == 'a' })
	check("after key", list(UploadRange{AfterKey: "a"}, nil), func(e entry) bool { return e.key > "a" })
	check("before prefix", list(UploadRange{Prefix: "b", AfterKey: "a"}, nil), func(e entry) bool { return e.key[0] == 'b' })
	check("after upload", list(UploadRange{AfterKey: "a", AfterUpload: all[1].id}, nil),
		func(e entry) bool { return e.key > "a" || bytes.Compare(e.id[:], all[1].id[:]) > 0 })
	first := map[string]UploadID{}
	for _, e := range all {
		if _, ok := first[e.key]; !ok {
			first[e.key] = e.id
		}
	}
	check("skipping", list(UploadRange{}, func(it *UploadIter, key string) { it.SkipTo(key + "\x00") }),
		func(e entry) bool { return first[e.key] == e.id })
}

func TestManifestFromAnyOffset(t *testing.T) {
	db := newDB(t)
	id := db.NewDataID()
	rng := rand.New(rand.NewPCG(7, 8))
	var all []ManifestPart
	for n := range 10_000 {
		p := ManifestPart{Number: n + 1, Size: 1 + rng.Int64N(100)}
		p.Slices = []Slice{{ID: sampleID(byte(n)), Length: p.Size}}
		p.Checksums = []Checksum{{Algorithm: "CRC64NVME", Type: "FULL_OBJECT", Value: "AAECAwQFBgc="}}
		all = append(all, p)
	}
	all[len(all)-1] = ManifestPart{Number: 10_000}
	offsets := []int64{0}
	for _, p := range all {
		offsets = append(offsets, offsets[len(offsets)-1]+p.Size)
	}
	for _, cut := range [][2]int{{0, 3000}, {3000, 9999}, {9999, 10_000}} { // the last is a row of no bytes
		update(t, db, func(tx *Tx) error { return tx.PutManifest(id, offsets[cut[0]], all[cut[0]:cut[1]]) })
	}
	for _, from := range []int64{0, 1, offsets[1], offsets[2999], offsets[3000], offsets[3000] + 1, offsets[5555] - 1, offsets[9998]} {
		first := 0
		for offsets[first+1] <= from {
			first++
		}
		for _, limit := range []int{1, 500, 0} {
			want := all[first:]
			if limit > 0 {
				want = want[:min(limit, len(want))]
			}
			view(t, db, func(r *Reader) error {
				got, start, err := r.ManifestParts(id, from, limit)
				if !reflect.DeepEqual(want, got) || start != offsets[first] {
					t.Fatalf("from %d limit %d: %d parts from %d, want %d from %d", from, limit, len(got), start, len(want), offsets[first])
				}
				return err
			})
		}
	}
	for _, n := range []int{1, 2, 3000, 3001, 9999, 10_000, 10_001, 0} {
		view(t, db, func(r *Reader) error {
			p, start, err := r.ManifestPart(id, n)
			if n < 1 || n > 10_000 {
				if p != nil {
					t.Errorf("part %d is %+v", n, p)
				}
				return err
			}
			if p == nil || p.Number != n || start != offsets[n-1] {
				t.Errorf("part %d is %+v from %d, want from %d", n, p, start, offsets[n-1])
			}
			return err
		})
	}
}

func TestManifestOfNothing(t *testing.T) {
	db := newDB(t)
	id := db.NewDataID()
	update(t, db, func(tx *Tx) error { return tx.PutManifest(id, 0, []ManifestPart{{Number: 1}}) })
	view(t, db, func(r *Reader) error {
		parts, _, err := r.ManifestParts(id, 0, 0)
		if len(parts) != 1 || parts[0].Number != 1 {
			t.Errorf("parts %+v", parts)
		}
		return err
	})
}

func TestRowsOfManySlicesFitIntoAValue(t *testing.T) {
	db := newDB(t)
	b := newBucket(t, db, "b")
	u := newUpload(t, db, b, "k")
	part := &Part{Number: 1, Token: db.NewToken()}
	owner := Owner{Kind: OwnerPart, Bucket: b.ID, Upload: u.ID, Part: 1, Token: part.Token}
	for i := range MaxSlices {
		part.Slices = append(part.Slices, Slice{ID: sampleID(byte(i)), Offset: 5 << 30, Length: 5 << 30, Owner: &owner})
	}
	update(t, db, func(tx *Tx) error {
		manifest := slices.Repeat([]ManifestPart{{Number: 1, Size: 1, Slices: part.Slices}}, 3)
		for i := range manifest {
			manifest[i].Number = i + 1
		}
		return errors.Join(tx.PutPart(b.ID, u.ID, nil, part), tx.PutManifest(db.NewDataID(), 0, manifest))
	})
	part.Slices = append(part.Slices, part.Slices[0])
	for name, fn := range map[string]func(*Tx) error{
		"part": func(tx *Tx) error { return tx.PutPart(b.ID, u.ID, nil, part) },
		"manifest": func(tx *Tx) error {
			return tx.PutManifest(db.NewDataID(), 0, []ManifestPart{{Number: 1, Slices: part.Slices}})
		},
		"number": func(tx *Tx) error { return tx.PutPart(b.ID, u.ID, nil, &Part{Number: 10_001}) },
	} {
		if err := db.Update(t.Context(), "test", fn); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
}

func BenchmarkListing(b *testing.B) {
	db := newDBOn(b, newPebble(b))
	bucket := newBucket(b, db, "b")
	const n = 20_000
	for i := 0; i < n; i += 1000 {
		update(b, db, func(tx *Tx) error {
			for j := range 1000 {
				o := sampleObject()
				o.Key = fmt.Sprintf("some/directory/file-%08d", i+j)
				if err := tx.PutObject(bucket.ID, nil, o, nil); err != nil {
					return err
				}
			}
			return nil
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		view(b, db, func(r *Reader) error {
			it := r.Objects(bucket.ID, "", "")
			defer it.Close()
			count := 0
			for it.Next() {
				if _, err := it.Summary(); err != nil {
					return err
				}
				count++
			}
			if count != n {
				b.Fatalf("%d keys", count)
			}
			return it.Err()
		})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/key")
}
