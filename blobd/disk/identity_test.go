package disk_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
)

func write(t *testing.T, fsys vfs.FS, name, content string) {
	t.Helper()
	if err := vfs.MkdirAll(fsys, fsys.PathDir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(fsys, name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func probe(t *testing.T, fsys vfs.FS) disk.State {
	t.Helper()
	state, _, err := disk.Probe(fsys, "/d")
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestProbeAndFormat(t *testing.T) {
	id := disk.NewIdentity(disk.ClusterID{1}, time.Unix(1700000000, 0))
	for name, c := range map[string]struct {
		prepare func(fsys vfs.FS)
		state   disk.State
		format  error
	}{
		"missing":       {func(vfs.FS) {}, disk.Missing, nil},
		"empty":         {func(fsys vfs.FS) { _ = fsys.MkdirAll("/d", 0o755) }, disk.Empty, nil},
		"fresh ext4":    {func(fsys vfs.FS) { _ = fsys.MkdirAll("/d/lost+found", 0o755) }, disk.Empty, nil},
		"formatting":    {func(fsys vfs.FS) { write(t, fsys, "/d/undercroft.json.writing", "{") }, disk.Empty, nil},
		"left a lock":   {func(fsys vfs.FS) { write(t, fsys, "/d/LOCK", "1") }, disk.Empty, nil},
		"foreign":       {func(fsys vfs.FS) { write(t, fsys, "/d/photo.jpg", "") }, disk.Foreign, disk.ErrNotEmpty},
		"identity lost": {func(fsys vfs.FS) { write(t, fsys, "/d/shards/aa/x", "") }, disk.Foreign, disk.ErrNotEmpty},
		"formatted":     {func(fsys vfs.FS) { format(t, fsys, "/d") }, disk.Identified, disk.ErrNotEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := vfs.NewMem()
			c.prepare(fsys)
			if got := probe(t, fsys); got != c.state {
				t.Fatalf("%s, want %s", got, c.state)
			}
			if err := disk.Format(fsys, "/d", id); !errors.Is(err, c.format) {
				t.Fatal(err)
			}
			if c.format != nil {
				return
			}
			state, got, err := disk.Probe(fsys, "/d")
			if err != nil || state != disk.Identified {
				t.Fatalf("%s, %v", state, err)
			}
			if diff := cmp.Diff(id, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestABadIdentityIsNoReasonToFormat(t *testing.T) {
	for _, content := range []string{"", "{", `{"format":2}`, `{"format":1,"disk":"00"}`, "\x00\x00"} {
		fsys := vfs.NewMem()
		write(t, fsys, "/d/undercroft.json", content)
		if state, _, err := disk.Probe(fsys, "/d"); err == nil {
			t.Errorf("%q: %s", content, state)
		}
		if err := disk.Format(fsys, "/d", disk.NewIdentity(disk.ClusterID{}, time.Unix(0, 0))); err == nil {
			t.Errorf("%q: formatted", content)
		}
		if got, err := vfs.ReadFile(fsys, "/d/undercroft.json", 100); err != nil || string(got) != content {
			t.Errorf("%q became %q, %v", content, got, err)
		}
	}
	fsys := vfs.NewMem()
	if err := disk.Format(fsys, "/d", disk.Identity{}); err == nil {
		t.Error("formatted with the zero identity")
	}
}

func TestOpenRefuses(t *testing.T) {
	fsys := vfs.NewMem()
	refuse := func(opts disk.Options, want error) {
		t.Helper()
		if d, err := disk.Open(fsys, "/d", opts); !errors.Is(err, want) {
			t.Fatalf("%v, %v", d, err)
		}
	}
	refuse(disk.Options{}, disk.ErrMissing)
	if _, err := fsys.Stat("/d"); err == nil {
		t.Fatal("opening made the directory")
	}
	// An empty mount point is left as it is.
	if err := fsys.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	refuse(disk.Options{}, disk.ErrNotFormatted)
	if names, err := fsys.List("/d"); err != nil || len(names) != 0 {
		t.Fatalf("%v, %v", names, err)
	}
	id := format(t, fsys, "/d")
	refuse(disk.Options{Expect: blobd.DiskID{1, 2, 3}}, disk.ErrWrongDisk)
	refuse(disk.Options{Cluster: disk.ClusterID{1, 2, 3}}, disk.ErrWrongDisk)
	d := open(t, fsys, "/d", disk.Options{Expect: id.Disk, Cluster: id.Cluster})
	if d.ID() != id.Disk || d.Identity() != id {
		t.Fatalf("%v", d.Identity())
	}
	refuse(disk.Options{}, vfs.ErrLocked)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, fsys, "/d", disk.Options{})
	if err := d.Failed(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenEmptiesTmpOnly(t *testing.T) {
	fsys := vfs.NewMem()
	format(t, fsys, "/d")
	write(t, fsys, "/d/tmp/half", "x")
	write(t, fsys, "/d/lost/keep", "x")
	open(t, fsys, "/d", disk.Options{})
	if names, err := fsys.List("/d/tmp"); err != nil || len(names) != 0 {
		t.Fatalf("%v, %v", names, err)
	}
	if _, err := fsys.Stat("/d/lost/keep"); err != nil {
		t.Fatal(err)
	}
}
