package metadata

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// ProblemKind classifies what Check finds.
type ProblemKind string

// The kinds of problems.
const (
	// CorruptRow is a row, key or value, that does not decode or contradicts
	// itself.
	CorruptRow ProblemKind = "corrupt-row"
	// StrayRow is a row of no known table.
	StrayRow ProblemKind = "stray-row"
	// BucketMismatch is a disagreement of the rows b, u and B.
	BucketMismatch ProblemKind = "bucket-mismatch"
	// MissingBucket is a row of a bucket that is not there.
	MissingBucket ProblemKind = "missing-bucket"
	// NullMismatch is a disagreement of the rows N, V and O about the null version.
	NullMismatch ProblemKind = "null-mismatch"
	// MissingInline is an inline version without its bytes.
	MissingInline ProblemKind = "missing-inline"
	// OrphanInline is a row D without its version.
	OrphanInline ProblemKind = "orphan-inline"
	// MissingData is a row whose extents or manifest are not there or have
	// another length.
	MissingData ProblemKind = "missing-data"
	// OrphanData is a data id or manifest that nothing owns.
	OrphanData ProblemKind = "orphan-data"
	// DuplicateHome is a data id or manifest with two homes.
	DuplicateHome ProblemKind = "duplicate-home"
	// ReleasedData is data whose home is marked gone while a row is its home.
	ReleasedData ProblemKind = "released-data"
	// MissingRef is an extent without its reverse reference.
	MissingRef ProblemKind = "missing-ref"
	// OrphanRef is a reverse reference without its extent.
	OrphanRef ProblemKind = "orphan-ref"
	// MissingPartition is an extent or reference into a partition that is not
	// there or dropped.
	MissingPartition ProblemKind = "missing-partition"
	// MissingPin is a shared owner without its row K.
	MissingPin ProblemKind = "missing-pin"
	// OrphanPin is a row K without its owner.
	OrphanPin ProblemKind = "orphan-pin"
	// OrphanPart is a row P or Q without its upload.
	OrphanPart ProblemKind = "orphan-part"
	// UnknownDisk is a shard on a disk that is not in the inventory.
	UnknownDisk ProblemKind = "unknown-disk"
	// WrongCounter is a counter that differs from what it counts.
	WrongCounter ProblemKind = "wrong-counter"
	// AccountMismatch is a disagreement of the rows of accounts, users and access keys.
	AccountMismatch ProblemKind = "account-mismatch"
	// KeyMismatch is a disagreement about an encryption key.
	KeyMismatch ProblemKind = "key-mismatch"
	// OldIntent is an intent that nobody finished for a day.
	OldIntent ProblemKind = "old-intent"
	// LockMismatch: a lock that protects nothing, or is where none can be.
	LockMismatch ProblemKind = "lock-mismatch"
)

// Problem is one finding of Check.
type Problem struct {
	Kind ProblemKind
	// Key is the key of the row that is wrong, made readable.
	Key    string
	Detail string
	// Warning says that nothing is broken: something is left over, or could not
	// be decided while the state kept changing.
	Warning bool
}

// Summary counts what Check saw.
type Summary struct {
	Buckets, Objects, Versions, Uploads, Parts int64
	DataIDs, Manifests, Extents, Refs, Pins    int64
	Partitions, Disks, Intents, Garbage        int64
	LiveBytes                                  int64
	Accounts, Users, AccessKeys                int64
	Problems, Warnings                         int64
}

// addCounts adds to s what was counted apart.
func addCounts(s, o *Summary) {
	s.Buckets += o.Buckets
	s.Objects += o.Objects
	s.Versions += o.Versions
	s.Uploads += o.Uploads
	s.Parts += o.Parts
	s.DataIDs += o.DataIDs
	s.Manifests += o.Manifests
	s.Extents += o.Extents
	s.Refs += o.Refs
	s.Pins += o.Pins
	s.Partitions += o.Partitions
	s.Disks += o.Disks
	s.Intents += o.Intents
	s.Garbage += o.Garbage
	s.Accounts += o.Accounts
	s.Users += o.Users
	s.AccessKeys += o.AccessKeys
}

