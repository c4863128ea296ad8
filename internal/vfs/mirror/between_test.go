package mirror_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// damages are what may become of a data directory between two runs. /old is
// the directory as it was in an earlier run, /earlier as it was earlier in the
// last one.
func damages() map[string]func(t *testing.T, fs vfs.FS, dir string) {
	return map[string]func(t *testing.T, fs vfs.FS, dir string){
		"gone": func(t *testing.T, fs vfs.FS, dir string) { t.Helper(); must(t, fs.RemoveAll(dir)) },
		"emptied": func(t *testing.T, fs vfs.FS, dir string) {
			t.Helper()
			must(t, fs.RemoveAll(dir))
			must(t, vfs.MkdirAll(fs, dir, 0o750))
		},
		"no files": func(t *testing.T, fs vfs.FS, dir string) { t.Helper(); must(t, fs.RemoveAll(dir+"/metadata")) },
		"no names": func(t *testing.T, fs vfs.FS, dir string) {
			t.Helper()
			must(t, fs.RemoveAll(dir+"/metadata"))
			must(t, fs.MkdirAll(dir+"/metadata", 0o750))
		},
		"of an earlier run": func(t *testing.T, fs vfs.FS, dir string) { t.Helper(); copyTree(t, fs, "/old"+dir, dir) },
		"of earlier":        func(t *testing.T, fs vfs.FS, dir string) { t.Helper(); copyTree(t, fs, "/earlier"+dir, dir) },
		"cut short": func(t *testing.T, fs vfs.FS, dir string) {
			t.Helper()
			spoil(t, fs, dir, func(b []byte) []byte { return b[:len(b)/2] })
		},
		"with flipped bits": func(t *testing.T, fs vfs.FS, dir string) { t.Helper(); spoil(t, fs, dir, flipped) },
		"zeroed": func(t *testing.T, fs vfs.FS, dir string) {
			t.Helper()
			spoil(t, fs, dir, func(b []byte) []byte { return make([]byte, len(b)) })
		},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func flipped(b []byte) []byte {
	rng := rand.New(rand.NewPCG(1, uint64(len(b))))
	for range 1 + len(b)/4096 {
		if len(b) > 0 {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
	}
	return b
}

// spoil changes every file of a directory, its record and checksums included.
func spoil(t *testing.T, fs vfs.FS, dir string, change func([]byte) []byte) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Error(err)
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			continue // cut short by a crash
		}
		if info.IsDir() {
			spoil(t, fs, path, change)
			continue
		}
		data, err := vfs.ReadFile(fs, path, 64<<20)
		if err == nil {
			err = vfs.WriteFile(fs, path, change(data), 0o640)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// written is a stopped store with 400 commits, and its older states.
func written(t *testing.T, u setup) (fs *vfs.MemFS) {
	t.Helper()
	fs = vfs.NewMem()
	s := mustStart(t, u, fs)
	s.mustCommit(t, 1, 100)
	mustClose(t, s)
	for i := range u.dirs {
		copyTree(t, fs, fmt.Sprintf("/d%d", i+1), fmt.Sprintf("/old/d%d", i+1))
	}
	s = mustStart(t, u, fs)
	s.mustCommit(t, 101, 250)
	for i := range u.dirs { // Pebble rests: nothing of it is half written
		copyTree(t, fs, fmt.Sprintf("/d%d", i+1), fmt.Sprintf("/earlier/d%d", i+1))
	}
	s.mustCommit(t, 251, 400)
	mustClose(t, s)
	return fs
}

// subsets are all choices of n of the directories.
func subsets(dirs, n int) (out [][]string) {
	for mask := range 1 << dirs {
		var s []string
		for i := range dirs {
			if mask&(1<<i) != 0 {
				s = append(s, fmt.Sprintf("/d%d", i+1))
			}
		}
		if len(s) == n {
			out = append(out, s)
		}
	}
	return out
}

// TestAnyDirectoriesDamagedBetweenRuns: any m directories, the first included,
// suffer anything: every acknowledged commit is there, and stays when the
// others suffer later, once the damaged ones are members again.
func TestAnyDirectoriesDamagedBetweenRuns(t *testing.T) {
	t.Parallel()
	for _, u := range []setup{{dirs: 3, members: 2}, {dirs: 5, members: 3}} {
		for name, damage := range damages() {
			for _, dirs := range subsets(u.dirs, u.members-1) {
				if testing.Short() && u.dirs > 3 && !slices.Contains(dirs, "/d1") {
					continue
				}
				t.Run(fmt.Sprintf("%d of %s %s", u.members, strings.Join(dirs, ""), name), func(t *testing.T) {
					t.Parallel()
					fs := written(t, u)
					for _, dir := range dirs {
						damage(t, fs, dir)
					}
					s := mustStart(t, u, fs)
					s.mustRead(t, 400)
					s.mustCommit(t, 401, 450)
					mustClose(t, s)
					s = mustStart(t, u, fs)
					s.mustRead(t, 450)
					mustClose(t, s)
				})
			}
		}
	}
}

// TestStaleMirrorReturns: interleaving 6. B drops out, the epoch is on A only,
// A vanishes, B returns: it looks like A had just vanished, and the start is
// refused. The override starts, and A is stale when it comes back.
func TestStaleMirrorReturns(t *testing.T) {
	fs, _ := newFaults(t)
	u := setup{dirs: 2, members: 2}
	s := mustStart(t, u, fs)
	s.mustCommit(t, 1, 10)
	back := fs.Vanish("/d2")
	s.mustCommit(t, 11, 20)
	if got := s.members(); got != "1" {
		t.Fatalf("members %s, want 1", got)
	}
	mustClose(t, s)
	s = mustStart(t, u, fs) // alone it is enough: it was told that it is
	s.mustRead(t, 20)
	mustClose(t, s)
	back()
	back = fs.Vanish("/d1")
	_, err := u.start(fs)
	var q *mirror.QuorumError
	if !errors.As(err, &q) || !strings.Contains(err.Error(), "/d1") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("a start on the stale directory: %v", err)
	}
	back()
	s = mustStart(t, u, fs)
	s.mustRead(t, 20)
	if got := s.members(); got != "1" {
		t.Fatalf("members %s, want 1: the other is stale", got)
	}
	mustClose(t, s)
	back = fs.Vanish("/d1")
	accept := u
	accept.options = func(o *mirror.Options) { o.AcceptLoss = true }
	s = mustStart(t, accept, fs)
	n, err := s.read(t.Context())
	if err != nil || n < 10 || n > 11 { // it may have been told of the commit that it failed at
		t.Fatalf("the counter is %d, want 10: %v", n, err)
	}
	s.mustCommit(t, n+1, 15)
	mustClose(t, s)
	back()
	s = mustStart(t, u, fs)
	s.mustRead(t, 15) // what was accepted is the truth, whatever the other has
	if _, err := fs.Stat("/d1/metadata-lost-0"); err != nil {
		t.Errorf("what was given up is not kept: %v", err)
	}
	mustClose(t, s)
}

// TestLogsDifferAfterCrash: interleaving 7. A start that sees the short log
// only makes it the truth: the longer one never comes back. A start that sees
// both takes the longer, with a torn record in the other, and makes them equal.
func TestLogsDifferAfterCrash(t *testing.T) {
	fs := vfs.NewMem()
	u := setup{dirs: 3, members: 2}
	s := mustStart(t, u, fs)
	s.mustCommit(t, 1, 20)
	for _, d := range []string{"/d1", "/d2", "/d3"} {
		copyTree(t, fs, d, "/short"+d)
	}
	s.mustCommit(t, 21, 22)
	for _, d := range []string{"/d1", "/d2", "/d3"} {
		copyTree(t, fs, d, "/long"+d)
	}
	mustClose(t, s)
	for _, long := range []string{"/d1", "/d2"} {
		for _, d := range []string{"/d1", "/d2", "/d3"} {
			from := "/short"
			if d == long {
				from = "/long"
			}
			copyTree(t, fs, from+d, d)
		}
		// Without the long one.
		must(t, fs.Rename(long, "/away"))
		s := mustStart(t, u, fs)
		s.mustRead(t, 20)
		mustClose(t, s)
		must(t, fs.Rename("/away", long))
		s = mustStart(t, u, fs)
		s.mustRead(t, 20)
		mustClose(t, s)
		// With both.
		for _, d := range []string{"/d1", "/d2", "/d3"} {
			from := "/short"
			if d == long {
				from = "/long"
			}
			copyTree(t, fs, from+d, d)
		}
		s = mustStart(t, u, fs)
		s.mustRead(t, 22)
		mustClose(t, s)
		must(t, fs.RemoveAll(long))
		s = mustStart(t, u, fs)
		s.mustRead(t, 22)
		mustClose(t, s)
	}
}

// TestStartsThatAreRefused: what is here decides, by count of those that were
// told of the newest epoch.
func TestStartsThatAreRefused(t *testing.T) {
	u := setup{dirs: 4, members: 3}
	for _, n := range []int{2, 3} {
		for _, dirs := range subsets(4, n) {
			fs := written(t, u)
			for _, dir := range dirs {
				must(t, fs.RemoveAll(dir))
			}
			_, err := u.start(fs)
			if err == nil {
				t.Fatalf("a start without %v", dirs)
			}
			for _, dir := range dirs {
				if !strings.Contains(err.Error(), dir) {
					t.Errorf("the error does not name %s: %v", dir, err)
				}
			}
		}
	}
	for _, dirs := range subsets(4, 1) {
		fs := written(t, u)
		must(t, fs.RemoveAll(dirs[0]))
		s := mustStart(t, u, fs)
		s.mustRead(t, 400)
		mustClose(t, s)
		// Told of the loss, the three suffice for the loss of another.
		next := subsets(4, 1)[(slices.IndexFunc(subsets(4, 1), func(x []string) bool { return x[0] == dirs[0] })+1)%4]
		must(t, fs.RemoveAll(next[0]))
		s = mustStart(t, u, fs)
		s.mustRead(t, 400)
		mustClose(t, s)
	}
}

// TestTwoProcesses: a set that is open cannot be opened again.
func TestTwoProcesses(t *testing.T) {
	fs := vfs.NewMem()
	u := setup{dirs: 3, members: 2}
	s := mustStart(t, u, fs)
	before, err := mirror.Find(u.all(fs))
	must(t, err)
	if _, err := mirror.Open(u.all(fs)); err == nil {
		t.Fatal("a second start beside the first")
	}
	after, err := mirror.Find(u.all(fs))
	must(t, err)
	if before.Starts != after.Starts || before.Epoch != after.Epoch {
		t.Error("the start that was refused changed the record")
	}
	mustClose(t, s)
}
