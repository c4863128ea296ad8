package objects

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/s3"
)

const (
	// lifecycleVictims is how many versions and uploads a scan finds before it acts on them.
	lifecycleVictims = 500
	// lifecycleMoved is how many bytes it moves to other classes, about, before others get
	// their turn; a version counts as lifecycleMoveCost at least.
	lifecycleMoved    = 64 << 20
	lifecycleMoveCost = 512 << 10
)

// LifecycleCursor is where a scan of a bucket is: right behind a version, or behind
// an upload when the versions are done. The zero cursor, but for the bucket, is the beginning.
type LifecycleCursor struct {
	Bucket  metadata.BucketID `json:"bucket"`
	Uploads bool              `json:"uploads,omitempty"`
	Key     []byte            `json:"key,omitempty"`
	Ord     metadata.Ord      `json:"ord,omitempty"`
	Top     metadata.Ord      `json:"top,omitempty"`   // of the newest version of Key
	Newer   int               `json:"newer,omitempty"` // noncurrent versions of Key so far
	Upload  metadata.UploadID `json:"upload,omitzero"`
}

// LifecycleScanInput asks for some rows of a bucket to be looked at.
type LifecycleScanInput struct {
	From  LifecycleCursor
	Rows  int // at most, about
	Clock LifecycleClock
	// Pace is called before each version that is moved to another class, and before each further piece of
	// a large one, by several goroutines; its error ends the scan. Nil: they are moved one right after the other.
	Pace func(ctx context.Context) error
}

// LifecycleTally counts what was done.
type LifecycleTally struct {
	Evaluated   int64 // versions, delete markers and uploads looked at
	Expired     int64 // current versions, with or without a delete marker left
	Noncurrent  int64 // versions and delete markers deleted that were noncurrent
	Markers     int64 // delete markers deleted that were alone
	Transitions int64
	Aborted     int64
	Locked      int64 // versions left because they are locked
	Failed      int64 // left to the next round because others wrote them, or they could not be read, moved or marked
}

// Add adds another tally.
func (t *LifecycleTally) Add(o *LifecycleTally) {
	t.Evaluated += o.Evaluated
	t.Expired += o.Expired
	t.Noncurrent += o.Noncurrent
	t.Markers += o.Markers
	t.Transitions += o.Transitions
	t.Aborted += o.Aborted
	t.Locked += o.Locked
	t.Failed += o.Failed
}

// Acted is how many versions and uploads were changed.
func (t *LifecycleTally) Acted() int64 {
	return t.Expired + t.Noncurrent + t.Markers + t.Transitions + t.Aborted
}

// LifecycleScanOutput is what a scan did, and where the next one goes on.
type LifecycleScanOutput struct {
	Next  LifecycleCursor
	Done  bool // the bucket has no more
	Tally LifecycleTally
	// Stopped is the first error of those that Tally counts as failed.
	Stopped error
}

// LifecycleBuckets lists buckets that have a lifecycle configuration, in the order of their
// ids: those from one on, at most limit.
func (s *Service) LifecycleBuckets(ctx context.Context, from metadata.BucketID, limit int) (ids []metadata.BucketID, err error) {
	err = s.db.View(ctx, "lifecycle", func(r *metadata.Reader) error {
		ids, err = r.BucketsWith(metadata.ConfigLifecycle, from, limit)
		return err
	})
	return ids, err
}

// LifecycleSize is how many objects a bucket has, without their noncurrent versions.
func (s *Service) LifecycleSize(ctx context.Context, id metadata.BucketID) (n int64, err error) {
	err = s.db.View(ctx, "lifecycle", func(r *metadata.Reader) error {
		count, err := r.BucketCount(id)
		n = count.Objects + count.Uploads
		return err
	})
	return n, err
}

// scan is one LifecycleScan.
type scan struct {
	in      LifecycleScanInput
	out     LifecycleScanOutput
	classes map[s3.StorageClass]bool
	bucket  *metadata.Bucket // nil: gone, or without rules
	rules   *Lifecycle
	judge   *judge
	row     metadata.LifecycleRow
	one     candidate
	pending *victim // a delete marker that may be alone
	victims []victim
	moved   int64 // bytes, of those that are to be
	uploads []*metadata.Upload
}

