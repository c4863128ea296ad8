package steward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

const (
	bucket s3.BucketName = "bucket"
	owner  s3.OwnerID    = "owner"
	mib                  = 1 << 20
)

// env is a whole store with a bucket.
type env struct {
	*testcluster.Cluster
	t *testing.T
}

func newEnv(t *testing.T, o testcluster.Options) *env {
	t.Helper()
	e := &env{testcluster.New(t, o), t}
	_, err := e.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: bucket, Owner: owner})
	e.must(err)
	return e
}

func quick(disks int) testcluster.Options {
	return testcluster.Options{FS: vfs.NewMem(), Disks: disks}
}

func (e *env) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// content is n bytes that no other seed has.
func content(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	out := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(out)
	return out
}

func body(data []byte) objects.Body {
	return objects.Body{Reader: bytes.NewReader(data), Size: int64(len(data))}
}

func (e *env) tryPut(key string, data []byte) error {
	_, err := e.Objects.PutObject(e.t.Context(), objects.PutObjectInput{Bucket: bucket, Key: s3.Key(key), Owner: owner, Body: body(data)})
	return err
}

func (e *env) put(key string, data []byte) {
	e.t.Helper()
	e.must(e.tryPut(key, data))
}

func (e *env) tryGet(key string) ([]byte, error) {
	out, err := e.Objects.GetObject(e.t.Context(), objects.GetObjectInput{Bucket: bucket, Key: s3.Key(key)})
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	_, err = out.Body.WriteTo(&buf)
	return buf.Bytes(), errors.Join(err, out.Body.Close())
}

func (e *env) holds(key string, data []byte) {
	e.t.Helper()
	got, err := e.tryGet(key)
	if err != nil || !bytes.Equal(got, data) {
		e.t.Fatalf("%s reads back as %d bytes (%v), want the %d written", key, len(got), err, len(data))
	}
}

func (e *env) remove(key string) {
	e.t.Helper()
	_, err := e.Objects.DeleteObject(e.t.Context(), objects.DeleteObjectInput{Bucket: bucket, Key: s3.Key(key)})
	e.must(err)
}

func (e *env) copy(from, to string) error {
	_, err := e.Objects.CopyObject(e.t.Context(), objects.CopyObjectInput{
		Source: objects.CopySource{Bucket: bucket, Key: s3.Key(from)}, Bucket: bucket, Key: s3.Key(to), Owner: owner,
	})
	return err
}

func (e *env) upload(key string) objects.Upload {
	e.t.Helper()
	u, err := e.Objects.CreateMultipartUpload(e.t.Context(), objects.CreateUploadInput{Bucket: bucket, Key: s3.Key(key), Owner: owner})
	e.must(err)
	return u
}

func (e *env) part(u objects.Upload, n int, data []byte) objects.CompletedPart {
	e.t.Helper()
	p, err := e.tryPart(u, n, data)
	e.must(err)
	return p
}

func (e *env) tryPart(u objects.Upload, n int, data []byte) (objects.CompletedPart, error) {
	p, err := e.Objects.UploadPart(e.t.Context(), objects.UploadPartInput{Bucket: bucket, Key: u.Key, Upload: u.ID, Number: n, Body: body(data)})
	return objects.CompletedPart{Number: n, ETag: p.ETag}, err
}

func (e *env) complete(u objects.Upload, parts ...objects.CompletedPart) {
	e.t.Helper()
	_, err := e.Objects.CompleteMultipartUpload(e.t.Context(), objects.CompleteUploadInput{
		Bucket: bucket, Key: u.Key, Upload: u.ID, Parts: parts, Size: -1,
	})
	e.must(err)
}

func (e *env) rows() (rows []metadata.Partition) {
	e.t.Helper()
	e.must(e.DB.View(context.WithoutCancel(e.t.Context()), "test", func(r *metadata.Reader) (err error) {
		rows, err = r.Partitions(0, 0)
		return err
	}))
	return rows
}

// states counts the partitions by state.
func (e *env) states() map[metadata.PartitionState]int {
	out := map[metadata.PartitionState]int{}
	for _, row := range e.rows() {
		out[row.State]++
	}
	return out
}

// mustBeEmpty fails the test unless nothing of any object is left.
func (e *env) mustBeEmpty() {
	e.t.Helper()
	if left := e.left(); left != "" {
		e.t.Error(left)
	}
}

// left says what is there of objects that are not.
func (e *env) left() string {
	e.t.Helper()
	s := e.Summary()
	got := []int64{s.Objects, s.Uploads, s.Parts, s.DataIDs, s.Manifests, s.Extents, s.Refs, s.Pins, s.Garbage, s.Intents, s.LiveBytes, s.Problems}
	if !slices.Equal(got, make([]int64, len(got))) {
		return fmt.Sprintf("something is left over: %+v", s)
	}
	if st := e.states(); st[metadata.PartitionSealed]+st[metadata.PartitionDropped]+st[metadata.PartitionClosing] != 0 {
		return fmt.Sprintf("partitions are left over: %v", st)
	}
	return ""
}