// Clean says that nothing is broken. Warnings do not count.
func (s Summary) Clean() bool { return s.Problems == 0 }

const (
	// checkPage is how many rows one transaction of Check visits.
	checkPage = 200
	// maxHomes bounds how many data ids Check remembers at a time; with more it
	// walks the state several times, each for a range of ids.
	maxHomes = 1 << 20
	// oldIntent is the age at which an intent is reported.
	oldIntent = 24 * time.Hour
)

// Check holds the whole state against itself and reports every contradiction:
// rows that do not decode, extents without references and references without
// extents, owners without data and data without owners, rows of nothing, and
// counters that differ from what they count.
//
// It may run while the state is in use. Rows are held against others of the
// same read version; what takes several versions to see is looked at again
// before it is reported. The error is that of a read; the state is then not
// known to be clean. report is called from the calling goroutine.
func Check(ctx context.Context, db *DB, report func(Problem)) (Summary, error) {
	return newChecker(db, report).run(ctx)
}

func newChecker(db *DB, report func(Problem)) *checker {
	c := &checker{db: db, report: report, maxHomes: maxHomes, page: checkPage}
	if kv.IsRemote(db.engine) {
		c.width = checkWidth
	}
	return c
}

func (c *checker) run(ctx context.Context) (Summary, error) {
	steps := []func(context.Context) error{c.strays, c.rows, c.homes, c.bucketCounters, c.liveBytes}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return c.summary, err
		}
	}
	return c.summary, nil
}

type checker struct {
	db       *DB
	report   func(Problem)
	summary  Summary
	maxHomes int64
	page     int
	width    int   // how many pages are checked at a time, where that may be
	claims   int64 // homes and pins seen: sizes the passes of homes
	// looked, if set, is called after each page with how many rows were looked at so
	// far; one of some tables is looked at several times.
	looked func(rows int64)
	rowsAt int64
}

// pageCheck is what one transaction of the checker found. It counts only when
// the transaction ends well.
type pageCheck struct {
	*Reader
	now      time.Time
	tally    Summary
	claims   int64
	problems []Problem
	effects  []func()
	once     bool // the transaction is not repeated

	extentsOf  map[DataID]map[place]struct{} // what E says, nil where it has no row
	partitions map[PartitionID]*Partition
	uploads    map[UploadID]bool // whether there is a row M
}

// place is a stripe.
type place struct {
	partition PartitionID
	stripe    int64
}

// rowCheck looks at one row. p is valid during the call. It may be called again
// for the same row when a transaction took too long.
type rowCheck func(c *pageCheck, p kv.Pair) error

func (c *pageCheck) problem(kind ProblemKind, key []byte, detail string) {
	c.problems = append(c.problems, Problem{Kind: kind, Key: readableKey(c.keys, key), Detail: detail})
}

// then runs fn once the transaction has ended well: how a check adds to what
// spans several pages.
func (c *pageCheck) then(fn func()) {
	if c.once {
		fn()
		return
	}
	c.effects = append(c.effects, fn)
}

// corrupt reports err if that is of the row, and returns it otherwise.
func (c *pageCheck) corrupt(key []byte, err error) error {
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	c.problem(CorruptRow, key, err.Error())
	return nil
}

func (c *checker) tell(p Problem) {
	if p.Warning {
		c.summary.Warnings++
	} else {
		c.summary.Problems++
	}
	c.report(p)
}

// walk calls check for every row of rng, a page per transaction.
func (c *checker) walk(ctx context.Context, rng kv.Range, check rowCheck) error {
	return c.pages(rng, func(rng kv.Range, rows int) ([]byte, error) { return c.walkPage(ctx, rng, rows, check) })
}

// pages calls visit for page after page of rng, with smaller ones when one took
// too long. visit returns where the next page begins.
func (c *checker) pages(rng kv.Range, visit func(rng kv.Range, rows int) (next []byte, err error)) error {
	rows := c.page
	for bytes.Compare(rng.Begin, rng.End) < 0 {
		next, err := visit(rng, rows)
		switch {
		case tooLong(err) && rows > 1:
			rows /= 2
		case err != nil:
			return err
		default:
			rng.Begin = next
		}
	}
	return nil
}

