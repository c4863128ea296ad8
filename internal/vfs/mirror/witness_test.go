package mirror_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

const witness = "/w/undercroft"

func (u setup) witnessed() setup {
	u.options = func(o *mirror.Options) { o.Witness, o.Store = witness, "store" }
	return u
}

// TestWitnessLetsHalfOfTheDirectoriesGo: with a witness 2m directories survive
// the loss, the rollback and the damage of any m between runs, of the witness too.
func TestWitnessLetsHalfOfTheDirectoriesGo(t *testing.T) {
	t.Parallel()
	for _, u := range []setup{{dirs: 2, members: 2}, {dirs: 4, members: 3}} {
		u = u.witnessed()
		m := u.members - 1
		all := append(subsets(u.dirs, m), subsetsWith(u.dirs, m-1, witness)...)
		for name, damage := range damages() {
			for i, dirs := range all {
				if testing.Short() && u.dirs > 2 && i%4 > 0 {
					continue
				}
				t.Run(fmt.Sprintf("%d %s %s", u.dirs, strings.Join(dirs, ""), name), func(t *testing.T) {
					t.Parallel()
					fs := written(t, u)
					copyTree(t, fs, witness, "/kept")
					for _, dir := range dirs {
						if dir == witness && (strings.HasPrefix(name, "of ") || strings.HasPrefix(name, "no ")) {
							continue
						}
						damage(t, fs, dir)
					}
					s := mustStart(t, u, fs)
					s.mustRead(t, 400)
					s.mustCommit(t, 401, 420)
					mustClose(t, s)
					s = mustStart(t, u, fs)
					s.set.Maintain(u.members)
					must(t, s.set.Quiet(t.Context()))
					s.mustRead(t, 420)
					for _, d := range s.set.Status().Members {
						if d.Path == witness {
							t.Error("the witness is a member")
						}
					}
					mustClose(t, s)
				})
			}
		}
	}
}

// subsetsWith are choices of n of the directories, and one more.
func subsetsWith(dirs, n int, more string) (out [][]string) {
	for _, s := range subsets(dirs, n) {
		out = append(out, append(s, more))
	}
	return out
}

// TestStaleWitness: one that was away while the record changed is only a vote
// that is missing, and catches up.
func TestStaleWitness(t *testing.T) {
	fs, _ := newFaults(t)
	u := setup{dirs: 2, members: 2}.witnessed()
	s := mustStart(t, u, fs)
	s.mustCommit(t, 1, 10)
	mustClose(t, s)
	copyTree(t, fs, witness, "/stale")
	s = mustStart(t, u, fs)
	back := fs.Vanish("/d2")
	s.mustCommit(t, 11, 20)
	mustClose(t, s)
	back()
	must(t, fs.Rename(witness, "/newest"))
	copyTree(t, fs, "/stale", witness)
	s = mustStart(t, u, fs) // the record names one member, which is here, as are two of three voters
	s.mustRead(t, 20)
	if st := s.set.Status(); st.Witness == nil || st.Witness.Problem != "" || st.Voters != 3 {
		t.Errorf("status %+v %+v", st, st.Witness)
	}
	mustClose(t, s)
	must(t, fs.RemoveAll("/d1"))
	if _, err := u.start(fs); !errors.Is(err, mirror.ErrNoMember) {
		t.Errorf("a start on the stale mirror: %v", err)
	}
}

// TestWitnessComesAndGoes: it is made at the first start that names it, may be
// replaced, and is forgotten when it is not named.
func TestWitnessComesAndGoes(t *testing.T) {
	fs, _ := newFaults(t)
	plain := setup{dirs: 2, members: 2}
	u := plain.witnessed()
	voters := func(u setup, want int) {
		t.Helper()
		s := mustStart(t, u, fs)
		if st := s.set.Status(); st.Voters != want || st.Degraded || (st.Witness == nil) != (want == 2) {
			t.Errorf("status %+v %+v", st, st.Witness)
		}
		mustClose(t, s)
	}
	voters(plain, 2)
	voters(u, 3)
	must(t, fs.RemoveAll(witness))
	voters(u, 3)
	voters(plain, 2)
	voters(u, 3)
	must(t, fs.Remove(witness+"/witness.json"))
	voters(u, 3)

	for name, spoil := range map[string]func(u *setup){
		"another store's": func(u *setup) {
			u.options = func(o *mirror.Options) { o.Witness, o.Store = witness, "other" }
		},
		"something else": func(*setup) {
			must(t, fs.Remove(witness+"/witness.json"))
			must(t, vfs.WriteFile(fs, witness+"/letters", []byte("dear"), 0o640))
		},
	} {
		u := plain.witnessed()
		spoil(&u)
		if _, err := u.start(fs); !errors.Is(err, mirror.ErrForeignWitness) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, fs.RemoveAll(witness))
	must(t, vfs.WriteFile(fs, witness, nil, 0o640)) // no directory
	s := mustStart(t, u, fs)
	if st := s.set.Status(); st.Witness == nil || st.Witness.Problem == "" || st.Voters != 2 || !st.Degraded {
		t.Errorf("status %+v %+v", st, st.Witness)
	}
	mustClose(t, s)
}

// TestStartsThatAreRefusedWithWitness: more than m losses, the witness counted.
func TestStartsThatAreRefusedWithWitness(t *testing.T) {
	for _, u := range []setup{{dirs: 2, members: 2}, {dirs: 4, members: 3}} {
		u = u.witnessed()
		for _, dirs := range subsetsWith(u.dirs, u.members-1, witness) {
			fs := written(t, u)
			for _, dir := range dirs {
				must(t, fs.RemoveAll(dir))
			}
			if _, err := u.start(fs); err == nil {
				t.Errorf("a start without %v", dirs)
			}
		}
	}
}
