// Package disk is the engine that keeps shards in one directory.
//
//	DIR/undercroft.json              identity: disk, cluster (see [Identity])
//	DIR/LOCK                         held while the disk is open
//	DIR/shards/<xx>/<partition>.<ii> one file for each shard; xx are the first
//	                                 two digits of the partition
//	DIR/lost/                        shards that nobody knows
//	DIR/tmp/                         files being made; emptied at every open
//
// A shard's file is two superblock slots of 4 KiB, which take turns, and then
// the shard's bytes: offset 0 of the shard is byte 8192 of the file.
// docs/format/shard.md draws it.
//
// It promises what package blobd asks. Appends of one shard share syncs: one
// fdatasync covers every write that finished before it began. The file is
// extended in steps ahead of the appends, each made durable by itself, so that
// those syncs carry no change of size. After each sync the file must still be
// found under its name, else the disk is out of service. A failed write or
// sync is never repeated: it puts the whole disk out of service for appends,
// until it is opened again; reads are still tried.
//
// A write cannot be interrupted: an append or read whose context ends while the
// system call blocks returns when the call does. Only the wait for the sync
// ends early.
//
// It is opened by cmd and by test clusters; everything else uses package
// blobd.
package disk

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

const (
	dirMode   = 0o750
	shardsDir = "shards"
	lostDir   = "lost"
	tmpDir    = "tmp"
)

