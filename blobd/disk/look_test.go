package disk_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// TestLookFindsWhatIsNotThere: an idle disk goes out of service when its directory is not
// the one any more (interleavings 21 and 47), and not for a look that failed.
func TestLookFindsWhatIsNotThere(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil  func(fsys *faultfs.FS)
		failed bool
		want   error
	}{
		"nothing": {func(*faultfs.FS) {}, false, nil},
		"gone":    {func(fsys *faultfs.FS) { fsys.Vanish("/disk") }, true, blobd.ErrDiskFailed},
		"unmounted": {func(fsys *faultfs.FS) {
			_ = fsys.Rename("/disk", "/elsewhere")
			_ = fsys.MkdirAll("/disk", 0o750)
		}, true, blobd.ErrDiskFailed},
		"another": {func(fsys *faultfs.FS) {
			_ = disk.Format(fsys, "/other", disk.NewIdentity(disk.ClusterID{9}, time.Unix(1, 0)))
			_ = fsys.Rename("/disk", "/elsewhere")
			_ = fsys.Rename("/other", "/disk")
		}, true, disk.ErrWrongDisk},
		"an error": {func(fsys *faultfs.FS) {
			fsys.Add(faultfs.Rule{Kinds: faultfs.Read, Path: "undercroft.json", Err: syscall.EIO})
		}, false, syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			d, fsys := newDisk(t, small)
			tc.spoil(fsys)
			if err := d.Look(); !errors.Is(err, tc.want) || (d.Failed() != nil) != tc.failed {
				t.Errorf("%v, failed %v", err, d.Failed())
			}
		})
	}
}

func TestTrial(t *testing.T) {
	fsys := faultfs.New(vfs.NewMem())
	format(t, fsys, "/disk")
	d := open(t, fsys, "/disk", small)
	if err := disk.Trial(fsys, "/disk"); err != nil {
		t.Error(err)
	}
	if names, err := fsys.List("/disk/tmp"); err != nil || len(names) != 0 {
		t.Errorf("it left %q, %v", names, err)
	}
	for _, kind := range []faultfs.Kind{faultfs.Create, faultfs.Write, faultfs.Sync} {
		end := fsys.Add(faultfs.Rule{Kinds: kind, Path: "/disk/tmp/", Err: syscall.EROFS})
		if err := disk.Trial(fsys, "/disk"); !errors.Is(err, syscall.EROFS) {
			t.Errorf("a read-only disk: %v", err)
		}
		end()
	}
	if err := d.Failed(); err != nil {
		t.Error(err)
	}
}
