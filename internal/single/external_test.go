package single_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

// kept is an engine that others close.
type kept struct{ kv.Engine }

func (kept) Close() error { return nil }

// sharing has a store open metadata that other processes share.
func sharing(e kv.Engine) func(*single.Options) {
	return func(o *single.Options) {
		o.InlineLimit = 1 << 10
		o.External = &single.External{
			Open:  func(context.Context) (kv.Engine, error) { return kept{e}, nil },
			Place: "shared", Shared: true, Process: "process of " + strings.Join(o.Dirs, " "),
		}
	}
}

// gateway opens a store without data directories beside a shop.
func (s *shop) gateway(e kv.Engine) (*single.System, error) {
	o := single.Options{FS: s.FS, Now: s.Now, Region: "us-east-1", BufferMemory: 32 << 20}
	o.Steward.Interval = -1
	sharing(e)(&o)
	return single.Open(s.t.Context(), o)
}

func newEngine(t *testing.T) *mem.Engine {
	t.Helper()
	e := mem.New(mem.Options{})
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// sharedShop is a shop whose metadata is in an engine that others share.
func sharedShop(t *testing.T, dirs ...string) (*shop, *mem.Engine) {
	t.Helper()
	e := newEngine(t)
	s := &shop{testcluster.New(t, testcluster.Options{Dirs: dirs, Edit: sharing(e)}), t}
	_, err := s.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "bucket", Owner: "me"})
	s.must(err)
	return s, e
}

func store(t *testing.T, s *single.System, key s3.Key, body []byte) error {
	t.Helper()
	_, err := s.Objects.PutObject(t.Context(), objects.PutObjectInput{
		Bucket: "bucket", Key: key, Body: objects.Body{Reader: bytes.NewReader(body), Size: int64(len(body))},
	})
	return err
}

func load(t *testing.T, s *single.System, key s3.Key) ([]byte, error) {
	t.Helper()
	got, err := s.Objects.GetObject(t.Context(), objects.GetObjectInput{Bucket: "bucket", Key: key})
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	_, err = got.Body.WriteTo(&buf)
	return buf.Bytes(), errors.Join(err, got.Body.Close())
}