// victim is a version that the rules want something of.
type victim struct {
	key     string
	ord     metadata.Ord
	verdict verdict
	since   int64        // milliseconds; of a noncurrent one
	top     metadata.Ord // the newest version of the key
	created int64        // of a delete marker that may be alone
}

// LifecycleScan looks at the next rows of a bucket and does what its rules say. What is
// due is decided on a snapshot, and again by the rules and rows of the transaction that does it: what changed
// meanwhile is left alone. It may be repeated from any cursor.
func (s *Service) LifecycleScan(ctx context.Context, in LifecycleScanInput) (LifecycleScanOutput, error) {
	sc := &scan{in: in, classes: s.lifecycleClasses(), out: LifecycleScanOutput{Next: in.From}}
	err := s.db.View(ctx, "lifecycle", func(r *metadata.Reader) error {
		if err := sc.load(s, r); err != nil || sc.bucket == nil {
			sc.out.Done = true
			return err
		}
		if !in.From.Uploads {
			return sc.versions(r)
		}
		return sc.readUploads(r)
	})
	if err != nil {
		return LifecycleScanOutput{Next: in.From}, err
	}
	return sc.out, s.lifecycleAct(ctx, sc)
}

// ruled are the rules of a bucket while its row has the same token: a thousand of them take a
// while to read.
type ruled struct {
	id    metadata.BucketID
	token metadata.Token
	rules *Lifecycle
}

// load reads the bucket and its rules.
func (sc *scan) load(s *Service, r *metadata.Reader) error {
	b, err := r.Bucket(sc.in.From.Bucket)
	if err != nil || b == nil {
		return err
	}
	if known := s.ruled.Load(); known != nil && known.id == b.ID && known.token == b.Token {
		sc.rules = known.rules
	} else {
		doc, err := r.BucketConfig(b.ID, metadata.ConfigLifecycle)
		if err != nil || doc == nil {
			return err
		}
		if sc.rules, err = ParseLifecycle(doc); err != nil {
			return err
		}
		s.ruled.Store(&ruled{b.ID, b.Token, sc.rules})
	}
	sc.bucket, sc.judge = b, sc.judgeOf(sc.rules, b)
	return nil
}

// judgeOf is the judge of a bucket with rules.
func (sc *scan) judgeOf(rules *Lifecycle, b *metadata.Bucket) *judge {
	j := rules.at(sc.in.Clock, b.Versioning != metadata.Unversioned)
	j.classes = sc.classes
	return j
}

// lifecycleClasses are the classes that something can move to: not those that only old data is in.
func (s *Service) lifecycleClasses() map[s3.StorageClass]bool {
	out := map[s3.StorageClass]bool{s3.StorageStandard: true}
	for _, c := range s.store.Classes() {
		if c.Name != "" && !c.Retired {
			out[s3.StorageClass(c.Name)] = true
		}
	}
	return out
}

// versions looks at rows until there are enough, prefix after prefix.
func (sc *scan) versions(r *metadata.Reader) error {
	from := string(sc.in.From.Key)
	for _, prefix := range sc.rules.prefixes() {
		if from != "" && prefix < from && !strings.HasPrefix(from, prefix) {
			continue // done
		}
		rng := metadata.VersionRange{Prefix: prefix}
		if strings.HasPrefix(from, prefix) {
			rng.From, rng.Below = from, sc.in.From.Ord
		}
		more, err := sc.walk(r, rng)
		if err != nil || more {
			return err
		}
	}
	sc.out.Next = LifecycleCursor{Bucket: sc.bucket.ID, Uploads: true}
	sc.out.Done = !sc.rules.aborts
	return nil
}

// walk looks at the rows of a range, and reports whether it stopped because there are enough.
func (sc *scan) walk(r *metadata.Reader, rng metadata.VersionRange) (more bool, err error) {
	it, err := r.VersionsIn(sc.bucket.ID, rng)
	if err != nil {
		return false, err
	}
	defer it.Close()
	next := &sc.out.Next
	for it.Next() {
		switch err := it.Lifecycle(&sc.row, sc.rules.fields); {
		case err == nil:
			sc.look(it.KeyBytes())
		case errors.Is(err, metadata.ErrCorrupt):
			sc.skip(it, err)
		default:
			return false, err
		}
		sc.out.Tally.Evaluated++
		if sc.pending == nil && (sc.out.Tally.Evaluated >= int64(sc.in.Rows) || sc.full()) {
			return true, nil
		}
	}
	sc.settle()
	next.Key = append(next.Key[:0:0], next.Key...)
	return false, it.Err()
}

