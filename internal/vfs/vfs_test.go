package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/vfs"
)

// eachFS runs f on the real file system and on the one in memory.
func eachFS(t *testing.T, f func(t *testing.T, fsys vfs.FS, dir string)) {
	t.Helper()
	t.Run("os", func(t *testing.T) { f(t, vfs.Default(), t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		mem := vfs.NewMem()
		if err := mem.MkdirAll("/dir", 0o755); err != nil {
			t.Fatal(err)
		}
		f(t, mem, "/dir")
	})
}

func create(t *testing.T, fsys vfs.FS, name string) vfs.File {
	t.Helper()
	f, err := fsys.Create(name, vfs.Unspecified)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestWritevAtWritesAllPiecesInOrder(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys vfs.FS, dir string) {
		t.Helper()
		f := create(t, fsys, fsys.PathJoin(dir, "f"))
		var pieces [][]byte
		var want []byte
		for i := range 2500 { // more than one system call takes
			p := bytes.Repeat([]byte{byte(i)}, i%7)
			pieces = append(pieces, p)
			want = append(want, p...)
		}
		first := pieces[1]
		if err := vfs.WritevAt(f, pieces, 100); err != nil {
			t.Fatal(err)
		}
		if &pieces[1][0] != &first[0] || len(pieces) != 2500 {
			t.Fatal("the caller's pieces were changed")
		}
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 100); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("differs, %v", err)
		}
	})
}

func TestExtendKeepsContentAndGrows(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys vfs.FS, dir string) {
		t.Helper()
		f := create(t, fsys, fsys.PathJoin(dir, "f"))
		if err := vfs.WritevAt(f, [][]byte{[]byte("hello")}, 0); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{1 << 16, 1 << 10} { // the second is no shrinking
			if err := vfs.Extend(f, 0, n); err != nil {
				t.Fatal(err)
			}
		}
		info, err := f.Stat()
		if err != nil || info.Size() != 1<<16 {
			t.Fatalf("size %d, %v", info.Size(), err)
		}
		got := make([]byte, 6)
		if _, err := f.ReadAt(got, 0); err != nil || string(got) != "hello\x00" {
			t.Fatalf("%q, %v", got, err)
		}
	})
}

func TestPunchHoleReadsAsZerosAndFreesBlocks(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys vfs.FS, dir string) {
		t.Helper()
		f := create(t, fsys, fsys.PathJoin(dir, "f"))
		if err := vfs.WritevAt(f, [][]byte{bytes.Repeat([]byte{1}, 1<<20)}, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		before, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if err := vfs.PunchHole(f, 4096, 1<<20-8192); err != nil {
			t.Fatal(err)
		}
		after, err := f.Stat()
		if err != nil || after.Size() != 1<<20 {
			t.Fatalf("size %d, %v", after.Size(), err)
		}
		if f.Fd() != vfs.InvalidFd && vfs.Allocated(after) >= vfs.Allocated(before)/2 {
			t.Fatalf("%d bytes allocated of %d", vfs.Allocated(after), vfs.Allocated(before))
		}
		got := make([]byte, 1<<20)
		if _, err := f.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		if got[4095] != 1 || got[len(got)-4096] != 1 || bytes.Count(got, []byte{1}) != 8192 {
			t.Fatalf("%d bytes left", bytes.Count(got, []byte{1}))
		}
	})
}

func TestSeekDataNeverSkipsData(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys vfs.FS, dir string) {
		t.Helper()
		f := create(t, fsys, fsys.PathJoin(dir, "f"))
		if err := vfs.Extend(f, 0, 1<<20); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WritevAt(f, [][]byte{{1}}, 600<<10); err != nil {
			t.Fatal(err)
		}
		at, err := vfs.SeekData(f, 4096)
		if err != nil || at > 600<<10 || at < 4096 {
			t.Fatalf("data at %d, %v", at, err)
		}
		if _, err := vfs.SeekData(f, 1<<20); !errors.Is(err, io.EOF) {
			t.Fatalf("past the end: %v", err)
		}
	})
}

func TestCheckNameFindsRemovedAndReplacedFiles(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys vfs.FS, dir string) {
		t.Helper()
		name := fsys.PathJoin(dir, "f")
		f := create(t, fsys, name)
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		id := vfs.IdentityOf(info)
		if err := vfs.CheckName(fsys, name, id); err != nil {
			t.Fatal(err)
		}
		if err := fsys.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := vfs.CheckName(fsys, name, id); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("removed: %v", err)
		}
		create(t, fsys, name)
		if err := vfs.CheckName(fsys, name, id); id != (vfs.Identity{}) && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("replaced: %v", err)
		}
	})
}

func TestWriteFileReplacesAndLimitsReads(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys vfs.FS, dir string) {
		t.Helper()
		name := fsys.PathJoin(dir, "f")
		for _, want := range []string{"one", "another", ""} {
			if err := vfs.WriteFile(fsys, name, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := vfs.ReadFile(fsys, name, 7); err != nil || string(got) != want {
				t.Fatalf("%q, %v", got, err)
			}
		}
		names, err := fsys.List(dir)
		if err != nil || len(names) != 1 {
			t.Fatalf("%v, %v", names, err)
		}
		if err := vfs.WriteFile(fsys, name, []byte("12345678"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := vfs.ReadFile(fsys, name, 7); err == nil {
			t.Fatal("read past the limit")
		}
	})
}

func TestWriteFileSetsTheMode(t *testing.T) {
	name := filepath.Join(t.TempDir(), "secret")
	if err := vfs.WriteFile(vfs.Default(), name, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
}

func TestLockDirExcludes(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys vfs.FS, dir string) {
		t.Helper()
		lock, err := vfs.LockDir(fsys, dir, 4711)
		if err != nil {
			t.Fatal(err)
		}
		_, err = vfs.LockDir(fsys, dir, 4712)
		if !errors.Is(err, vfs.ErrLocked) {
			t.Fatalf("second lock: %v", err)
		}
		if fsys == vfs.Default() && !strings.Contains(err.Error(), "4711") {
			t.Errorf("the holder is not named: %v", err)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := vfs.LockDir(fsys, dir, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := vfs.LockDir(fsys, fsys.PathJoin(dir, "none"), 1); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("a directory that is not there: %v", err)
		}
	})
}

func TestLockDirExcludesByAnotherPath(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	lock, err := vfs.LockDir(vfs.Default(), dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if _, err := vfs.LockDir(vfs.Default(), link, 1); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("through a symbolic link: %v", err)
	}
}

func TestMkdirAllAndRemove(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys vfs.FS, dir string) {
		t.Helper()
		deep := fsys.PathJoin(dir, "a", "b", "c")
		for range 2 {
			if err := vfs.MkdirAll(fsys, deep, 0o750); err != nil {
				t.Fatal(err)
			}
		}
		name := fsys.PathJoin(deep, "f")
		create(t, fsys, name)
		if err := vfs.MkdirAll(fsys, name, 0o750); err == nil {
			t.Fatal("made a directory over a file")
		}
		for range 2 {
			if err := vfs.Remove(fsys, name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := fsys.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		dev, err := vfs.Device(fsys, dir)
		if deepDev, err2 := vfs.Device(fsys, deep); err != nil || err2 != nil || dev != deepDev {
			t.Fatalf("%v %v, %v %v", dev, deepDev, err, err2)
		}
	})
}
