package metadata

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/fdbcluster/fdbengine"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// clock is a clock that tests set.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newEngine(tb testing.TB) kv.Engine {
	tb.Helper()
	if fdbengine.Wanted() {
		return closing(tb, fdbengine.Engine(tb))
	}
	return closing(tb, mem.New(mem.Options{Remote: fdbengine.Remote()}))
}

func newPebble(tb testing.TB) kv.Engine {
	tb.Helper()
	e, err := pebble.Open("db", pebble.Options{FS: vfs.NewMem(), CacheBytes: 1 << 20, MemTableBytes: 1 << 20, BallastBytes: -1})
	if err != nil {
		tb.Fatal(err)
	}
	return closing(tb, e)
}

func closing(tb testing.TB, e kv.Engine) kv.Engine {
	tb.Helper()
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

func newDB(tb testing.TB) *DB {
	tb.Helper()
	return newDBOn(tb, newEngine(tb))
}

func newDBOn(tb testing.TB, e kv.Engine) *DB {
	tb.Helper()
	c := &clock{t: time.UnixMilli(1_795_000_000_000).UTC()}
	db, err := Open(e, Options{Root: []byte{0x15}, Now: c.now})
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

func update(tb testing.TB, db *DB, fn func(*Tx) error) {
	tb.Helper()
	if err := db.Update(tb.Context(), "test", fn); err != nil {
		tb.Fatal(err)
	}
}

func view(tb testing.TB, db *DB, fn func(*Reader) error) {
	tb.Helper()
	if err := db.View(tb.Context(), "test", fn); err != nil {
		tb.Fatal(err)
	}
}

// found runs a read in a View of its own.
func found[T any](tb testing.TB, db *DB, read func(*Reader) (T, error)) T {
	tb.Helper()
	var out T
	view(tb, db, func(r *Reader) (err error) {
		out, err = read(r)
		return err
	})
	return out
}

func findings(ctx context.Context, tb testing.TB, db *DB) ([]Problem, Summary) {
	tb.Helper()
	var out []Problem
	s, err := Check(ctx, db, func(p Problem) { out = append(out, p) })
	if err != nil {
		tb.Fatal(err)
	}
	return out, s
}

// clean fails the test unless Check finds nothing.
func clean(tb testing.TB, db *DB) Summary {
	tb.Helper()
	problems, s := findings(tb.Context(), tb, db)
	for _, p := range problems {
		tb.Errorf("check: %s %s: %s", p.Kind, p.Key, p.Detail)
	}
	if tb.Failed() {
		tb.FailNow()
	}
	return s
}

func newBucket(tb testing.TB, db *DB, name string) *Bucket {
	tb.Helper()
	b := &Bucket{ID: db.NewBucketID(), Name: name, Owner: "owner", Region: "r", Created: db.Now(), Token: db.NewToken()}
	update(tb, db, func(tx *Tx) error { return tx.CreateBucket(b) })
	return b
}

func newPartition(tb testing.TB, db *DB) *Partition {
	tb.Helper()
	p := &Partition{ID: db.NewPartitionID(), State: PartitionOpen, Epoch: 3, K: 1, Shards: []DiskID{db.NewDiskID()}, Capacity: 1 << 30, Created: db.Now()}
	update(tb, db, func(tx *Tx) error {
		return errors.Join(
			tx.PutDisk(&Disk{ID: p.Shards[0], State: DiskActive, Path: "/d", Added: db.Now()}),
			tx.PutPartition(p))
	})
	return p
}

// place makes n extents of size bytes in consecutive stripes from stripe on.
func placeExtents(p *Partition, stripe, n int, size uint32) []Placed {
	out := make([]Placed, n)
	for i := range out {
		out[i] = Placed{Epoch: p.Epoch, Extent: Extent{
			Partition: p.ID, Stripe: int64(stripe+i) * 4096, Height: size, Length: size,
		}}
	}
	return out
}

func extentsOf(placed []Placed) (out []Extent) {
	for _, p := range placed {
		out = append(out, p.Extent)
	}
	return out
}

// inlineObject is a version whose bytes are inline.
func inlineObject(db *DB, key string, body []byte, ord Ord) *Object {
	return &Object{
		Key: key, Ord: ord, Null: true, Size: int64(len(body)), Modified: db.Now(), ETag: "e",
		Owner: "owner", Data: Data{Kind: DataInline}, Token: db.NewToken(),
	}
}
