package vfs_test

import (
	"bytes"
	"errors"
	"testing"
	"unsafe"

	"github.com/undercroft/undercroft/internal/vfs"
)

func TestOpenDirect(t *testing.T) {
	fsys := vfs.Default()
	f := create(t, fsys, fsys.PathJoin(t.TempDir(), "f"))
	if err := vfs.Extend(f, 0, 64<<10); err != nil {
		t.Fatal(err)
	}
	d, err := vfs.OpenDirect(f)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("the file system has no direct writes")
	}
	if err != nil {
		t.Fatal(err)
	}
	// What the page cache holds must not hide what is written past it.
	got := make([]byte, 64<<10)
	if _, err := f.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	p := vfs.AlignedBuffer(8 << 10)
	copy(p, bytes.Repeat([]byte("direct"), 2000))
	if _, err := d.WriteAt(p, 4096); err != nil {
		t.Fatal(err)
	}
	if err := f.SyncData(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got[4096:12<<10], p) || got[4095] != 0 || got[12<<10] != 0 {
		t.Fatalf("differs, %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err != nil {
		t.Fatalf("the file was closed with its direct handle: %v", err)
	}
}

func TestOpenDirectWithoutADescriptor(t *testing.T) {
	f := create(t, vfs.NewMem(), "f")
	if _, err := vfs.OpenDirect(f); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("got %v", err)
	}
}

func TestAlignedBuffer(t *testing.T) {
	for _, n := range []int{1, 4096, 5000, 1 << 20} {
		b := vfs.AlignedBuffer(n)
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(b))); len(b) != n || cap(b) != n || at%vfs.DirectAlign != 0 {
			t.Errorf("%d bytes: %d at %x", n, len(b), at)
		}
	}
}
