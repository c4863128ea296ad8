package metadata

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// world is a state with at least one row of every table.
type world struct {
	db        *DB
	bucket    *Bucket
	partition *Partition
	inline    *Object
	extents   *Object // carries its extents
	rows      *Object // has rows E
	copied    *Object // shares the data of rows
	upload    *testUpload
	part      *Part
	pinned    *Part // shares the data of rows
	manifest  *Object
	marker    *Object
	version   *Object
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{db: newDB(tb)}
	w.bucket, w.partition = newBucket(tb, w.db, "b"), newPartition(tb, w.db)
	w.inline = inlineObject(w.db, "inline", []byte("body"), 7)
	update(tb, w.db, func(tx *Tx) error { return tx.PutObject(w.bucket.ID, nil, w.inline, []byte("body")) })
	w.extents = storedObject(tb, w.db, w.bucket, "extents", placeExtents(w.partition, 0, 2, 10))
	w.rows = storedObject(tb, w.db, w.bucket, "rows", placeExtents(w.partition, 10, 200, 10))
	w.copied = share(tb, w.db, w.bucket, w.rows, "copied")
	done := newUpload(tb, w.db, w.bucket, "manifest")
	done.put(tb, 1, placeExtents(w.partition, 300, 2, 10))
	done.put(tb, 2, placeExtents(w.partition, 310, 2, 10))
	w.manifest = complete(tb, w.db, w.bucket, done, func(int) bool { return true })
	w.upload = newUpload(tb, w.db, w.bucket, "upload")
	w.part = w.upload.put(tb, 1, placeExtents(w.partition, 320, 2, 10))
	w.pinned = &Part{Number: 2, Size: 10, Token: w.db.NewToken()}
	owner := Owner{Kind: OwnerPart, Bucket: w.bucket.ID, Upload: w.upload.ID, Part: 2, Token: w.pinned.Token}
	w.pinned.Slices = []Slice{{ID: w.rows.Data.ID, Offset: 5, Length: 10, Owner: &owner}}
	w.version = inlineObject(w.db, "v", []byte("old"), 3)
	w.marker = &Object{Key: "v", Ord: 4, DeleteMarker: true, Modified: w.db.Now()}
	update(tb, w.db, func(tx *Tx) error {
		return errors.Join(
			tx.Pin(w.rows.Data.ID, owner), tx.PutPart(w.bucket.ID, w.upload.ID, nil, w.pinned),
			tx.PutObject(w.bucket.ID, nil, w.version, []byte("old")), tx.Demote(w.bucket.ID, w.version),
			tx.SetNull(w.bucket.ID, "v", 3), tx.PutVersion(w.bucket.ID, w.marker),
			tx.PutIntent(&Intent{ID: w.db.NewDataID(), Created: w.db.Now()}), tx.MarkToken(w.db.NewToken()),
			tx.PutJob(&Job{Name: "repair", Holder: HolderID(sampleID(3))}), tx.PutHolder(&Holder{ID: HolderID(sampleID(4)), Stamp: 1}))
	})
	return w
}

// without removes one row.
func (w *world) without(key []byte) func(*Tx) {
	return func(tx *Tx) { tx.kv.Delete(key) }
}

func (w *world) with(key, value []byte) func(*Tx) {
	return func(tx *Tx) { tx.kv.Set(key, value) }
}

// altered replaces a row O by one with another field.
func (w *world) altered(o *Object, change func(*Object)) func(*Tx) {
	return func(tx *Tx) {
		changed := *o
		change(&changed)
		tx.kv.Set(tx.keys.object(w.bucket.ID, o.Key), encodeObject(&changed))
	}
}

type corruption struct {
	name   string
	damage func(*Tx)
	want   ProblemKind
	key    string // part of the readable key of the finding
}

