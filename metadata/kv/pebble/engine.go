package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// The engine's own keys; see the package comment.
const (
	formatKey  = "\xffformat"
	versionKey = "\xffversion"
	stampKey   = txn.GenerationKey

	format         = 1
	versionsAtOpen = 1_000_000
)

// ErrNotThere says that the directory holds no state, see Options.MustExist.
var ErrNotThere = errors.New("pebble: no state in the directory")

// Engine is a kv.Engine over one Pebble directory.
//
// Locks, in order: Engine.mu, Engine.viewMu, Pebble's own.
type Engine struct {
	db    *pebble.DB
	opts  Options
	loop  txn.Loop
	space *space
	count counters

	compactions *compactions

	// mu orders commits. It guards the version, the oracle and the flushes.
	mu         sync.Mutex
	last       uint64 // version of the last applied commit
	generation []byte
	latest     *snapshot // of version last, or nil; holds one reference
	oracle     oracle
	pending    *flush // waits for commits not yet in a sync
	inflight   *flush // the sync under way, or nil
	durable    uint64 // every commit up to it is durable

	// viewMu guards the snapshot that Views read, and the end of the engine.
	viewMu  sync.Mutex
	visible *snapshot
	closing bool
	calls   sync.WaitGroup

	pins pins

	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}

	shut       atomic.Bool
	failOnce   sync.Once
	failed     chan struct{}
	failure    atomic.Pointer[error]
	opened     atomic.Bool
	fullErrors atomic.Int32
}

var _ kv.Engine = (*Engine)(nil)

// Open opens the engine in dir, which is created if it does not exist. It
// fails when another process has it open. What an earlier run had acknowledged
// is there; what it had applied without acknowledging may be. Everything found
// is made durable before Open returns.
func Open(dir string, o Options) (*Engine, error) {
	e := &Engine{
		opts:    o.withDefaults(),
		pending: newFlush(),
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
		failed:  make(chan struct{}),

		compactions: newCompactions(),
	}
	e.loop = txn.Loop{Now: e.opts.Now, Jitter: jitter}
	e.space = &space{
		fs: e.opts.FS, dir: dir, now: e.opts.Now, log: e.opts.Logger,
		reserve: e.opts.ReserveBytes, ballast: e.opts.BallastBytes,
	}
	fs := vfs.OnDiskFull(gate{FS: e.opts.FS, shut: &e.shut, fail: e.fail}, e.space.full)
	db, err := e.openPebble(dir, fs)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	e.db = db
	e.opened.Store(true)
	if err := e.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", dir, err), db.Close())
	}
	e.space.open()
	e.visible = newSnapshot(db, e.last, e.generation)
	go e.syncLoop()
	e.compactions.release(e.opts.CompactionDelay)
	return e, nil
}

// openPebble opens Pebble in a goroutine of its own, because it tries for ever
// to flush what it has replayed. When that fails it is left behind, with the
// directory locked until the process ends.
func (e *Engine) openPebble(dir string, fs vfs.FS) (*pebble.DB, error) {
	type result struct {
		db  *pebble.DB
		err error
	}
	done := make(chan result, 1)
	go func() {
		db, err := pebble.Open(dir, e.pebbleOptions(fs))
		done <- result{db, err}
	}()
	select {
	case r := <-done:
		if errors.Is(r.err, pebble.ErrDBDoesNotExist) {
			return nil, fmt.Errorf("%w: %w", ErrNotThere, r.err)
		}
		return r.db, r.err
	case <-e.failed:
		return nil, e.Err()
	}
}

// recover reads the engine's own keys. A log found after a kill may never have
// been synced, and what a View shows must survive the next power loss: Pebble
// flushes what it replays before its Open returns.
func (e *Engine) recover() error {
	if n := e.db.Metrics().MemTable.Count; n > 1 {
		return fmt.Errorf("%w: %d logs are not durable", kv.ErrUnavailable, n-1)
	}
	found, err := e.own(formatKey)
	if err != nil {
		return err
	}
	if found == nil {
		if err := e.db.Set([]byte(formatKey), []byte{format}, pebble.Sync); err != nil {
			return fmt.Errorf("write format: %w", err)
		}
	} else if len(found) != 1 || found[0] != format {
		return fmt.Errorf("format %x is not known to this version", found)
	}
	version, err := e.own(versionKey)
	if err != nil {
		return err
	}
	if len(version) == 8 {
		e.last = binary.BigEndian.Uint64(version)
	}
	// Versions handed out for commits that were lost are never used again.
	e.last += versionsAtOpen
	e.durable = e.last
	e.generation, err = e.own(stampKey)
	if err != nil {
		return err
	}
	return e.Err()
}

// own reads one of the engine's own keys.
func (e *Engine) own(key string) ([]byte, error) {
	value, closer, err := e.db.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", key, err)
	}
	return append([]byte{}, value...), closer.Close()
}

