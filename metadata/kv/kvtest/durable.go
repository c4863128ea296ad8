package kvtest

import (
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

// RunDurable checks engines that keep their content. fresh returns a function
// that opens one and the same, at first empty, storage again and again; the
// suite closes each engine before it opens the next.
func RunDurable(t *testing.T, fresh func(t *testing.T) (open func(t *testing.T) kv.Engine)) {
	t.Helper()
	for _, r := range []struct {
		name string
		rule func(t *testing.T, reopen func() kv.Engine)
	}{
		{"content survives a restart", contentSurvives},
		{"versions grow across a restart", versionsSurvive},
		{"the generation survives a restart", generationSurvives},
		{"adds go on after a restart", addsSurvive},
	} {
		t.Run(r.name, func(t *testing.T) {
			open := fresh(t)
			var e kv.Engine
			closeIt := func() {
				if e == nil {
					return
				}
				if err := e.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
				e = nil
			}
			t.Cleanup(closeIt)
			r.rule(t, func() kv.Engine {
				closeIt()
				e = open(t)
				return e
			})
		})
	}
}

func contentSurvives(t *testing.T, reopen func() kv.Engine) {
	e := reopen()
	update(t, e, func(tx kv.Tx) { set(tx, "a", "1", "b", "2", "c", "3", "d", "4") })
	update(t, e, func(tx kv.Tx) { tx.DeleteRange(rng("b", "d")) })
	want := []string{"a=1", "d=4"}
	for range 3 {
		e = reopen()
		equal(t, "content", content(t, e), want)
	}
	update(t, e, func(tx kv.Tx) { tx.Delete([]byte("a")) })
	equal(t, "content", content(t, reopen()), want[1:])
}

func versionsSurvive(t *testing.T, reopen func() kv.Engine) {
	var last uint64
	for range 3 {
		c := update(t, reopen(), func(tx kv.Tx) {
			if v, err := tx.ReadVersion(); err != nil || v < last {
				t.Errorf("read version %d, %v after %d", v, err, last)
			}
			set(tx, "a", "1")
		})
		if c.Version <= last {
			t.Errorf("version %d after %d", c.Version, last)
		}
		last = c.Version
	}
}

func generationSurvives(t *testing.T, reopen func() kv.Engine) {
	read := func(e kv.Engine) (stamp string) {
		view(t, e, func(r kv.Reader) {
			v, err := r.Generation().Wait()
			if err != nil {
				t.Error(err)
			}
			stamp = string(v)
		})
		return stamp
	}
	e := reopen()
	seen := map[string]bool{read(e): true}
	for range 3 {
		update(t, e, kv.Tx.BumpGeneration)
		stamp := read(e)
		if seen[stamp] {
			t.Errorf("generation %x was seen before", stamp)
		}
		seen[stamp] = true
		e = reopen()
		equal(t, "generation", read(e), stamp)
	}
}

func addsSurvive(t *testing.T, reopen func() kv.Engine) {
	for i := range 5 {
		e := reopen()
		update(t, e, func(tx kv.Tx) { tx.Add([]byte("n"), 10) })
		update(t, e, func(tx kv.Tx) { tx.Add([]byte("n"), -3) })
		equal(t, "content", content(t, reopen()), []string{"n=" + number(int64(7*(i+1)))})
	}
}
