package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
	"github.com/undercroft/undercroft/metadata/kv"
)

// sleep lets the bubble's clock go on.
func sleep(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's clock
	synctest.Wait()
}

// commitThrough makes commits, one of which may end unknown because a directory
// hangs from then on.
func (s *store) commitThrough(t *testing.T, from, to int) {
	t.Helper()
	unknown := 0
	for i := from; i <= to; i++ {
		err := s.commit(t.Context(), i)
		if errors.Is(err, kv.ErrUnknownCommit) && unknown < 3 {
			unknown++
			i--
			sleep(6 * time.Second)
			continue
		}
		if err != nil {
			t.Errorf("commit %d: %v", i, err)
			return
		}
	}
}

// TestDirectoryThatNeverAnswers: a directory whose every operation hangs for good,
// from any moment on, costs a while and nothing else: commits, reads, the status and
// the end go on, through all attempts to take it in again.
func TestDirectoryThatNeverAnswers(t *testing.T) {
	for _, hanging := range []string{"/d1", "/d2", "/d3"} {
		t.Run(hanging, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs, _ := newFaults(t)
				u := setup{dirs: 4, members: 2}
				s := mustStart(t, u, fs)
				s.set.Maintain(2)
				s.mustCommit(t, 1, 10)
				end := make(chan struct{})
				over := fs.Add(faultfs.Rule{Kinds: faultfs.All, Path: hanging + "/", Stall: end})
				n := 11
				for range 10 {
					s.commitThrough(t, n, n+10)
					n += 11
					s.mustRead(t, n-1)
					sleep(7 * time.Minute)
				}
				if st := s.set.Status(); len(st.Members) != 2 {
					t.Errorf("status %+v", st)
				}
				mustClose(t, s)
				s = mustStart(t, u, fs) // it hangs still
				s.mustRead(t, n-1)
				mustClose(t, s)
				over()
				close(end)
				synctest.Wait()
				s = mustStart(t, u, fs)
				s.mustRead(t, n-1)
				mustClose(t, s)
			})
		})
	}
}

// TestJoiningDirectoryHangs: a directory that hangs at any operation while it is
// being taken in holds nobody up for longer than any other.
func TestJoiningDirectoryHangs(t *testing.T) {
	for at := 0; ; at += 1 + at/8 {
		reached := false
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs, _ := newFaults(t)
				u := setup{dirs: 2, members: 1}
				s := mustStart(t, u, fs)
				s.mustCommit(t, 1, 100)
				end, stalled := make(chan struct{}), make(chan struct{}, 1)
				over := fs.Add(faultfs.Rule{Kinds: faultfs.All &^ faultfs.Lock, Path: "/d2", Skip: at, Stall: end, Stalled: stalled})
				s.set.Maintain(2)
				synctest.Wait()
				s.commitThrough(t, 101, 110)
				s.mustRead(t, 110)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				must(t, s.set.Quiet(ctx))
				s.commitThrough(t, 111, 120)
				select {
				case <-stalled:
					reached = true
				default:
				}
				if got := s.members(); reached && got != "1" {
					t.Errorf("members %s", got)
				}
				mustClose(t, s)
				over()
				close(end)
				synctest.Wait()
				s = mustStart(t, u, fs)
				s.mustRead(t, 120)
				mustClose(t, s)
			})
		})
		if !reached || t.Failed() {
			return
		}
	}
}

// TestHealingHangs: the directory hangs while one of its files is being replaced.
func TestHealingHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, mem := newFaults(t)
		u := setup{dirs: 3, members: 2}
		s := mustStart(t, u, fs)
		s.mustCommit(t, 1, 600)
		mustClose(t, s)
		spoil(t, mem, "/d1/metadata", func(b []byte) []byte { return b[:len(b)/2] })
		end := make(chan struct{})
		fs.Add(faultfs.Rule{Kinds: faultfs.Rename, Path: "/d1/metadata/", Stall: end})
		s = mustStart(t, u, fs)
		s.mustRead(t, 600)
		s.mustCommit(t, 601, 900)
		mustClose(t, s)
		close(end)
	})
}

// TestStartWithHangingDirectories: a start waits for them once, and goes on with
// the others.
func TestStartWithHangingDirectories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, _ := newFaults(t)
		u := setup{dirs: 5, members: 3}
		s := mustStart(t, u, fs)
		s.mustCommit(t, 1, 50)
		mustClose(t, s)
		end := make(chan struct{})
		o := u.all(fs)
		fs.Add(faultfs.Rule{Kinds: faultfs.All, Path: "/d1", Stall: end})
		fs.Add(faultfs.Rule{Kinds: faultfs.All, Path: "/d3/m", Stall: end})
		o.Verify = func(mirror.Dir) error { return nil }
		set, err := mirror.Open(o)
		must(t, err)
		s = openEngine(t, set)
		s.mustRead(t, 50)
		if got := s.members(); got != "2" {
			t.Errorf("members %s", got)
		}
		mustClose(t, s)
		close(end)
	})
}
