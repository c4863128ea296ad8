package mirror_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// TestDirectoryWithoutItsRecordTellsNothing: one that lost its record cannot
// vouch for what a stale member has.
func TestDirectoryWithoutItsRecordTellsNothing(t *testing.T) {
	fs, _ := newFaults(t)
	u := setup{dirs: 3, members: 2}
	s := mustStart(t, u, fs)
	s.mustCommit(t, 1, 10)
	back := fs.Vanish("/d2")
	s.mustCommit(t, 11, 20)
	mustClose(t, s)
	back()
	must(t, fs.Rename("/d3/membership.json", "/kept"))
	must(t, fs.Rename("/d1", "/away"))
	_, err := u.start(fs)
	if _, ok := errors.AsType[*mirror.QuorumError](err); !ok {
		t.Fatalf("a start on the stale directory and one that knows nothing: %v", err)
	}
	must(t, fs.Rename("/away", "/d1"))
	must(t, fs.Rename("/kept", "/d3/membership.json"))
	s = mustStart(t, u, fs)
	s.mustRead(t, 20)
	mustClose(t, s)
}

// TestMemberThatCannotBeLocked: a start goes on without a member that is
// read-only or fails.
func TestMemberThatCannotBeLocked(t *testing.T) {
	for name, rule := range map[string]faultfs.Rule{
		"read-only":           {Kinds: faultfs.Changes | faultfs.Lock, Err: syscall.EROFS},
		"files are read-only": {Kinds: faultfs.Changes | faultfs.Lock, Err: syscall.EROFS, Path: "/metadata"},
		"permission":          {Kinds: faultfs.Lock, Err: &fs.PathError{Op: "open", Err: syscall.EACCES}},
		"fails":               {Kinds: faultfs.Lock, Err: syscall.EIO},
	} {
		for _, dir := range []string{"/d1", "/d2"} {
			t.Run(name+dir, func(t *testing.T) {
				fs, _ := newFaults(t)
				u := setup{dirs: 3, members: 2}
				s := mustStart(t, u, fs)
				s.mustCommit(t, 1, 20)
				mustClose(t, s)
				r := rule
				r.Path = dir + rule.Path
				cure := fs.Add(r)
				s = mustStart(t, u, fs)
				s.mustRead(t, 20)
				s.mustCommit(t, 21, 30)
				mustClose(t, s)
				cure()
				s = mustStart(t, u, fs)
				s.mustRead(t, 30)
				if got := len(s.members()); got != 1 {
					t.Errorf("%d members, want 1: the other is stale", got)
				}
				mustClose(t, s)
			})
		}
	}
}

// TestOverlappingProcesses: part of interleaving 21. Each of two processes has
// one of the members and the third directory: the second is refused.
func TestOverlappingProcesses(t *testing.T) {
	mem := vfs.NewMem()
	u := setup{dirs: 3, members: 2}
	s := mustStart(t, u, mem)
	s.mustCommit(t, 1, 10)
	mustClose(t, s)
	without := func(dir string) setup {
		v := u
		v.options = func(o *mirror.Options) {
			var dirs []mirror.Dir
			for _, d := range o.Dirs {
				if d.Path != dir {
					dirs = append(dirs, d)
				}
			}
			o.Dirs = dirs
		}
		return v
	}
	s = mustStart(t, without("/d2"), mem)
	before, err := mirror.Find(u.all(mem))
	must(t, err)
	if _, err := without("/d1").start(mem); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("a second process with the other member: %v", err)
	}
	after, err := mirror.Find(u.all(mem))
	must(t, err)
	if before.Starts != after.Starts || before.Epoch != after.Epoch {
		t.Error("the process that was refused changed the record")
	}
	s.mustCommit(t, 11, 20)
	mustClose(t, s)
	s = mustStart(t, u, mem)
	s.mustRead(t, 20)
	mustClose(t, s)
}

// TestRecordIsNotWrittenBelowAMountPoint: a directory that is no longer the disk
// it was does not count as told.
func TestRecordIsNotWrittenBelowAMountPoint(t *testing.T) {
	mem := vfs.NewMem()
	gone := false
	u := setup{dirs: 3, members: 2, options: func(o *mirror.Options) {
		o.Verify = func(d mirror.Dir) error {
			if gone && d.Path == "/d3" {
				return errors.New("another disk")
			}
			return nil
		}
	}}
	s := mustStart(t, u, mem)
	s.mustCommit(t, 1, 10)
	must(t, mem.Rename("/d3", "/unmounted"))
	must(t, mem.MkdirAll("/d3", 0o750))
	gone = true
	must(t, s.set.Add(mirror.Dir{Disk: "disk-9", Path: "/unmounted"})) // any change of the record
	if _, err := mem.Stat("/d3/membership.json"); err == nil {
		t.Error("the mount point got a record")
	}
	if st := s.set.Status(); st.Voters != 3 || !st.Degraded {
		t.Errorf("status %+v", st)
	}
	mustClose(t, s)
}

