package testcluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

const errIO = syscall.EIO

// filled is a cluster of four disks, 2+2, after a script.
func filled(t *testing.T, o testcluster.Options) (*testcluster.Cluster, *script) {
	t.Helper()
	o.Disks = 4
	c := testcluster.New(t, o)
	makeBucket(t, c)
	s := newScript(1)
	if err := s.run(t.Context(), c.Objects); err != nil {
		t.Fatal(err)
	}
	return c, s
}

func makeBucket(t *testing.T, c *testcluster.Cluster) {
	t.Helper()
	if _, err := c.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: bucket}); err != nil {
		t.Fatal(err)
	}
}

// mustHold fails the test unless the store holds all that a finished script wrote.
func mustHold(t *testing.T, c *testcluster.Cluster, s *script) {
	t.Helper()
	got, err := s.found(t.Context(), c.Objects)
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(len(s.ops)); !s.explains(got, span{n, n}) {
		t.Fatalf("%s: the store holds %v, want %v", s.prefix, got, s.states[n])
	}
}

// neverWrong reads every object of a finished script: the right bytes or an
// error. It returns how many failed.
func neverWrong(t *testing.T, c *testcluster.Cluster, s *script) (failed int) {
	t.Helper()
	for key, tag := range s.states[len(s.ops)] {
		if !strings.HasPrefix(key, s.prefix) || strings.Contains(tag, "-") {
			continue
		}
		out, err := c.Objects.GetObject(t.Context(), objects.GetObjectInput{Bucket: bucket, Key: s3.Key(key)})
		if err != nil {
			t.Fatal(err) // the metadata are well
		}
		var data bytes.Buffer
		_, err = out.Body.WriteTo(&data)
		if e := out.Body.Close(); e != nil {
			t.Error(e)
		}
		switch {
		case err != nil:
			failed++
		case tagOf(data.Bytes()) != tag:
			t.Errorf("%s: wrong bytes without an error", key)
		}
	}
	return failed
}

func TestReadsGoAroundBadDisks(t *testing.T) {
	c, s := filled(t, testcluster.Options{})
	fail := func(dir string) (heal func()) {
		return c.Faults.Add(faultfs.Rule{Kinds: faultfs.Read, Path: dir + "/shards", Err: errIO})
	}
	dirs := c.Dirs()
	for i := range dirs {
		for j := range i {
			one, two := fail(dirs[i]), fail(dirs[j])
			mustHold(t, c, s)
			one()
			two()
		}
	}
	if n := c.Store.Status().Counters.Reconstructed; n == 0 {
		t.Error("nothing was reconstructed")
	}
	failed := 0
	for _, well := range dirs {
		var heal []func()
		for _, dir := range dirs {
			if dir != well {
				heal = append(heal, fail(dir))
			}
		}
		failed += neverWrong(t, c, s)
		for _, h := range heal {
			h()
		}
	}
	if failed == 0 {
		t.Error("everything reads back without three of four disks")
	}
	mustHold(t, c, s)
}