// TestSharedMetadata runs a store on metadata that is elsewhere, over restarts, and a
// gateway beside it.
func TestSharedMetadata(t *testing.T) {
	s, e := sharedShop(t, "/d1", "/d2", "/d3", "/d4")
	s.fill("before")
	s.Restart()
	s.holds("before")
	for _, dir := range s.Directories() {
		if _, err := s.FS.Stat(dir + "/metadata"); err == nil {
			t.Errorf("%s holds metadata", dir)
		}
	}
	st, err := s.Status(t.Context())
	if err != nil || !st.Healthy || st.Metadata.Engine != "mem" || st.Metadata.Place != "shared" || !st.Metadata.Shared || st.Scheme != "2+2" {
		t.Errorf("%+v, %v", st, err)
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	if err := s.BackupMetadata(t.Context(), "/backup"); err == nil || !strings.Contains(err.Error(), "shared: back it up there") {
		t.Error(err)
	}
	if _, err := s.ExportMetadata(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "stop them all") {
		t.Error(err)
	}
	g, err := s.gateway(e)
	s.must(err)
	defer func() {
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	small, large := bytes.Repeat([]byte("s"), 1000), bytes.Repeat([]byte("l"), 100_000)
	s.must(store(t, g, "small", small))
	s.must(store(t, s.System, "large", large))
	for name, from := range map[string]*single.System{"server": s.System, "gateway": g} {
		if got, err := load(t, from, "small"); err != nil || !bytes.Equal(got, small) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		out, err := from.Objects.ListObjects(t.Context(), objects.ListObjectsInput{Bucket: "bucket", Max: 1000, Prefix: "l"})
		if err != nil || len(out.Objects) != 1 {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	unavailable := func(what string, err error) {
		t.Helper()
		e, ok := errors.AsType[*s3.Error](err)
		if !ok || e.Status != 503 || !errors.Is(err, partition.ErrElsewhere) {
			t.Errorf("%s: %v", what, err)
		}
		// No Retry-After: it does not get better by itself, but elsewhere.
		if objects.Passes(err) || !strings.Contains(err.Error(), "Trying again here does not help") {
			t.Errorf("%s asks to come back: %v", what, err)
		}
	}
	_, err = g.Objects.GetObject(t.Context(), objects.GetObjectInput{Bucket: "bucket", Key: "large"})
	unavailable("read", err) // before anything is answered
	if out, err := g.Objects.HeadObject(t.Context(), objects.GetObjectInput{Bucket: "bucket", Key: "large"}); err != nil || out.Object.Size != 100_000 {
		t.Errorf("%+v, %v", out, err)
	}
	body := &counting{Reader: bytes.NewReader(large)}
	_, err = g.Objects.PutObject(t.Context(), objects.PutObjectInput{Bucket: "bucket", Key: "more", Body: objects.Body{Reader: body, Size: int64(len(large))}})
	unavailable("write", err)
	if body.read != 0 {
		t.Errorf("%d bytes of a body were read in vain", body.read)
	}
	if st, err := g.Status(t.Context()); err != nil || !st.Healthy || !st.Gateway || len(st.Missing) != 0 || len(st.Disks) != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	var jobs []string
	for _, j := range g.Steward.Jobs() {
		jobs = append(jobs, j.Name())
	}
	if got := strings.Join(jobs, " "); got != "intents tokens rewrap lock-clock" {
		t.Errorf("a gateway runs %s", got)
	}
	if err := g.Writable(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := g.AddDisk(t.Context(), "/d9"); !errors.Is(err, single.ErrRefused) {
		t.Error(err)
	}
	// What a gateway saw is not told of as damaged.
	s.RunSteward()
	if st, err := s.Status(t.Context()); err != nil || !st.Healthy {
		t.Errorf("%+v, %v", st, err)
	}
	if got, err := load(t, s.System, "large"); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

type counting struct {
	io.Reader
	read int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

// TestSharedMetadataRefuses: what would make two stores of one, or lose what others have.
func TestSharedMetadataRefuses(t *testing.T) {
	s, e := sharedShop(t, "/d1", "/d2")
	s.fill("before")
	open := func(want string, edits ...func(*single.Options)) {
		t.Helper()
		o := single.Options{FS: s.FS, Dirs: []string{"/d1", "/d2"}, Now: s.Now, DiskInterval: -1, Capacity: 8 << 20}
		o.Disk.Reserve, o.Steward.Interval = -1, -1
		sharing(e)(&o)
		for _, edit := range edits {
			edit(&o)
		}
		got, err := single.Open(t.Context(), o)
		if err == nil {
			s.must(got.Close(t.Context()))
			t.Errorf("opened, want %q", want)
			return
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	at := func(dirs ...string) func(*single.Options) { return func(o *single.Options) { o.Dirs = dirs } }
	fresh := newEngine(t)
	empty := func(o *single.Options) { sharing(fresh)(o) }
	open("used by another process")
	open("none of the disks of the store in shared is in --data (they were last at /d1, /d2)", at("/e1", "/e2"))
	s.Stop()
	open("the metadata of the data directories is gone from shared", empty)
	open("was last used with metadata in shared, not in the data directories themselves", func(o *single.Options) { o.External = nil })
	open("was last used with metadata in shared, not in other", func(o *single.Options) { o.External.Place = "other" })
	open("there is no store in shared", empty, at())
	for _, dir := range []string{"/d1", "/d2"} {
		s.must(s.FS.Remove(dir + "/.undercroft/metadata-home"))
	}
	open("the metadata of the data directories is gone from shared", empty)
	o := testcluster.New(t, testcluster.Options{Dirs: []string{"/o1", "/o2"}, FS: s.FS, Edit: sharing(fresh)})
	o.Stop()
	open("hold another store than the metadata in shared", empty)
	s.Start()
	s.holds("before")
}

// TestMetadataInOneDirectory is the embedded engine in a directory of its own.
func TestMetadataInOneDirectory(t *testing.T) {
	var o single.Options
	s := &shop{testcluster.New(t, testcluster.Options{Dirs: []string{"/d1", "/d2", "/d3"}, Edit: func(x *single.Options) {
		x.External = &single.External{Place: "pebble:/meta", Open: func(context.Context) (kv.Engine, error) {
			e := x.Engine
			e.FS = x.FS
			return pebble.Open("/meta", e)
		}}
		o = *x
	}}), t}
	_, err := s.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "bucket", Owner: "me"})
	s.must(err)
	s.fill("before")
	s.must(s.BackupMetadata(t.Context(), "/backup"))
	s.Restart()
	s.holds("before")
	if s.Failed() == nil {
		t.Error("the failure of the engine stops nobody")
	}
	s.Stop()
	s.must(s.FS.RemoveAll("/meta"))
	if err := refused(t, s.Cluster); !errors.Is(err, metadata.ErrNoState) {
		t.Errorf("a store without its metadata starts as an empty one: %v", err)
	}
	s.must(s.FS.RemoveAll("/meta"))
	s.must(s.FS.Rename("/backup", "/meta"))
	s.Start()
	s.holds("before")
	if o.External == nil {
		t.Error("the metadata was not elsewhere")
	}
}
