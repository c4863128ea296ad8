package disk_test

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/blobdtest"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

var shardA = blobdtest.Shard(1, 0)

const fileA = "a0b1c2d300000001.00"

func create(tb testing.TB, d *disk.Disk, id blobd.ShardID) {
	tb.Helper()
	err := d.Create(tb.Context(), blobd.ShardSpec{ID: id, Epoch: 1, Secret: blobdtest.Secret, Capacity: blobdtest.Capacity})
	if err != nil {
		tb.Fatal(err)
	}
}

func frame(id blobd.ShardID, offset int64) blobd.Append {
	return blobdtest.Frame(id, 1, offset, blobdtest.Payload(uint64(offset), 3000))
}

func put(tb testing.TB, d *disk.Disk, a blobd.Append) {
	tb.Helper()
	if err := d.Append(tb.Context(), a); err != nil {
		tb.Fatal(err)
	}
}

func TestAFailedSyncIsNeverRepeated(t *testing.T) {
	d, fsys := newDisk(t, small)
	create(t, d, shardA)
	put(t, d, frame(shardA, 0))
	fsys.Add(faultfs.Rule{Kinds: faultfs.Sync, Path: fileA, Times: 1, Err: syscall.EIO})
	err := d.Append(t.Context(), frame(shardA, 4096))
	if !errors.Is(err, blobd.ErrDiskFailed) || !errors.Is(err, blobd.ErrSealed) || !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	// The next sync would succeed, having lost the data: there must be none.
	syncs := fsys.Count(faultfs.Sync)
	for range 2 {
		if err := d.Append(t.Context(), frame(shardA, 8192)); !errors.Is(err, blobd.ErrDiskFailed) {
			t.Fatal(err)
		}
	}
	if _, err := d.Fence(t.Context(), shardA, 2); !errors.Is(err, blobd.ErrDiskFailed) {
		t.Fatal(err)
	}
	if n := fsys.Count(faultfs.Sync); n != syncs {
		t.Fatalf("%d syncs after the failed one", n-syncs)
	}
	if err := d.Failed(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	// What was promised can still be read.
	if _, err := blobdtest.ReadFrame(t.Context(), d, shardA, 0); err != nil {
		t.Fatal(err)
	}
}

// The append whose write was over before a sync began that failed must fail,
// even though it asks for its own sync only afterwards.
func TestAppendsBesideAFailedSyncFail(t *testing.T) {
	d, fsys := newDisk(t, small)
	create(t, d, shardA)
	release, stalled := make(chan struct{}), make(chan struct{}, 1)
	hold := fsys.Add(faultfs.Rule{Kinds: faultfs.Sync, Path: fileA, Times: 1, Stall: release, Stalled: stalled, Err: syscall.EIO})
	defer hold()
	results := make(chan error, 5)
	go func() { results <- d.Append(t.Context(), frame(shardA, 0)) }()
	<-stalled
	for i := range int64(4) {
		go func() { results <- d.Append(t.Context(), frame(shardA, 4096*(i+1))) }()
	}
	close(release)
	for range 5 {
		if err := <-results; !errors.Is(err, blobd.ErrDiskFailed) {
			t.Errorf("acknowledged beside a failed sync: %v", err)
		}
	}
}

func TestASyncWithoutRoomClosesTheShardOnly(t *testing.T) {
	d, fsys := newDisk(t, small)
	create(t, d, shardA)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Sync, Path: fileA, Times: 1, Err: syscall.ENOSPC})
	for range 2 {
		err := d.Append(t.Context(), frame(shardA, 4096))
		if !errors.Is(err, blobd.ErrNoSpace) || !errors.Is(err, blobd.ErrSealed) || errors.Is(err, blobd.ErrDiskFailed) {
			t.Fatal(err)
		}
	}
	if st, err := d.Stat(t.Context(), shardA); err != nil || !st.Sealed {
		t.Fatalf("%+v, %v", st, err)
	}
	other := blobdtest.Shard(2, 0)
	create(t, d, other)
	put(t, d, frame(other, 0))
}

func TestAFailedWrite(t *testing.T) {
	d, fsys := newDisk(t, small)
	create(t, d, shardA)
	put(t, d, frame(shardA, 0))
	full := fsys.Add(faultfs.Rule{Kinds: faultfs.Write, Path: fileA, Torn: true, Err: syscall.ENOSPC})
	if err := d.Append(t.Context(), frame(shardA, 4096)); !errors.Is(err, blobd.ErrNoSpace) {
		t.Fatal(err)
	}
	full()
	if err := d.Failed(); err != nil {
		t.Fatal(err)
	}
	put(t, d, frame(shardA, 8192))
	// The torn frame counts as used.
	if st, err := d.Stat(t.Context(), shardA); err != nil || st.End != 12288 {
		t.Fatalf("%+v, %v", st, err)
	}
	fsys.Add(faultfs.Rule{Kinds: faultfs.Write, Path: fileA, Times: 1, Err: syscall.EROFS})
	if err := d.Append(t.Context(), frame(shardA, 12288)); !errors.Is(err, blobd.ErrDiskFailed) || !errors.Is(d.Failed(), syscall.EROFS) {
		t.Fatalf("%v, %v", err, d.Failed())
	}
}