// shardFiles are the files of shards on a disk.
func shardFiles(t *testing.T, fs vfs.FS, dir string) (files []string) {
	t.Helper()
	names, err := fs.List(fs.PathJoin(dir, "shards"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fs.PathJoin(dir, "shards", name)
		if info, err := fs.Stat(path); err == nil && info.IsDir() {
			sub, err := fs.List(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range sub {
				files = append(files, fs.PathJoin(path, n))
			}
			continue
		}
		files = append(files, path)
	}
	if len(files) == 0 {
		t.Fatalf("no shards in %s", dir)
	}
	return files
}

// rot flips a bit in every few bytes of all shards of a disk.
func rot(t *testing.T, fs vfs.FS, dir string, rng *rand.Rand) {
	t.Helper()
	for _, name := range shardFiles(t, fs, dir) {
		f, err := fs.OpenReadWrite(name, vfs.Unspecified)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, info.Size())
		if _, err := f.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		for at := rng.IntN(500); at < len(data); at += 1 + rng.IntN(2000) {
			data[at] ^= 1 << rng.IntN(8)
		}
		if _, err := f.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRotAtRest(t *testing.T) {
	c, s := filled(t, testcluster.Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	rot(t, c.FS, "/d2", rng)
	mustHold(t, c, s)
	rot(t, c.FS, "/d4", rng)
	mustHold(t, c, s)
	c.Restart()
	mustHold(t, c, s)
	rot(t, c.FS, "/d3", rng)
	if neverWrong(t, c, s) == 0 {
		t.Error("everything reads back from one good disk of four")
	}
	if n := c.Store.Status().Counters.Corrupt; n == 0 {
		t.Error("no corrupt frame was seen")
	}
}

// TestWritesGoAroundBadDisks: while one disk fails, everything acknowledged is
// right, there and after the disk is back.
func TestWritesGoAroundBadDisks(t *testing.T) {
	for name, rule := range map[string]faultfs.Rule{
		"writes":         {Kinds: faultfs.Write, Err: errIO},
		"torn writes":    {Kinds: faultfs.Write, Err: errIO, Torn: true},
		"syncs":          {Kinds: faultfs.Sync, Err: errIO},
		"creates":        {Kinds: faultfs.Create | faultfs.Open | faultfs.Rename, Err: errIO},
		"everything":     {Kinds: faultfs.All, Err: errIO},
		"full":           {Kinds: faultfs.Write | faultfs.Extend | faultfs.Create, Err: syscall.ENOSPC},
		"full to extend": {Kinds: faultfs.Extend, Err: syscall.ENOSPC},
		"one write":      {Kinds: faultfs.Write, Err: errIO, Skip: 3, Times: 1},
		"one sync":       {Kinds: faultfs.Sync, Err: errIO, Skip: 3, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, first := filled(t, testcluster.Options{})
			rule.Path = "/d3/"
			heal := c.Faults.Add(rule)
			second := newScript(2)
			if err := second.run(t.Context(), c.Objects); err != nil {
				t.Fatal(err)
			}
			mustHold(t, c, first)
			mustHold(t, c, second)
			heal()
			mustHold(t, c, second)
			c.Restart()
			mustHold(t, c, first)
			mustHold(t, c, second)
			third := newScript(3)
			if err := third.run(t.Context(), c.Objects); err != nil {
				t.Fatal(err)
			}
			mustHold(t, c, third)
		})
	}
}

// TestTooManyBadDisks: with fewer than m+1 disks for writing a write is refused; what is there
// reads back.
func TestTooManyBadDisks(t *testing.T) {
	c, s := filled(t, testcluster.Options{})
	for _, dir := range []string{"/d2/", "/d3/"} {
		c.Faults.Add(faultfs.Rule{Kinds: faultfs.Write | faultfs.Sync, Path: dir, Err: errIO})
	}
	_, err := c.Objects.PutObject(t.Context(), objects.PutObjectInput{Bucket: bucket, Key: "k", Body: bodyOf(content(9, 20_000))})
	if s3.CodeOf(err) != s3.ServiceUnavailable {
		t.Errorf("a write with two of four disks at 2+2: %v", err)
	}
	if _, err := c.Objects.HeadObject(t.Context(), objects.GetObjectInput{Bucket: bucket, Key: "k"}); s3.CodeOf(err) != s3.NoSuchKey {
		t.Errorf("the refused object: %v", err)
	}
	if err := c.Writable(t.Context()); err == nil {
		t.Error("the store says that it takes data")
	}
	mustHold(t, c, s)
	st, err := c.Status(t.Context())
	if err != nil || st.Healthy {
		t.Errorf("status %+v, %v", st, err)
	}
}

func TestFullDisks(t *testing.T) {
	c, s := filled(t, testcluster.Options{Edit: func(o *single.Options) { o.Disk.Reserve = 0 }})
	const total = 1 << 30
	c.Mem().SetUsage(vfs.DiskUsage{TotalBytes: total, AvailBytes: total / 100, UsedBytes: total / 100 * 99})
	var refused error
	written := 0
	for i := range 400 {
		key := s3.Key(fmt.Sprintf("fill/%d", i))
		_, refused = c.Objects.PutObject(t.Context(), objects.PutObjectInput{Bucket: bucket, Key: key, Body: bodyOf(content(uint64(i), 300<<10))})
		if refused != nil {
			break
		}
		written++
	}
	if s3.CodeOf(refused) != s3.StorageFull {
		t.Fatalf("after %d objects on full disks: %v", written, refused)
	}
	if e := s3.AsError(refused); !strings.Contains(e.Message, "no room") {
		t.Errorf("the client is told %q", e.Message)
	}
	mustHold(t, c, s)
	for i := range written {
		key := s3.Key(fmt.Sprintf("fill/%d", i))
		if _, err := c.Objects.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: bucket, Key: key}); err != nil {
			t.Fatalf("deletion on full disks: %v", err)
		}
	}
	c.MustCheck()
	c.Mem().SetUsage(vfs.DiskUsage{TotalBytes: total, AvailBytes: total / 2, UsedBytes: total / 2})
	c.AdvanceEngine(time.Minute) // full disks are asked again soon
	after := newScript(2)
	if err := after.run(t.Context(), c.Objects); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	mustHold(t, c, after)
}

func TestFullMetadataDisk(t *testing.T) {
	c, s := filled(t, testcluster.Options{Edit: func(o *single.Options) { o.Engine.ReserveBytes = 64 << 20 }})
	c.Mem().SetUsage(vfs.DiskUsage{TotalBytes: 1 << 40, AvailBytes: 32 << 20})
	put := func(key s3.Key, data []byte) error {
		_, err := c.Objects.PutObject(t.Context(), objects.PutObjectInput{Bucket: bucket, Key: key, Body: bodyOf(data)})
		return err
	}
	c.AdvanceEngine(time.Minute)
	// The free space is looked at after a sync, beside the acknowledgement: how
	// many writes pass before it is known is not fixed.
	var refused error
	for refused == nil {
		refused = put("k", content(1, 10))
	}
	if s3.CodeOf(refused) != s3.StorageFull {
		t.Fatalf("a write on a full metadata disk: %v", refused)
	}
	mustHold(t, c, s)
	for _, key := range []s3.Key{"k", "client-1/large"} {
		if _, err := c.Objects.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: bucket, Key: key}); err != nil {
			t.Fatalf("deletion on a full metadata disk: %v", err)
		}
	}
	c.MustCheck()
	c.Mem().SetUsage(vfs.DiskUsage{TotalBytes: 1 << 40, AvailBytes: 1 << 39})
	c.AdvanceEngine(time.Minute)
	if err := put("k", content(1, 10)); err != nil {
		t.Fatalf("with room again: %v", err)
	}
}