// walkPage visits as many rows at most and returns where the next page begins.
func (c *checker) walkPage(ctx context.Context, rng kv.Range, rows int, check rowCheck) (next []byte, err error) {
	x, next, err := c.lookAt(ctx, rng, rows, check)
	if err == nil {
		c.take(x)
	}
	return next, err
}

// lookAt is walkPage without its end: it changes nothing of c.
func (c *checker) lookAt(ctx context.Context, rng kv.Range, rows int, check rowCheck) (x looked, next []byte, err error) {
	err = c.view(ctx, func(r *Reader) error {
		x, next = looked{page: c.newPage(r)}, rng.End
		return r.each(rng, rows, func(p kv.Pair) (bool, error) {
			if x.rows++; x.rows == rows {
				next = kv.KeyAfter(p.Key)
			}
			err := check(x.page, p)
			if err != nil {
				err = x.page.corrupt(p.Key, err)
			}
			return err == nil, err
		})
	})
	return x, next, err
}

// take merges what was found.
func (c *checker) take(x looked) {
	c.merge(x.page)
	if c.rowsAt += int64(x.rows); c.looked != nil {
		c.looked(c.rowsAt)
	}
}

// view is one attempt: a page that took too long is cut, not read again.
func (c *checker) view(ctx context.Context, fn func(*Reader) error) error {
	return c.db.engine.View(ctx, kv.TxOptions{Class: "check", MaxRetries: -1}, func(r kv.Reader) error {
		return fn(&Reader{keys: c.db.keys, kv: r})
	})
}

func (c *checker) newPage(r *Reader) *pageCheck {
	return &pageCheck{
		Reader: r, now: c.db.now(),
		extentsOf: make(map[DataID]map[place]struct{}), partitions: make(map[PartitionID]*Partition),
		uploads: make(map[UploadID]bool),
	}
}

func (c *checker) merge(page *pageCheck) {
	for _, p := range page.problems {
		c.tell(p)
	}
	addCounts(&c.summary, &page.tally)
	c.claims += page.claims
	for _, fn := range page.effects {
		fn()
	}
}

// tables are the row checks by tag.
func tables() map[byte]rowCheck {
	return map[byte]rowCheck{
		tagFormat: checkCluster, tagBucketName: checkBucketName, tagOwned: checkOwned, tagBucket: checkBucket,
		tagConfig: checkConfig,
		tagObject: checkObject, tagVersion: checkVersion, tagNull: checkNull, tagInline: checkInline,
		tagUpload: checkUpload, tagPart: checkPart, tagParts: checkPartsStamp,
		tagManifest: checkManifest, tagExtents: checkExtents, tagRef: checkRef, tagOwner: checkOwner,
		tagGarbage: checkGarbage, tagIntent: checkIntent, tagPartition: checkPartition, tagDisk: checkDisk,
		tagToken: checkToken, tagCounter: checkCounter, tagIdentity: checkIdentity,
		tagJob: checkJob, tagHolder: checkHolder,
		tagScrub: checkScrubbed, tagEncryptionKey: checkEncryptionKey,
	}
}

// strays finds rows between the tables.
func (c *checker) strays(ctx context.Context) error {
	known := tables()
	for tag := range 256 {
		if _, ok := known[byte(tag)]; ok {
			continue
		}
		err := c.walk(ctx, c.db.keys.all(byte(tag)), func(c *pageCheck, p kv.Pair) error {
			c.problem(StrayRow, p.Key, "a row of no known table")
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rows checks every row against those it names.
func (c *checker) rows(ctx context.Context) error {
	known := tables()
	for tag := range 256 {
		check, ok := known[byte(tag)]
		if !ok {
			continue
		}
		if err := c.walkApart(ctx, c.db.keys.all(byte(tag)), check); err != nil {
			return err
		}
	}
	return nil
}
