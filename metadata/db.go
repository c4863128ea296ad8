package metadata

import (
	"bytes"
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Format is the newest version of the key space that this program writes and
// reads. Programs write the version recorded in the state.
const Format = 1

// Errors of the package, beside those of kv. They are compared with errors.Is.
var (
	// ErrFormat says that the state has a format this program does not know.
	ErrFormat = errors.New("metadata: unsupported format")
	// ErrFenced says that the right to publish is gone: the partition has
	// another epoch or takes no more, or the intent was collected. Nothing was
	// written; the bytes must be written again.
	ErrFenced = errors.New("metadata: fenced")
	// ErrNoState says that there is no state where one should be.
	ErrNoState = errors.New("metadata: the state is gone")
	// ErrInvalid says that a record breaks a limit of the key space.
	ErrInvalid = errors.New("metadata: invalid record")
)

// maxRoot bounds the root prefix, which counts against every key.
const maxRoot = 64

// Options configure a DB.
type Options struct {
	// Root is the prefix of every key, at most 64 bytes; empty is allowed.
	Root []byte
	// Now is the clock. It is required.
	Now func() time.Time
	// Rand is where identifiers come from; nil is crypto/rand. It need not be
	// safe for concurrent use.
	Rand io.Reader
	// MustExist refuses an empty engine with ErrNoState, where a state was before.
	MustExist bool
}

// DB is the state of a cluster on an engine. It is safe for concurrent use.
// It does not own the engine: its caller closes that.
type DB struct {
	engine  kv.Engine
	remote  bool // the engine is
	keys    keyspace
	now     func() time.Time
	cluster cluster

	lockClock lockClock

	randMu sync.Mutex // guards rand
	rand   io.Reader
}

// Open reads the format of the state on engine, and creates it in an empty
// one, unless it must exist. It fails with ErrFormat where a newer program has raised the format.
func Open(engine kv.Engine, o Options) (*DB, error) {
	if o.Now == nil {
		return nil, errors.New("metadata: Options.Now is not set")
	}
	if len(o.Root) > maxRoot {
		return nil, fmt.Errorf("metadata: root prefix of %d bytes, at most %d are allowed", len(o.Root), maxRoot)
	}
	if o.Rand == nil {
		o.Rand = cryptorand.Reader
	}
	db := &DB{engine: engine, remote: kv.IsRemote(engine), keys: keyspace{root: bytes.Clone(o.Root)}, now: o.Now, rand: o.Rand}
	ctx := context.Background()
	err := db.identify(ctx, &o)
	if errors.Is(err, kv.ErrUnknownCommit) {
		// Whatever is recorded now, ours or another program's, is the identity.
		err = db.identify(ctx, &o)
	}
	if err == nil {
		err = db.openLockClock(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	return db, nil
}

// identify reads the row Z and writes it where there is none and none must be.
func (db *DB) identify(ctx context.Context, o *Options) error {
	fresh := cluster{format: Format, id: db.randomID(), copy: db.randomID()}
	return db.Update(ctx, "open", func(tx *Tx) error {
		if state, err := tx.importState(); err != nil || state != nil {
			return cmp.Or(err, ErrImporting)
		}
		v, err := tx.get(db.keys.format())
		if err != nil {
			return err
		}
		if v == nil && o.MustExist {
			return ErrNoState
		}
		if v == nil {
			db.cluster = fresh
			tx.set(db.keys.format(), encodeCluster(fresh))
			return nil
		}
		c, err := decodeCluster(v)
		if err != nil {
			return err
		}
		if c.format == 0 || c.format > Format {
			return fmt.Errorf("%w: %d, this program knows up to %d", ErrFormat, c.format, Format)
		}
		db.cluster = c
		return nil
	})
}

// ClusterID is the identity of the state, made when it was created.
func (db *DB) ClusterID() [16]byte { return db.cluster.id }

// CopyID tells this state from others of the same cluster: it is made with the state, and
// anew by each import. Zero: an older program made the state, see [DB.MakeCopyID]. What the
// engine itself copies, or restores, has the same.
func (db *DB) CopyID() [16]byte { return db.cluster.copy }

// MakeCopyID makes the copy id of a state that has none. It must not be called while others
// use the DB.
func (db *DB) MakeCopyID(ctx context.Context) error {
	if db.cluster.copy != ([16]byte{}) {
		return nil
	}
	fresh := db.randomID()
	var known cluster
	err := db.Update(ctx, "open", func(tx *Tx) error {
		v, err := tx.get(db.keys.format())
		if err != nil {
			return err
		}
		if known, err = decodeCluster(v); err != nil {
			return err
		}
		if known.copy == ([16]byte{}) {
			known.copy = fresh
			tx.set(db.keys.format(), encodeCluster(known))
		}
		return nil
	})
	if err == nil {
		db.cluster.copy = known.copy
	}
	return err
}

// Now is the time by the clock that the DB was opened with.
func (db *DB) Now() time.Time { return db.now() }

// View runs fn on one durable read version. class labels it in metrics.
func (db *DB) View(ctx context.Context, class string, fn func(*Reader) error) error {
	db.session(ctx).Drop()
	return db.view(ctx, kv.TxOptions{Class: class}, fn)
}

// Update runs fn and commits what it wrote; it is durable on return. fn runs
// again after a conflict, so it must have no effect outside the transaction
// that a repetition spoils. After kv.ErrUnknownCommit nothing is applied again:
// the caller settles with one read of its token. class labels it in metrics.
func (db *DB) Update(ctx context.Context, class string, fn func(*Tx) error) error {
	defer db.session(ctx).Drop()
	return db.update(ctx, kv.TxOptions{Class: class}, fn)
}

// NewToken makes the token of one request. Its first 4 bytes are the minute
// of its making, so that ClearTokens finds old ones; the rest is random. Make
// it outside the function of a transaction.
func (db *DB) NewToken() Token {
	t := Token(db.randomID())
	binary.BigEndian.PutUint32(t[:], minuteOf(db.now()))
	return t
}

// NewDataID makes the id of one object version's or part's bytes, or of a
// manifest.
func (db *DB) NewDataID() DataID { return DataID(db.randomID()) }

// NewBucketID makes a bucket's id.
func (db *DB) NewBucketID() BucketID { return BucketID(db.randomUint()) }

// NewPartitionID makes a partition's id.
func (db *DB) NewPartitionID() PartitionID { return PartitionID(db.randomUint()) }

// NewDiskID makes a disk's identity.
func (db *DB) NewDiskID() DiskID { return DiskID(db.randomID()) }

// NewSuffix makes the random half of a version id.
func (db *DB) NewSuffix() uint64 { return db.randomUint() }

// NewUploadID makes the id of an upload initiated at now.
func (db *DB) NewUploadID(now time.Time) UploadID {
	id := UploadID(db.randomID())
	binary.BigEndian.PutUint64(id[:], uint64(max(now.UnixMicro(), 0)))
	return id
}

// NextOrd is the order of a version made now on top of one of order previous
// (0 where there is none).
func (db *DB) NextOrd(previous Ord) Ord {
	return max(Ord(max(db.now().UnixMicro(), 1)), previous+1)
}

// randomUint is never 0, which stands for absent.
func (db *DB) randomUint() uint64 {
	id := db.randomID()
	return max(binary.BigEndian.Uint64(id[:]), 1)
}

func (db *DB) randomID() (id [16]byte) {
	db.randMu.Lock()
	defer db.randMu.Unlock()
	if _, err := io.ReadFull(db.rand, id[:]); err != nil {
		// crypto/rand ends the program rather than fail, and a repeated id
		// would mix the bytes of two objects.
		_, _ = cryptorand.Read(id[:])
	}
	return id
}