// TestFailingMetadataDisk: when the metadata cannot be written nothing is
// acknowledged any more, and what was is there after a new start.
func TestFailingMetadataDisk(t *testing.T) {
	for name, rule := range map[string]faultfs.Rule{
		"syncs":  {Kinds: faultfs.Sync, Err: errIO},
		"writes": {Kinds: faultfs.Write, Err: errIO},
		"full":   {Kinds: faultfs.Write | faultfs.Create | faultfs.Extend, Err: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := filled(t, testcluster.Options{Unchecked: true})
			rule.Path = "/metadata/"
			c.Faults.Add(rule)
			second := newScript(2)
			if err := second.run(t.Context(), c.Objects); s3.CodeOf(err) != s3.ServiceUnavailable && s3.CodeOf(err) != s3.StorageFull {
				t.Fatalf("a write without metadata: %v", err)
			}
			next := c.Crash(0, 1)
			mustHold(t, next, s)
			n := second.acked.Load()
			got, err := second.found(t.Context(), next.Objects)
			if err != nil || !second.explains(got, span{n, n + 1}) {
				t.Errorf("after %d acknowledged operations: %v, %v", n, got, err)
			}
		})
	}
}

// TestFailingMetadataDirectories: the metadata survives as many directories as
// the data, the first included, and the store writes on.
func TestFailingMetadataDirectories(t *testing.T) {
	for name, rule := range map[string]faultfs.Rule{
		"syncs":  {Kinds: faultfs.Sync, Err: errIO},
		"writes": {Kinds: faultfs.Write, Err: errIO, Torn: true},
		"full":   {Kinds: faultfs.Write | faultfs.Create | faultfs.Extend, Err: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := filled(t, testcluster.Options{Unchecked: true})
			for _, dir := range []string{"/d1", "/d3"} {
				rule.Path = dir + "/metadata/"
				c.Faults.Add(rule)
			}
			second := newScript(2)
			if err := second.run(t.Context(), c.Objects); err != nil {
				t.Fatal(err)
			}
			mustHold(t, c, s)
			mustHold(t, c, second)
			if st, err := c.Status(t.Context()); err != nil || st.Healthy || len(st.Metadata.Problems) == 0 {
				t.Errorf("the status says nothing of it: %+v, %v", st.Metadata, err)
			}
			next := c.Crash(0, 1)
			mustHold(t, next, s)
			mustHold(t, next, second)
		})
	}
}

