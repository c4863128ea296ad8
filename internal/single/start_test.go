package single_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/objects"
)

// stopped is a store of three disks that holds one object, closed.
func stopped(t *testing.T) *testcluster.Cluster {
	t.Helper()
	c := testcluster.New(t, testcluster.Options{Disks: 3})
	put(t, c)
	c.Stop()
	return c
}

func put(t *testing.T, c *testcluster.Cluster) {
	t.Helper()
	if _, err := c.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "bucket", Owner: "me"}); err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("x"), 100_000)
	_, err := c.Objects.PutObject(t.Context(), objects.PutObjectInput{
		Bucket: "bucket", Key: "key", Body: objects.Body{Reader: bytes.NewReader(data), Size: int64(len(data))},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hasObject fails the test unless the object of put is there.
func hasObject(t *testing.T, c *testcluster.Cluster) {
	t.Helper()
	if _, err := c.Objects.HeadObject(t.Context(), objects.GetObjectInput{Bucket: "bucket", Key: "key"}); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, c *testcluster.Cluster) error {
	t.Helper()
	s, err := c.Open(t.Context())
	if err == nil {
		if e := s.Close(t.Context()); e != nil {
			t.Error(e)
		}
		t.Fatal("the store started")
	}
	return err
}

// Of a disk that changes no names any more nothing is asked where its metadata is on the disks
// anyway: the store starts, and its repair has time.
func TestADiskThatChangesNoNamesStarts(t *testing.T) {
	c := stopped(t)
	path := "/d3/.undercroft/metadata-home"
	mend := c.Faults.Add(faultfs.Rule{Kinds: faultfs.Remove | faultfs.Create, Path: path, Err: syscall.EROFS})
	c.Start()
	hasObject(t, c)
	c.Stop()
	mend()
	c.Faults.Add(faultfs.Rule{Kinds: faultfs.Names, Path: path, Err: syscall.EIO})
	c.Start()
	hasObject(t, c)
}

// A disk that another process uses is not one that is away: to serve without
// it would write to its partitions behind that process's back.
func TestLockedDirectoryRefusesTheStart(t *testing.T) {
	c := stopped(t)
	lock, err := vfs.LockDir(c.FS, "/d3", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := refused(t, c); !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), "/d3") {
		t.Errorf("the start with a locked directory: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	c.Start()
	hasObject(t, c)
	if len(c.Missing()) != 0 {
		t.Errorf("missing: %+v", c.Missing())
	}
}

// lockedFS is a file system on which another process holds every lock.
type lockedFS struct{ vfs.FS }

func (lockedFS) Lock(string) (io.Closer, error) { return nil, syscall.EAGAIN }

func TestLockedMetadataRefusesTheStart(t *testing.T) {
	c := stopped(t)
	free := c.FS
	c.FS = lockedFS{free}
	err := refused(t, c)
	if !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), "/d1 is used by another process") {
		t.Errorf("the start beside another server: %v", err)
	}
	c.FS = free
	c.Start()
	hasObject(t, c)
}

// A metadata directory that is there but holds no engine, or is not there, is
// never filled with a new state.
func TestLostMetadataIsNotCreatedAgain(t *testing.T) {
	for name, keep := range map[string]func(file string) bool{
		"gone":          nil,
		"empty":         func(string) bool { return false },
		"only its logs": func(file string) bool { return strings.HasSuffix(file, ".log") },
		"no marker":     func(file string) bool { return !strings.HasPrefix(file, "marker.manifest") },
	} {
		t.Run(name, func(t *testing.T) {
			c := stopped(t)
			// Three disks lose one: there are two mirrors.
			for _, dir := range []string{"/d1/metadata", "/d2/metadata"} {
				files, err := c.FS.List(dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, file := range files {
					if keep == nil || !keep(file) {
						if err := c.FS.Remove(dir + "/" + file); err != nil {
							t.Fatal(err)
						}
					}
				}
				if keep == nil {
					if err := c.FS.Remove(dir); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := refused(t, c); !strings.Contains(err.Error(), "/d1") || !strings.Contains(err.Error(), "/d2") {
				t.Errorf("the error names no directory: %v", err)
			}
			for _, dir := range []string{"/d1/metadata", "/d2/metadata", "/d3/metadata"} {
				after, _ := c.FS.List(dir)
				for _, file := range after {
					if strings.HasPrefix(file, "MANIFEST") && (keep == nil || !keep(file)) {
						t.Errorf("a new state was begun: %s", file)
					}
				}
			}
		})
	}
}

// Power fails at any change of the first start: the next start ends it, with
// every disk in service.
func TestFirstStartIsTakenUpAgain(t *testing.T) {
	mem := faultfs.NewMem(vfs.NewCrashableMem())
	fs := faultfs.New(mem)
	dirs := []string{"/d1", "/d2", "/d3"}
	var mu sync.Mutex
	var clones []*vfs.MemFS
	rng := rand.New(rand.NewPCG(1, 2))
	fs.Hook(func(op faultfs.Op) {
		if op.Kind&faultfs.Changes == 0 {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		percent := []int{0, 50, 100}[len(clones)%3]
		clones = append(clones, mem.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
	})
	c := testcluster.New(t, testcluster.Options{FS: fs, Dirs: dirs})
	put(t, c)
	fs.Hook(nil)
	mu.Lock() // what runs in the background may be in the hook still
	taken := slices.Clone(clones)
	mu.Unlock()
	if len(taken) < 30 {
		t.Fatalf("only %d changes", len(taken))
	}
	for i, clone := range taken {
		next := testcluster.New(t, testcluster.Options{FS: clone, Dirs: dirs})
		if missing := next.Missing(); len(missing) > 0 || !ready(t, next) {
			t.Fatalf("after crash %d: missing %+v", i, missing)
		}
		next.Stop()
	}
}

// ready reports whether the store takes an object and keeps it over a restart.
func ready(t *testing.T, c *testcluster.Cluster) bool {
	t.Helper()
	_, err := c.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "another", Owner: "me"})
	if err != nil {
		t.Error(err)
		return false
	}
	c.Restart()
	_, err = c.Objects.BucketState(t.Context(), "another")
	return err == nil
}
