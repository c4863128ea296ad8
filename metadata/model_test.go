package metadata

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

// simulation does random operations on a few keys and remembers what each key
// should hold.
type simulation struct {
	t         *testing.T
	db        *DB
	rng       *rand.Rand
	buckets   []*Bucket
	partition *Partition
	stripe    int
	want      map[string][]Extent // current live objects, by bucket and key; nil extents for inline ones
	uploads   []*simulatedUpload
}

type simulatedUpload struct {
	*testUpload
	parts map[int][]Extent
}

func newSimulation(t *testing.T, e kv.Engine, seed uint64) *simulation {
	t.Helper()
	db := newDBOn(t, e)
	return &simulation{
		t: t, db: db, rng: rand.New(rand.NewPCG(seed, 0)), want: make(map[string][]Extent),
		buckets: []*Bucket{newBucket(t, db, "one"), newBucket(t, db, "two")}, partition: newPartition(t, db),
	}
}

func (s *simulation) name(b *Bucket, key string) string { return b.Name + "/" + key }

func (s *simulation) pick() (*Bucket, string) {
	keys := []string{"a", "a\x00", "a/b", "b", "c"}
	return s.buckets[s.rng.IntN(len(s.buckets))], keys[s.rng.IntN(len(keys))]
}

func (s *simulation) place(n int) []Placed {
	placed := placeExtents(s.partition, s.stripe, n, 1+s.rng.Uint32N(100))
	s.stripe += n
	return placed
}

// put replaces a key, or demotes what is there as a versioned bucket does.
func (s *simulation) put() {
	b, key := s.pick()
	o := &Object{Key: key, Modified: s.db.Now(), Owner: "owner", Token: s.db.NewToken()}
	var placed []Placed
	inline := []byte("inline body")
	if n := []int{0, 1, 4, 5, 300}[s.rng.IntN(5)]; n == 0 {
		o.Size, o.Data.Kind = int64(len(inline)), DataInline
	} else {
		placed, inline = s.place(n), nil
		o.Data = Data{Kind: DataRows, ID: s.db.NewDataID()}
		if n <= MaxRowExtents {
			o.Data.Kind, o.Data.Extents = DataExtents, extentsOf(placed)
		}
		o.Size = int64(n) * int64(placed[0].Extent.Length)
	}
	versioned := s.rng.IntN(3) == 0
	update(s.t, s.db, func(tx *Tx) error {
		old, err := s.replace(tx, b, key, o)
		if err != nil {
			return err
		}
		if versioned && old != nil {
			if err := tx.Demote(b.ID, old); err != nil {
				return err
			}
			old = nil
		}
		if o.Data.Kind == DataRows {
			if err := tx.PutExtents(o.Data.ID, 0, extentsOf(placed)); err != nil {
				return err
			}
		}
		return errors.Join(tx.Publish(o.Data.ID, placed), tx.PutObject(b.ID, old, o, inline))
	})
	s.want[s.name(b, key)] = extentsOf(placed)
}

// replace gives o an order above every version of the key and returns the
// current one.
func (s *simulation) replace(tx *Tx, b *Bucket, key string, o *Object) (*Object, error) {
	old, err := tx.Object(b.ID, key)
	if err != nil {
		return nil, err
	}
	newest, err := tx.Versions(b.ID, key, 1)
	if err != nil {
		return nil, err
	}
	var last Ord
	if len(newest) > 0 {
		last = newest[0].Ord
	}
	if old != nil {
		last = max(last, old.Ord)
	}
	o.Ord = s.db.NextOrd(last)
	return old, nil
}

func (s *simulation) remove() {
	b, key := s.pick()
	update(s.t, s.db, func(tx *Tx) error {
		old, err := tx.Object(b.ID, key)
		if err != nil || old == nil {
			return err
		}
		return tx.DeleteObject(b.ID, old)
	})
	delete(s.want, s.name(b, key))
}

