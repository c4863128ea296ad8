package disk_test

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/blobdtest"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

func TestTheReserveIsLeftAlone(t *testing.T) {
	mem := vfs.NewMem()
	fsys := faultfs.New(mem)
	format(t, fsys, "/disk")
	var seconds atomic.Int64
	opts := disk.Options{
		Preallocate: 128 << 10, Reserve: 1 << 20,
		Now: func() time.Time { return time.Unix(seconds.Add(1), 0) }, // never fresh
	}
	d := open(t, fsys, "/disk", opts)
	free := func(n uint64) { mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: 1 << 30}) }
	free(10 << 20)
	create(t, d, shardA)
	put(t, d, frame(shardA, 0))
	free(1<<20 + 100)
	put(t, d, frame(shardA, 4096)) // room was made before
	if err := d.Append(t.Context(), frame(shardA, 128<<10)); !errors.Is(err, blobd.ErrNoSpace) {
		t.Fatal(err)
	}
	err := d.Create(t.Context(), blobd.ShardSpec{ID: blobdtest.Shard(2, 0), Capacity: 1 << 20})
	if !errors.Is(err, blobd.ErrNoSpace) {
		t.Fatal(err)
	}
	if err := d.Failed(); err != nil {
		t.Fatal(err)
	}
	// Not enough for a whole step, enough for the append.
	free(1<<20 + 50<<10)
	put(t, d, frame(shardA, 128<<10))
	free(10 << 20)
	put(t, d, frame(shardA, 200<<10))
	if u, err := d.Usage(t.Context()); err != nil || u.Free != 10<<20 {
		t.Fatalf("%+v, %v", u, err)
	}
}

func TestAFullFileSystem(t *testing.T) {
	d, fsys := newDisk(t, small)
	create(t, d, shardA)
	put(t, d, frame(shardA, 0))
	full := fsys.Add(faultfs.Rule{Kinds: faultfs.Extend, Err: syscall.ENOSPC})
	if err := d.Append(t.Context(), frame(shardA, 512<<10)); !errors.Is(err, blobd.ErrNoSpace) {
		t.Fatal(err)
	}
	err := d.Create(t.Context(), blobd.ShardSpec{ID: blobdtest.Shard(2, 0), Capacity: 1 << 20})
	if !errors.Is(err, blobd.ErrNoSpace) {
		t.Fatal(err)
	}
	// It still reads and deletes, and recovers.
	if _, err := blobdtest.ReadFrame(t.Context(), d, shardA, 0); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(t.Context(), blobdtest.Shard(2, 0)); err != nil {
		t.Fatal(err)
	}
	full()
	create(t, d, blobdtest.Shard(2, 0))
	put(t, d, frame(shardA, 516<<10))
	if names, err := fsys.List("/disk/tmp"); err != nil || len(names) != 0 {
		t.Fatalf("%v, %v", names, err)
	}
}

// The usage of the file system is asked for once in a while, not per append.
func TestUsageIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, fsys := newDisk(t, disk.Options{Preallocate: 4096, Reserve: -1})
		create(t, d, shardA)
		before := fsys.Count(faultfs.Usage)
		for i := range int64(50) {
			put(t, d, frame(shardA, i*8192))
		}
		if n := fsys.Count(faultfs.Usage) - before; n != 0 {
			t.Fatalf("asked %d times within a second", n)
		}
		<-time.After(2 * time.Second)
		put(t, d, frame(shardA, 50*8192))
		if n := fsys.Count(faultfs.Usage) - before; n != 1 {
			t.Fatalf("asked %d times", n)
		}
	})
}

// Files grow ahead of the appends, in the background.
func TestAppendsDoNotWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, fsys := newDisk(t, small)
		create(t, d, shardA)
		grown := fsys.Count(faultfs.Extend)
		for offset := int64(0); offset < 128<<10; offset += 4096 {
			put(t, d, frame(shardA, offset))
			synctest.Wait()
		}
		if n := fsys.Count(faultfs.Extend) - grown; n != 1 {
			t.Fatalf("extended %d times", n)
		}
		// The next append needs nothing.
		put(t, d, frame(shardA, 128<<10))
		if n := fsys.Count(faultfs.Extend) - grown; n != 1 {
			t.Fatalf("extended %d times", n)
		}
	})
}

func TestFewFilesStayOpen(t *testing.T) {
	opts := small
	opts.Handles = 3
	d, fsys := newDisk(t, opts)
	for i := range uint8(10) {
		create(t, d, blobdtest.Shard(1, i))
		put(t, d, frame(blobdtest.Shard(1, i), 0))
	}
	if n := d.Stats().OpenShards; n > 3 {
		t.Fatalf("%d shards open", n)
	}
	opens := fsys.Count(faultfs.Open)
	for range 5 {
		if _, err := blobdtest.ReadFrame(t.Context(), d, blobdtest.Shard(1, 9), 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := fsys.Count(faultfs.Open) - opens; n != 0 {
		t.Fatalf("opened %d times a shard just used", n)
	}
	// A shard that was closed meanwhile goes on where it was.
	put(t, d, frame(blobdtest.Shard(1, 0), 4096))
	if st, err := d.Stat(t.Context(), blobdtest.Shard(1, 0)); err != nil || st.End != 8192 {
		t.Fatalf("%+v, %v", st, err)
	}
}

func TestOpeningTouchesNoShard(t *testing.T) {
	d, fsys := newDisk(t, small)
	for i := range uint8(5) {
		create(t, d, blobdtest.Shard(1, i))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	remove := fsys.Add(faultfs.Rule{Kinds: faultfs.All, Path: "/disk/shards/", Err: syscall.EIO})
	d = open(t, fsys, "/disk", small)
	remove()
	if ids, err := d.List(t.Context()); err != nil || len(ids) != 5 {
		t.Fatalf("%v, %v", ids, err)
	}
}
