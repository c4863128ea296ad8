package steward

import (
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// fixture is metadata alone, with a bucket and an open partition.
type fixture struct {
	t      *testing.T
	engine kv.Engine
	db     *metadata.DB
	b      metadata.Bucket
	p      metadata.Partition
	at     int64 // the next stripe
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	e := mem.New(mem.Options{})
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return newFixtureOn(t, e)
}

func newFixtureOn(t *testing.T, e kv.Engine) *fixture {
	t.Helper()
	db, err := metadata.Open(e, metadata.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, engine: e, db: db}
	f.b = metadata.Bucket{ID: db.NewBucketID(), Name: "bucket", Owner: "owner", Created: time.Now()}
	disk := metadata.Disk{ID: db.NewDiskID(), State: metadata.DiskActive}
	f.p = metadata.Partition{ID: db.NewPartitionID(), State: metadata.PartitionOpen, Epoch: 1, K: 1, Shards: []metadata.DiskID{disk.ID}, Capacity: 1 << 40}
	f.update(func(tx *metadata.Tx) error {
		return errors.Join(tx.CreateBucket(&f.b), tx.PutDisk(&disk), tx.PutPartition(&f.p))
	})
	return f
}

func (f *fixture) update(fn func(*metadata.Tx) error) {
	f.t.Helper()
	if err := f.db.Update(f.t.Context(), "test", fn); err != nil {
		f.t.Fatal(err)
	}
}

// placed are n extents of 10 bytes in stripes of their own.
func (f *fixture) placed(n int) (out []metadata.Placed, extents []metadata.Extent) {
	for range n {
		x := metadata.Extent{Partition: f.p.ID, Stripe: f.at, Height: 64, Length: 10}
		f.at += 4096
		out, extents = append(out, metadata.Placed{Extent: x, Epoch: f.p.Epoch}), append(extents, x)
	}
	return out, extents
}

// write writes the rows of a data id of n extents.
func (f *fixture) write(tx *metadata.Tx, id metadata.DataID, n int) error {
	placed, extents := f.placed(n)
	return errors.Join(tx.PutExtents(id, 0, extents), tx.Publish(id, placed))
}

// object writes an object over a fresh data id of n extents.
func (f *fixture) object(key string, n int) *metadata.Object {
	f.t.Helper()
	o := &metadata.Object{
		Key: key, Ord: f.db.NextOrd(0), Null: true, Size: int64(10 * n), Modified: time.UnixMilli(1),
		Data: metadata.Data{Kind: metadata.DataRows, ID: f.db.NewDataID()},
	}
	f.update(func(tx *metadata.Tx) error {
		return errors.Join(f.write(tx, o.Data.ID, n), tx.PutObject(f.b.ID, nil, o, nil))
	})
	return o
}

// share makes a copy of an object inside a transaction that has read it.
func (f *fixture) share(tx *metadata.Tx, from *metadata.Object, to string) (*metadata.Object, error) {
	o := *from
	o.Key, o.Ord, o.Data.Shared = to, f.db.NextOrd(0), true
	pin := tx.Pin(o.Data.ID, metadata.Owner{Kind: metadata.OwnerVersion, Bucket: f.b.ID, Key: to, Ord: o.Ord})
	return &o, errors.Join(pin, tx.PutObject(f.b.ID, nil, &o, nil))
}

func (f *fixture) copy(from *metadata.Object, to string) (o *metadata.Object) {
	f.t.Helper()
	f.update(func(tx *metadata.Tx) (err error) {
		if _, err = tx.Object(f.b.ID, from.Key); err != nil {
			return err
		}
		o, err = f.share(tx, from, to)
		return err
	})
	return o
}

func (f *fixture) remove(o *metadata.Object) {
	f.t.Helper()
	f.update(func(tx *metadata.Tx) error {
		old, err := tx.Object(f.b.ID, o.Key)
		if err != nil {
			return err
		}
		return tx.DeleteObject(f.b.ID, old)
	})
}

// check holds the rows against each other and returns what is there.
func (f *fixture) check() metadata.Summary {
	f.t.Helper()
	s, err := metadata.Check(f.t.Context(), f.db, func(p metadata.Problem) { f.t.Errorf("check: %+v", p) })
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fixture) base() base { return newBase(f.db, Options{Grace: -1, IntentAge: -1}) }

func newBase(db *metadata.DB, o Options) base {
	o.defaults(db)
	return base{db: db, opts: &o, stats: &counters{}}
}

func (f *fixture) collector() *collect { return &collect{base: f.base(), batch: collectBatch} }

// run steps a job to its end, with a check after each step, and returns the
// number of steps.
func (f *fixture) run(j Job) (steps int) {
	f.t.Helper()
	for more := true; more; steps++ {
		p, err := j.Step(f.t.Context())
		if err != nil {
			f.t.Fatalf("%s: %v", j.Name(), err)
		}
		f.check()
		more = p.More
	}
	return steps
}

func (f *fixture) wantLeft(dataIDs, pins, garbage int64) {
	f.t.Helper()
	s := f.check()
	if s.DataIDs != dataIDs || s.Pins != pins || s.Garbage != garbage {
		f.t.Errorf("%d data ids, %d pins and %d triggers are left, want %d, %d and %d",
			s.DataIDs, s.Pins, s.Garbage, dataIDs, pins, garbage)
	}
	if (s.Extents == 0) != (dataIDs == 0) || (s.Refs == 0) != (dataIDs == 0) {
		f.t.Errorf("%d extents and %d references of %d data ids", s.Extents, s.Refs, s.DataIDs)
	}
}

func (f *fixture) live() (n int64) {
	f.t.Helper()
	if err := f.db.View(f.t.Context(), "test", func(r *metadata.Reader) (err error) {
		n, err = r.LiveBytes(f.p.ID)
		return err
	}); err != nil {
		f.t.Fatal(err)
	}
	return n
}

func TestCollectFreesLargeDataInSteps(t *testing.T) {
	f := newFixture(t)
	large, small := f.object("large", 4500), f.object("small", 3)
	f.remove(large)
	c := f.collector()
	if steps := f.run(c); steps < 5 {
		t.Errorf("4500 extents went in %d steps", steps)
	}
	f.wantLeft(1, 0, 0)
	if f.live() != small.Size || c.stats.bytes.Load() != large.Size || c.stats.collected.Load() != 1 {
		t.Errorf("%d bytes are live, %d were freed of %d ids", f.live(), c.stats.bytes.Load(), c.stats.collected.Load())
	}
}

func TestCollectKeepsWhatIsOwned(t *testing.T) {
	f := newFixture(t)
	home := f.object("home", 3)
	one, two := f.copy(home, "one"), f.copy(home, "two")
	c := f.collector()

	f.remove(one) // the home and a copy are left
	f.run(c)
	f.wantLeft(1, 1, 0)
	f.remove(home)
	f.run(c)
	f.wantLeft(1, 1, 0)
	if f.live() != home.Size || c.stats.kept.Load() != 2 {
		t.Errorf("%d bytes are live, %d ids were kept", f.live(), c.stats.kept.Load())
	}
	f.remove(two)
	f.run(c)
	f.wantLeft(0, 0, 0)
	if f.live() != 0 {
		t.Errorf("%d bytes are live", f.live())
	}
}

func TestGarbageRests(t *testing.T) {
	f := newFixture(t)
	f.remove(f.object("key", 3))
	now := time.Now().Add(-2 * time.Minute)
	c := f.collector()
	c.opts.Now = func() time.Time { return now }
	f.run(c)
	f.wantLeft(1, 0, 1)
	now = time.Now().Add(time.Minute)
	f.run(c)
	f.wantLeft(0, 0, 0)
}

// completed writes an object of so many parts, each of a data id of its own.
func (f *fixture) completed(key string, parts int) *metadata.Object {
	f.t.Helper()
	o := &metadata.Object{
		Key: key, Ord: f.db.NextOrd(0), Null: true, Size: int64(10 * parts), Parts: parts, Modified: time.UnixMilli(1),
		Data: metadata.Data{Kind: metadata.DataManifest, ID: f.db.NewDataID()},
	}
	rows := make([]metadata.ManifestPart, parts)
	f.update(func(tx *metadata.Tx) error {
		for i := range rows {
			id := f.db.NewDataID()
			if err := f.write(tx, id, 1); err != nil {
				return err
			}
			rows[i] = metadata.ManifestPart{Number: i + 1, Size: 10, Slices: []metadata.Slice{{ID: id, Length: 10}}}
		}
		return errors.Join(tx.PutManifest(o.Data.ID, 0, rows), tx.PutObject(f.b.ID, nil, o, nil))
	})
	return o
}

func TestCollectFreesManifestsRowByRow(t *testing.T) {
	f := newFixture(t)
	o := f.completed("multi", 3000)
	second := f.copy(o, "copy")
	c := f.collector()
	f.remove(o)
	f.run(c)
	if s := f.check(); s.Manifests != 1 || s.DataIDs != 3000 || s.Garbage != 0 || s.Pins != 1 {
		t.Fatalf("the copy does not keep the manifest: %+v", s)
	}
	f.remove(second)
	if steps := f.run(c); steps < 4 {
		t.Errorf("3000 parts went in %d steps", steps)
	}
	f.wantLeft(0, 0, 0)
	if s := f.check(); s.Manifests != 0 {
		t.Errorf("%d manifests are left", s.Manifests)
	}
}

// TestPartCopiesKeepSlices lets a part of another upload pin a slice of a
// manifest that goes.
func TestPartCopiesKeepSlices(t *testing.T) {
	f := newFixture(t)
	o := f.completed("multi", 2)
	u := &metadata.Upload{ID: f.db.NewUploadID(time.Now()), Key: "other", Initiated: time.UnixMilli(1)}
	f.update(func(tx *metadata.Tx) error {
		if _, err := tx.Object(f.b.ID, o.Key); err != nil {
			return err
		}
		parts, _, err := tx.ManifestParts(o.Data.ID, 0, 1)
		if err != nil {
			return err
		}
		p := &metadata.Part{Number: 1, Size: 10, Modified: time.UnixMilli(1), Token: f.db.NewToken()}
		s := parts[0].Slices[0]
		s.Owner = &metadata.Owner{Kind: metadata.OwnerPart, Bucket: f.b.ID, Upload: u.ID, Part: 1, Token: p.Token}
		p.Slices = []metadata.Slice{s}
		return errors.Join(tx.PutUpload(f.b.ID, u), tx.Pin(s.ID, *s.Owner), tx.PutPart(f.b.ID, u.ID, nil, p))
	})
	f.remove(o)
	c := f.collector()
	f.run(c)
	f.wantLeft(1, 1, 0)
	f.update(func(tx *metadata.Tx) error {
		return errors.Join(tx.DeleteUpload(f.b.ID, u), tx.ReleaseUpload(f.b.ID, u.ID))
	})
	f.run(c)
	f.wantLeft(0, 0, 0)
}

func TestCollectEndsAbortedUploads(t *testing.T) {
	f := newFixture(t)
	u := &metadata.Upload{ID: f.db.NewUploadID(time.Now()), Key: "key", Initiated: time.UnixMilli(1)}
	f.update(func(tx *metadata.Tx) error {
		if err := tx.PutUpload(f.b.ID, u); err != nil {
			return err
		}
		for i := range 200 {
			id := f.db.NewDataID()
			part := &metadata.Part{Number: i + 1, Size: 10, Modified: time.UnixMilli(1), Slices: []metadata.Slice{{ID: id, Length: 10}}}
			if err := errors.Join(f.write(tx, id, 1), tx.PutPart(f.b.ID, u.ID, nil, part)); err != nil {
				return err
			}
		}
		return nil
	})
	f.update(func(tx *metadata.Tx) error {
		return errors.Join(tx.DeleteUpload(f.b.ID, u), tx.ReleaseUpload(f.b.ID, u.ID))
	})
	c := f.collector()
	if steps := f.run(c); steps < 4 {
		t.Errorf("200 parts went in %d steps", steps)
	}
	f.wantLeft(0, 0, 0)
	if s := f.check(); s.Parts != 0 || c.stats.parts.Load() != 200 {
		t.Errorf("%d parts are left, %d were freed", s.Parts, c.stats.parts.Load())
	}
}

// announced writes extents of a data id under an intent that nobody finishes.
func (f *fixture) announced(created time.Time) metadata.DataID {
	f.t.Helper()
	id := f.db.NewDataID()
	f.update(func(tx *metadata.Tx) error {
		return errors.Join(tx.PutIntent(&metadata.Intent{ID: id, Created: created, Bucket: f.b.ID}), f.write(tx, id, 5))
	})
	return id
}

func TestAbandonedIntentsAreEnded(t *testing.T) {
	f := newFixture(t)
	o := f.completed("multi", 3) // its slices stay
	f.announced(time.Now())
	ahead := f.db.NewDataID()
	f.update(func(tx *metadata.Tx) error {
		parts, _, err := tx.ManifestParts(o.Data.ID, 0, 0)
		return errors.Join(err, tx.PutIntent(&metadata.Intent{ID: ahead, Created: time.Now(), Bucket: f.b.ID}), tx.PutManifest(ahead, 0, parts))
	})
	f.run(&intents{base: f.base()})
	f.run(f.collector())
	if s := f.check(); s.Intents != 0 || s.Manifests != 1 || s.DataIDs != 3 || s.Garbage != 0 {
		t.Errorf("want the object of 3 parts alone: %+v", s)
	}
	if f.live() != o.Size {
		t.Errorf("%d bytes are live", f.live())
	}
}

func TestYoungIntentsAreLeftAlone(t *testing.T) {
	f := newFixture(t)
	f.announced(time.Now())
	j := &intents{base: newBase(f.db, Options{})}
	f.run(j)
	if s := f.check(); s.Intents != 1 {
		t.Errorf("%d intents are left, want the young one", s.Intents)
	}
}

// TestBadRowsDoNotStopOthers gives the collector an id that it cannot free.
func TestBadRowsDoNotStopOthers(t *testing.T) {
	f := newFixture(t)
	var bad metadata.DataID
	for i := range 10 {
		o := f.object("key", 2)
		f.remove(o)
		if i == 4 {
			bad = o.Data.ID
		}
	}
	key := append([]byte{'E'}, bad[:]...)
	_, err := f.engine.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
		tx.Set(append(key, 0, 0, 0, 0, 0, 0, 0, 1), []byte("no record"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c := f.collector()
	if _, err := c.Step(t.Context()); !errors.Is(err, metadata.ErrCorrupt) {
		t.Errorf("the step ended with %v, want the error of the bad row", err)
	}
	if n := c.stats.collected.Load(); n != 9 {
		t.Errorf("%d of the 9 good ids were freed", n)
	}
}