func (s *simulation) removeVersion() {
	b, key := s.pick()
	update(s.t, s.db, func(tx *Tx) error {
		all, err := tx.Versions(b.ID, key, 0)
		if err != nil || len(all) == 0 {
			return err
		}
		return tx.DeleteVersion(b.ID, &all[s.rng.IntN(len(all))])
	})
}

func (s *simulation) copyObject() {
	from, source := s.pick()
	to, key := s.pick()
	extents, ok := s.want[s.name(from, source)]
	if !ok {
		return
	}
	update(s.t, s.db, func(tx *Tx) error {
		src, err := tx.Object(from.ID, source)
		if err != nil {
			return err
		}
		o := *src
		o.Key = key
		old, err := s.replace(tx, to, key, &o)
		if err != nil {
			return err
		}
		var inline []byte
		switch src.Data.Kind {
		case DataInline:
			if inline, err = tx.Inline(from.ID, source, src.Ord); err != nil {
				return err
			}
		case DataExtents, DataRows, DataManifest:
			o.Data = Data{Kind: src.Data.Kind, ID: src.Data.ID, Shared: true}
			if src.Data.Kind == DataExtents {
				o.Data.Kind = DataRows
				err = tx.PutExtents(src.Data.ID, 0, src.Data.Extents)
			}
			pin := tx.Pin(src.Data.ID, Owner{Kind: OwnerVersion, Bucket: to.ID, Key: key, Ord: o.Ord})
			if err := errors.Join(err, pin); err != nil {
				return err
			}
		case DataEmpty:
		}
		return tx.PutObject(to.ID, old, &o, inline)
	})
	s.want[s.name(to, key)] = extents
}

func (s *simulation) startUpload() {
	b, key := s.pick()
	s.uploads = append(s.uploads, &simulatedUpload{testUpload: newUpload(s.t, s.db, b, key), parts: make(map[int][]Extent)})
}

func (s *simulation) uploadPart() {
	if len(s.uploads) == 0 {
		return
	}
	u := s.uploads[s.rng.IntN(len(s.uploads))]
	number := 1 + s.rng.IntN(4)
	placed := s.place(1 + s.rng.IntN(3))
	u.put(s.t, number, placed)
	u.parts[number] = extentsOf(placed)
}

// copyPart pins all of an object that is one data id.
func (s *simulation) copyPart() {
	b, key := s.pick()
	extents := s.want[s.name(b, key)]
	if len(s.uploads) == 0 || len(extents) == 0 {
		return
	}
	u := s.uploads[s.rng.IntN(len(s.uploads))]
	number := 1 + s.rng.IntN(4)
	update(s.t, s.db, func(tx *Tx) error {
		src, err := tx.Object(b.ID, key)
		if err != nil || src.Data.Kind == DataManifest {
			return err
		}
		old, err := tx.Part(u.bucket.ID, u.ID, number)
		if err != nil {
			return err
		}
		p := &Part{Number: number, Size: src.Size, Token: s.db.NewToken()}
		owner := Owner{Kind: OwnerPart, Bucket: u.bucket.ID, Upload: u.ID, Part: number, Token: p.Token}
		p.Slices = []Slice{{ID: src.Data.ID, Length: src.Size, Owner: &owner}}
		if src.Data.Kind == DataExtents {
			err = tx.PutExtents(src.Data.ID, 0, src.Data.Extents)
		}
		u.parts[number] = extents
		return errors.Join(err, tx.Pin(src.Data.ID, owner), tx.PutPart(u.bucket.ID, u.ID, old, p))
	})
}