func TestADirectoryThatVanishesIsNotAnEmptyOne(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, d *disk.Disk) error{
		"append": func(ctx context.Context, d *disk.Disk) error { return d.Append(ctx, frame(shardA, 4096)) },
		"stat": func(ctx context.Context, d *disk.Disk) error {
			_, err := d.Stat(ctx, blobdtest.Shard(7, 7))
			return err
		},
		"list":   func(ctx context.Context, d *disk.Disk) error { _, err := d.List(ctx); return err },
		"delete": func(ctx context.Context, d *disk.Disk) error { return d.Delete(ctx, shardA) },
		"create": func(ctx context.Context, d *disk.Disk) error {
			return d.Create(ctx, blobd.ShardSpec{ID: blobdtest.Shard(7, 7), Capacity: 1 << 20})
		},
		"fence": func(ctx context.Context, d *disk.Disk) error { _, err := d.Fence(ctx, shardA, 2); return err },
	} {
		t.Run(name, func(t *testing.T) {
			d, fsys := newDisk(t, small)
			create(t, d, shardA)
			put(t, d, frame(shardA, 0))
			fsys.Vanish("/disk")
			if err := call(t.Context(), d); !errors.Is(err, blobd.ErrDiskFailed) || errors.Is(err, blobd.ErrShardNotFound) {
				t.Fatal(err)
			}
			if err := d.Failed(); !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if err := d.Append(t.Context(), frame(shardA, 8192)); !errors.Is(err, blobd.ErrDiskFailed) {
				t.Fatal(err)
			}
			if _, err := blobdtest.ReadFrame(t.Context(), d, shardA, 0); err != nil {
				t.Errorf("read through the open file: %v", err)
			}
		})
	}
}

func TestAFenceWaitsForTheWriteBeforeIt(t *testing.T) {
	synctest.Test(t, testAFenceWaits)
}

func testAFenceWaits(t *testing.T) {
	d, fsys := newDisk(t, small)
	create(t, d, shardA)
	release, stalled := make(chan struct{}), make(chan struct{}, 1)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Write, Path: fileA, Times: 1, Stall: release, Stalled: stalled})
	appended, fenced := make(chan error, 1), make(chan error, 1)
	go func() { appended <- d.Append(t.Context(), frame(shardA, 40960)) }()
	<-stalled
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, err := d.Fence(ctx, shardA, 2); fenced <- err }()
	synctest.Wait()
	// A write that hangs must not hang the one who fences for ever.
	cancel()
	if err := <-fenced; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// The floor is up all the same.
	if _, err := d.Fence(t.Context(), shardA, 1); !errors.Is(err, blobd.ErrStaleEpoch) {
		t.Fatal(err)
	}
	if err := d.Append(t.Context(), frame(shardA, 0)); !errors.Is(err, blobd.ErrStaleEpoch) {
		t.Fatal(err)
	}
	go func() {
		st, err := d.Fence(t.Context(), shardA, 2)
		if err == nil && st.End != 45056 {
			err = errors.New("the fence missed the append under way")
		}
		fenced <- err
	}()
	synctest.Wait()
	select {
	case err := <-fenced:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	close(release)
	if err := <-fenced; err != nil {
		t.Fatal(err)
	}
	if err := <-appended; err != nil {
		t.Fatal(err) // durable by the fence's sync at the latest
	}
}

func TestAnEndedContextLeavesTheSyncBehind(t *testing.T) {
	d, fsys := newDisk(t, small)
	create(t, d, shardA)
	release, stalled := make(chan struct{}), make(chan struct{}, 1)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Sync, Path: fileA, Times: 1, Stall: release, Stalled: stalled})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- d.Append(ctx, frame(shardA, 0)) }()
	<-stalled
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(release)
	put(t, d, frame(shardA, 4096))
	if err := d.Close(); err != nil { // waits for what is left
		t.Fatal(err)
	}
}

func TestAppendsShareSyncs(t *testing.T) {
	synctest.Test(t, testAppendsShareSyncs)
}

