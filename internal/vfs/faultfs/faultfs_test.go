package faultfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

func setup(t *testing.T) (*faultfs.FS, vfs.File) {
	t.Helper()
	fsys := faultfs.New(vfs.NewMem())
	if err := fsys.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Create("/d/f", vfs.Unspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{7}, 8192), 0); err != nil {
		t.Fatal(err)
	}
	return fsys, f
}

func TestReadErrorsInARange(t *testing.T) {
	fsys, f := setup(t)
	remove := fsys.Add(faultfs.Rule{Kinds: faultfs.Read, Path: "/d/f", From: 4096, To: 8192, Err: syscall.EIO})
	p := make([]byte, 4096)
	if _, err := f.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(p, 100); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	remove()
	if _, err := f.ReadAt(p, 100); err != nil {
		t.Fatal(err)
	}
}

func TestSkipAndTimes(t *testing.T) {
	fsys, f := setup(t)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Sync, Skip: 1, Times: 1, Err: syscall.EIO})
	for i, want := range []error{nil, syscall.EIO, nil, nil} {
		if err := f.SyncData(); !errors.Is(err, want) {
			t.Fatalf("sync %d: %v", i, err)
		}
	}
	if n := fsys.Count(faultfs.Sync); n != 4 {
		t.Fatalf("%d syncs", n)
	}
	if n := fsys.Bytes(faultfs.Write); n != 8192 {
		t.Fatalf("%d bytes written", n)
	}
}

func TestFlipOneBitOnRead(t *testing.T) {
	fsys, f := setup(t)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Read, From: 5000, Flip: true, FlipBit: 3})
	p := make([]byte, 8192)
	if _, err := f.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if p[5000] != 7^8 || bytes.Count(p, []byte{7}) != 8191 {
		t.Fatalf("%d, %d", p[5000], bytes.Count(p, []byte{7}))
	}
	if _, err := f.ReadAt(p[:10], 5000); err != nil || p[0] != 7^8 {
		t.Fatalf("%d, %v", p[0], err)
	}
}

func TestTornWrite(t *testing.T) {
	fsys, f := setup(t)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Write, Torn: true, Err: syscall.ENOSPC})
	err := vfs.WritevAt(f, [][]byte{{1, 2}, {3, 4, 5, 6}}, 0)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	p := make([]byte, 6)
	if _, err := f.ReadAt(p, 0); err != nil || !bytes.Equal(p, []byte{1, 2, 3, 7, 7, 7}) {
		t.Fatalf("%v, %v", p, err)
	}
}

func TestStallUntilReleased(t *testing.T) {
	fsys, f := setup(t)
	release, stalled, done := make(chan struct{}), make(chan struct{}, 1), make(chan error, 1)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Sync, Stall: release, Stalled: stalled})
	go func() { done <- f.Sync() }()
	<-stalled
	select {
	case err := <-done:
		t.Fatalf("did not stall: %v", err)
	default:
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestVanishedDirectoryKeepsOpenFiles(t *testing.T) {
	fsys, f := setup(t)
	comeBack := fsys.Vanish("/d")
	if _, err := fsys.Stat("/d/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if _, err := fsys.Create("/d/g", vfs.Unspecified); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{1}, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	comeBack()
	if _, err := fsys.Stat("/d/f"); err != nil {
		t.Fatal(err)
	}
}

// The routine that everyone uses for small files, proven by power loss at
// every step: the old content or the new one, and the new one once promised.
func TestCrashesOfWriteFile(t *testing.T) {
	last := -1
	seen := map[int]bool{}
	crashes := 0
	faultfs.Crashes(1, func(fsys *faultfs.FS) {
		if err := vfs.MkdirAll(fsys, "/a/b", 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := vfs.WriteFile(fsys, "/a/b/f", bytes.Repeat([]byte{byte(i)}, 10000), 0o600); err != nil {
				t.Fatal(err)
			}
			last = i
		}
	}, func() int { return last }, func(c faultfs.Crash, promised int) {
		crashes++
		got, err := vfs.ReadFile(c.FS, "/a/b/f", 1<<20)
		if errors.Is(err, fs.ErrNotExist) && promised < 0 {
			return
		}
		if err != nil || len(got) != 10000 || bytes.Count(got, got[:1]) != 10000 {
			t.Errorf("crash %d before %+v, %d%%: %d bytes, %v", c.Number, c.Op, c.Percent, len(got), err)
			return
		}
		if v := int(got[0]); v < promised || v > promised+1 {
			t.Errorf("crash %d before %+v: content %d, promised %d", c.Number, c.Op, v, promised)
		}
		seen[int(got[0])] = true
	})
	if crashes < 3*3*4 || len(seen) != 3 {
		t.Fatalf("%d crashes, contents seen %v", crashes, seen)
	}
}

// TestPathOfARule: a rule about a data directory is not about the shards whose
// names begin like it.
func TestPathOfARule(t *testing.T) {
	for _, c := range []struct {
		name, path string
		want       bool
	}{
		{"/d1/shards/d3/d3ab.00", "/d3/", false},
		{"/d1/shards/d3/d3ab.00", "/d3", false},
		{"/d3/shards/d3/d3ab.00", "/d3/", true},
		{"/d3/shards/00/00ab.00", "/d3", true},
		{"/d1/shards/d3/d3ab.00", "/shards/", true},
		{"/d1/shards/d3/d3ab.00", "", true},
		{"/d1/metadata/000001.log", "/metadata/", true},
	} {
		fsys := faultfs.New(vfs.NewMem())
		fsys.Add(faultfs.Rule{Kinds: faultfs.Stat, Path: c.path, Err: syscall.EIO})
		if _, err := fsys.Stat(c.name); errors.Is(err, syscall.EIO) != c.want {
			t.Errorf("%q in %q: %v", c.path, c.name, err)
		}
	}
}