func corruptions(w *world) []corruption {
	k, b, p := w.db.keys, w.bucket.ID, w.partition.ID
	rowID := w.rows.Data.ID
	firstRow := k.extents(rowID, 1280)
	partOwner := w.pinned.Slices[0].Owner
	return []corruption{
		{"no row b", w.without(k.bucketName("b")), BucketMismatch, "B bucket="},
		{"no row u", w.without(k.owned("owner", "b")), BucketMismatch, "B bucket="},
		{"row b of nothing", w.with(k.bucketName("x"), encodeBucketID(5)), BucketMismatch, `b name="x"`},
		{"row u of another owner", w.with(k.owned("them", "b"), encodeBucketID(b)), BucketMismatch, `u owner="them"`},
		{"no row B", w.without(k.bucket(b)), MissingBucket, "O bucket="},
		{"a value cut short", w.with(k.object(b, "inline"), encodeObject(w.inline)[:9]), CorruptRow, `key="inline"`},
		{"an empty value", w.with(k.upload(b, "upload", w.upload.ID), nil), CorruptRow, "M bucket="},
		{"a short key", w.with(k.tag(tagVersion, 0), encodeObject(w.marker)), CorruptRow, "V"},
		{"a live delete marker", w.altered(w.inline, func(o *Object) { o.DeleteMarker = true }), CorruptRow, `key="inline"`},
		{"a row of no table", w.with(k.tag('!', 0), []byte("x")), StrayRow, "!"},
		{"a second row Z", w.with(append(k.tag(tagFormat, 1), 'x'), nil), StrayRow, "Z"},
		{"a job of no name", w.with(k.job("Repair!"), encodeJob(&Job{})), CorruptRow, `j name="Repair!"`},
		{"a job that ran too often", w.with(k.job("repair"), encodeJob(&Job{Run: 1, Ran: 2})), CorruptRow, `j name="repair"`},
		{"a holder of no id", w.with(k.tag(tagHolder, 0), encodeHolder(&Holder{})), CorruptRow, "l"},
		{"no row N", w.without(k.null(b, "v")), NullMismatch, `V bucket=`},
		{"row N of nothing", w.with(k.null(b, "inline"), encodeOrd(9)), NullMismatch, `N bucket=`},
		{"no row D", w.without(k.inline(b, "inline", 7)), MissingInline, `key="inline"`},
		{"row D of another size", w.with(k.inline(b, "inline", 7), []byte{recordVersion, 1}), MissingInline, `key="inline"`},
		{"row D of nothing", w.with(k.inline(b, "inline", 6), []byte{recordVersion, 1}), OrphanInline, "ord=6"},
		{"row D of an object elsewhere", w.with(k.inline(b, "rows", w.rows.Ord), []byte{recordVersion}), OrphanInline, `key="rows"`},
		{"no row E", w.without(firstRow), MissingData, "E id="},
		{"last row E gone", w.without(k.extents(rowID, 2000)), MissingData, `key="rows"`},
		{"an object of another size", w.altered(w.rows, func(o *Object) { o.Size++ }), MissingData, `key="rows"`},
		{"extents of another size", w.altered(w.extents, func(o *Object) { o.Size++ }), MissingData, `key="extents"`},
		{"a size without data", w.altered(w.inline, func(o *Object) { o.Data = Data{} }), MissingData, `key="inline"`},
		{"rows E that contradict", func(tx *Tx) { tx.putExtents(w.extents.Data.ID, 0, w.extents.Data.Extents[:1]) }, MissingData, `key="extents"`},
		{"no row R of a row E", w.without(k.ref(p, 10*4096, rowID)), MissingRef, "E id="},
		{"no row R of an object", w.without(k.ref(p, 0, w.extents.Data.ID)), MissingRef, `key="extents"`},
		{"row R of another stripe", w.with(k.ref(p, 999*4096, rowID), []byte{}), OrphanRef, "stripe=4091904"},
		{"row R of nothing", w.with(k.ref(p, 0, sampleID(1)), []byte{}), OrphanRef, "R partition="},
		{"row R of a stripe the object does not name", w.with(k.ref(p, 999*4096, w.extents.Data.ID), []byte{}), OrphanRef, "R partition="},
		{"no row p", w.without(k.partition(p)), MissingPartition, "R partition="},
		{"a dropped partition", func(tx *Tx) { q := *w.partition; q.State = PartitionDropped; _ = tx.PutPartition(&q) }, MissingPartition, "O bucket="},
		{"no row K of a copy", w.without(k.owner(rowID, &Owner{Kind: OwnerVersion, Bucket: b, Key: "copied", Ord: w.copied.Ord})), MissingPin, `key="copied"`},
		{"no row K of a part", w.without(k.owner(rowID, partOwner)), MissingPin, "part=2"},
		{"row K of no version", w.with(k.owner(rowID, &Owner{Kind: OwnerVersion, Bucket: b, Key: "copied", Ord: 1}), []byte{}), OrphanPin, "ord=1"},
		{"row K of no part", w.with(k.owner(rowID, &Owner{Kind: OwnerPart, Bucket: b, Upload: w.upload.ID, Part: 3}), []byte{}), OrphanPin, "part 3"},
		{"a released home", w.with(k.homeGone(w.extents.Data.ID), []byte{1}), ReleasedData, `key="extents"`},
		{"a released part", w.with(k.homeGone(w.part.Slices[0].ID), []byte{1}), ReleasedData, "part=1"},
		{"released without garbage", w.with(k.homeGone(sampleID(1)), []byte{1}), OrphanData, "home gone"},
		{"data without a home", w.without(k.object(b, "rows")), OrphanData, "E id="},
		{"a manifest without a home", w.without(k.object(b, "manifest")), OrphanData, "Y id="},
		{"carried extents without a home", w.without(k.object(b, "extents")), OrphanRef, "R partition="},
		{"a part's data without a home", w.without(k.part(b, w.upload.ID, 1)), OrphanData, "E id="},
		{"two homes", w.altered(w.extents, func(o *Object) { o.Size, o.Data = w.rows.Size, w.rows.Data }), DuplicateHome, "O bucket="},
		{"no manifest", func(tx *Tx) { _ = tx.DeleteManifest(w.manifest.Data.ID) }, MissingData, `key="manifest"`},
		{"no row M", w.without(k.upload(b, "upload", w.upload.ID)), OrphanPart, "part=1"},
		{"row Q of nothing", w.with(k.partsStamp(b, sampleID(1)), []byte{1}), OrphanPart, "Q bucket="},
		{"a part of another size", func(tx *Tx) {
			part := *w.part
			part.Size++
			tx.kv.Set(k.part(b, w.upload.ID, 1), encodePart(&part))
		}, MissingData, "part=1"},
		{"an unknown disk", w.without(k.disk(w.partition.Shards[0])), UnknownDisk, "p partition="},
		{"objects miscounted", func(tx *Tx) { tx.add(k.bucketCounter(b, countObjects), 1) }, WrongCounter, "objects"},
		{"bytes miscounted", func(tx *Tx) { tx.add(k.bucketCounter(b, countBytes), -1) }, WrongCounter, "bytes"},
		{"uploads miscounted", func(tx *Tx) { tx.add(k.bucketCounter(b, countUploads), 1) }, WrongCounter, "uploads"},
		{"part bytes miscounted", func(tx *Tx) { tx.add(k.bucketCounter(b, countPartBytes), 1) }, WrongCounter, "part bytes"},
		{"counter of no bucket", func(tx *Tx) { tx.add(k.bucketCounter(1, countBytes), 1) }, WrongCounter, "bucket=0000000000000001"},
		{"live bytes miscounted", func(tx *Tx) { tx.add(k.liveBytes(p), 1) }, WrongCounter, "live bytes"},
		{"live bytes of no partition", func(tx *Tx) { tx.add(k.liveBytes(1), 1) }, WrongCounter, "partition=0000000000000001"},
		{"a long counter", w.with(k.liveBytes(p), make([]byte, 9)), CorruptRow, "C partition="},
	}
}

