package disk_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/blobdtest"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
)

func newOSDisk(tb testing.TB) (*disk.Disk, string) {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "disk")
	format(tb, vfs.Default(), dir)
	return open(tb, vfs.Default(), dir, disk.Options{}), dir
}

func TestRemovingALiveDirectoryFailsTheNextAppend(t *testing.T) {
	d, dir := newOSDisk(t)
	create(t, d, shardA)
	put(t, d, frame(shardA, 0))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Append(t.Context(), frame(shardA, 4096)); !errors.Is(err, blobd.ErrDiskFailed) {
		t.Fatalf("written to a removed directory: %v", err)
	}
	if err := d.Append(t.Context(), frame(shardA, 8192)); !errors.Is(err, blobd.ErrDiskFailed) {
		t.Fatal(err)
	}
	if _, err := d.List(t.Context()); !errors.Is(err, blobd.ErrDiskFailed) {
		t.Fatalf("a removed directory listed as empty: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(vfs.Default(), dir, disk.Options{}); !errors.Is(err, disk.ErrMissing) {
		t.Fatal(err)
	}
}

func TestADirectoryReplacedByACopyFailsTheNextAppend(t *testing.T) {
	d, dir := newOSDisk(t)
	create(t, d, shardA)
	put(t, d, frame(shardA, 0))
	if err := os.CopyFS(dir+".copy", os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(dir, dir+".old"), os.Rename(dir+".copy", dir)); err != nil {
		t.Fatal(err)
	}
	if err := d.Append(t.Context(), frame(shardA, 4096)); !errors.Is(err, blobd.ErrDiskFailed) {
		t.Fatalf("written to a file that lost its name: %v", err)
	}
}

func TestALockedDirectoryNamesItsHolder(t *testing.T) {
	if dir := os.Getenv("UNDERCROFT_TEST_LOCKED"); dir != "" {
		_, err := disk.Open(vfs.Default(), dir, disk.Options{})
		if !errors.Is(err, vfs.ErrLocked) {
			t.Fatalf("another process took the lock: %v", err)
		}
		t.Log(err)
		return
	}
	_, dir := newOSDisk(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "UNDERCROFT_TEST_LOCKED="+dir)
	out, err := cmd.CombinedOutput()
	pid, readErr := os.ReadFile(filepath.Join(dir, "LOCK"))
	if err != nil || readErr != nil || !strings.Contains(string(out), "held by process "+strings.TrimSpace(string(pid))) {
		t.Fatalf("%v, %v: %s", err, readErr, out)
	}
}

func TestPunchingFreesBlocks(t *testing.T) {
	d, _ := newOSDisk(t)
	const capacity = 8 << 20
	err := d.Create(t.Context(), blobd.ShardSpec{ID: shardA, Epoch: 1, Secret: blobdtest.Secret, Capacity: capacity})
	if err != nil {
		t.Fatal(err)
	}
	payload := bytes.Repeat([]byte{1}, 1<<20)
	var offset int64
	for range 4 {
		put(t, d, blobdtest.Frame(shardA, 1, offset, payload))
		offset += blobd.FrameSize(1 << 20)
	}
	st, err := d.Stat(t.Context(), shardA)
	if err != nil || st.Allocated < capacity {
		t.Fatalf("not preallocated: %+v, %v", st, err)
	}
	if err := d.Punch(t.Context(), shardA, 0, offset/2); err != nil {
		t.Fatal(err)
	}
	punched, err := d.Stat(t.Context(), shardA)
	if err != nil || punched.Allocated > st.Allocated-offset/2+64<<10 {
		t.Fatalf("%+v, %v", punched, err)
	}
	// Sealing gives back what will not be used.
	sealed, err := d.Seal(t.Context(), shardA, 2)
	if err != nil || sealed.Allocated > offset/2+128<<10 {
		t.Fatalf("%+v, %v", sealed, err)
	}
	if _, err := blobdtest.ReadFrame(t.Context(), d, shardA, 3*blobd.FrameSize(1<<20)); err != nil {
		t.Fatal(err)
	}
}

// On the real file system, where holes are looked up and not read.
func TestTheEndOfAReopenedShard(t *testing.T) {
	d, dir := newOSDisk(t)
	const capacity = 256 << 20
	err := d.Create(t.Context(), blobd.ShardSpec{ID: shardA, Epoch: 1, Secret: blobdtest.Secret, Capacity: capacity})
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, frame(shardA, 0))
	put(t, d, blobdtest.Frame(shardA, 1, 40<<20, blobdtest.Payload(1, 300000)))
	// Not a frame, and not a whole block.
	put(t, d, blobd.Append{Shard: shardA, Epoch: 1, Offset: 50 << 20, Data: [][]byte{{0, 0, 0, 1}}})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, vfs.Default(), dir, disk.Options{})
	st, err := d.Stat(t.Context(), shardA)
	if err != nil || st.End != 50<<20+4096 {
		t.Fatalf("%+v, %v", st, err)
	}
	n := 0
	for _, err := range d.Frames(t.Context(), shardA, 0) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 2 {
		t.Fatalf("%d frames", n)
	}
}

func benchmarkAppend(b *testing.B, writers, height int) {
	b.Helper()
	d, _ := newOSDisk(b)
	payload := blobdtest.Payload(1, height)
	size := blobd.FrameSize(uint32(height))
	id := blobdtest.Shard(1, 0)
	const capacity = 4 << 30
	err := d.Create(b.Context(), blobd.ShardSpec{ID: id, Epoch: 1, Secret: blobdtest.Secret, Capacity: capacity})
	if err != nil {
		b.Fatal(err)
	}
	var next, todo atomic.Int64
	todo.Store(int64(b.N))
	b.SetBytes(int64(height))
	b.ResetTimer()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			scratch := make([]byte, blobd.ScratchSize(uint32(height)))
			var pieces [][]byte
			for todo.Add(-1) >= 0 {
				offset := (next.Add(1) - 1) * size
				h := blobd.FrameHeader{Shard: id, Columns: 1, K: 1, Epoch: 1, Offset: offset, Height: uint32(height)}
				pieces = blobd.AppendFrame(pieces[:0], h, blobdtest.Secret, payload, scratch)
				if err := d.Append(b.Context(), blobd.Append{Shard: id, Epoch: 1, Offset: offset, Data: pieces}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	st := d.Stats()
	b.ReportMetric(float64(st.Syncs)/float64(st.Appends), "syncs/op")
	b.ReportMetric(float64(st.SyncTime.Microseconds())/float64(st.Syncs), "µs/sync")
}

func BenchmarkAppend4KiB1Writer(b *testing.B)   { benchmarkAppend(b, 1, 4000) }
func BenchmarkAppend4KiB64Writers(b *testing.B) { benchmarkAppend(b, 64, 4000) }
func BenchmarkAppend1MiB4Writers(b *testing.B)  { benchmarkAppend(b, 4, 1<<20) }

func BenchmarkReadAt4KiB(b *testing.B) {
	d, _ := newOSDisk(b)
	create(b, d, shardA)
	put(b, d, frame(shardA, 0))
	p := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.ReadAt(b.Context(), shardA, p, 0); err != nil {
			b.Fatal(err)
		}
	}
}
