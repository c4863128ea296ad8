package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/blobdtest"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// largeCapacity has room for the frames of these tests.
const largeCapacity = 32 << 20

func createLarge(t *testing.T, d *disk.Disk) {
	t.Helper()
	err := d.Create(t.Context(), blobd.ShardSpec{ID: shardA, Epoch: 1, Secret: blobdtest.Secret, Capacity: largeCapacity})
	if err != nil {
		t.Fatal(err)
	}
}

func largeFrame(offset int64, height int) (blobd.Append, []byte) {
	payload := blobdtest.Payload(uint64(offset), height)
	return blobdtest.Frame(shardA, 1, offset, payload), payload
}

func wantPayload(t *testing.T, d *disk.Disk, offset int64, want []byte) {
	t.Helper()
	got, err := blobdtest.ReadFrame(t.Context(), d, shardA, offset)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("the frame at %d differs", offset)
	}
}

// Frames on both sides of the limit of direct writes, of whole blocks and not,
// lie one behind the other, are written at once and read back, before and
// after the disk is opened again.
func TestLargeFramesBesideSmallOnes(t *testing.T) {
	heights := []int{100, 128 << 10, 127 << 10, 64 << 10, 1 << 20, 1<<20 + 64<<10 - 100, 4<<20 + 12345, 1, 4 << 20}
	run := func(t *testing.T, d *disk.Disk, reopen func() *disk.Disk) {
		t.Helper()
		createLarge(t, d)
		var wg sync.WaitGroup
		payloads := make(map[int64][]byte)
		at := int64(0)
		for _, h := range heights {
			a, payload := largeFrame(at, h)
			payloads[at] = payload
			wg.Go(func() {
				if err := d.Append(t.Context(), a); err != nil {
					t.Error(err)
				}
			})
			at += (blobd.FrameSize(uint32(h)) + blobd.Align - 1) &^ (blobd.Align - 1)
		}
		wg.Wait()
		for offset, payload := range payloads {
			wantPayload(t, d, offset, payload)
		}
		d = reopen()
		for offset, payload := range payloads {
			wantPayload(t, d, offset, payload)
		}
		stat, err := d.Stat(t.Context(), shardA)
		if err != nil || stat.End != at {
			t.Fatalf("the end is %d, %v; want %d", stat.End, err, at)
		}
	}
	t.Run("os", func(t *testing.T) {
		d, dir := newOSDisk(t)
		run(t, d, func() *disk.Disk {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, vfs.Default(), dir, disk.Options{})
		})
	})
	t.Run("faultfs", func(t *testing.T) {
		d, fsys := newDisk(t, disk.Options{})
		run(t, d, func() *disk.Disk {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, fsys, "/disk", disk.Options{})
		})
	})
}

func TestAFailedDirectWriteFailsTheDisk(t *testing.T) {
	for _, torn := range []bool{false, true} {
		t.Run(fmt.Sprintf("torn=%v", torn), func(t *testing.T) {
			d, fsys := newDisk(t, disk.Options{})
			createLarge(t, d)
			first, payload := largeFrame(0, 1<<20)
			put(t, d, first)
			fsys.Add(faultfs.Rule{Kinds: faultfs.Write, Path: fileA, Times: 1, Err: syscall.EIO, Torn: torn})
			second, _ := largeFrame(8<<20, 3<<20)
			if err := d.Append(t.Context(), second); !errors.Is(err, blobd.ErrDiskFailed) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("got %v", err)
			}
			wantPayload(t, d, 0, payload)
		})
	}
}

// A file system may refuse direct writes only when the first one comes: then
// that frame is written through the page cache, and all later ones.
func TestDirectWritesRefusedByTheFileSystem(t *testing.T) {
	d, fsys := newDisk(t, disk.Options{})
	createLarge(t, d)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Write, Path: fileA, Times: 1, Err: syscall.EINVAL})
	for _, offset := range []int64{0, 8 << 20} {
		a, payload := largeFrame(offset, 3<<20)
		put(t, d, a)
		wantPayload(t, d, offset, payload)
	}
	if err := d.Failed(); err != nil {
		t.Fatal(err)
	}
}

func TestAFullDiskAtADirectWrite(t *testing.T) {
	d, fsys := newDisk(t, disk.Options{})
	createLarge(t, d)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Write, Path: fileA, Times: 1, Err: syscall.ENOSPC})
	a, payload := largeFrame(0, 1<<20)
	if err := d.Append(t.Context(), a); !errors.Is(err, blobd.ErrNoSpace) {
		t.Fatalf("got %v", err)
	}
	put(t, d, a)
	wantPayload(t, d, 0, payload)
}
