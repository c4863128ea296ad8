package mirror_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// sick makes a directory fail; cure ends that.
func sick(fs *faultfs.FS, dir string) map[string]func() (cure func()) {
	rule := func(r faultfs.Rule) func() func() {
		r.Path = dir + "/"
		return func() func() { return fs.Add(r) }
	}
	return map[string]func() func(){
		"writes fail":  rule(faultfs.Rule{Kinds: faultfs.Write, Err: syscall.EIO}),
		"writes torn":  rule(faultfs.Rule{Kinds: faultfs.Write, Err: syscall.EIO, Torn: true}),
		"a sync fails": rule(faultfs.Rule{Kinds: faultfs.Sync, Err: syscall.EIO, Times: 1}),
		"is full":      rule(faultfs.Rule{Kinds: faultfs.Write | faultfs.Create | faultfs.Extend, Err: syscall.ENOSPC, Torn: true}),
		"all fails":    rule(faultfs.Rule{Kinds: faultfs.All, Err: syscall.EIO}),
		"vanishes":     func() func() { return fs.Vanish(dir) },
		"is read-only": rule(faultfs.Rule{Kinds: faultfs.Changes, Err: syscall.EROFS}),
	}
}

// TestAnyDirectoriesFailWhileRunning: any m directories fail in any way, one
// after the other, and nothing that was acknowledged is lost; without the
// others too once the failed ones were taken in again.
func TestAnyDirectoriesFailWhileRunning(t *testing.T) {
	t.Parallel()
	for _, u := range []setup{{dirs: 3, members: 2}, {dirs: 5, members: 3}} {
		for name := range sick(nil, "") {
			for _, dirs := range subsets(u.members, u.members-1) {
				t.Run(fmt.Sprintf("%v of %d %s", dirs, u.dirs, name), func(t *testing.T) {
					t.Parallel()
					fs, _ := newFaults(t)
					s := mustStart(t, u, fs)
					s.mustCommit(t, 1, 50)
					var cures []func()
					n := 50
					for _, dir := range dirs {
						cures = append(cures, sick(fs, dir)[name]())
						s.mustCommit(t, n+1, n+100)
						n += 100
					}
					s.mustRead(t, n)
					if got := len(s.members()); got != 1 {
						t.Errorf("%d members, want 1", got)
					}
					must(t, s.engine.Close())
					must(t, s.set.Close())
					for _, cure := range cures {
						cure()
					}
					s = mustStart(t, u, fs)
					s.mustRead(t, n)
					if got := len(s.members()); got != 1 {
						t.Errorf("%d members, want 1: the others are stale", got)
					}
					mustClose(t, s)
				})
			}
		}
	}
}

// TestSpareTakesOver: a failed member is replaced while commits go on, by a
// directory that held none of the files, and then everything else may be lost.
func TestSpareTakesOver(t *testing.T) {
	for _, failing := range []string{"/d1", "/d2"} {
		t.Run(failing, func(t *testing.T) {
			fs, _ := newFaults(t)
			said := listen()
			u := setup{dirs: 3, members: 2, options: func(o *mirror.Options) { o.Logger = slog.New(said) }}
			s := mustStart(t, u, fs)
			s.set.Maintain(2)
			s.mustCommit(t, 1, 600)
			fs.Add(faultfs.Rule{Kinds: faultfs.Write, Path: failing + "/metadata/", Err: syscall.EIO})
			done := make(chan error, 1)
			stop := make(chan struct{})
			last := 600
			go func() {
				for last < 1600 { // more would only be read again below
					select {
					case <-stop:
						done <- nil
						return
					default:
					}
					if err := s.commit(t.Context(), last+1); err != nil {
						done <- err
						return
					}
					last++
				}
				done <- nil
			}()
			said.await(t, "metadata mirror is up to date /d3")
			close(stop)
			must(t, <-done)
			s.mustCommit(t, last+1, last+20)
			mustClose(t, s)
			for _, dir := range []string{"/d1", "/d2"} {
				must(t, fs.RemoveAll(dir+"/metadata"))
			}
			s = mustStart(t, u, fs)
			s.mustRead(t, last+20)
			mustClose(t, s)
		})
	}
}

// TestReturningDirectoryIsTakenIn: a stale directory is made a member again at
// the next start, and is as good as the other.
func TestReturningDirectoryIsTakenIn(t *testing.T) {
	fs, _ := newFaults(t)
	said := listen()
	u := setup{dirs: 2, members: 2, options: func(o *mirror.Options) { o.Logger = slog.New(said) }}
	s := mustStart(t, u, fs)
	n := 0
	for _, failing := range []string{"/d1", "/d2", "/d1", "/d2"} {
		s.mustCommit(t, n+1, n+150)
		back := fs.Vanish(failing)
		s.mustCommit(t, n+151, n+300)
		n += 300
		mustClose(t, s)
		back()
		s = mustStart(t, u, fs)
		s.set.Maintain(2)
		said.await(t, "metadata mirror is up to date "+failing)
		s.mustRead(t, n)
		if st := s.set.Status(); len(st.Members) != 2 || st.Degraded || st.Resync != nil {
			t.Errorf("status %+v", st)
		}
	}
	mustClose(t, s)
}

