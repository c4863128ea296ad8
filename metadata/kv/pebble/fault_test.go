package pebble_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/kvtest"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// faultFS is a file system that asks a function before each operation.
type faultFS struct {
	vfs.FS
	hook atomic.Pointer[func(errorfs.Op) error]
}

func newFaultFS(inner vfs.FS) *faultFS {
	f := &faultFS{}
	f.FS = errorfs.Wrap(inner, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if hook := f.hook.Load(); hook != nil {
			return (*hook)(op)
		}
		return nil
	}))
	return f
}

func (f *faultFS) inject(hook func(errorfs.Op) error) { f.hook.Store(&hook) }

func isSync(op errorfs.Op) bool {
	return slices.Contains([]errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, op.Kind)
}

func isLog(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".log") }

func put(ctx context.Context, e kv.Engine, key, value string) error {
	_, err := e.Update(ctx, kv.TxOptions{}, func(tx kv.Tx) error {
		tx.Set([]byte(key), []byte(value))
		return nil
	})
	return err
}

func remove(ctx context.Context, e kv.Engine, key string) error {
	_, err := e.Update(ctx, kv.TxOptions{}, func(tx kv.Tx) error {
		tx.Delete([]byte(key))
		return nil
	})
	return err
}

func read(t *testing.T, e kv.Engine, key string) string {
	t.Helper()
	var out string
	err := e.View(t.Context(), kv.TxOptions{}, func(r kv.Reader) error {
		v, err := r.Get([]byte(key)).Wait()
		out = string(v)
		return err
	})
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return out
}

func want(t *testing.T, what string, err, expect error) {
	t.Helper()
	if !errors.Is(err, expect) {
		t.Errorf("%s: got %v, want %v", what, err, expect)
	}
}

func TestFailedSyncStopsTheEngine(t *testing.T) {
	mem := faultfs.NewMem(vfs.NewCrashableMem())
	fs := newFaultFS(mem)
	e := open(t, pebble.Options{FS: fs})
	want(t, "healthy put", put(t.Context(), e, "a", "1"), nil)
	// Only one sync fails; that the next would succeed must not count.
	var once sync.Once
	fs.inject(func(op errorfs.Op) (err error) {
		if isLog(op) && isSync(op) {
			once.Do(func() { err = syscall.EIO })
		}
		return err
	})
	err := put(t.Context(), e, "b", "2")
	want(t, "put during the failure", err, kv.ErrUnknownCommit)
	<-e.Failed()
	want(t, "Err", e.Err(), kv.ErrUnavailable)
	want(t, "cause", e.Err(), syscall.EIO)
	want(t, "later put", put(t.Context(), e, "c", "3"), kv.ErrUnavailable)
	want(t, "later view", e.View(t.Context(), kv.TxOptions{}, func(kv.Reader) error { return nil }), kv.ErrUnavailable)
	want(t, "close", e.Close(), kv.ErrUnavailable)

	e = open(t, pebble.Options{FS: mem.CrashClone(vfs.CrashCloneCfg{})})
	if got := read(t, e, "a") + read(t, e, "b") + read(t, e, "c"); got != "1" {
		t.Errorf("content after the failure and a power loss: %q", got)
	}
	want(t, "close", e.Close(), nil)
}

// aFlush is how many puts of 10,000 bytes are more than a memtable of 64 KiB and
// less than the four at which Pebble makes writes wait for a flush.
const aFlush = 12

func TestBackgroundErrorStopsTheEngine(t *testing.T) {
	fs := newFaultFS(vfs.NewMem())
	e := open(t, pebble.Options{FS: fs, MemTableBytes: 64 << 10})
	fs.inject(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			return syscall.EIO
		}
		return nil
	})
	var err error
	for i := 0; err == nil && i < aFlush; i++ {
		err = put(t.Context(), e, "a", strings.Repeat("x", 10_000))
	}
	<-e.Failed()
	want(t, "cause", e.Err(), syscall.EIO)
	want(t, "later view", e.View(t.Context(), kv.TxOptions{}, func(kv.Reader) error { return nil }), kv.ErrUnavailable)
	want(t, "close", e.Close(), kv.ErrUnavailable)
}