// rest lets time pass and the jobs run until nothing is wrong, or for a few rounds: what
// races have made rest is looked at again, and what that leaves after it.
func (e *env) rest(wrong func() string) {
	e.t.Helper()
	for n := 0; n == 0 || n < 5 && wrong() != ""; n++ {
		e.Advance(15 * time.Minute)
		e.RunSteward()
	}
	if why := wrong(); why != "" {
		e.t.Error(why)
	}
}

// TestEverythingDeletedLeavesNothing writes data of every shape, deletes it and
// wants every row and file of it gone.
func TestEverythingDeletedLeavesNothing(t *testing.T) {
	e := newEnv(t, quick(4))
	big := content(1, 5*mib)
	for i := range 8 {
		e.put(fmt.Sprint("big", i), big)
		e.put(fmt.Sprint("small", i), content(uint64(i), 30_000))
		e.put(fmt.Sprint("inline", i), content(uint64(i), 100))
	}
	e.must(e.copy("big0", "copy"))
	u := e.upload("multi")
	p1, p2 := e.part(u, 1, content(3, 5*mib)), e.part(u, 2, content(4, 70_000))
	e.part(u, 3, content(5, 5*mib)) // not used
	e.complete(u, p1, p2)
	u2 := e.upload("parts")
	q, err := e.Objects.UploadPartCopy(t.Context(), objects.UploadPartCopyInput{
		Source: objects.CopySource{Bucket: bucket, Key: "multi"}, Bucket: bucket, Key: "parts", Upload: u2.ID, Number: 1,
	})
	e.must(err)
	e.complete(u2, objects.CompletedPart{Number: 1, ETag: q.Part.ETag})
	e.must(e.copy("parts", "parts-copy"))
	open := e.upload("aborted")
	e.part(open, 1, content(6, 300_000))
	before := e.states()

	for i := range 8 {
		e.remove(fmt.Sprint("big", i))
		e.remove(fmt.Sprint("small", i))
		e.remove(fmt.Sprint("inline", i))
	}
	e.remove("multi")
	e.remove("parts")
	e.RunSteward()
	e.MustCheck()
	e.holds("copy", big)
	e.holds("parts-copy", append(content(3, 5*mib), content(4, 70_000)...))

	e.remove("copy")
	e.remove("parts-copy")
	e.must(e.Objects.AbortMultipartUpload(t.Context(), objects.AbortUploadInput{Bucket: bucket, Key: "aborted", Upload: open.ID}))
	c := e.RunSteward()
	e.mustBeEmpty()
	if before[metadata.PartitionClosing] == 0 || c.Dropped < int64(before[metadata.PartitionClosing]) {
		t.Errorf("%d partitions were dropped, of %v", c.Dropped, before)
	}
	if n, err := e.Steward.Drain(t.Context()); n != 0 || err != nil {
		t.Errorf("a second run did %d things: %v", n, err)
	}
}

// TestFilesOfDroppedPartitionsAreGone looks at the directories.
func TestFilesOfDroppedPartitionsAreGone(t *testing.T) {
	e := newEnv(t, quick(2))
	files := func() (n int) {
		for _, dir := range e.Dirs() {
			groups, err := e.FS.List(e.FS.PathJoin(dir, "shards"))
			e.must(err)
			for _, g := range groups {
				names, err := e.FS.List(e.FS.PathJoin(dir, "shards", g))
				e.must(err)
				n += len(names)
			}
		}
		return n
	}
	for i := range 5 {
		e.put(fmt.Sprint(i), content(uint64(i), 6*mib))
	}
	full := files()
	for i := range 5 {
		e.remove(fmt.Sprint(i))
	}
	e.RunSteward()
	open := len(e.rows())
	if left := files(); left != 2*open || full <= left {
		t.Errorf("%d files are left of %d, with %d open partitions of 2 shards", left, full, open)
	}
}