// TestFileSystemWithoutPreallocation: a member that cannot reserve space is as
// good as one that can.
func TestFileSystemWithoutPreallocation(t *testing.T) {
	for _, err := range []error{syscall.EOPNOTSUPP, syscall.ENOSPC} {
		fs, _ := newFaults(t)
		fs.Add(faultfs.Rule{Kinds: faultfs.Extend, Path: "/d1/", Err: err})
		s := mustStart(t, setup{dirs: 2, members: 2}, fs)
		f, cerr := s.set.Create(mirror.Virtual+"/file", vfs.Unspecified)
		must(t, cerr)
		must(t, f.Preallocate(0, 1<<20))
		must(t, f.Close())
		s.mustCommit(t, 1, 10)
		if got := s.members(); got != "12" {
			t.Errorf("%v: members %s", err, got)
		}
		mustClose(t, s)
	}
}

// TestRenameThatOneMemberCannotDo: it lacks the file, hence its new name.
func TestRenameThatOneMemberCannotDo(t *testing.T) {
	mem := vfs.NewMem()
	s := mustStart(t, setup{dirs: 3, members: 2}, mem)
	f, err := s.set.Create(mirror.Virtual+"/OPTIONS-1.dbtmp", vfs.Unspecified)
	must(t, err)
	must(t, f.Close())
	must(t, mem.Remove("/d1/metadata/OPTIONS-1.dbtmp"))
	must(t, s.set.Rename(mirror.Virtual+"/OPTIONS-1.dbtmp", mirror.Virtual+"/OPTIONS-1"))
	if got := s.members(); got != "2" {
		t.Errorf("members %s, want 2: the other has no such file", got)
	}
	mustClose(t, s)
}

// TestGivenUpMetadataThatCannotBePutAside: it is in nobody's way.
func TestGivenUpMetadataThatCannotBePutAside(t *testing.T) {
	fs, _ := newFaults(t)
	u := setup{dirs: 2, members: 2}
	s := mustStart(t, u, fs)
	s.mustCommit(t, 1, 10)
	mustClose(t, s)
	must(t, fs.Rename("/d1", "/away"))
	accept := u
	accept.options = func(o *mirror.Options) { o.AcceptLoss = true }
	s = mustStart(t, accept, fs)
	s.mustCommit(t, 11, 12)
	mustClose(t, s)
	must(t, fs.Rename("/away", "/d1"))
	fs.Add(faultfs.Rule{Kinds: faultfs.Rename, Path: "/d1/metadata-lost", Err: syscall.EROFS})
	s = mustStart(t, u, fs)
	s.set.Maintain(2)
	must(t, s.set.Quiet(t.Context()))
	s.mustRead(t, 12)
	if names, err := fs.List("/d1/metadata"); err != nil || len(names) < 3 {
		t.Errorf("what was given up is not kept: %v %v", names, err)
	}
	mustClose(t, s)
}

// TestFileThatNobodyCanShow: it cannot be looked at on one member and is not on
// the other: Pebble knows whether it needs it.
func TestFileThatNobodyCanShow(t *testing.T) {
	fs, _ := newFaults(t)
	u := setup{dirs: 3, members: 2}
	s := mustStart(t, u, fs)
	s.mustCommit(t, 1, 10)
	mustClose(t, s)
	must(t, vfs.WriteFile(fs, "/d1/metadata/notes", []byte("obsolete"), 0o640))
	fs.Add(faultfs.Rule{Kinds: faultfs.Open, Path: "/d1/metadata/notes", Err: syscall.EIO})
	s = mustStart(t, u, fs)
	s.mustRead(t, 10)
	mustClose(t, s)
}

// TestDamagedFormat: a record whose format says that it has no checksum.
func TestDamagedFormat(t *testing.T) {
	mem := vfs.NewMem()
	u := setup{dirs: 3, members: 1}
	s := mustStart(t, u, mem)
	mustClose(t, s)
	data, err := vfs.ReadFile(mem, "/d1/membership.json", 1<<20)
	must(t, err)
	text := strings.Replace(string(data), `"format": 2`, `"format": 1`, 1)
	for _, d := range []string{"/d1", "/d2", "/d3"} {
		must(t, vfs.WriteFile(mem, d+"/membership.json", []byte(text), 0o640))
	}
	if r, err := mirror.Find(u.all(mem)); err == nil {
		t.Errorf("read as %+v", r)
	}
}
