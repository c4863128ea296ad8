package single_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/partition"
)

// TestDrainAndRemove takes a disk out of a running store without a loss of redundancy.
func TestDrainAndRemove(t *testing.T) {
	s := newHouse(t, 6, func(o *single.Options) { o.Scheme = partition.Scheme{K: 2, M: 2} })
	_, err := s.RemoveDisk(t.Context(), "/d1")
	refusedChange(t, err, "drain /d1")
	_, err = s.RemoveLostDisk(t.Context(), "/d1")
	refusedChange(t, err, "in service")
	_, err = s.DrainDisk(t.Context(), "/d9")
	refusedChange(t, err, "no disk /d9")
	out, err := s.DrainDisk(t.Context(), "/d1") // it has the metadata
	if err != nil || out.State != "draining" {
		t.Fatalf("%+v, %v", out, err)
	}
	if d := s.disks()["/d1"]; d.Shards > 0 {
		_, err = s.RemoveDisk(t.Context(), "/d1")
		refusedChange(t, err, "still on /d1")
	}
	s.fill("meanwhile")
	s.RunSteward()
	s.must(s.AwaitMirrors(t.Context()))
	if d := s.disks()["/d1"]; !d.Drained || d.Shards != 0 || d.Mirror {
		t.Errorf("%+v", d)
	}
	st, err := s.Status(t.Context())
	if err != nil || !st.Healthy || len(st.Metadata.Mirrors) != 3 || !strings.Contains(st.Advice[0], "remove /d1") {
		t.Errorf("%+v, %v", st, err)
	}
	gone := s.disk("/d1")
	out, err = s.RemoveDisk(t.Context(), gone)
	if err != nil || out.State != "removed" || len(out.Notes) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	s.holds("before", "meanwhile")
	s.Restart() // with the directory: it is not taken back
	if d := s.disks(); len(d) != 5 || d["/d1"].ID != "" {
		t.Errorf("%+v", d)
	}
	s.degraded("")
	s.look()
	if d := s.disks(); len(d) != 5 {
		t.Errorf("%+v", d)
	}
	_, err = s.AddDisk(t.Context(), "/d1")
	refusedChange(t, err, "removed from this store")
	s.must(s.FS.RemoveAll("/d1"))
	s.mkdir("/d1")
	s.look()
	s.untouched("/d1")
	if out := s.add("/d1"); out.ID == gone {
		t.Errorf("%+v", out)
	}
	s.holds("before", "meanwhile")
	s.Restart()
	s.degraded("")
	s.holds("before", "meanwhile")
}

