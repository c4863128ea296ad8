package mirror_test

import (
	"testing"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/kvtest"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

func TestConformance(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.Engine {
		t.Helper()
		s := mustStart(t, setup{dirs: 3, members: 3, edit: func(o *pebble.Options) { o.MemTableBytes = 1 << 20 }}, vfs.NewMem())
		return s.engine
	})
}

func TestDurability(t *testing.T) {
	kvtest.RunDurable(t, func(t *testing.T) func(*testing.T) kv.Engine {
		t.Helper()
		u, fs := setup{dirs: 3, members: 2}, vfs.NewMem()
		var last *store
		return func(t *testing.T) kv.Engine {
			t.Helper()
			if last != nil { // the engine is closed, or left as a kill would leave it
				if err := last.set.Close(); err != nil {
					t.Error(err)
				}
			}
			last = mustStart(t, u, fs)
			return last.engine
		}
	})
}

// TestKeepsWhatIsWritten goes through flushes, compactions and restarts.
func TestKeepsWhatIsWritten(t *testing.T) {
	for _, u := range []setup{{dirs: 1, members: 1}, {dirs: 2, members: 2}, {dirs: 5, members: 3}} {
		fs := vfs.NewMem()
		for round := range 3 {
			s := mustStart(t, u, fs)
			s.mustCommit(t, round*300+1, round*300+300)
			s.mustRead(t, round*300+300)
			mustClose(t, s)
		}
		s := mustStart(t, u, fs)
		s.mustRead(t, 900)
		if len(s.members()) != u.members {
			t.Errorf("members %s, want %d", s.members(), u.members)
		}
		mustClose(t, s)
	}
}