func TestCheckFindsEveryCorruption(t *testing.T) {
	for i, c := range corruptions(newWorld(t)) {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t) // ids differ from world to world
			c := corruptions(w)[i]
			clean(t, w.db)
			update(t, w.db, func(tx *Tx) error { c.damage(tx); return nil })
			problems, s := findings(t.Context(), t, w.db)
			hit := slices.ContainsFunc(problems, func(p Problem) bool {
				return p.Kind == c.want && strings.Contains(p.Key, c.key) && !p.Warning
			})
			if !hit {
				t.Errorf("no %s of %q among %+v", c.want, c.key, problems)
			}
			if s.Clean() || int(s.Problems) != len(problems) {
				t.Errorf("the summary counts %d problems of %d", s.Problems, len(problems))
			}
		})
	}
}

func TestCheckCountsWhatItSees(t *testing.T) {
	s := clean(t, newWorld(t).db)
	want := Summary{
		Buckets: 1, Objects: 5, Versions: 2, Uploads: 1, Parts: 2, DataIDs: 4, Manifests: 1, Extents: 206, Refs: 208,
		Pins: 2, Partitions: 1, Disks: 1, Intents: 1, LiveBytes: 2080,
	}
	if s != want {
		t.Errorf("summary %+v, want %+v", s, want)
	}
}