// TestStalledMirror: part of interleaving 7. A directory that does not answer
// holds commits up for the time it is given, and then no more.
func TestStalledMirror(t *testing.T) {
	for _, stalled := range []string{"/d1", "/d2"} {
		for name, kinds := range map[string]faultfs.Kind{"syncs": faultfs.Sync, "writes": faultfs.Write, "all": faultfs.All} {
			t.Run(stalled+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fs, _ := newFaults(t)
					u := setup{dirs: 3, members: 2}
					s := mustStart(t, u, fs)
					s.mustCommit(t, 1, 10)
					end := make(chan struct{})
					over := fs.Add(faultfs.Rule{Kinds: kinds, Path: stalled + "/", Stall: end})
					// A transaction ends after five seconds: nobody knows.
					_ = s.commit(t.Context(), 11)
					synctest.Wait()
					time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock
					s.mustCommit(t, 11, 40)
					s.mustRead(t, 40)
					if got := len(s.members()); got != 1 {
						t.Errorf("%d members, want 1", got)
					}
					mustClose(t, s)
					over()
					close(end)
					synctest.Wait()
					s = mustStart(t, u, fs)
					s.mustRead(t, 40)
					mustClose(t, s)
				})
			})
		}
	}
}

// TestReadErrorsAreHealed: interleaving 7's last part, and unreadable ranges. A
// copy that cannot be read, or reads wrong, is read from the other and replaced.
func TestReadErrorsAreHealed(t *testing.T) {
	for name, rule := range map[string]faultfs.Rule{
		"unreadable": {Kinds: faultfs.Read, From: 100, To: 200, Err: syscall.EIO},
		"flipped":    {Kinds: faultfs.Read, From: 150, Flip: true, FlipBit: 3},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			u := setup{dirs: 3, members: 2}
			s := mustStart(t, u, fs)
			s.mustCommit(t, 1, 600)
			mustClose(t, s)
			faults := faultfs.New(fs)
			for _, ext := range []string{".sst", ".blob"} {
				r := rule
				r.Path = ext
				// Only the first member's: the second's names are out of reach of the rule.
				faults.Add(r)
			}
			only := onlyUnder{FS: fs, faulty: faults, dir: "/d1/"}
			s = mustStart(t, u, only)
			s.mustRead(t, 600)
			mustClose(t, s)
			if st := s.set.Status(); st.OtherReads == 0 || st.Healed == 0 || len(st.Members) != 2 {
				t.Errorf("nothing was read from the other and healed: %+v", st)
			}
		})
	}
}

// onlyUnder is a file system that is faulty below one directory.
type onlyUnder struct {
	vfs.FS
	faulty vfs.FS
	dir    string
}

func (o onlyUnder) Open(name string, opts ...openOption) (vfs.File, error) {
	if len(name) > len(o.dir) && name[:len(o.dir)] == o.dir {
		return o.faulty.Open(name, opts...)
	}
	return o.FS.Open(name, opts...)
}

// TestDirectoryRemovedWhileRunning: interleaving 15. Writes to files of a
// directory that was removed succeed, and do not count.
func TestDirectoryRemovedWhileRunning(t *testing.T) {
	root := t.TempDir()
	o := mirror.Options{FS: vfs.Default()}
	for i := range 3 {
		d := filepath.Join(root, fmt.Sprintf("d%d", i+1))
		must(t, os.Mkdir(d, 0o750))
		o.Dirs = append(o.Dirs, mirror.Dir{Disk: fmt.Sprintf("disk-%d", i+1), Path: d})
	}
	must(t, mirror.Create(o, 2))
	set, err := mirror.Open(o)
	must(t, err)
	s := openEngine(t, set)
	s.mustCommit(t, 1, 10)
	must(t, os.RemoveAll(o.Dirs[0].Path))
	s.mustCommit(t, 11, 20)
	st := s.set.Status()
	if len(st.Members) != 1 || st.Members[0].Path != o.Dirs[1].Path {
		t.Errorf("members %+v", st.Members)
	}
	if _, err := os.Stat(o.Dirs[0].Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is made again: %v", err)
	}
	mustClose(t, s)
	set, err = mirror.Open(o)
	must(t, err)
	s = openEngine(t, set)
	s.mustRead(t, 20)
	mustClose(t, s)
}

// TestFailedSyncIsNotRepeated: interleaving 16. What failed once is not asked
// again: the copy is out, though its next sync would succeed.
func TestFailedSyncIsNotRepeated(t *testing.T) {
	fs, _ := newFaults(t)
	u := setup{dirs: 3, members: 2}
	s := mustStart(t, u, fs)
	s.mustCommit(t, 1, 10)
	fs.Add(faultfs.Rule{Kinds: faultfs.Sync, Path: "/d1/metadata/", Err: syscall.EIO, Times: 1})
	s.mustCommit(t, 11, 12)
	if got := s.members(); got != "2" {
		t.Errorf("members %s, want 2", got)
	}
	mustClose(t, s)
}

// TestAllFull: a disk that is full for all is told above, which frees space and
// goes on with what is written so far.
func TestAllFull(t *testing.T) {
	fs, _ := newFaults(t)
	set, err := func() (*mirror.Set, error) {
		u := setup{dirs: 2, members: 2}
		s, err := u.start(fs)
		if err != nil {
			return nil, err
		}
		return s.set, s.engine.Close()
	}()
	must(t, err)
	f, err := set.Create(mirror.Virtual+"/file", vfs.Unspecified)
	must(t, err)
	cure := fs.Add(faultfs.Rule{Kinds: faultfs.Write, Path: "file", Err: syscall.ENOSPC, Torn: true})
	n, err := f.Write([]byte("0123456789"))
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a write to full disks: %v", err)
	}
	cure()
	_, err = f.Write([]byte("0123456789")[n:])
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
	if len(set.Status().Members) != 2 {
		t.Error("a member was ejected")
	}
	must(t, set.Close())
}