func (s *simulation) endUpload() {
	if len(s.uploads) == 0 {
		return
	}
	i := s.rng.IntN(len(s.uploads))
	u := s.uploads[i]
	s.uploads = slices.Delete(s.uploads, i, i+1)
	use := s.rng.IntN(5)
	var extents []Extent
	for n := 1; n <= 4; n++ {
		if n != use {
			extents = append(extents, u.parts[n]...)
		}
	}
	if len(extents) == 0 || s.rng.IntN(3) == 0 {
		update(s.t, s.db, func(tx *Tx) error {
			return errors.Join(tx.DeleteUpload(u.bucket.ID, u.Upload), tx.ReleaseUpload(u.bucket.ID, u.ID))
		})
		return
	}
	complete(s.t, s.db, u.bucket, u.testUpload, func(n int) bool { return n != use })
	s.want[s.name(u.bucket, u.Key)] = extents
}

func (s *simulation) collect() { collect(s.t, s.db) }

func (s *simulation) step() {
	ops := []func(){s.put, s.put, s.put, s.remove, s.removeVersion, s.copyObject, s.copyObject, s.startUpload, s.uploadPart, s.uploadPart, s.copyPart, s.endUpload, s.collect}
	ops[s.rng.IntN(len(ops))]()
}

// verify reads every object as a GET would and compares its extents.
func (s *simulation) verify() {
	s.t.Helper()
	for _, b := range s.buckets {
		for _, key := range listAll(s.t, s.db, b.ID, "", "") {
			if _, ok := s.want[s.name(b, key)]; !ok {
				s.t.Fatalf("%q is listed", s.name(b, key))
			}
		}
	}
	for name, want := range s.want {
		b := s.buckets[0]
		if name[:3] == "two" {
			b = s.buckets[1]
		}
		view(s.t, s.db, func(r *Reader) error {
			got, err := s.read(r, b, name[4:])
			if !slices.Equal(got, want) {
				s.t.Fatalf("%q holds %d extents, want %d", name, len(got), len(want))
			}
			return err
		})
	}
}

func (s *simulation) read(r *Reader, b *Bucket, key string) ([]Extent, error) {
	o, err := r.Object(b.ID, key)
	if err != nil || o == nil {
		return nil, errors.Join(err, fmt.Errorf("no object %q", key))
	}
	switch o.Data.Kind {
	case DataExtents:
		return o.Data.Extents, nil
	case DataRows:
		x, _, err := r.Extents(o.Data.ID, 0, 0)
		return x, err
	case DataManifest:
		parts, _, err := r.ManifestParts(o.Data.ID, 0, 0)
		var out []Extent
		for _, p := range parts {
			for _, sl := range p.Slices {
				x, _, err2 := r.Extents(sl.ID, sl.Offset, 0)
				err = errors.Join(err, err2)
				out = append(out, x...)
			}
		}
		return out, err
	case DataInline:
		body, err := r.Inline(b.ID, key, o.Ord)
		if string(body) != "inline body" {
			err = errors.Join(err, fmt.Errorf("%q holds %q", key, body))
		}
		return nil, err
	case DataEmpty:
	}
	return nil, nil
}

func TestRandomOperationsStayConsistent(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newSimulation(t, newEngine(t), seed)
			for i := range 500 {
				s.step()
				if i%20 == 0 {
					clean(t, s.db)
					s.verify()
				}
			}
			clean(t, s.db)
			s.verify()
		})
	}
}

func TestCheckWhileTheStateChanges(t *testing.T) {
	s := newSimulation(t, newPebble(t), 99)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for range 600 {
			s.step()
		}
	})
	for checking := true; checking; {
		select {
		case <-done:
			checking = false
		default:
		}
		var problems []Problem
		c := &checker{db: s.db, report: func(p Problem) { problems = append(problems, p) }, maxHomes: 8, page: 3}
		if err := errors.Join(c.rows(t.Context()), c.homes(t.Context()), c.bucketCounters(t.Context()), c.liveBytes(t.Context())); err != nil {
			t.Error(err)
		}
		for _, p := range problems {
			t.Errorf("check: %s %s: %s", p.Kind, p.Key, p.Detail)
		}
	}
	wg.Wait()
	clean(t, s.db)
	s.verify()
}
