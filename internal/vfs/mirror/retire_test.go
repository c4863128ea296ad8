package mirror_test

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

func dirOf(path string) mirror.Dir { return mirror.Dir{Disk: "disk-" + path[2:], Path: path} }

// TestRetire: a directory gives its membership up to another one while commits
// go on, and may be taken away afterwards. It is not used again, by a later start
// neither, until it is added.
func TestRetire(t *testing.T) {
	for _, retiring := range []string{"/d1", "/d2", "/d3"} {
		t.Run(retiring, func(t *testing.T) {
			fs, _ := newFaults(t)
			u := setup{dirs: 3, members: 2}
			s := mustStart(t, u, fs)
			s.set.Maintain(2)
			s.mustCommit(t, 1, 300)
			must(t, s.set.Retire(t.Context(), dirOf(retiring)))
			must(t, s.set.Retire(t.Context(), dirOf(retiring)))
			st := s.set.Status()
			if len(st.Members) != 2 || st.Voters != 2 || st.Degraded || st.Ejected != 0 {
				t.Errorf("status %+v", st)
			}
			for _, m := range st.Members {
				if m.Path == retiring {
					t.Error("it is a member")
				}
			}
			if _, err := fs.Stat(retiring + "/metadata"); err == nil {
				t.Error("its files are there")
			}
			s.mustCommit(t, 301, 350)
			s.mustRead(t, 350)
			mustClose(t, s)

			s = mustStart(t, u, fs) // with the directory still there
			s.set.Maintain(3)
			must(t, s.set.Quiet(t.Context()))
			if st := s.set.Status(); len(st.Members) != 2 || st.Voters != 2 {
				t.Errorf("after a start: %+v", st)
			}
			s.mustRead(t, 350)
			must(t, s.set.Add(dirOf(retiring)))
			must(t, s.set.Quiet(t.Context()))
			if st := s.set.Status(); len(st.Members) != 3 || st.Voters != 3 || st.Degraded {
				t.Errorf("added again: %+v", st)
			}
			s.set.Maintain(2)
			must(t, s.set.Retire(t.Context(), dirOf(retiring)))
			mustClose(t, s)

			must(t, fs.RemoveAll(retiring))
			s = mustStart(t, u, fs)
			s.mustRead(t, 350)
			mustClose(t, s)
		})
	}
}

// TestRetireWithoutSpare: nobody can take its place, and it stays a member.
func TestRetireWithoutSpare(t *testing.T) {
	fs, _ := newFaults(t)
	said := listen()
	u := setup{dirs: 2, members: 2, options: func(o *mirror.Options) { o.Logger = slog.New(said) }}
	s := mustStart(t, u, fs)
	s.set.Maintain(2)
	s.mustCommit(t, 1, 10)
	if err := s.set.Retire(t.Context(), dirOf("/d2")); !errors.Is(err, mirror.ErrNoSpare) {
		t.Errorf("the second of two members retires: %v", err)
	}
	s.mustCommit(t, 11, 20)
	if st := s.set.Status(); len(st.Members) != 2 || st.Degraded {
		t.Errorf("status %+v", st)
	}
	s.set.Maintain(1)
	must(t, s.set.Retire(t.Context(), dirOf("/d2")))
	if got := s.members(); got != "1" {
		t.Errorf("members %s", got)
	}
	if err := s.set.Retire(t.Context(), dirOf("/d1")); !errors.Is(err, mirror.ErrNoSpare) {
		t.Errorf("the last member retires: %v", err)
	}
	s.mustRead(t, 20)
	mustClose(t, s)
}

// TestAddedWhileItRetires: a directory is added again while the record without it is
// being written, or its files are being removed. It is known and locked afterwards,
// and the lock is free once the set is closed.
func TestAddedWhileItRetires(t *testing.T) {
	for _, during := range []faultfs.Rule{
		{Kinds: faultfs.Create | faultfs.Write, Path: "/d3/membership"},
		{Kinds: faultfs.Remove, Path: "/d2/metadata"},
	} {
		t.Run(during.Path[4:], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { addedWhileItRetires(t, during) })
		})
	}
}

func addedWhileItRetires(t *testing.T, during faultfs.Rule) {
	t.Helper()
	fs, _ := newFaults(t)
	u := setup{dirs: 3, members: 2}
	s := mustStart(t, u, fs)
	s.set.Maintain(2)
	s.mustCommit(t, 1, 50)
	end, stalled := make(chan struct{}), make(chan struct{}, 1)
	during.Stall, during.Stalled = end, stalled
	goOn := fs.Add(during)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.set.Retire(t.Context(), dirOf("/d2")); err != nil && !errors.Is(err, mirror.ErrChanged) {
			t.Errorf("retire: %v", err)
		}
	})
	<-stalled
	wg.Go(func() { must(t, s.set.Add(dirOf("/d2"))) })
	synctest.Wait()
	goOn()
	close(end)
	wg.Wait()
	s.set.Maintain(3)
	must(t, s.set.Quiet(t.Context()))
	if st := s.set.Status(); len(st.Members) != 3 || st.Voters != 3 || st.Degraded {
		t.Errorf("with three members: %+v", st)
	}
	if lock, err := fs.Lock("/d2/membership.lock"); err == nil {
		t.Error("it is not locked")
		must(t, lock.Close())
	}
	mustClose(t, s)
	s = mustStart(t, u, fs) // which takes all locks
	s.mustRead(t, 50)
	mustClose(t, s)
}
