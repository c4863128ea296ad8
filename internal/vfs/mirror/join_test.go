package mirror_test

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// TestLogReusedWhileItIsCopied: a log that is being copied to a joining
// directory becomes the next log. What is still to come of the old one does not
// get into the new one.
func TestLogReusedWhileItIsCopied(t *testing.T) {
	fs, _ := newFaults(t)
	said := listen()
	u := setup{dirs: 2, members: 1}
	for _, d := range []string{"/d1", "/d2"} {
		must(t, vfs.MkdirAll(fs, d, 0o750))
	}
	must(t, mirror.Create(u.all(fs), 1))
	o := u.all(fs)
	o.Logger = slog.New(said)
	set, err := mirror.Open(o)
	must(t, err)
	f, err := set.Create(mirror.Virtual+"/000001.log", vfs.Unspecified)
	must(t, err)
	_, err = f.Write(bytes.Repeat([]byte("old"), 300<<10)) // several transfers
	must(t, err)
	must(t, f.Close())

	release, stalled := make(chan struct{}), make(chan struct{}, 1)
	fs.Add(faultfs.Rule{Kinds: faultfs.Write, Path: "/d2/metadata/000001.log", Skip: 1, Times: 1, Stall: release, Stalled: stalled})
	set.Maintain(2)
	<-stalled
	f, err = set.ReuseForWrite(mirror.Virtual+"/000001.log", mirror.Virtual+"/000002.log", vfs.Unspecified)
	must(t, err)
	_, err = f.Write([]byte("new"))
	must(t, err)
	must(t, f.Sync())
	close(release)
	said.await(t, "metadata mirror is up to date /d2")
	_, err = f.Write([]byte("er"))
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
	got, err := vfs.ReadFile(fs, "/d2/metadata/000002.log", 1<<20)
	must(t, err)
	if string(got) != "newer" {
		t.Errorf("the copy has %d bytes: %.20q", len(got), got)
	}
	if _, err := fs.Stat("/d2/metadata/000001.log"); err == nil {
		t.Error("the old log is there")
	}
	must(t, set.Close())
}

// TestThrottledResync: a directory is taken in no faster than it may be, commits
// go on meanwhile, the status tells how far it is, and the end does not wait.
func TestThrottledResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, _ := newFaults(t)
		u := setup{dirs: 3, members: 1}
		s := mustStart(t, u, fs)
		s.mustCommit(t, 1, 900)
		begun := time.Now()
		s.set.Throttle(100 << 10)
		s.set.Maintain(2)
		sleep(3 * time.Second)
		r := s.set.Status().Resync
		if r == nil || r.Directory != "/d2" || r.Bytes == 0 || r.Bytes > 600<<10 || r.BytesTotal < 400<<10 {
			t.Fatalf("progress %+v", r)
		}
		s.mustCommit(t, 901, 950)
		must(t, s.set.Quiet(t.Context()))
		if took := time.Since(begun); took < 4*time.Second {
			t.Errorf("it took %v for %d bytes", took, r.BytesTotal)
		}
		if st := s.set.Status(); len(st.Members) != 2 || st.Resync != nil {
			t.Errorf("status %+v", st)
		}
		s.set.Throttle(1)
		s.set.Maintain(3)
		sleep(time.Second)
		s.mustRead(t, 950)
		mustClose(t, s)
		must(t, fs.RemoveAll("/d1"))
		s = mustStart(t, u, fs)
		s.mustRead(t, 950)
		mustClose(t, s)
	})
}

// TestOpenFileVanishesWhileItIsCopied: a file that was being written when a
// directory began to join is closed and removed before it is copied.
func TestOpenFileVanishesWhileItIsCopied(t *testing.T) {
	fs, _ := newFaults(t)
	u := setup{dirs: 2, members: 1}
	for _, d := range []string{"/d1", "/d2"} {
		must(t, vfs.MkdirAll(fs, d, 0o750))
	}
	must(t, mirror.Create(u.all(fs), 1))
	set, err := mirror.Open(u.all(fs))
	must(t, err)
	f, err := set.Create(mirror.Virtual+"/000002.sst", vfs.Unspecified)
	must(t, err)
	_, err = f.Write([]byte("table"))
	must(t, err)
	release, stalled := make(chan struct{}), make(chan struct{}, 1)
	fs.Add(faultfs.Rule{Kinds: faultfs.Create, Path: "/d2/metadata/000002.sst", Times: 1, Stall: release, Stalled: stalled})
	set.Maintain(2)
	<-stalled
	must(t, f.Close())
	must(t, set.Remove(mirror.Virtual+"/000002.sst"))
	close(release)
	must(t, set.Quiet(t.Context()))
	if st := set.Status(); len(st.Members) != 2 {
		t.Errorf("status %+v", st)
	}
	must(t, set.Close())
}
