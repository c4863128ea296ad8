package single_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/objects"
)

// newHouse is a running store of so many disks with objects.
func newHouse(t *testing.T, disks int, edit func(*single.Options)) *shop {
	t.Helper()
	var dirs []string
	for i := range disks {
		dirs = append(dirs, fmt.Sprintf("/d%d", i+1))
	}
	s := &shop{testcluster.New(t, testcluster.Options{Dirs: dirs, Edit: edit}), t}
	_, err := s.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "bucket", Owner: "me"})
	s.must(err)
	s.fill("before")
	return s
}

func (s *shop) mkdir(dir string) {
	s.t.Helper()
	s.must(s.FS.MkdirAll(dir, 0o750))
}

func (s *shop) add(dir string) single.Changed {
	s.t.Helper()
	out, err := s.AddDisk(s.t.Context(), dir)
	s.must(err)
	s.must(s.AwaitMirrors(s.t.Context()))
	return out
}

func (s *shop) look() {
	s.t.Helper()
	s.LookAtDisks(s.t.Context())
	s.must(s.AwaitMirrors(s.t.Context()))
}

// disks are the states of the disks by path.
func (s *shop) disks() map[string]single.DiskStatus {
	s.t.Helper()
	list, err := s.Disks(s.t.Context())
	s.must(err)
	out := map[string]single.DiskStatus{}
	for _, d := range list {
		out[d.Path] = d
	}
	return out
}

func (s *shop) scheme() string {
	s.t.Helper()
	st, err := s.Status(s.t.Context())
	s.must(err)
	return st.Scheme
}

