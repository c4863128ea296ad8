package vfs_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/undercroft/undercroft/internal/vfs"
)

func TestReadCached(t *testing.T) {
	fsys := vfs.Default()
	f := create(t, fsys, fsys.PathJoin(t.TempDir(), "f"))
	vfs.KeepAccessTime(f)
	want := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	if _, err := f.WriteAt(want, 0); err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int{{0, 1}, {5000, 70_000}, {0, len(want)}, {len(want) - 3, len(want) + 9}, {len(want) + 9, len(want) + 10}} {
		p := make([]byte, r[1]-r[0])
		n, err := vfs.ReadCached(f, p, int64(r[0]))
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("nobody knows what is in memory")
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p[:n], want[min(r[0], len(want)):min(r[0]+n, len(want))]) {
			t.Errorf("%v: %d bytes that are not those", r, n)
		}
	}
	p := make([]byte, 4096)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := vfs.ReadCached(f, p, 0); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReadCachedOfAFileInMemory(t *testing.T) {
	fsys := vfs.NewMem()
	f := create(t, fsys, "f")
	vfs.KeepAccessTime(f)
	if n, err := vfs.ReadCached(f, make([]byte, 10), 0); n != 0 || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%d, %v", n, err)
	}
}