// Options of [Open]. The zero value is good for a real disk.
type Options struct {
	// Expect is the disk that the directory must hold; zero takes any.
	Expect blobd.DiskID
	// Cluster is the cluster that the disk must belong to; zero takes any.
	Cluster ClusterID
	// Reserve is how many bytes of the file system are left free; less than
	// that is [blobd.ErrNoSpace]. Zero means 1 GiB, but at most a twentieth of
	// the file system; negative means none.
	Reserve int64
	// Preallocate is the step in which files grow, in bytes; zero means 32 MiB.
	Preallocate int64
	// Handles is how many shards are kept open while nobody uses them; zero
	// means 512.
	Handles int
	// UsageTTL is how long the file system's usage is remembered; zero means a
	// second.
	UsageTTL time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger gets what puts the disk out of service; nil discards it.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Preallocate <= 0 {
		o.Preallocate = 32 << 20
	}
	o.Preallocate = roundUp(o.Preallocate)
	if o.Handles <= 0 {
		o.Handles = 512
	}
	if o.UsageTTL <= 0 {
		o.UsageTTL = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Disk is an open disk.
type Disk struct {
	fs       vfs.FS
	dir      string
	opts     Options
	identity Identity
	lock     io.Closer
	shardsID vfs.Identity // of the directory that holds the shards
	space    space
	stats    counters
	uncached atomic.Bool // the file system does not say what it has in memory
	direct   *direct
	failure  atomic.Pointer[error]

	// mu guards the table of shards. It is never held during I/O. Order:
	// shard.life, then shard.mu or Disk.mu; the last two never together.
	mu     sync.Mutex
	shards map[blobd.ShardID]*shard
	recent list.List // of *shard: those that may be closed, last used first
	users  int       // references to shards, in all
	unused chan struct{}
	closed bool
}

var (
	_ blobd.Disk         = (*Disk)(nil)
	_ blobd.CachedReader = (*Disk)(nil)
)

// Open takes the lock of a formatted directory and serves its shards. No shard
// is touched before it is asked for. The errors are [ErrMissing],
// [ErrNotFormatted], [ErrWrongDisk], [vfs.ErrLocked] and the file system's.
func Open(fsys vfs.FS, dir string, opts Options) (*Disk, error) {
	opts = opts.withDefaults()
	// Before anything is written: an unmounted directory is left as it is.
	if _, err := identify(fsys, dir, opts); err != nil {
		return nil, err
	}
	lock, err := vfs.LockDir(fsys, dir, os.Getpid())
	if err != nil {
		return nil, err
	}
	d := &Disk{fs: fsys, dir: dir, opts: opts, lock: lock, direct: newDirect(), shards: map[blobd.ShardID]*shard{}}
	if err := d.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open disk %s: %w", dir, err), lock.Close())
	}
	return d, nil
}

// prepare reads the identity again, now under the lock, and makes the
// directories.
func (d *Disk) prepare() error {
	id, err := identify(d.fs, d.dir, d.opts)
	if err != nil {
		return err
	}
	d.identity = id
	for _, name := range []string{shardsDir, lostDir, tmpDir} {
		if err := vfs.MkdirAll(d.fs, d.path(name), dirMode); err != nil {
			return err
		}
	}
	// A process that was killed may have made names that are not durable yet.
	for _, name := range []string{d.dir, d.path(shardsDir)} {
		if err := vfs.SyncDir(d.fs, name); err != nil {
			return err
		}
	}
	info, err := d.fs.Stat(d.path(shardsDir))
	if err != nil {
		return err
	}
	d.shardsID = vfs.IdentityOf(info)
	return d.emptyTmp()
}

func identify(fsys vfs.FS, dir string, opts Options) (Identity, error) {
	state, id, err := Probe(fsys, dir)
	if err != nil {
		return Identity{}, err
	}
	if state == Missing {
		return Identity{}, fmt.Errorf("%w: %s", ErrMissing, dir)
	}
	if state != Identified {
		return Identity{}, fmt.Errorf("%w: %s is %s", ErrNotFormatted, dir, state)
	}
	if opts.Expect != (blobd.DiskID{}) && id.Disk != opts.Expect {
		return Identity{}, fmt.Errorf("%w: %s is disk %s, not %s", ErrWrongDisk, dir, id.Disk, opts.Expect)
	}
	if opts.Cluster != (ClusterID{}) && id.Cluster != opts.Cluster {
		return Identity{}, fmt.Errorf("%w: %s is of cluster %s, not %s", ErrWrongDisk, dir, id.Cluster, opts.Cluster)
	}
	return id, nil
}

func (d *Disk) emptyTmp() error {
	names, err := d.fs.List(d.path(tmpDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := d.fs.RemoveAll(d.fs.PathJoin(d.path(tmpDir), name)); err != nil {
			return err
		}
	}
	return nil
}

func (d *Disk) path(name string) string { return d.fs.PathJoin(d.dir, name) }

// ID implements [blobd.Inventory].
func (d *Disk) ID() blobd.DiskID { return d.identity.Disk }

// Identity is what the directory says of itself.
func (d *Disk) Identity() Identity { return d.identity }

// Dir is the directory.
func (d *Disk) Dir() string { return d.dir }

// Failed implements [blobd.Inventory]. It stays once it is set.
func (d *Disk) Failed() error {
	if p := d.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// fail puts the disk out of service and answers the first reason for it.
func (d *Disk) fail(cause error) error {
	err := fmt.Errorf("%w: %s: %w", blobd.ErrDiskFailed, d.dir, cause)
	if d.failure.CompareAndSwap(nil, &err) {
		d.opts.Logger.Error("disk out of service",
			slog.String("dir", d.dir), slog.String("disk", d.identity.Disk.String()), slog.Any("error", cause))
	}
	return *d.failure.Load()
}

// checkDir puts the disk out of service when its directory is no longer the
// one that was opened.
func (d *Disk) checkDir() error {
	if err := vfs.CheckName(d.fs, d.path(shardsDir), d.shardsID); err != nil {
		return d.fail(err)
	}
	return nil
}

// ready is asked first by everything that writes.
func (d *Disk) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return blobd.ErrClosed
	}
	return d.Failed()
}

// Close waits for what is under way, closes the files and gives up the lock.
// Closing again is no error.
func (d *Disk) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.unused = make(chan struct{})
	if d.users == 0 {
		close(d.unused)
	}
	d.mu.Unlock()
	<-d.unused
	var errs []error
	for _, s := range d.shards { // nobody else is left
		errs = append(errs, s.closeFiles())
	}
	return errors.Join(append(errs, d.lock.Close())...)
}

func roundUp(n int64) int64 { return (n + blobd.Align - 1) &^ (blobd.Align - 1) }

func roundDown(n int64) int64 { return n &^ (blobd.Align - 1) }