// A process that is killed leaves log records in the page cache that were never
// synced. What the next process shows of them has to survive a power loss.
func TestUnsyncedLogIsMadeDurableAtOpen(t *testing.T) {
	mem := faultfs.NewMem(vfs.NewCrashableMem())
	fs := newFaultFS(mem)
	e := open(t, pebble.Options{FS: fs, MemTableBytes: 16 << 20})
	want(t, "put", put(t.Context(), e, "a", "1"), nil)
	fs.inject(func(op errorfs.Op) error {
		if isSync(op) {
			return syscall.EIO
		}
		return nil
	})
	want(t, "put without a sync", put(t.Context(), e, "b", "2"), kv.ErrUnknownCommit)
	want(t, "close", e.Close(), kv.ErrUnavailable)

	e = open(t, pebble.Options{FS: mem, MemTableBytes: 16 << 20})
	shown := read(t, e, "b")
	if shown != "2" {
		t.Fatalf("the record is not in the page cache: the test proves nothing (%q)", shown)
	}
	image := mem.CrashClone(vfs.CrashCloneCfg{})
	want(t, "close", e.Close(), nil)
	e = open(t, pebble.Options{FS: image, MemTableBytes: 16 << 20})
	if got := read(t, e, "b"); got != shown {
		t.Errorf("a View showed %q, after a power loss it is %q", shown, got)
	}
	want(t, "close", e.Close(), nil)
}

func TestOpenFailsWhenTheLogCannotBeMadeDurable(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		mem := faultfs.NewMem(vfs.NewCrashableMem())
		fs := newFaultFS(mem)
		e := open(t, pebble.Options{FS: fs})
		want(t, "put", put(t.Context(), e, "a", "1"), nil)
		want(t, "close", e.Close(), nil)
		fs.inject(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
				return cause
			}
			return nil
		})
		_, err := pebble.Open("db", pebble.Options{FS: fs})
		want(t, "open", err, cause)
		e = open(t, pebble.Options{FS: mem.CrashClone(vfs.CrashCloneCfg{})})
		if got := read(t, e, "a"); got != "1" {
			t.Errorf("a = %q after %v", got, cause)
		}
		want(t, "close", e.Close(), nil)
	}
}

func TestFullDiskReleasesTheBallast(t *testing.T) {
	mem := vfs.NewMem()
	fs := newFaultFS(mem)
	clock := kvtest.NewClock()
	e := open(t, pebble.Options{FS: fs, Now: clock.Now})
	want(t, "put", put(t.Context(), e, "a", "1"), nil)
	full := func(op errorfs.Op) error {
		if _, err := mem.Stat("db/ballast"); err == nil && op.Kind == errorfs.OpFileWrite {
			return syscall.ENOSPC
		}
		return nil
	}
	fs.inject(full)
	want(t, "put that finds the disk full", put(t.Context(), e, "b", "2"), nil)
	if _, err := mem.Stat("db/ballast"); err == nil {
		t.Fatal("the ballast is still there")
	}
	want(t, "put on a full disk", put(t.Context(), e, "c", "3"), kv.ErrNoSpace)
	if !e.Stats().ShortOfSpace {
		t.Error("not short of space")
	}
	if got := read(t, e, "b"); got != "2" {
		t.Errorf("read on a full disk: %q", got)
	}
	want(t, "delete on a full disk", remove(t.Context(), e, "b"), nil)
	fs.inject(func(errorfs.Op) error { return nil })
	clock.Advance(kv.MaxAge)
	want(t, "put when there is room again", put(t.Context(), e, "c", "3"), nil)
	if _, err := mem.Stat("db/ballast"); err != nil {
		t.Errorf("the ballast was not put back: %v", err)
	}
	want(t, "close", e.Close(), nil)
}

// A version that is held when the disk runs full is let go, and one that is asked
// for then is held.
func TestFullDiskLetsVersionsGo(t *testing.T) {
	mem := vfs.NewMem()
	fs := newFaultFS(mem)
	e := open(t, pebble.Options{FS: fs, Now: kvtest.NewClock().Now})
	want(t, "put", put(t.Context(), e, "a", "1"), nil)
	look := func(p kv.Pin) error {
		return p.View(t.Context(), func(r kv.Reader) error {
			_, err := r.Get([]byte("a")).Wait()
			return err
		})
	}
	before, err := e.Pin()
	want(t, "pin", err, nil)
	want(t, "look", look(before), nil)
	fs.inject(func(op errorfs.Op) error {
		if _, err := mem.Stat("db/ballast"); err == nil && op.Kind == errorfs.OpFileWrite {
			return syscall.ENOSPC
		}
		return nil
	})
	want(t, "put that finds the disk full", put(t.Context(), e, "b", "2"), nil)
	want(t, "look at a version from before", look(before), kv.ErrNoSpace)
	since, err := e.Pin()
	want(t, "pin on a full disk", err, nil)
	want(t, "look at it", look(since), nil)
	before.Close()
	want(t, "close", e.Close(), nil)
	want(t, "look after the end", look(since), kv.ErrClosed)
}

