package metadata

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/kvtest"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// eager is an engine that sends every read ahead, and some that nobody asks for.
type eager struct{ kv.Engine }

func (e eager) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	return e.Engine.View(ctx, o, func(r kv.Reader) error {
		a := newAheadReader(r)
		return fn(&eagerReader{a, &a.ahead})
	})
}

func (e eager) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	return e.Engine.Update(ctx, o, func(t kv.Tx) error {
		a := newAheadTx(t)
		return fn(&eagerTx{a, eagerReader{a, &a.ahead}})
	})
}

type eagerReader struct {
	kv.Reader
	ahead *ahead
}

func (r eagerReader) Get(key []byte) kv.Future {
	if len(key) <= kv.MaxKey {
		r.ahead.sendGet(append([]byte{}, key...))
		r.ahead.sendGet(kv.KeyAfter(key))
	}
	return r.Reader.Get(key)
}

func (r eagerReader) GetRange(rng kv.Range, o kv.RangeOptions) kv.Iterator {
	sent := kv.Range{Begin: append([]byte{}, rng.Begin...), End: append([]byte{}, rng.End...)}
	r.ahead.sendRange(sent, 1+len(rng.Begin)%3)
	r.ahead.sendRange(kv.PrefixRange([]byte("nothing")), 1)
	return r.Reader.GetRange(rng, o)
}

type eagerTx struct {
	*aheadTx
	eagerReader
}

func (t *eagerTx) Get(key []byte) kv.Future { return t.eagerReader.Get(key) }

func (t *eagerTx) GetRange(r kv.Range, o kv.RangeOptions) kv.Iterator {
	return t.eagerReader.GetRange(r, o)
}

func (t *eagerTx) Generation() kv.Future        { return t.aheadTx.Generation() }
func (t *eagerTx) ReadVersion() (uint64, error) { return t.aheadTx.ReadVersion() }

// Reads that were sent ahead see, and conflict with, what the reads that they
// stand for do.
func TestAheadKeepsTheContract(t *testing.T) {
	kvtest.Run(t, func(*testing.T) kv.Engine { return eager{mem.New(mem.Options{})} })
}

// What is sent ahead and not asked for conflicts with nothing.
func TestAheadConflictsWithWhatIsAskedFor(t *testing.T) {
	type use func(*Tx, *Bucket) error
	rows := RowCurrent | RowsNewest | RowNull | RowInline
	tests := map[string]struct {
		use      use
		attempts int // after another put of the key
	}{
		"nothing": {func(*Tx, *Bucket) error { return nil }, 1},
		"the current version": {func(tx *Tx, b *Bucket) error {
			_, err := tx.Object(b.ID, "k")
			return err
		}, 2},
		"the versions, which stay": {func(tx *Tx, b *Bucket) error {
			_, err := tx.Versions(b.ID, "k", 1)
			return err
		}, 1},
		"the null version, which stays": {func(tx *Tx, b *Bucket) error {
			_, err := tx.NullOrd(b.ID, "k")
			return err
		}, 1},
		"the inline bytes of the version": {func(tx *Tx, b *Bucket) error {
			_, err := tx.Inline(b.ID, "k", 1)
			return err
		}, 2},
		"the inline bytes of another version": {func(tx *Tx, b *Bucket) error {
			_, err := tx.Inline(b.ID, "k", 7)
			return err
		}, 1},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			db := newDBOn(t, closing(t, mem.New(mem.Options{Remote: true})))
			b := newBucket(t, db, "b")
			put := func(ord Ord) {
				update(t, db, func(tx *Tx) error {
					old, err := tx.Object(b.ID, "k")
					if err != nil {
						return err
					}
					return tx.PutObject(b.ID, old, inlineObject(db, "k", []byte("body"), ord), []byte("body"))
				})
			}
			put(1)
			attempts := 0
			update(t, db, func(tx *Tx) error {
				attempts = tx.Attempt() + 1
				tx.Ahead(b.ID, "k", rows)
				if err := c.use(tx, b); err != nil {
					return err
				}
				if attempts == 1 {
					put(2)
				}
				return tx.MarkToken(db.NewToken())
			})
			if attempts != c.attempts {
				t.Errorf("%d attempts, want %d", attempts, c.attempts)
			}
		})
	}
}

// The reads of a request share a version until it writes, or has to see more.
func TestSession(t *testing.T) {
	engine := kvtest.CountRounds(mem.New(mem.Options{Remote: true, Now: kvtest.NewClock().Now}))
	db := newDBOn(t, closing(t, engine))
	b := newBucket(t, db, "b")
	ctx := db.BeginRequest(t.Context())
	count := func(view func(context.Context, string, func(*Reader) error) error) (n int64) {
		t.Helper()
		err := view(ctx, "test", func(r *Reader) error {
			c, err := r.BucketCount(b.ID)
			n = c.Objects
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	put := func(update func(context.Context, string, func(*Tx) error) error, key string) {
		t.Helper()
		err := update(ctx, "test", func(tx *Tx) error {
			return tx.PutObject(b.ID, nil, inlineObject(db, key, []byte("body"), 1), []byte("body"))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := db.BeginRequest(t.Context())
	var seen []int64
	see := func(n int64) { seen = append(seen, n) }
	engine.Take()
	see(count(db.ViewShared)) // 0
	if err := db.Update(elsewhere, "test", func(tx *Tx) error {
		return tx.PutObject(b.ID, nil, inlineObject(db, "elsewhere", []byte("body"), 1), []byte("body"))
	}); err != nil {
		t.Fatal(err)
	}
	see(count(db.ViewShared)) // 0: at the same version
	see(count(db.View))       // 1
	see(count(db.ViewShared)) // 1: never back
	put(db.Update, "own")
	see(count(db.ViewShared)) // 2: its own write
	put(db.UpdateShared, "own too")
	see(count(db.ViewShared)) // 3
	if diff := cmp.Diff([]int64{0, 0, 1, 1, 2, 3}, seen); diff != "" {
		t.Errorf("objects seen (-want +got):\n%s", diff)
	}
	// Blind writes read no version: those of the views but one, which was shared.
	if got := engine.Take().ReadVersions; got != 5 {
		t.Errorf("%d read versions", got)
	}
}
