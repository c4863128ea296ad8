package mirror_test

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// TestStartGoesAroundASourceThatCannotBeCopied: the copy that the others would
// be made equal to is looked at, and cannot be read a second time. One bad
// directory of three does not refuse the start, whatever file it is.
func TestStartGoesAroundASourceThatCannotBeCopied(t *testing.T) {
	u := setup{dirs: 5, members: 3}
	for _, kind := range []string{"MANIFEST-", "OPTIONS-", ".log"} {
		// How often a file is read to be judged is the mirror's affair: each
		// read of it may be the first that fails.
		for skip := range 5 {
			faults, _ := newFaults(t)
			s := mustStart(t, u, faults)
			s.mustCommit(t, 1, 20)
			mustClose(t, s)
			names, err := faults.List("/d1/metadata")
			must(t, err)
			i := slices.IndexFunc(names, func(name string) bool { return strings.Contains(name, kind) && !strings.HasPrefix(name, "marker") })
			if i < 0 {
				t.Fatalf("no %s among %v", kind, names)
			}
			must(t, faults.Remove("/d2/metadata/"+names[i])) // something to copy
			heal := faults.Add(faultfs.Rule{Kinds: faultfs.Read, Path: "/d1/metadata/" + names[i], Err: syscall.EIO, Skip: skip})
			again, err := u.start(faults)
			heal()
			if err != nil {
				t.Fatalf("%s cannot be read after %d reads: %v", names[i], skip, err)
			}
			again.mustRead(t, 20)
			mustClose(t, again)
		}
	}
}
