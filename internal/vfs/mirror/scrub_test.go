package mirror_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

func unpaced(ctx context.Context, _ int64) error { return ctx.Err() }

// scrub goes over all files.
func scrub(t *testing.T, set *mirror.Set) (sum mirror.Scrubbed, files int) {
	t.Helper()
	for after := ""; ; files++ {
		r, err := set.ScrubNext(t.Context(), after, unpaced)
		must(t, err)
		if r.File == "" {
			return sum, files
		}
		after = r.File
		sum.Bytes += r.Bytes
		sum.Bad += r.Bad
		sum.Healed += r.Healed
		sum.Undecided = sum.Undecided || r.Undecided
	}
}

func tables(t *testing.T, fs vfs.FS, dir string) (out []string) {
	t.Helper()
	names, err := fs.List(dir)
	must(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func change(t *testing.T, fs vfs.FS, path string, how func([]byte) []byte) {
	t.Helper()
	data, err := vfs.ReadFile(fs, path, 64<<20)
	must(t, err)
	must(t, vfs.WriteFile(fs, path, how(data), 0o640))
}

// TestScrub: copies that are missing, short or wrong, on any member, with
// checksums and without, are found and replaced although nobody reads them.
func TestScrub(t *testing.T) {
	for _, sums := range []bool{true, false} {
		for victim := 1; victim <= 3; victim++ {
			t.Run(fmt.Sprintf("sums %v d%d", sums, victim), func(t *testing.T) {
				mem := vfs.NewMem()
				u := setup{dirs: 5, members: 3}
				s := mustStart(t, u, mem)
				s.mustCommit(t, 1, 900)
				mustClose(t, s)
				set, err := mirror.Open(u.all(mem)) // no engine, which would compact
				must(t, err)
				if sum, files := scrub(t, set); sum.Bad != 0 || sum.Undecided || files < 3 || sum.Bytes != set.ScrubSize() {
					t.Errorf("a whole store: %+v in %d files of %d", sum, files, set.ScrubSize())
				}
				if !sums {
					for i := range 3 {
						dir := fmt.Sprintf("/d%d/metadata-sums", i+1)
						for _, name := range tables(t, mem, dir) {
							must(t, mem.Remove(dir+"/"+name))
						}
					}
				}
				dir := fmt.Sprintf("/d%d/metadata/", victim)
				names := tables(t, mem, dir)
				must(t, mem.Remove(dir+names[0]))
				change(t, mem, dir+names[1], func(b []byte) []byte { return b[:len(b)/2] })
				change(t, mem, dir+names[2], func(b []byte) []byte { b[len(b)/3] ^= 4; return b })
				sum, _ := scrub(t, set)
				if sum.Bad != 3 || sum.Healed != 3 || sum.Undecided {
					t.Errorf("%+v", sum)
				}
				if sum, _ = scrub(t, set); sum.Bad != 0 {
					t.Errorf("after healing: %+v", sum)
				}
				for i := range 3 {
					if got := tables(t, mem, fmt.Sprintf("/d%d/metadata-sums", i+1)); !slices.Equal(got, names) {
						t.Errorf("checksums of %v, want %v", got, names)
					}
				}
				if st := set.Status(); len(st.Members) != 3 || st.BadCopies != 3 {
					t.Errorf("status %+v", st)
				}
				must(t, set.Close())
				for i := 1; i <= 3; i++ { // the healed one alone
					if i != victim {
						must(t, mem.RemoveAll(fmt.Sprintf("/d%d/metadata", i)))
					}
				}
				s = mustStart(t, u, mem)
				s.mustRead(t, 900)
				mustClose(t, s)
			})
		}
	}
}

// TestScrubThatCannotDecide: two copies differ and there are no checksums.
func TestScrubThatCannotDecide(t *testing.T) {
	mem := vfs.NewMem()
	u := setup{dirs: 3, members: 2}
	s := mustStart(t, u, mem)
	s.mustCommit(t, 1, 600)
	mustClose(t, s)
	set, err := mirror.Open(u.all(mem))
	must(t, err)
	name := tables(t, mem, "/d1/metadata")[0]
	must(t, mem.Remove("/d1/metadata-sums/"+name))
	must(t, mem.Remove("/d2/metadata-sums/"+name))
	change(t, mem, "/d2/metadata/"+name, func(b []byte) []byte { b[0] ^= 1; return b })
	sum, _ := scrub(t, set)
	if st := set.Status(); !sum.Undecided || sum.Bad != 0 || st.Undecided != 1 {
		t.Errorf("%+v, %+v", sum, st)
	}
	must(t, set.Close())
}

// TestScrubBesideCommits: files that come and go meanwhile are no finding.
func TestScrubBesideCommits(t *testing.T) {
	fs, _ := newFaults(t)
	s := mustStart(t, setup{dirs: 3, members: 3}, fs)
	s.mustCommit(t, 1, 300)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 301; i <= 1500; i++ {
			if err := s.commit(t.Context(), i); err != nil {
				t.Errorf("commit %d: %v", i, err)
				return
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if sum, _ := scrub(t, s.set); sum.Bad != 0 || sum.Undecided {
			t.Fatalf("%+v", sum)
		}
	}
	s.mustRead(t, 1500)
	mustClose(t, s)
}

// TestRenamedFileKeepsItsChecksums: OPTIONS is written under another name. Power that is
// lost right after leaves its checksums, without which nobody knows which of two copies
// rotted.
func TestRenamedFileKeepsItsChecksums(t *testing.T) {
	u := setup{dirs: 2, members: 2}
	for _, rotten := range []string{"/d1", "/d2"} {
		mem := vfs.NewCrashableMem()
		s := mustStart(t, u, mem)
		s.mustCommit(t, 1, 1)
		left := mem.CrashClone(pebblevfs.CrashCloneCfg{})
		mustClose(t, s)
		names, err := left.List(rotten + "/metadata")
		must(t, err)
		i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, "OPTIONS-") })
		if i < 0 {
			t.Fatalf("no OPTIONS among %v", names)
		}
		change(t, left, rotten+"/metadata/"+names[i], func(b []byte) []byte {
			return []byte(strings.Replace(string(b), "=", "-", 1))
		})
		s, err = u.start(left)
		if err != nil {
			t.Fatalf("%s of %s won: %v", names[i], rotten, err)
		}
		s.mustRead(t, 1)
		mustClose(t, s)
	}
}
