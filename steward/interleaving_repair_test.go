package steward_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

// sealedEnv is a store with sealed partitions, at rest.
func sealedEnv(t *testing.T, o testcluster.Options, count int) (*env, shelf) {
	t.Helper()
	e := newEnv(t, o)
	s := e.fillShelf(count)
	e.RunSteward()
	if e.states()[metadata.PartitionSealed] == 0 {
		t.Fatal("no partition is sealed")
	}
	return e, s
}

// onRealDirectories is scheme on a file system that knows holes.
func onRealDirectories(t *testing.T, disks int, sc partition.Scheme) testcluster.Options {
	t.Helper()
	o := scheme(disks, sc)
	o.FS = vfs.Default()
	root := t.TempDir()
	for i := range disks {
		o.Dirs = append(o.Dirs, filepath.Join(root, fmt.Sprint("d", i+1)))
	}
	return o
}

// TestInterleaving12PunchWhileADiskIsAway: what died while a disk was away, and while its
// shards were rebuilt, is freed on it and on the new shards.
func TestInterleaving12PunchWhileADiskIsAway(t *testing.T) {
	for name, after := range map[string]time.Duration{"comes back": 0, "is rebuilt": time.Hour} {
		t.Run(name, func(t *testing.T) {
			e, s := sealedEnv(t, onRealDirectories(t, 4, partition.Scheme{K: 2, M: 1}), 12)
			dir := e.busiest()
			e.Stop()
			mount := e.unmount(dir)
			e.Start()
			e.RunSteward()
			for key := range s {
				if strings.HasSuffix(key, "-3") && !strings.HasPrefix(key, "1") {
					e.remove(key)
					delete(s, key)
				}
			}
			before := e.RunSteward()
			if before.Punched == 0 {
				t.Error("nothing was punched on the others")
			}
			if after > 0 {
				e.Advance(after)
				if c := e.RunSteward(); c.Repaired == 0 {
					t.Errorf("nothing was rebuilt: %+v", c)
				}
			}
			e.Stop()
			mount()
			e.Start()
			c := e.RunSteward()
			if after == 0 && c.Punched == 0 || after > 0 && c.Superseded == 0 {
				t.Errorf("the disk that was away keeps what died: %+v", c)
			}
			e.holdsShelf(s)
			e.mustBeWhole()
		})
	}
}

// TestInterleaving13ReadersFollowRepair: a download that began before a repair, and a
// second loss after it, gets every byte.
func TestInterleaving13ReadersFollowRepair(t *testing.T) {
	e, s := sealedEnv(t, scheme(6, partition.Scheme{K: 2, M: 2}), 12)
	key := "1-3"
	for _, dir := range []string{"/d2", "/d3", "/d4", "/d5"} {
		for _, name := range shardFiles(e, dir) {
			e.must(e.FS.Remove(name))
		}
		// The next round has the shards of this disk on it again, made of the others.
		e.Restart()
		e.RunSteward()
		e.holds(key, s[key])
		if x := e.redundancy(); x.Beyond > 0 {
			t.Fatalf("%+v", x)
		}
	}
	e.holdsShelf(s)
}

// TestInterleaving19SwappedFiles exchanges the files of two shards, of one disk and of two.
func TestInterleaving19SwappedFiles(t *testing.T) {
	for name, dirs := range map[string][2]string{"of one disk": {"/d2", "/d2"}, "of two disks": {"/d2", "/d3"}} {
		t.Run(name, func(t *testing.T) {
			e, s := sealedEnv(t, scheme(4, partition.Scheme{K: 2, M: 2}), 20)
			a, b := "", ""
			for _, row := range e.rows() {
				if row.State != metadata.PartitionSealed {
					continue
				}
				of := func(dir string) string {
					for _, f := range shardFiles(e, dir) {
						if strings.HasPrefix(e.FS.PathBase(f), fmt.Sprintf("%016x", uint64(row.ID))) {
							return f
						}
					}
					return ""
				}
				if a == "" {
					a = of(dirs[0])
				} else if b == "" {
					b = of(dirs[1])
				}
			}
			if a == "" || b == "" {
				t.Fatalf("too few sealed partitions: %v", e.states())
			}
			e.Stop()
			e.must(e.FS.Rename(a, a+".swap"))
			e.must(e.FS.Rename(b, a))
			e.must(e.FS.Rename(a+".swap", b))
			e.Start()
			e.holdsShelf(s)
			if c := e.RunSteward(); c.Damaged != 2 || c.Repaired != 2 || c.RepairFailures != 0 {
				t.Errorf("%+v", c)
			}
			e.holdsShelf(s)
			e.mustBeWhole()
		})
	}
}

// TestRepairOnRealDirectories loses a directory of the operating system's file system.
func TestRepairOnRealDirectories(t *testing.T) {
	o := onRealDirectories(t, 4, partition.Scheme{K: 2, M: 1})
	e, s := sealedEnv(t, o, 14)
	gone := e.busiest()
	e.Stop()
	e.must(e.FS.RemoveAll(gone))
	e.Start()
	e.RunSteward()
	e.Advance(time.Hour)
	if c := e.RunSteward(); c.Repaired == 0 || c.RepairFailures != 0 {
		t.Errorf("%+v", c)
	}
	e.holdsShelf(s)
	e.mustBeWhole()
	e.Stop()
	for _, dir := range o.Dirs[1:] {
		if dir != gone {
			e.unmount(dir)
			break
		}
	}
	e.Start()
	e.holdsShelf(s)
}

// rot flips bits of what is written in a sealed shard's file, behind the superblocks.
func (e *env) rot(name string, rng *rand.Rand) {
	e.t.Helper()
	f, err := e.FS.OpenReadWrite(name, vfs.Unspecified)
	e.must(err)
	info, err := f.Stat()
	e.must(err)
	data := make([]byte, info.Size())
	if _, err := f.ReadAt(data, 0); err != nil && err != io.EOF { //nolint:errorlint // of the file system in memory
		e.t.Fatal(err)
	}
	for at := 8192 + rng.IntN(500); at < len(data); at += 1 + rng.IntN(20_000) {
		data[at] ^= 1 << rng.IntN(8)
	}
	_, err = f.WriteAt(data, 0)
	e.must(err)
	e.must(f.Close())
}