// A flush that finds no room is tried again until there is some.
func TestFlushSurvivesAFullDisk(t *testing.T) {
	fs := newFaultFS(vfs.NewMem())
	clock := kvtest.NewClock()
	e := open(t, pebble.Options{FS: fs, Now: clock.Now, MemTableBytes: 64 << 10, BallastBytes: -1})
	failed := make(chan struct{})
	var once sync.Once
	fs.inject(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			once.Do(func() { close(failed) })
			return syscall.ENOSPC
		}
		return nil
	})
	var err error
	for i := 0; err == nil && i < aFlush; i++ {
		err = put(t.Context(), e, "a", strings.Repeat("x", 10_000))
	}
	<-failed
	for !e.Stats().ShortOfSpace {
		runtime.Gosched()
	}
	want(t, "put", put(t.Context(), e, "a", "x"), kv.ErrNoSpace)
	if got := read(t, e, "a"); len(got) != 10_000 {
		t.Errorf("read on a full disk: %d bytes", len(got))
	}
	want(t, "delete on a full disk", remove(t.Context(), e, "a"), nil)
	fs.inject(func(errorfs.Op) error { return nil })
	for {
		// A flush that had failed before may say so once more.
		clock.Advance(kv.MaxAge)
		if err := put(t.Context(), e, "b", "2"); err == nil {
			break
		}
	}
	want(t, "Err", e.Err(), nil)
	want(t, "close", e.Close(), nil)
}

func TestDiskThatStaysFullStopsTheEngine(t *testing.T) {
	fs := newFaultFS(vfs.NewMem())
	e := open(t, pebble.Options{FS: fs})
	want(t, "put", put(t.Context(), e, "a", "1"), nil)
	fs.inject(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite {
			return syscall.ENOSPC
		}
		return nil
	})
	want(t, "put", put(t.Context(), e, "b", "2"), kv.ErrUnknownCommit)
	<-e.Failed()
	want(t, "Err", e.Err(), kv.ErrNoSpace)
	want(t, "Err", e.Err(), kv.ErrUnavailable)
	want(t, "close", e.Close(), kv.ErrUnavailable)
}

// usageFS says how much space is free.
type usageFS struct {
	vfs.FS
	free atomic.Uint64
}

func (u *usageFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: u.free.Load(), TotalBytes: 1 << 40}, nil
}

func TestReserveIsKeptForDeletions(t *testing.T) {
	fs := &usageFS{FS: vfs.NewMem()}
	fs.free.Store(1 << 30)
	clock := kvtest.NewClock()
	e := open(t, pebble.Options{
		FS: fs, Now: clock.Now, ReserveBytes: 1 << 20,
		FreesSpace: func(class string) bool { return class == "delete" },
	})
	want(t, "put", put(t.Context(), e, "a", "1"), nil)
	fs.free.Store(1<<20 - 1)
	clock.Advance(kv.MaxAge)
	// The free space is looked at after a sync, beside the acknowledgement: how
	// many puts pass before it is known is not fixed.
	var short error
	for short == nil {
		short = put(t.Context(), e, "b", "2")
	}
	want(t, "put below the reserve", short, kv.ErrNoSpace)
	want(t, "delete below the reserve", remove(t.Context(), e, "a"), nil)
	_, err := e.Update(t.Context(), kv.TxOptions{Class: "delete"}, func(tx kv.Tx) error {
		tx.Delete([]byte("b"))
		tx.Set([]byte("garbage"), nil)
		tx.Add([]byte("n"), -1)
		return nil
	})
	want(t, "transaction of a class that frees space", err, nil)
	fs.free.Store(1 << 30)
	clock.Advance(kv.MaxAge)
	want(t, "put above the reserve", put(t.Context(), e, "c", "3"), nil)
	want(t, "close", e.Close(), nil)
}

func TestDirectoryIsLocked(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, pebble.Options{FS: fs})
	if second, err := pebble.Open("db", pebble.Options{FS: fs}); err == nil {
		t.Errorf("opened twice, second close: %v", second.Close())
	}
	want(t, "close", e.Close(), nil)
	e = open(t, pebble.Options{FS: fs})
	want(t, "close", e.Close(), nil)
}
