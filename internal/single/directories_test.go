package single_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// shop is a stopped store of four disks, 2+2, with objects, and hands to move
// its directories about.
type shop struct {
	*testcluster.Cluster
	t *testing.T
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{testcluster.New(t, testcluster.Options{Dirs: []string{"/d1", "/d2", "/d3", "/d4"}}), t}
	if _, err := s.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "bucket", Owner: "me"}); err != nil {
		t.Fatal(err)
	}
	s.fill("before")
	s.Stop()
	return s
}

func sizes() []int { return []int{0, 100, 20_000, 400_000} }

func shopData(name string, size int) []byte {
	return bytes.Repeat([]byte(name), size/len(name)+1)[:size]
}

// fill writes objects of all kinds.
func (s *shop) fill(name string) {
	s.t.Helper()
	for i, size := range sizes() {
		data := shopData(name, size)
		_, err := s.Objects.PutObject(s.t.Context(), objects.PutObjectInput{
			Bucket: "bucket", Key: key(name, i), Body: objects.Body{Reader: bytes.NewReader(data), Size: int64(size)},
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// holds reads what fill wrote.
func (s *shop) holds(names ...string) {
	s.t.Helper()
	for _, name := range names {
		for i, size := range sizes() {
			out, err := s.Objects.GetObject(s.t.Context(), objects.GetObjectInput{Bucket: "bucket", Key: key(name, i)})
			if err != nil {
				s.t.Fatal(err)
			}
			var got bytes.Buffer
			if _, err := out.Body.WriteTo(&got); err != nil {
				s.t.Fatal(err)
			}
			if err := out.Body.Close(); err != nil {
				s.t.Error(err)
			}
			if !bytes.Equal(got.Bytes(), shopData(name, size)) {
				s.t.Errorf("object %s of %d bytes reads back wrong", name, size)
			}
		}
	}
}

// unmount takes a directory away; what says what is there instead.
func (s *shop) unmount(dir string) (mount func()) {
	s.t.Helper()
	s.must(s.FS.Rename(dir, dir+".away"))
	return func() {
		s.t.Helper()
		s.must(s.FS.RemoveAll(dir))
		s.must(s.FS.Rename(dir+".away", dir))
	}
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// degraded fails the test unless exactly these paths are missing, and the status
// says so, with a reason that has each text.
func (s *shop) degraded(reason string, paths ...string) {
	s.t.Helper()
	st, err := s.Status(s.t.Context())
	s.must(err)
	var got []string
	for _, m := range st.Missing {
		got = append(got, m.Path)
		if !strings.Contains(m.Reason, reason) {
			s.t.Errorf("%s is missing because %q, want something with %q", m.Path, m.Reason, reason)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, paths) || st.Healthy != (len(paths) == 0) {
		s.t.Errorf("missing %q, healthy %v; want %q missing", got, st.Healthy, paths)
	}
}

// untouched fails the test when there is anything in a directory.
func (s *shop) untouched(dir string) {
	s.t.Helper()
	names, err := s.FS.List(dir)
	if err == nil && len(names) > 0 {
		s.t.Errorf("%s was empty and now has %q", dir, names)
	}
}

// TestMissingDirectories: a store that lacks disks serves, reads and writes,
// says what it lacks, begins nothing in their place, and takes them back.
func TestMissingDirectories(t *testing.T) {
	for name, tc := range map[string]struct {
		instead func(s *shop, dir string)
		reason  string
	}{
		"missing": {func(*shop, string) {}, "missing"},
		"empty":   {func(s *shop, dir string) { s.must(s.FS.MkdirAll(dir, 0o750)) }, "is it mounted"},
		"lost+found": {func(s *shop, dir string) {
			s.must(s.FS.MkdirAll(s.FS.PathJoin(dir, "lost+found"), 0o750))
		}, "is it mounted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			mount := s.unmount("/d3")
			tc.instead(s, "/d3")
			before, _ := s.FS.List("/d3")
			s.Start()
			s.degraded(tc.reason, "/d3")
			s.holds("before")
			s.fill("degraded")
			s.Restart()
			s.holds("before", "degraded")
			s.Stop()
			if after, _ := s.FS.List("/d3"); !slices.Equal(before, after) {
				t.Errorf("the directory of the missing disk had %q and has %q", before, after)
			}
			mount()
			s.Start()
			s.degraded("")
			s.holds("before", "degraded")
			s.fill("after")
			s.holds("after")
		})
	}
}

// TestTwoMissingDirectories: half of the directories at once do not show that
// nothing newer is on the others; one after the other they do.
func TestTwoMissingDirectories(t *testing.T) {
	s := newShop(t)
	mount4 := s.unmount("/d4")
	mount3 := s.unmount("/d3")
	if err := refused(t, s.Cluster); !strings.Contains(err.Error(), "/d3") || !strings.Contains(err.Error(), "/d4") ||
		!strings.Contains(err.Error(), "--metadata-accept-loss") || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is not one line that names the directories and the way out: %v", err)
	}
	mount3()
	s.Start()
	s.Stop()
	mount3 = s.unmount("/d3")
	s.Start()
	s.degraded("missing", "/d3", "/d4")
	s.holds("before")
	if err := s.Writable(t.Context()); err == nil {
		t.Error("2 of 4 disks at 2+2 take data")
	}
	s.Stop()
	mount3()
	s.Start()
	s.degraded("missing", "/d4")
	s.fill("degraded")
	s.Stop()
	mount4()
	s.Start()
	s.degraded("")
	s.holds("before", "degraded")
}

// TestAcceptingLoss: with the override half of the directories start, and what
// comes back later is not taken for the truth.
func TestAcceptingLoss(t *testing.T) {
	s := newShop(t)
	mount1, mount2 := s.unmount("/d1"), s.unmount("/d2")
	s.Accept(true)
	s.Start()
	s.degraded("missing", "/d1", "/d2")
	s.holds("before")
	s.Stop()
	s.Accept(false)
	mount1()
	mount2()
	s.Start()
	s.degraded("")
	s.fill("after")
	s.holds("before", "after")
}

// TestDirectoryLeftOut: a disk not among the directories given is missing too.
func TestDirectoryLeftOut(t *testing.T) {
	s := newShop(t)
	s.SetDirs("/d1", "/d2", "/d4")
	s.Start()
	s.degraded("not among", "/d3")
	s.holds("before")
	s.Stop()
	s.SetDirs("/d1", "/d2", "/d4", "/new")
	s.Start() // the empty one may be an unmounted one
	s.degraded("not among", "/d3")
	s.untouched("/new")
}

// TestFirstDirectoryMissing: the first directory holds a mirror of the metadata
// like others: the store serves without, and takes it back.
func TestFirstDirectoryMissing(t *testing.T) {
	for name, instead := range map[string]func(s *shop){
		"missing": func(*shop) {},
		"empty":   func(s *shop) { s.must(s.FS.MkdirAll("/d1", 0o750)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			mount := s.unmount("/d1")
			instead(s)
			s.Start()
			s.degraded("", "/d1")
			s.holds("before")
			s.fill("degraded")
			s.Stop()
			s.untouched("/d1")
			mount()
			s.Start()
			s.degraded("")
			s.holds("before", "degraded")
			st, err := s.Status(t.Context())
			s.must(err)
			if len(st.Metadata.Mirrors) != 3 || st.Metadata.Degraded {
				t.Errorf("metadata: %+v", st.Metadata)
			}
		})
	}
}

// TestMetadataMirrorsAreMade: a store whose metadata is in one directory, as
// before there were mirrors, gets the others while it runs.
func TestMetadataMirrorsAreMade(t *testing.T) {
	s := newShop(t)
	record := `{"format": 1, "epoch": 1, "initialised": true, "members": [{"disk": "` + s.disk("/d1") + `", "path": "/d1"}]}`
	for _, dir := range []string{"/d1", "/d2", "/d3", "/d4"} {
		s.must(vfs.WriteFile(s.FS, dir+"/membership.json", []byte(record), 0o640))
		s.must(s.FS.RemoveAll(dir + "/metadata-sums"))
		if dir != "/d1" {
			s.must(s.FS.RemoveAll(dir + "/metadata"))
		}
	}
	mount := s.unmount("/d1")
	if err := refused(t, s.Cluster); !strings.Contains(err.Error(), "/d1") {
		t.Errorf("a start without the only metadata: %v", err)
	}
	mount()
	s.Start()
	s.holds("before")
	st, err := s.Status(t.Context())
	s.must(err)
	if len(st.Metadata.Mirrors) != 3 || st.Metadata.Degraded || !st.Healthy {
		t.Errorf("metadata: %+v", st.Metadata)
	}
	s.fill("after")
	s.Stop()
	s.must(s.FS.RemoveAll("/d1"))
	s.Start()
	s.degraded("", "/d1")
	s.holds("before", "after")
}

// disk is the identity of the disk in a directory.
func (s *shop) disk(dir string) string {
	s.t.Helper()
	_, id, err := disk.Probe(s.FS, dir)
	s.must(err)
	return id.Disk.String()
}

func TestDirectoriesInAnotherOrder(t *testing.T) {
	s := newShop(t)
	s.SetDirs("/d4", "/d2", "/d1", "/d3")
	s.Start()
	s.degraded("")
	s.holds("before")
	s.fill("after")
	s.Stop()
	// The mounts trade places: a disk is known by what is in it.
	s.must(s.FS.Rename("/d1", "/x"))
	s.must(s.FS.Rename("/d3", "/d1"))
	s.must(s.FS.Rename("/x", "/d3"))
	s.Start()
	s.degraded("")
	s.holds("before", "after")
	s.fill("swapped")
	s.Restart()
	s.degraded("")
	s.holds("before", "after", "swapped")
}

// TestRefusedDirectories: a start is refused, with one line that names the
// directory, and changes nothing.
func TestRefusedDirectories(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(s *shop)
		want  string
	}{
		"a copy of a disk": {func(s *shop) {
			s.must(s.FS.MkdirAll("/copy", 0o750))
			s.copyFile("/d2/undercroft.json", "/copy/undercroft.json")
			s.SetDirs("/d1", "/d2", "/d3", "/d4", "/copy")
		}, "same disk"},
		"of another store": {func(s *shop) {
			o := testcluster.New(s.t, testcluster.Options{FS: s.FS, Dirs: []string{"/o1", "/o2"}})
			o.Stop()
			s.SetDirs("/d1", "/d2", "/d3", "/d4", "/o2")
		}, "another store"},
		"something else": {func(s *shop) {
			s.must(s.FS.MkdirAll("/home", 0o750))
			s.copyFile("/d2/undercroft.json", "/home/letters")
			s.SetDirs("/d1", "/d2", "/d3", "/d4", "/home")
		}, "/home"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			tc.spoil(s)
			before := s.Faults.Count(faultfs.Write | faultfs.Create | faultfs.Rename | faultfs.Remove)
			err := refused(t, s.Cluster)
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is not one line with %q: %v", tc.want, err)
			}
			if n := s.Faults.Count(faultfs.Write|faultfs.Create|faultfs.Rename|faultfs.Remove) - before; n != 0 {
				t.Errorf("the start that was refused made %d changes", n)
			}
			s.SetDirs("/d1", "/d2", "/d3", "/d4")
			s.Start()
			s.holds("before")
		})
	}
}

func (s *shop) copyFile(from, to string) {
	s.t.Helper()
	data, err := vfs.ReadFile(s.FS, from, 1<<20)
	s.must(err)
	s.must(vfs.WriteFile(s.FS, to, data, 0o640))
}

// TestSpoiledIdentity: a disk whose identity cannot be read, or is gone, is missing, and
// is not made anew.
func TestSpoiledIdentity(t *testing.T) {
	for name, spoil := range map[string]func(s *shop, file string, identity []byte){
		"cut short": func(s *shop, file string, identity []byte) {
			s.must(vfs.WriteFile(s.FS, file, identity[:len(identity)/2], 0o640))
		},
		"gone": func(s *shop, file string, _ []byte) { s.must(s.FS.Remove(file)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			const file = "/d3/undercroft.json"
			identity, err := vfs.ReadFile(s.FS, file, 1<<20)
			s.must(err)
			spoil(s, file, identity)
			s.Start()
			s.degraded("undercroft.json", "/d3")
			s.holds("before")
			s.fill("degraded")
			s.Stop()
			s.must(vfs.WriteFile(s.FS, file, identity, 0o640))
			s.Start()
			s.degraded("")
			s.holds("before", "degraded")
		})
	}
}

// TestAddingADirectory: an empty directory becomes a disk of a store that has
// all its others, and is used.
func TestAddingADirectory(t *testing.T) {
	s := newShop(t)
	s.SetDirs("/d1", "/d2", "/d3", "/d4", "/d5", "/d6")
	s.Start()
	s.degraded("")
	s.holds("before")
	st, err := s.Status(t.Context())
	s.must(err)
	if st.Scheme != "4+2" || len(st.Disks) != 6 {
		t.Errorf("scheme %s on %d disks, want 4+2 on 6", st.Scheme, len(st.Disks))
	}
	s.fill("wider")
	s.Stop()
	mount := s.unmount("/d5")
	s.Start()
	s.degraded("missing", "/d5")
	s.holds("before", "wider")
	s.Stop()
	mount()
	s.Start()
	s.degraded("")
	s.holds("before", "wider")
}

// TestMirrorsGrowBeforeTheScheme: interleaving 50. Where more disks may be lost
// from now on, the metadata survives as much before any data relies on it.
func TestMirrorsGrowBeforeTheScheme(t *testing.T) {
	s := &shop{testcluster.New(t, testcluster.Options{Dirs: []string{"/d1", "/d2", "/d3"}}), t}
	s.Stop()
	s.SetDirs("/d1", "/d2", "/d3", "/d4", "/d5")
	opened, err := s.Open(t.Context())
	s.must(err)
	st, err := opened.Status(t.Context())
	s.must(err)
	if st.Scheme != "2+2" || len(st.Metadata.Mirrors) != 3 {
		t.Errorf("scheme %s with the metadata in %q", st.Scheme, st.Metadata.Mirrors)
	}
	s.must(opened.Close(t.Context()))
}

// TestAddingIsCutShort: the power is lost at each change of the start that
// adds a directory; the next start adds it.
func TestAddingIsCutShort(t *testing.T) {
	s := newShop(t)
	s.SetDirs("/d1", "/d2", "/d3", "/d4", "/d5")
	var clones []*vfs.MemFS
	s.Faults.Hook(func(op faultfs.Op) {
		if op.Kind&faultfs.Changes != 0 && strings.HasPrefix(op.Name, "/d5") {
			clones = append(clones, s.clone(len(clones)))
		}
	})
	s.Start()
	s.Faults.Hook(nil)
	if len(clones) < 5 {
		t.Fatalf("%d changes in the new directory", len(clones))
	}
	for i, clone := range clones {
		next := &shop{testcluster.New(t, testcluster.Options{FS: clone, Dirs: []string{"/d1", "/d2", "/d3", "/d4", "/d5"}}), t}
		st, err := next.Status(t.Context())
		s.must(err)
		if len(st.Disks) != 5 || !st.Healthy {
			t.Errorf("after crash %d: %d disks, healthy %v, missing %+v", i, len(st.Disks), st.Healthy, st.Missing)
		}
		next.holds("before")
		next.fill("after")
		next.Stop()
	}
}

// TestFirstStartWithBadDirectories: a new store is not begun on part of what was named.
func TestFirstStartWithBadDirectories(t *testing.T) {
	fs := faultfs.New(vfs.NewMem())
	if err := fs.MkdirAll("/full", 0o750); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(fs, "/full/file", []byte("x"), 0o640); err != nil {
		t.Fatal(err)
	}
	c := testcluster.New(t, testcluster.Options{FS: fs, Dirs: []string{"/other"}})
	c.Stop()
	for _, dirs := range [][]string{{"/a", "/full"}, {"/full/file", "/a"}} {
		c.SetDirs(dirs...)
		if err := refused(t, c); !strings.Contains(err.Error(), "/full") {
			t.Errorf("start on %q: %v", dirs, err)
		}
		if names, err := fs.List("/a"); err == nil && len(names) > 0 {
			t.Errorf("start on %q left %q in /a", dirs, names)
		}
	}
}

func key(name string, i int) s3.Key { return s3.Key(fmt.Sprintf("%s/%d", name, i)) }

// clone is what a power loss leaves now.
func (s *shop) clone(n int) *vfs.MemFS {
	return s.Mem().CrashClone(pebblevfs.CrashCloneCfg{
		UnsyncedDataPercent: []int{0, 50, 100}[n%3], RNG: rand.New(rand.NewPCG(uint64(n), 1)),
	})
}
