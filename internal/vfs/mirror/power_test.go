package mirror_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"testing"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// promise is what had been acknowledged when the power failed, and what may be
// taken away from the directories then: one that the store does not rely on
// already, or any.
type promise struct {
	acked int
	lost  string // "": none is yet
}

// evidence collects promises. From the moment one is asked for until the
// power has failed it does not change.
type evidence struct {
	mu sync.Mutex
	promise
}

func (e *evidence) now() promise {
	e.mu.Lock()
	return e.promise
}

func (e *evidence) set(change func(p *promise)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.promise)
}

// TestPowerLossWithLostDirectories: the power fails at every write and sync of
// a store whose member fails and is replaced, and with it goes any directory,
// the first included, or comes back damaged. Every acknowledged commit is
// there, and at most one more, in all starts after.
func TestPowerLossWithLostDirectories(t *testing.T) {
	var ev evidence
	u := setup{dirs: 3, members: 2}
	kinds := []string{"", "gone", "no files", "no names", "cut short", "with flipped bits", "zeroed"}
	tried := 0
	faultfs.Crashes(7, func(fs *faultfs.FS) { failingWork(t, u, fs, &ev) }, ev.now, func(c faultfs.Crash, p promise) {
		ev.mu.Unlock()
		if testing.Short() && c.Number%7 != 0 {
			return
		}
		tried++
		dir := p.lost
		if dir == "" {
			dir = fmt.Sprintf("/d%d", tried%3+1)
		}
		kind := kinds[tried/3%len(kinds)]
		if kind != "" && p.acked > 0 {
			if _, err := c.FS.List(dir + "/metadata"); err == nil || kind == "gone" { // a member
				damages()[kind](t, c.FS, dir)
			}
		}
		if err := survives(t.Context(), u, c.FS, p); err != nil {
			t.Errorf("crash %d before %+v, %d%% of what was not synced, %s %q: %v", c.Number, c.Op, c.Percent, dir, kind, err)
		}
	})
	t.Logf("%d crashes", tried)
}

// failingWork makes commits while a member fails, is replaced, and returns.
func failingWork(t *testing.T, u setup, fs *faultfs.FS, ev *evidence) {
	t.Helper()
	said := listen()
	u.options = func(o *mirror.Options) { o.Logger = slog.New(said) }
	n := 0
	commit := func(s *store, count int) {
		for range count {
			n++
			s.mustCommit(t, n, n)
			ev.set(func(p *promise) { p.acked = n })
		}
	}
	s := mustStart(t, u, fs)
	commit(s, 15)
	ev.set(func(p *promise) { p.lost = "/d1" })
	cure := fs.Add(faultfs.Rule{Kinds: faultfs.Sync, Path: "/d1/metadata/", Err: syscall.EIO})
	commit(s, 10)
	s.set.Maintain(2)
	said.await(t, "metadata mirror is up to date /d3")
	commit(s, 10)
	mustClose(t, s)
	cure()
	s = mustStart(t, u, fs)
	ev.set(func(p *promise) { p.lost = "" })
	commit(s, 10)
	mustClose(t, s)
}

// survives starts twice on what is left and compares with the promise.
func survives(ctx context.Context, u setup, fs vfs.FS, p promise) error {
	before := -1
	for range 2 {
		s, err := u.start(fs)
		if err != nil {
			if p.acked == 0 {
				return nil // before there is anything to lose a start may be refused
			}
			return err
		}
		n, err := s.read(ctx)
		if err != nil {
			return err
		}
		if n < p.acked || n > p.acked+2 || before >= 0 && n != before {
			return fmt.Errorf("the counter is %d, %d were acknowledged, %d were read", n, p.acked, before)
		}
		before = n
		if err := s.close(); err != nil {
			return err
		}
	}
	return nil
}