// TestDirectoryRemovedWhileRunning does on a real file system what somebody
// may do by hand.
func TestDirectoryRemovedWhileRunning(t *testing.T) {
	root := t.TempDir()
	var dirs []string
	for i := range 4 {
		dirs = append(dirs, filepath.Join(root, fmt.Sprintf("d%d", i+1)))
	}
	c, s := filled(t, testcluster.Options{FS: vfs.Default(), Dirs: dirs})
	if err := os.RemoveAll(dirs[2]); err != nil {
		t.Fatal(err)
	}
	second := newScript(2)
	if err := second.run(t.Context(), c.Objects); err != nil {
		t.Fatal(err)
	}
	mustHold(t, c, s)
	mustHold(t, c, second)
	if m := c.Missing(); len(m) != 1 || m[0].Path != dirs[2] {
		t.Errorf("missing disks %+v, want %s", m, dirs[2])
	}
	if _, err := os.Stat(dirs[2]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is made again: %v", err)
	}
	c.Restart()
	if m := c.Missing(); len(m) != 1 || m[0].Path != dirs[2] {
		t.Errorf("missing disks after a restart %+v, want %s", m, dirs[2])
	}
	mustHold(t, c, s)
	mustHold(t, c, second)
	if entries, err := os.ReadDir(dirs[2]); err == nil && len(entries) > 0 {
		t.Errorf("something was made in the directory removed: %v", entries)
	}
}

// TestCancelledRequests cancels requests at every change that they cause.
func TestCancelledRequests(t *testing.T) {
	c := testcluster.New(t, testcluster.Options{Disks: 4})
	makeBucket(t, c)
	data := [][]byte{content(1, 100), content(2, 20_000), content(3, 300<<10)}
	for at := range int64(12) {
		for i, d := range data {
			ctx, cancel := context.WithCancel(t.Context())
			from := c.Faults.Count(faultfs.Changes)
			c.Faults.Hook(func(faultfs.Op) {
				if c.Faults.Count(faultfs.Changes) >= from+at {
					cancel()
				}
			})
			key := s3.Key(fmt.Sprint(i))
			_, err := c.Objects.PutObject(ctx, objects.PutObjectInput{Bucket: bucket, Key: key, Body: bodyOf(d)})
			c.Faults.Hook(nil)
			cancel()
			out, headErr := c.Objects.HeadObject(t.Context(), objects.GetObjectInput{Bucket: bucket, Key: key})
			switch {
			case err == nil && (headErr != nil || string(out.Object.ETag) != tagOf(d)):
				t.Errorf("acknowledged and not there: %v", headErr)
			case err != nil && !errors.Is(err, context.Canceled) && s3.CodeOf(err) != s3.ServiceUnavailable:
				t.Errorf("cancelled at change %d: %v", at, err)
			}
			if _, err := c.Objects.DeleteObject(t.Context(), objects.DeleteObjectInput{Bucket: bucket, Key: key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := newScript(1)
	if err := s.run(t.Context(), c.Objects); err != nil {
		t.Fatal(err)
	}
	mustHold(t, c, s)
}