func testAppendsShareSyncs(t *testing.T) {
	d, fsys := newDisk(t, disk.Options{Preallocate: blobdtest.Capacity, Reserve: -1})
	create(t, d, shardA)
	release, stalled := make(chan struct{}), make(chan struct{}, 1)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Sync, Path: fileA, Times: 1, Stall: release, Stalled: stalled})
	before, written := fsys.Count(faultfs.Sync), fsys.Count(faultfs.Write)
	const n = 20
	var wg sync.WaitGroup
	wg.Go(func() { put(t, d, frame(shardA, 0)) })
	<-stalled
	for i := range int64(n - 1) {
		wg.Go(func() { put(t, d, frame(shardA, (i+1)*4096)) })
	}
	synctest.Wait()
	if got := fsys.Count(faultfs.Write) - written; got != n {
		t.Fatalf("%d writes", got)
	}
	close(release)
	wg.Wait()
	// One for the first, and one for all the others.
	if got := fsys.Count(faultfs.Sync) - before; got != 2 {
		t.Fatalf("%d syncs for %d appends", got, n)
	}
	if st := d.Stats(); st.Appends != n || st.Syncs != 2 || st.AppendedBytes != n*4096 {
		t.Fatalf("%+v", st)
	}
}

func TestABadSuperblockFallsBack(t *testing.T) {
	d, fsys := newDisk(t, small)
	create(t, d, shardA) // sequence 1, second slot
	put(t, d, frame(shardA, 0))
	if _, err := d.Fence(t.Context(), shardA, 5); err != nil { // sequence 2, first slot
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for bit := range int64(96 * 8) {
		flip := fsys.Add(faultfs.Rule{Kinds: faultfs.Read, Path: fileA, From: bit / 8, Flip: true, FlipBit: uint(bit % 8)})
		d, err := disk.Open(fsys, "/disk", small)
		if err != nil {
			t.Fatal(err)
		}
		st, err := d.Stat(t.Context(), shardA)
		if err != nil || st.Epoch != 1 || st.End != 4096 {
			t.Fatalf("bit %d: %+v, %v", bit, st, err)
		}
		flip()
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// The first epoch is gone with its slot; the next fence must not write over
	// the slot that is left.
	fsys.Add(faultfs.Rule{Kinds: faultfs.Read, Path: fileA, From: 10, Flip: true, Times: 1})
	d = open(t, fsys, "/disk", small)
	if _, err := d.Fence(t.Context(), shardA, 9); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	fsys.Add(faultfs.Rule{Kinds: faultfs.Read, Path: fileA, From: 10, Flip: true, Times: 1})
	d = open(t, fsys, "/disk", small)
	if st, err := d.Stat(t.Context(), shardA); err != nil || st.Epoch != 1 {
		t.Fatalf("%+v, %v", st, err)
	}
}

func TestAShardWithoutSuperblocksIsCorruptAndCanBeDeleted(t *testing.T) {
	d, fsys := newDisk(t, small)
	create(t, d, shardA)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.OpenReadWrite("/disk/shards/a0/"+fileA, vfs.Unspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 8192), 0); err != nil {
		t.Fatal(err)
	}
	d = open(t, fsys, "/disk", small)
	if _, err := d.Stat(t.Context(), shardA); !errors.Is(err, blobd.ErrCorrupt) {
		t.Fatal(err)
	}
	if err := d.Delete(t.Context(), shardA); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Stat(t.Context(), shardA); !errors.Is(err, blobd.ErrShardNotFound) {
		t.Fatal(err)
	}
}

func TestUnreadableBlocks(t *testing.T) {
	d, fsys := newDisk(t, small)
	create(t, d, shardA)
	for i := range int64(10) {
		put(t, d, frame(shardA, i*4096))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, fsys, "/disk", small)
	// One bad block far behind the last frame.
	fsys.Add(faultfs.Rule{Kinds: faultfs.Read, Path: fileA, From: 8192 + 20*4096, To: 8192 + 20*4096 + 1, Err: syscall.EIO})
	if st, err := d.Stat(t.Context(), shardA); err != nil || st.End != 21*4096 {
		t.Fatalf("what cannot be read counts as written: %+v, %v", st, err)
	}
	if _, err := d.ReadAt(t.Context(), shardA, make([]byte, 8192), 19*4096); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	n, last := 0, error(nil)
	for _, err := range d.Frames(t.Context(), shardA, 0) {
		n, last = n+1, err
	}
	if n != 11 || !errors.Is(last, syscall.EIO) {
		t.Fatalf("%d, %v", n, last)
	}
	if err := d.Failed(); err != nil {
		t.Fatalf("a bad block is no bad disk: %v", err)
	}
}

// A directory that goes away while it is listed is no shorter list.
func TestADirectoryThatVanishesWhileListed(t *testing.T) {
	d, fsys := newDisk(t, small)
	create(t, d, shardA)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Stat, Path: "/disk/shards", Err: fs.ErrNotExist})
	if ids, err := d.List(t.Context()); !errors.Is(err, blobd.ErrDiskFailed) {
		t.Fatalf("%v, %v", ids, err)
	}
}
