package metadata

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// sealedWorld is a store of which every row is sealed with a data key of its own.
type sealedWorld struct {
	t       *testing.T
	db      *DB
	rng     *rand.Rand
	buckets []*Bucket
	keys    []string
	uploads []begun
	all     []string // data keys
	gone    []string // those of them that were deleted
}

// begun is an upload of a bucket.
type begun struct {
	bucket BucketID
	*Upload
}

// newSealedWorld makes rows that are hardly in order of their names.
func newSealedWorld(t *testing.T, seed uint64) *sealedWorld {
	t.Helper()
	w := &sealedWorld{
		t: t, db: newDBOn(t, closing(t, mem.New(mem.Options{}))), rng: rand.New(rand.NewPCG(seed, 3)),
		keys: []string{"", "a", "a\x00", "a\x00\x01", "a\x01", "a\xff", "b"},
	}
	for i := range 2 {
		w.buckets = append(w.buckets, newBucket(t, w.db, fmt.Sprint("b", i)))
	}
	for _, b := range w.buckets {
		for _, key := range w.keys[1+w.rng.IntN(3):] {
			update(t, w.db, func(tx *Tx) error {
				versions := w.rng.IntN(8)
				for n := range versions {
					if err := tx.PutVersion(b.ID, w.object(key, Ord(n+1))); err != nil {
						return err
					}
				}
				if w.rng.IntN(3) == 0 {
					return nil
				}
				return tx.PutObject(b.ID, nil, w.object(key, Ord(versions+1)), nil)
			})
			if w.rng.IntN(2) == 0 {
				u := &Upload{ID: w.db.NewUploadID(w.db.Now()), Key: key, Encryption: w.seal()}
				w.uploads = append(w.uploads, begun{b.ID, u})
				update(t, w.db, func(tx *Tx) error { return tx.PutUpload(b.ID, u) })
			}
		}
	}
	return w
}

func (w *sealedWorld) seal() *Encryption {
	w.all = append(w.all, fmt.Sprint("data key ", len(w.all)))
	return sealedUnder(w.all[len(w.all)-1])
}

func (w *sealedWorld) object(key string, ord Ord) *Object {
	return &Object{Key: key, Ord: ord, Suffix: 1, Modified: w.db.Now(), Encryption: w.seal(), Token: w.db.NewToken(), Data: Data{Kind: DataEmpty}}
}

// move moves a row to another table, as requests do, or deletes one, or does nothing.
func (w *sealedWorld) move() {
	w.t.Helper()
	if w.rng.IntN(3) == 0 {
		update(w.t, w.db, w.finish)
		return
	}
	b, key := w.buckets[w.rng.IntN(len(w.buckets))], w.keys[w.rng.IntN(len(w.keys))]
	update(w.t, w.db, func(tx *Tx) error {
		live, err := tx.Object(b.ID, key)
		if err != nil {
			return err
		}
		newest, err := tx.Versions(b.ID, key, 1)
		if err != nil {
			return err
		}
		switch {
		case live != nil && w.rng.IntN(4) == 0:
			return tx.Demote(b.ID, live)
		case live != nil:
			w.gone = append(w.gone, string(live.Encryption.DataKey))
			if err := tx.DeleteObject(b.ID, live); err != nil {
				return err
			}
		}
		if len(newest) == 0 {
			return nil
		}
		return tx.Promote(b.ID, &newest[0])
	})
}

// left are the data keys of what is there.
func (w *sealedWorld) left() []string {
	return slices.DeleteFunc(slices.Clone(w.all), func(k string) bool { return slices.Contains(w.gone, k) })
}

// finish makes an object of an upload.
func (w *sealedWorld) finish(tx *Tx) error {
	if len(w.uploads) == 0 {
		return nil
	}
	u := w.uploads[0]
	w.uploads = w.uploads[1:]
	o := &Object{Key: u.Key, Ord: 1, Suffix: 1, Modified: w.db.Now(), Encryption: u.Encryption, Token: w.db.NewToken(), Data: Data{Kind: DataEmpty}}
	live, err := tx.Object(u.bucket, u.Key)
	if err != nil {
		return err
	}
	newest, err := tx.Versions(u.bucket, u.Key, 1)
	if err != nil {
		return err
	}
	for i := range newest {
		o.Ord = newest[i].Ord + 1
	}
	if live != nil {
		o.Ord = live.Ord + 1
		if err := tx.Demote(u.bucket, live); err != nil {
			return err
		}
	}
	if err := tx.DeleteUpload(u.bucket, u.Upload); err != nil {
		return err
	}
	return tx.PutObject(u.bucket, nil, o, nil)
}

// walk returns what a walk in pages has seen, each once.
func (w *sealedWorld) walk(page int, between func()) []string {
	w.t.Helper()
	var seen []string
	err := w.db.walkSealed(w.t.Context(), page, func(x *Encryption) (bool, error) {
		seen = append(seen, string(x.DataKey))
		between()
		return true, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(seen)
	return slices.Compact(seen)
}

// A walk in pages, each of another version, sees all that is there from its beginning to
// its end, wherever that moves.
func TestWalkInPages(t *testing.T) {
	for seed := range uint64(60) {
		w := newSealedWorld(t, seed)
		slices.Sort(w.all)
		for page := 1; page < 9; page++ {
			if got := w.walk(page, func() {}); !slices.Equal(got, w.all) {
				t.Fatalf("seed %d, in pages of %d: %q, want %q", seed, page, got, w.all)
			}
		}
		page, often := 1+w.rng.IntN(4), 1+w.rng.IntN(3)
		got := w.walk(page, func() {
			for range often {
				w.move()
			}
		})
		for _, key := range w.left() {
			if !slices.Contains(got, key) {
				t.Fatalf("seed %d, in pages of %d while rows move: %q is not among %q", seed, page, key, got)
			}
		}
	}
}

func TestWalkInPagesEnds(t *testing.T) {
	w := newSealedWorld(t, 1)
	seen := 0
	err := w.db.walkSealed(t.Context(), 2, func(*Encryption) (bool, error) {
		seen++
		return seen < 3, nil
	})
	if err != nil || seen != 3 {
		t.Errorf("%d rows of 3 seen, %v", seen, err)
	}
}