// full reports whether there is enough to do.
func (sc *scan) full() bool { return len(sc.victims) >= lifecycleVictims || sc.moved >= lifecycleMoved }

// look asks the judge about the current row, and moves the cursor behind it.
func (sc *scan) look(key []byte) {
	next, row, v := &sc.out.Next, &sc.row, &sc.one
	if !row.Latest {
		sc.pending = nil // there is something below it
	}
	sc.settle()
	if row.Latest {
		next.Key = append(next.Key[:0:0], key...)
		next.Top, next.Newer = row.Ord, 0
	}
	*v = candidate{
		key: key, size: row.Size, created: row.Modified, class: s3.StorageClass(row.StorageClass), tags: row.Tags,
		marker: row.DeleteMarker, latest: row.Latest, since: int64(next.Ord) / 1000, newer: next.Newer,
	}
	if v.class == "" {
		v.class = s3.StorageStandard
	}
	if !row.Latest {
		next.Newer++
	}
	next.Ord = row.Ord
	if row.Latest && row.DeleteMarker {
		sc.pending = &victim{key: string(key), ord: row.Ord, top: row.Ord, created: row.Modified}
		return
	}
	if verdict := sc.judge.decide(v); verdict.kind != lifecycleKeep {
		if verdict.kind == lifecycleMove {
			sc.moved += max(row.Size, lifecycleMoveCost)
		}
		sc.victims = append(sc.victims, victim{
			key: string(key), ord: row.Ord, verdict: verdict, since: v.since, top: next.Top, created: row.Modified,
		})
	}
}

// skip passes over a row that cannot be read, and the older versions of its key: how many are above them
// and since when they are noncurrent is not known. The cursor needs nothing of the key.
func (sc *scan) skip(it *metadata.VersionIter, err error) {
	if !sc.row.Latest {
		sc.pending = nil
	}
	sc.settle()
	behind := append(slices.Clone(it.KeyBytes()), 0)
	sc.out.Next = LifecycleCursor{Bucket: sc.bucket.ID, Key: behind}
	it.SkipTo(string(behind))
	sc.left(err)
}

// left counts what is left to the next round.
func (sc *scan) left(err error) {
	sc.out.Tally.Failed++
	if sc.out.Stopped == nil {
		sc.out.Stopped = err
	}
}

// settle decides about a delete marker that turned out to be alone, if there is one.
func (sc *scan) settle() {
	p := sc.pending
	sc.pending = nil
	if p == nil {
		return
	}
	v := candidate{key: []byte(p.key), created: p.created, marker: true, latest: true, alone: true}
	if p.verdict = sc.judge.decide(&v); p.verdict.kind != lifecycleKeep {
		sc.victims = append(sc.victims, *p)
	}
}

// readUploads looks for uploads that are to be aborted.
func (sc *scan) readUploads(r *metadata.Reader) error {
	next := &sc.out.Next
	it := r.Uploads(sc.bucket.ID, metadata.UploadRange{AfterKey: string(next.Key), AfterUpload: next.Upload})
	defer it.Close()
	for it.Next() {
		key, id, err := it.Name()
		if err != nil {
			return err
		}
		next.Key, next.Upload = []byte(key), id
		sc.out.Tally.Evaluated++
		switch u, err := it.Upload(); {
		case errors.Is(err, metadata.ErrCorrupt):
			sc.left(err)
		case err != nil:
			return err
		case sc.rules.abortDue(sc.in.Clock, u.Key, u.Initiated.UnixMilli()):
			sc.uploads = append(sc.uploads, u)
		}
		if sc.out.Tally.Evaluated >= int64(sc.in.Rows) || len(sc.uploads) >= lifecycleVictims {
			return nil
		}
	}
	sc.out.Done = true
	return it.Err()
}
