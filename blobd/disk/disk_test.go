package disk_test

import (
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/blobdtest"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// small keeps files in memory small.
var small = disk.Options{Preallocate: 128 << 10, Reserve: -1}

func format(tb testing.TB, fsys vfs.FS, dir string) disk.Identity {
	tb.Helper()
	id := disk.NewIdentity(disk.ClusterID{9}, time.Unix(1700000000, 0))
	if err := disk.Format(fsys, dir, id); err != nil {
		tb.Fatal(err)
	}
	return id
}

func open(tb testing.TB, fsys vfs.FS, dir string, opts disk.Options) *disk.Disk {
	tb.Helper()
	d, err := disk.Open(fsys, dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = d.Close() })
	return d
}

// newDisk is a fresh disk on a file system in memory with faults.
func newDisk(tb testing.TB, opts disk.Options) (*disk.Disk, *faultfs.FS) {
	tb.Helper()
	fsys := faultfs.New(vfs.NewMem())
	format(tb, fsys, "/disk")
	return open(tb, fsys, "/disk", opts), fsys
}

func TestConformance(t *testing.T) {
	t.Run("mem", func(t *testing.T) {
		blobdtest.Run(t, func(t *testing.T) blobd.Disk {
			t.Helper()
			d, _ := newDisk(t, small)
			return d
		})
	})
	t.Run("os", func(t *testing.T) {
		blobdtest.Run(t, func(t *testing.T) blobd.Disk {
			t.Helper()
			dir := t.TempDir()
			format(t, vfs.Default(), dir)
			return open(t, vfs.Default(), dir, disk.Options{})
		})
	})
	t.Run("few handles", func(t *testing.T) {
		blobdtest.Run(t, func(t *testing.T) blobd.Disk {
			t.Helper()
			opts := small
			opts.Handles = 1
			d, _ := newDisk(t, opts)
			return d
		})
	})
}

func TestDurability(t *testing.T) {
	opts := small
	opts.Preallocate = 32 << 10
	blobdtest.RunDurable(t, blobdtest.Engine{
		Format: func(fsys vfs.FS, dir string) error {
			return disk.Format(fsys, dir, disk.NewIdentity(disk.ClusterID{9}, time.Unix(1700000000, 0)))
		},
		Open: func(fsys vfs.FS, dir string) (blobd.Disk, error) { return disk.Open(fsys, dir, opts) },
	})
}