func TestCheckWarnsOfOldIntents(t *testing.T) {
	c := &clock{t: time.Unix(1e9, 0)}
	db, err := Open(newEngine(t), Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *Tx) error { return tx.PutIntent(&Intent{ID: db.NewDataID(), Created: db.Now()}) })
	clean(t, db)
	c.t = c.t.Add(25 * time.Hour)
	problems, s := findings(t.Context(), t, db)
	if len(problems) != 1 || problems[0].Kind != OldIntent || !s.Clean() || s.Warnings != 1 {
		t.Errorf("findings %+v, summary %+v", problems, s)
	}
}

// TestCheckInManyPasses holds only a few ids in memory at a time and visits
// one row per transaction.
func TestCheckInManyPasses(t *testing.T) {
	for _, maxHomes := range []int64{1, 2, 5} {
		w := newWorld(t)
		run := func() (problems []Problem) {
			c := &checker{db: w.db, report: func(p Problem) { problems = append(problems, p) }, maxHomes: maxHomes, page: 1}
			if err := errors.Join(c.rows(t.Context()), c.homes(t.Context())); err != nil {
				t.Fatal(err)
			}
			return problems
		}
		if problems := run(); len(problems) != 0 {
			t.Errorf("%d ids at a time: %+v", maxHomes, problems)
		}
		update(t, w.db, func(tx *Tx) error {
			w.without(w.db.keys.object(w.bucket.ID, "manifest"))(tx)
			w.without(w.db.keys.object(w.bucket.ID, "rows"))(tx)
			return nil
		})
		if problems := run(); len(problems) < 2 {
			t.Errorf("%d ids at a time: only %+v", maxHomes, problems)
		}
	}
}

func TestIDRangesCoverAllIDsOnce(t *testing.T) {
	for _, claims := range []int64{0, 1, 2, 9, 1000} {
		var seen []idRange
		passes := passesOf(claims, 3)
		seen = append(seen, passes...)
		if seen[0].from != 0 || seen[len(seen)-1].to != 1<<64-1 {
			t.Errorf("%d claims: ranges %+v do not cover all ids", claims, seen)
		}
		for i := 1; i < len(seen); i++ {
			if seen[i].from != seen[i-1].to+1 {
				t.Errorf("%d claims: range %d begins at %x after %x", claims, i, seen[i].from, seen[i-1].to)
			}
		}
	}
}

// tired is an engine whose views of the checker end early, as on a state too
// large to be read within the age of a transaction.
type tired struct {
	kv.Engine
	rows int
}

func (e *tired) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	return e.Engine.View(ctx, o, func(r kv.Reader) error { return fn(&tiredReader{Reader: r, left: e.rows}) })
}

type tiredReader struct {
	kv.Reader
	left int
}

func (r *tiredReader) GetRange(rng kv.Range, o kv.RangeOptions) kv.Iterator {
	return &tiredIterator{Iterator: r.Reader.GetRange(rng, o), r: r}
}

type tiredIterator struct {
	kv.Iterator
	r *tiredReader
}

func (i *tiredIterator) Next() bool {
	more := i.Iterator.Next()
	if more {
		i.r.left--
	}
	return more && i.r.left >= 0
}

func (i *tiredIterator) Err() error {
	if i.r.left < 0 {
		return kv.ErrTooOld
	}
	return i.Iterator.Err()
}

func TestCheckOfAStateTooLargeForOneTransaction(t *testing.T) {
	w := newWorld(t)
	want := clean(t, w.db)
	engine := w.db.engine
	w.db.engine = &tired{Engine: engine, rows: 4}
	if got := clean(t, w.db); got != want {
		t.Errorf("in small transactions: %+v, want %+v", got, want)
	}
	update(t, w.db, func(tx *Tx) error {
		tx.add(tx.keys.bucketCounter(w.bucket.ID, countObjects), 1)
		tx.add(tx.keys.liveBytes(w.partition.ID), 1)
		return nil
	})
	problems, _ := findings(t.Context(), t, w.db)
	if len(problems) != 2 || problems[0].Kind != WrongCounter || problems[1].Kind != WrongCounter {
		t.Errorf("findings %+v", problems)
	}
}