// TestDrainHasNowhereToGo: interleaving 42. As many disks as shards: where there is no room to
// write anything anew it is refused at once, and a disk that is added helps.
func TestDrainHasNowhereToGo(t *testing.T) {
	s := newHouse(t, 4, nil)
	full := func(full bool) {
		u := vfs.DiskUsage{TotalBytes: 1 << 40, AvailBytes: 1 << 39}
		if full {
			u.AvailBytes = 10<<30 + 100
		}
		s.Mem().SetUsage(u)
		s.Restart() // usage is remembered for a while
	}
	full(true)
	_, err := s.DrainDisk(t.Context(), "/d2")
	refusedChange(t, err, "nowhere to go", "add a disk")
	s.mkdir("/d5")
	s.add("/d5")
	s.SetDirs("/d1", "/d2", "/d3", "/d4", "/d5")
	full(false)
	out, err := s.DrainDisk(t.Context(), "/d2")
	s.must(err)
	if len(out.Notes) > 0 {
		t.Errorf("%+v", out)
	}
	full(true)
	_, err = s.DrainDisk(t.Context(), "/d3")
	refusedChange(t, err, "nowhere to go")
	full(false)
	s.RunSteward()
	s.must(s.AwaitMirrors(t.Context()))
	_, err = s.RemoveDisk(t.Context(), "/d2")
	s.must(err)
	s.holds("before")
	st, err := s.Status(t.Context())
	if err != nil || !st.Healthy {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestDrainWritesAnewNarrower: as many disks as shards and room enough: what was 2+2 on four
// disks is 1+2 on three.
func TestDrainWritesAnewNarrower(t *testing.T) {
	s := newHouse(t, 4, nil)
	out, err := s.DrainDisk(t.Context(), "/d2")
	s.must(err)
	if len(out.Notes) != 1 || !strings.Contains(out.Notes[0], "written anew") {
		t.Errorf("%+v", out)
	}
	for range 4 {
		s.RunSteward()
		s.Advance(time.Hour)
	}
	s.must(s.AwaitMirrors(t.Context()))
	if d := s.disks()["/d2"]; !d.Drained {
		t.Errorf("%+v", d)
	}
	_, err = s.RemoveDisk(t.Context(), "/d2")
	s.must(err)
	st, err := s.Status(t.Context())
	if err != nil || !st.Healthy || st.Scheme != "1+2" {
		t.Errorf("%+v, %v", st, err)
	}
	s.holds("before")
}

// TestDrainLeavesTooFew: without the disk nothing could be written as the scheme wants.
func TestDrainLeavesTooFew(t *testing.T) {
	s := newHouse(t, 2, nil)
	_, err := s.DrainDisk(t.Context(), "/d2")
	refusedChange(t, err, "parity shards need at least 2")
}

// TestDrainIsCancelled: the disk is used again, for the metadata too, and a restart in between
// changes nothing. A partition has a shard on each of the six disks: no chance decides.
func TestDrainIsCancelled(t *testing.T) {
	s := newHouse(t, 6, nil)
	_, err := s.CancelDrain(t.Context(), "/d1")
	refusedChange(t, err, "not being drained")
	_, err = s.DrainDisk(t.Context(), "/d1")
	s.must(err)
	s.Restart()
	if d := s.disks()["/d1"]; d.State != "draining" {
		t.Errorf("%+v", d)
	}
	s.look()
	if d := s.disks()["/d1"]; d.Mirror {
		t.Errorf("%+v", d)
	}
	out, err := s.CancelDrain(t.Context(), "/d1")
	if err != nil || out.State != "active" {
		t.Errorf("%+v, %v", out, err)
	}
	had := s.disks()["/d1"].Shards
	s.fill("after")
	if d := s.disks()["/d1"]; d.Shards <= had {
		t.Errorf("nothing is placed on it: %+v", d)
	}
	s.RunSteward()
	s.degraded("")
	s.holds("before", "after")
}

// TestLostDiskIsRemoved: its shards are rebuilt at once, and the parity of new partitions
// stays (interleaving 43), also after a start, until the operator sets a scheme.
func TestLostDiskIsRemoved(t *testing.T) {
	s := newHouse(t, 4, nil)
	s.RunSteward()
	s.must(s.FS.RemoveAll("/d4"))
	s.look()
	id := ""
	for _, m := range s.Missing() {
		id = m.ID
	}
	_, err := s.DrainDisk(t.Context(), "/d4")
	refusedChange(t, err, "remove --lost")
	if s.disks()["/d4"].Shards > 0 {
		_, err = s.RemoveDisk(t.Context(), id)
		refusedChange(t, err, "remove --lost")
	}
	out, err := s.RemoveLostDisk(t.Context(), id)
	if err != nil || out.State != "removed" {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := s.scheme(); got != "1+2" {
		t.Errorf("scheme %s: a removal must not lower the parity", got)
	}
	s.fill("three")
	s.SetDirs("/d1", "/d2", "/d3")
	s.Restart()
	if m := s.Missing(); len(m) != 0 {
		t.Errorf("missing %+v", m)
	}
	if got := s.scheme(); got != "1+2" {
		t.Errorf("scheme %s after a start", got)
	}
	s.mkdir("/d5")
	s.add("/d5")
	if got := s.scheme(); got != "2+2" {
		t.Errorf("scheme %s of four disks", got)
	}
	if c := s.RunSteward(); c.RepairFailures != 0 {
		t.Errorf("%+v", c)
	}
	st, err := s.Status(t.Context())
	if err != nil || !st.Healthy {
		t.Errorf("%+v, %v", st, err)
	}
	s.holds("before", "three")
}

// TestOperatorLowersTheParity by setting a scheme, which holds when it is not set any more.
func TestOperatorLowersTheParity(t *testing.T) {
	set := partition.Scheme{}
	s := newHouse(t, 4, func(o *single.Options) { o.Scheme = set })
	s.RunSteward()
	s.must(s.FS.RemoveAll("/d4"))
	s.look()
	_, err := s.RemoveLostDisk(t.Context(), "/d4")
	s.must(err)
	s.SetDirs("/d1", "/d2", "/d3")
	for _, step := range []struct {
		set  partition.Scheme
		want string
	}{{partition.Scheme{}, "1+2"}, {partition.Scheme{K: 2, M: 1}, "2+1"}, {partition.Scheme{}, "2+1"}} {
		set = step.set
		s.Restart()
		if got := s.scheme(); got != step.want {
			t.Errorf("set %v: %s, want %s", step.set, got, step.want)
		}
	}
	s.holds("before")
}

// TestLossThatWouldLoseObjects is refused with the numbers.
func TestLossThatWouldLoseObjects(t *testing.T) {
	s := newHouse(t, 5, func(o *single.Options) { o.Scheme = partition.Scheme{K: 4, M: 1} })
	for i := range 6 {
		s.must(s.putOne(fmt.Sprint("x", i), shopData("x", 3<<20)))
	}
	s.RunSteward()
	var mounts []func()
	for _, dir := range []string{"/d5", "/d4"} {
		mounts = append(mounts, s.unmount(dir))
	}
	s.look()
	_, err := s.RemoveLostDisk(t.Context(), "/d5")
	refusedChange(t, err, "would be lost for good", "partitions with a shard")
	for _, mount := range mounts {
		mount()
	}
	s.look()
	s.RunSteward()
	s.degraded("")
	s.holds("before")
}

// TestChangesAreCutShort: the power is lost at each change of a disk that is added, and one
// that is drained and removed; the next start goes on.
func TestChangesAreCutShort(t *testing.T) {
	s := newHouse(t, 4, nil)
	s.mkdir("/d5")
	s.must(vfs.SyncDir(s.FS, "/"))
	every := 3
	if testing.Short() {
		every = 9
	}
	var mu sync.Mutex // held while clones grows: mirrors are written side by side
	var clones []*vfs.MemFS
	changes := 0
	s.Faults.Hook(func(op faultfs.Op) {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind&faultfs.Changes == 0 {
			return
		}
		if changes++; changes <= 200 && changes%every == 0 {
			clones = append(clones, s.clone(len(clones)))
		}
	})
	s.add("/d5")
	_, err := s.DrainDisk(t.Context(), "/d1")
	s.must(err)
	s.RunSteward()
	s.must(s.AwaitMirrors(t.Context()))
	_, err = s.RemoveDisk(t.Context(), "/d1")
	s.must(err)
	s.Faults.Hook(nil)
	s.holds("before")
	for i := range clones {
		// A test of its own each, or all of their memory is held to the end.
		if !t.Run(fmt.Sprintf("crash %d of %d", i, len(clones)), func(t *testing.T) { afterCutShort(t, clones[i]) }) {
			break
		}
		clones[i] = nil
	}
	if changes < 30 {
		t.Errorf("%d changes only", changes)
	}
}

// afterCutShort holds that a store whose power was lost while its disks changed has all, and
// takes more.
func afterCutShort(t *testing.T, fs vfs.FS) {
	t.Helper()
	dirs := []string{"/d1", "/d2", "/d3", "/d4", "/d5"}
	next := &shop{testcluster.New(t, testcluster.Options{FS: fs, Dirs: dirs}), t}
	next.holds("before")
	next.look()
	next.RunSteward()
	next.degraded("")
	next.fill("after")
	next.holds("before", "after")
	next.Stop()
}
