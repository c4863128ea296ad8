package mirror_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// world is a store that suffers at random, with what must be in it.
type world struct {
	*store
	t     *testing.T
	rng   *rand.Rand
	u     setup
	mem   *faultfs.Mem
	fs    *faultfs.FS
	bad   map[string]bool // directories that are not as good as the best, at most m
	cures map[string]func()

	mu    sync.Mutex // guards acked
	acked int

	story []string
}

func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v\nafter %q", err, w.story)
	}
}

func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked
}

func (w *world) commits(n int) {
	for range n {
		w.must(w.commit(w.t.Context(), w.acked+1))
		w.mu.Lock()
		w.acked++
		w.mu.Unlock()
	}
}

// victim is a directory that may get worse.
func (w *world) victim() (dir string, ok bool) {
	dir = fmt.Sprintf("/d%d", 1+w.rng.IntN(w.u.dirs))
	return dir, w.bad[dir] || len(w.bad) < w.u.members-1
}

// fault makes a directory fail while commits go on.
func (w *world) fault() {
	dir, ok := w.victim()
	if !ok || w.cures[dir] != nil {
		return
	}
	kinds := sick(w.fs, dir)
	names := slices.Sorted(maps.Keys(kinds))
	name := names[w.rng.IntN(len(names))]
	w.tell("%s: %s", dir, name)
	w.bad[dir] = true
	w.cures[dir] = kinds[name]()
	w.commits(5)
}

// powerLoss clones what is left at a random change, damages directories, and
// goes on with the clone.
func (w *world) powerLoss() {
	var clone *vfs.MemFS
	at, least := 1+w.rng.IntN(40), 0
	percent := []int{0, 30, 100}[w.rng.IntN(3)]
	rng := rand.New(rand.NewPCG(w.rng.Uint64(), 0))
	var mu sync.Mutex
	take := func(faultfs.Op) {
		mu.Lock()
		defer mu.Unlock()
		if at--; at > 0 || clone != nil {
			return
		}
		least = w.count()
		clone = w.mem.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
	}
	w.fs.Hook(func(op faultfs.Op) {
		if op.Kind&faultfs.Changes != 0 {
			take(op)
		}
	})
	w.commits(w.rng.IntN(12))
	w.fs.Hook(nil)
	mu.Lock()
	at = 0
	mu.Unlock()
	take(faultfs.Op{})
	w.tell("power loss, %d%% left", percent)
	_ = errors.Join(w.engine.Close(), w.set.Close()) // it is history
	w.use(clone)
	w.damage()
	w.start(least)
}

func (w *world) use(fs *vfs.MemFS) {
	w.mem = faultfs.NewMem(fs)
	w.fs = faultfs.New(w.mem)
	w.cures = map[string]func(){}
}

func (w *world) restart() {
	w.tell("restart")
	w.must(w.close())
	for _, cure := range w.cures {
		cure()
	}
	w.cures = map[string]func(){}
	w.damage()
	w.start(w.acked)
}

// damage spoils directories of a store that is stopped.
func (w *world) damage() {
	kinds := damages()
	for _, name := range []string{"of an earlier run", "of earlier"} {
		delete(kinds, name) // TestAnyDirectoriesDamagedBetweenRuns has them
	}
	names := slices.Sorted(maps.Keys(kinds))
	for range w.rng.IntN(3) {
		dir, ok := w.victim()
		if _, err := w.fs.Stat(dir + "/metadata"); !ok || err != nil {
			continue
		}
		name := names[w.rng.IntN(len(names))]
		w.tell("%s: %s", dir, name)
		w.bad[dir] = true
		kinds[name](w.t, w.fs, dir)
	}
}

// start opens the store and compares it with what was acknowledged.
func (w *world) start(least int) {
	if w.rng.IntN(2) == 0 { // new disks in the place of those that are gone
		for i := range w.u.dirs {
			w.must(vfs.MkdirAll(w.fs, fmt.Sprintf("/d%d", i+1), 0o750))
		}
	}
	s, err := w.u.start(w.fs)
	w.must(err)
	w.store = s
	n, err := w.read(w.t.Context())
	w.must(err)
	if n < least || n > w.acked+1 {
		w.must(fmt.Errorf("the counter is %d, %d were acknowledged of %d", n, least, w.acked))
	}
	w.acked = n
	if w.rng.IntN(3) == 0 {
		return
	}
	w.set.Maintain(w.u.members)
	w.commits(3)
	w.must(w.set.Quiet(w.t.Context()))
	if st := w.set.Status(); len(st.Members) == w.u.members && !st.Degraded && st.Voters == w.u.dirs {
		w.tell("whole again: %s", w.members())
		w.bad = map[string]bool{}
	}
}

// TestRandomHistories is the model: commits, faults, power losses, damage and
// returns at random, any m directories at a time. UNDERCROFT_TEST_SEEDS sets how
// many histories.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	seeds := 40
	if n, err := strconv.Atoi(os.Getenv("UNDERCROFT_TEST_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			u := []setup{{dirs: 3, members: 2}, {dirs: 5, members: 3}, {dirs: 6, members: 3}}[seed%3]
			w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), u: u, bad: map[string]bool{}}
			w.use(vfs.NewCrashableMem())
			w.u.options = func(o *mirror.Options) { o.Retry = 1 << 62 } // by what the test does only
			s, err := w.u.start(w.fs)
			w.must(err)
			w.store = s
			for range 25 {
				switch w.rng.IntN(8) {
				case 0, 1, 2, 3:
					w.commits(1 + w.rng.IntN(30))
				case 4, 5:
					w.fault()
				case 6:
					w.powerLoss()
				default:
					w.restart()
				}
			}
			n, err := w.read(t.Context())
			w.must(err)
			if n != w.acked {
				t.Errorf("the counter is %d, want %d\nafter %q", n, w.acked, w.story)
			}
			w.must(w.close())
		})
	}
}