// Name is "pebble".
func (e *Engine) Name() string { return "pebble" }

// Failed is closed when the engine has stopped for good.
func (e *Engine) Failed() <-chan struct{} { return e.failed }

// Err is why the engine has stopped for good, or nil. It wraps
// kv.ErrUnavailable, and kv.ErrNoSpace if the disk was full.
func (e *Engine) Err() error {
	if err := e.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// fail stops the engine for good.
func (e *Engine) fail(cause error) {
	e.failOnce.Do(func() {
		err := fmt.Errorf("%w: %w", kv.ErrUnavailable, cause)
		if vfs.IsNoSpaceError(cause) {
			err = fmt.Errorf("%w: %w", kv.ErrNoSpace, err)
		}
		e.shut.Store(true)
		e.failure.Store(&err)
		close(e.failed)
		e.opts.Logger.Error("metadata engine has failed", slog.Any("error", cause))
	})
}

// enter counts a call in, so that Close waits for it.
func (e *Engine) enter() error {
	if err := e.Err(); err != nil {
		return err
	}
	e.viewMu.Lock()
	defer e.viewMu.Unlock()
	if e.closing {
		return kv.ErrClosed
	}
	e.calls.Add(1)
	return nil
}

// View runs fn on the last durable version.
func (e *Engine) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.calls.Done()
	return e.loop.Run(ctx, o, func(n int, deadline time.Time) error {
		return e.view(ctx, n, deadline, fn)
	})
}

func (e *Engine) view(ctx context.Context, n int, deadline time.Time, fn func(kv.Reader) error) error {
	t := txn.New(txn.Config{Source: viewSource{e}, Now: e.opts.Now, Context: ctx, Deadline: deadline, Attempt: n})
	defer e.end(t)
	e.count.views.Add(1)
	if err := fn(t.Snapshot()); err != nil {
		return err
	}
	return e.Err()
}

// end closes what fn left open and gives the snapshot back.
func (e *Engine) end(t *txn.Tx) {
	_ = t.Finish() // asked for where the result counts
	if s, ok := t.Taken().(*snapshot); ok {
		e.release(s)
	}
}

func (e *Engine) release(s *snapshot) {
	if err := s.release(); err != nil {
		e.fail(err)
	}
}

// viewSource gives Views the shared durable snapshot.
type viewSource struct{ e *Engine }

// Begin takes a reference to the durable snapshot.
func (v viewSource) Begin() (txn.Snapshot, error) {
	if err := v.e.Err(); err != nil {
		return nil, err
	}
	v.e.viewMu.Lock()
	s := v.e.visible
	s.refs.Add(1)
	v.e.viewMu.Unlock()
	return s, nil
}

// updateSource gives Updates the latest applied state.
type updateSource struct{ e *Engine }

// Begin takes a reference to a snapshot of the latest version, made under the
// mutex of the commits so that version and content agree.
func (u updateSource) Begin() (txn.Snapshot, error) {
	e := u.e
	if err := e.Err(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.snapshotLocked()
	s.refs.Add(1)
	e.oracle.enter(s.version, e.opts.Now())
	return s, nil
}

// snapshotLocked is the shared snapshot of the latest version. The caller takes
// its own reference before it gives the mutex up.
func (e *Engine) snapshotLocked() *snapshot {
	if e.latest == nil {
		e.latest = newSnapshot(e.db, e.last, e.generation)
	}
	return e.latest
}

// failedClose is how long Close waits for a Pebble that has failed.
const failedClose = time.Second

// Close waits for the calls under way and closes the directory. After a failure
// it gives Pebble a second and then leaves it alone, because a failed write may
// hold Pebble's own locks for ever.
func (e *Engine) Close() error {
	e.viewMu.Lock()
	if e.closing {
		e.viewMu.Unlock()
		return kv.ErrClosed
	}
	e.closing = true
	e.viewMu.Unlock()
	closed := make(chan error, 1)
	go func() { closed <- e.shutdown() }()
	select {
	case err := <-closed:
		return err
	case <-e.failed:
	}
	timer := time.NewTimer(failedClose)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return fmt.Errorf("close: %w", e.Err())
	}
}

// shutdown ends the calls, the syncer and Pebble, in this order.
func (e *Engine) shutdown() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("close: %w: %v", kv.ErrUnavailable, r)
		}
	}()
	e.calls.Wait()
	e.pins.close()
	close(e.stop)
	<-e.stopped
	if err := e.Err(); err != nil {
		return fmt.Errorf("close: %w", errors.Join(err, e.closeDB()))
	}
	return e.closeDB()
}

func (e *Engine) closeDB() error {
	err := errors.Join(e.visible.release(), e.latest.release())
	if err = errors.Join(err, e.db.Close()); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