// TestDeadStripesArePunched deletes every second object of sealed partitions: their
// space comes back and the others stay.
func TestDeadStripesArePunched(t *testing.T) {
	o := testcluster.Options{Dirs: []string{t.TempDir(), t.TempDir(), t.TempDir()}, FS: vfs.Default()}
	e := newEnv(t, o)
	const count = 30
	for i := range count {
		e.put(fmt.Sprint(i), content(uint64(i), mib+i*1000))
		e.put(fmt.Sprint("small", i), content(uint64(1000+i), 9000))
	}
	e.RunSteward()
	before := e.Steward.Counters()
	for i := 0; i < count; i += 2 {
		e.remove(fmt.Sprint(i))
	}
	after := e.RunSteward()
	if got := after.Punched - before.Punched; got < 4*mib {
		t.Errorf("%d bytes were punched, want those of most of 15 objects of 1 MiB; %+v, %v", got, after, e.states())
	}
	for i := 1; i < count; i += 2 {
		e.holds(fmt.Sprint(i), content(uint64(i), mib+i*1000))
	}
	for i := range count {
		e.holds(fmt.Sprint("small", i), content(uint64(1000+i), 9000))
	}
}

// TestReadersOfFreedDataGetNoWrongBytes frees an object while it is read.
func TestReadersOfFreedDataGetNoWrongBytes(t *testing.T) {
	for name, keep := range map[string]bool{"punched": true, "dropped": false} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, quick(2))
			data := content(7, 12*mib)
			e.put("read", data)
			e.put("stays", content(8, 300_000))
			for i := range 3 { // fills and retires the partitions of the first
				e.put(fmt.Sprint(i), content(uint64(i), 5*mib))
			}
			e.RunSteward()
			out, err := e.Objects.GetObject(t.Context(), objects.GetObjectInput{Bucket: bucket, Key: "read"})
			e.must(err)
			e.remove("read")
			if !keep {
				for i := range 3 {
					e.remove(fmt.Sprint(i))
				}
				e.remove("stays")
			}
			c := e.RunSteward()
			if c.Extents < 3 || c.Sweeps+c.Dropped == 0 {
				t.Fatalf("nothing was freed: %+v", c)
			}
			var got bytes.Buffer
			_, err = out.Body.WriteTo(&got)
			e.must(out.Body.Close())
			if !bytes.HasPrefix(data, got.Bytes()) {
				t.Fatal("the reader got wrong bytes")
			}
			if err == nil && got.Len() < len(data) {
				t.Errorf("the reader got %d of %d bytes and no error", got.Len(), len(data))
			}
			if err == nil {
				t.Errorf("the reader got everything: nothing was punched under it")
			}
		})
	}
}

// TestSteadyOverwriteIsBounded overwrites one large object and wants the space
// of few partitions.
func TestSteadyOverwriteIsBounded(t *testing.T) {
	e := newEnv(t, quick(2)) // 1+1: a partition holds 8 MiB
	data := content(1, 4*mib)
	most := 0
	for i := range 20 {
		data[0] = byte(i)
		e.put("key", data)
		e.RunSteward()
		most = max(most, len(e.rows()))
	}
	e.holds("key", data)
	if most > 7 || e.Steward.Counters().Dropped < 6 {
		t.Errorf("up to %d partitions at a time, %d dropped", most, e.Steward.Counters().Dropped)
	}
}

// TestFullStoreBecomesWritableAgain fills small disks, deletes everything and
// writes again.
func TestFullStoreBecomesWritableAgain(t *testing.T) {
	fs := &smallFS{FS: vfs.NewMem(), size: 48 * mib}
	e := newEnv(t, testcluster.Options{FS: fs, Disks: 2, Edit: func(o *single.Options) { o.Disk.UsageTTL = 1 }})
	for round := range 2 {
		n := 0
		for ; n < 200; n++ {
			if err := e.tryPut(fmt.Sprint(n), content(uint64(n), 2*mib)); err != nil {
				if !errors.Is(err, partition.ErrNoSpace) {
					t.Fatalf("a full store answers %v", err)
				}
				break
			}
		}
		if n < 10 || n == 200 {
			t.Fatalf("round %d: full after %d objects", round, n)
		}
		e.holds("0", content(0, 2*mib))
		for i := range n {
			e.remove(fmt.Sprint(i))
		}
		e.RunSteward()
		e.put("again", content(1, 2*mib))
		e.holds("again", content(1, 2*mib))
		e.remove("again")
		e.RunSteward()
		e.mustBeEmpty()
	}
}

// smallFS is a file system whose disks have a size.
type smallFS struct {
	vfs.FS
	size uint64
}

func (f *smallFS) GetDiskUsage(dir string) (vfs.DiskUsage, error) {
	var used uint64
	var walk func(string)
	walk = func(dir string) {
		names, err := f.List(dir)
		if err != nil {
			return
		}
		for _, name := range names {
			p := f.PathJoin(dir, name)
			info, err := f.Stat(p)
			if err != nil {
				continue
			}
			if info.IsDir() {
				walk(p)
			} else {
				used += uint64(info.Size())
			}
		}
	}
	walk(f.PathJoin(dir, "shards"))
	return vfs.DiskUsage{AvailBytes: f.size - min(used, f.size), TotalBytes: f.size, UsedBytes: used}, nil
}