// refusedChange fails the test unless a change was refused in one line with each text.
func refusedChange(t *testing.T, err error, texts ...string) {
	t.Helper()
	if !errors.Is(err, single.ErrRefused) || strings.Contains(err.Error(), "\n") {
		t.Errorf("not refused in one line: %v", err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
}

func (s *shop) putOne(name string, data []byte) error {
	_, err := s.Objects.PutObject(s.t.Context(), objects.PutObjectInput{
		Bucket: "bucket", Key: key(name, 0), Body: objects.Body{Reader: bytes.NewReader(data), Size: int64(len(data))},
	})
	return err
}

// TestAddADiskToARunningStore: it is formatted, recorded, used at once and needed by the
// next start.
func TestAddADiskToARunningStore(t *testing.T) {
	s := newHouse(t, 5, nil)
	s.mkdir("/new")
	out := s.add("/new")
	if out.State != "active" || len(out.Notes) != 1 || !strings.Contains(out.Notes[0], "--data /new") {
		t.Errorf("%+v", out)
	}
	if got := s.scheme(); got != "4+2" {
		t.Errorf("scheme %s of 6 disks", got)
	}
	s.fill("wider")
	d := s.disks()["/new"]
	if d.Shards == 0 || !d.Unlisted || d.State != "active" {
		t.Errorf("%+v", d)
	}
	st, err := s.Status(t.Context())
	if err != nil || !st.Healthy || len(st.Advice) != 1 || !strings.Contains(st.Advice[0], "--data") {
		t.Errorf("%+v, %v", st, err)
	}
	s.Stop()
	s.Start()
	s.degraded("last seen at /new; name that in --data", "/new")
	s.holds("before", "wider")
	s.Stop()
	s.SetDirs("/d1", "/d2", "/d3", "/d4", "/d5", "/new")
	s.Start()
	s.degraded("")
	s.holds("before", "wider")
}

// TestSchemeWaitsForMirrors: interleaving 50, in a running store and at a start. The
// third mirror cannot be made: new partitions survive what the metadata does.
func TestSchemeWaitsForMirrors(t *testing.T) {
	s := newHouse(t, 3, nil)
	var end []func()
	for _, dir := range []string{"/d3", "/d4"} {
		end = append(end, s.Faults.Add(faultfs.Rule{Kinds: faultfs.Create, Path: dir + "/metadata/", Err: syscall.EIO}))
	}
	s.mkdir("/d4")
	s.add("/d4")
	s.look()
	st, err := s.Status(t.Context())
	s.must(err)
	if st.Scheme != "2+1" || len(st.Metadata.Mirrors) != 2 || st.Metadata.Wanted != 3 || st.Healthy {
		t.Errorf("scheme %s with the metadata in %q of %d", st.Scheme, st.Metadata.Mirrors, st.Metadata.Wanted)
	}
	s.fill("meanwhile")
	s.SetDirs("/d1", "/d2", "/d3", "/d4")
	s.Restart()
	if got := s.scheme(); got != "2+1" {
		t.Errorf("scheme %s after a start", got)
	}
	for _, e := range end {
		e()
	}
	s.Restart()
	st, err = s.Status(t.Context())
	s.must(err)
	if st.Scheme != "2+2" || len(st.Metadata.Mirrors) != 3 {
		t.Errorf("scheme %s with the metadata in %q", st.Scheme, st.Metadata.Mirrors)
	}
	s.holds("before", "meanwhile")
}

// TestAddRefuses what a start refuses, and changes nothing.
func TestAddRefuses(t *testing.T) {
	s := newHouse(t, 4, nil)
	other := testcluster.New(t, testcluster.Options{FS: s.FS, Dirs: []string{"/o1", "/o2"}})
	other.Stop()
	s.mkdir("/copy")
	s.copyFile("/d2/undercroft.json", "/copy/undercroft.json")
	s.mkdir("/home")
	s.copyFile("/d2/undercroft.json", "/home/letters")
	s.mkdir("/d1/inside")
	for path, text := range map[string]string{
		"new": "absolute", "/nowhere": "not there", "/home": "neither empty", "/o2": "another store",
		"/copy": "same disk", "/d3": "in service already", "/d1/inside": "inside of the other", "/home/letters": "not a directory",
	} {
		before := s.Faults.Count(faultfs.Create | faultfs.Rename | faultfs.Remove | faultfs.Mkdir)
		_, err := s.AddDisk(t.Context(), path)
		refusedChange(t, err, text)
		if n := s.Faults.Count(faultfs.Create|faultfs.Rename|faultfs.Remove|faultfs.Mkdir) - before; n != 0 {
			t.Errorf("%s: %d changes", path, n)
		}
	}
	if n := len(s.disks()); n != 4 {
		t.Errorf("%d disks", n)
	}
	s.must(s.FS.RemoveAll("/d1/inside"))
}

// TestMountsComeAndGo: interleaving 47 while the store runs. An unmounted mount point is
// not used, and what is mounted again is taken back.
func TestMountsComeAndGo(t *testing.T) {
	s := newHouse(t, 4, nil)
	for _, dir := range []string{"/d3", "/d1"} { // one without a mirror of the metadata perhaps, and one with
		mount := s.unmount(dir)
		s.mkdir(dir)
		s.look()
		s.degraded("empty", dir)
		s.holds("before")
		s.fill("without" + dir[2:])
		s.look()
		s.untouched(dir)
		mount()
		s.look()
		s.degraded("")
		s.RunSteward()
		s.holds("before", "without"+dir[2:])
		s.fill("with" + dir[2:])
	}
	s.RunSteward()
	st, err := s.Status(t.Context())
	if err != nil || !st.Healthy {
		t.Errorf("%+v, %v", st, err)
	}
	s.Restart()
	s.holds("before", "without3", "with3", "without1", "with1")
}

// TestMissingAtTheStart is taken back without another start.
func TestMissingAtTheStart(t *testing.T) {
	s := newShop(t)
	mount := s.unmount("/d2")
	s.Start()
	s.degraded("missing", "/d2")
	s.fill("degraded")
	mount()
	s.look()
	s.RunSteward()
	s.degraded("")
	s.holds("before", "degraded")
	if d := s.disks()["/d2"]; d.State != "active" || d.Unlisted {
		t.Errorf("%+v", d)
	}
}

// TestDirectoriesTradePlaces: interleaving 21 while the store runs.
func TestDirectoriesTradePlaces(t *testing.T) {
	for _, pair := range [][2]string{{"/d1", "/d4"}, {"/d1", "/d2"}} {
		s := newHouse(t, 4, nil)
		one, two := s.disk(pair[0]), s.disk(pair[1])
		s.must(s.FS.Rename(pair[0], "/x"))
		s.must(s.FS.Rename(pair[1], pair[0]))
		s.must(s.FS.Rename("/x", pair[1]))
		s.look()
		if m := s.Missing(); len(m) > 0 {
			t.Errorf("%+v", m)
		}
		if d := s.disks(); d[pair[0]].ID != two || d[pair[1]].ID != one {
			t.Errorf("%+v", d)
		}
		s.fill("after")
		s.RunSteward()
		s.holds("before", "after")
		s.Restart()
		if st, err := s.Status(t.Context()); err != nil || !st.Healthy {
			t.Errorf("%+v, %v", st, err)
		}
		s.holds("before", "after")
		s.Stop()
	}
}

// TestACopyAppears: interleaving 21. A copy of a disk that serves is not used; of one that
// does not serve neither, while there are two.
func TestACopyAppears(t *testing.T) {
	s := newHouse(t, 5, nil)
	mount := s.unmount("/d5")
	s.look()
	s.mkdir("/d5")
	s.copyFile("/d4/undercroft.json", "/d5/undercroft.json")
	s.look()
	s.degraded("another disk", "/d5")
	st, err := s.Status(t.Context())
	s.must(err)
	if !strings.Contains(st.LeftAlone["/d5"], "copy of disk "+s.disk("/d4")) {
		t.Errorf("%v", st.LeftAlone)
	}
	unmount := s.unmount("/d4")
	s.mkdir("/d4")
	s.copyFile("/d4.away/undercroft.json", "/d4/undercroft.json")
	s.look() // its shards are gone, and there are two of it
	s.degraded("", "/d4", "/d5")
	if m := s.Missing(); !strings.Contains(m[0].Reason, "several directories") {
		t.Errorf("%+v", m)
	}
	unmount()
	mount()
	s.look()
	s.degraded("")
	s.RunSteward()
	s.holds("before")
}

// TestADiskThatIsReadOnly serves reads, is not written to, and is taken back when it can be
// written; not at once when it fails again and again.
func TestADiskThatIsReadOnly(t *testing.T) {
	s := newHouse(t, 4, nil)
	for round := range 3 {
		end := s.Faults.Add(faultfs.Rule{Kinds: faultfs.Write | faultfs.Create | faultfs.Sync, Path: "/d2", Err: syscall.EROFS})
		for i := 0; s.disks()["/d2"].State != "failed"; i++ {
			if i > 100 {
				t.Fatal("no write met the disk")
			}
			s.must(s.putOne(fmt.Sprint("failing", round, i), shopData("x", 300_000)))
		}
		s.holds("before")
		s.look()
		s.degraded("read-only", "/d2")
		id := s.disk("/d2")
		if g := s.gauges(); g["undercroft_disk_state "+id+" /d2 failed"] != 1 || g["undercroft_disk_state "+id+" /d2 active"] != 0 ||
			g["undercroft_disk_failed "+id+" /d2 read_only"] != 1 {
			t.Errorf("metrics: %v", g)
		}
		end()
		s.look()
		if round > 0 {
			s.degraded("again and again", "/d2")
			s.Advance(time.Hour)
			s.look()
		}
		s.degraded("")
	}
	s.RunSteward()
	s.holds("before")
	st, err := s.Status(t.Context())
	if err != nil || !st.Healthy {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestDisksInTheList is what an administrator sees, and nothing holds it up.
func TestDisksInTheList(t *testing.T) {
	s := newHouse(t, 3, nil)
	var paths []string
	mirrors := 0
	list, err := s.Disks(t.Context())
	s.must(err)
	for _, d := range list {
		paths = append(paths, d.Path)
		if d.Mirror {
			mirrors++
		}
		if d.State != "active" || d.Shards == 0 || d.Total == 0 {
			t.Errorf("%+v", d)
		}
	}
	if !slices.Equal(paths, []string{"/d1", "/d2", "/d3"}) || mirrors != 2 {
		t.Errorf("%q, %d mirrors", paths, mirrors)
	}
	s.must(s.Check(t.Context(), io.Discard))
}
