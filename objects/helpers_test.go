package objects_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

const (
	owner  s3.OwnerID    = "owner"
	bucket s3.BucketName = "bucket"
	other  s3.BucketName = "other"

	kib = 1 << 10
	mib = 1 << 20
)

// env is a store with two buckets.
type env struct {
	*testcluster.Cluster
	*objects.Service
	t   testing.TB
	ctx context.Context //nolint:containedctx // the test's

	cleared bool
}

// onlyLong skips what takes long, unless UNDERCROFT_TEST_LONG is set.
func onlyLong(t *testing.T) {
	t.Helper()
	if os.Getenv("UNDERCROFT_TEST_LONG") == "" {
		t.Skip("set UNDERCROFT_TEST_LONG to run it")
	}
}

// heavy skips what moves many bytes while the race detector is on.
func heavy(t *testing.T) {
	t.Helper()
	if raceEnabled && os.Getenv("UNDERCROFT_TEST_LONG") == "" {
		t.Skip("moves many bytes: run without the race detector")
	}
}

// rounds is how often a random test repeats: more with UNDERCROFT_TEST_LONG.
func rounds(usual, long uint64) uint64 {
	if os.Getenv("UNDERCROFT_TEST_LONG") != "" {
		return long
	}
	return usual
}

// open makes a store on a file system in memory that is fast and cannot crash.
func open(tb testing.TB, edits ...func(*single.Options)) *env {
	tb.Helper()
	c := testcluster.New(tb, testcluster.Options{FS: vfs.NewMem(), Edit: func(o *single.Options) {
		for _, edit := range edits {
			edit(o)
		}
	}})
	e := &env{Cluster: c, Service: c.Objects, t: tb, ctx: tb.Context()}
	for _, b := range []s3.BucketName{bucket, other} {
		_, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: b, Owner: owner})
		e.must(err)
	}
	tb.Cleanup(e.clear)
	return e
}

// restart stops the store and opens it again.
func (e *env) restart() {
	e.t.Helper()
	e.Restart()
	e.Service = e.Objects
	e.t.Cleanup(e.clear) // before that of the new store
}

// clear deletes everything when a test ends: then nothing may be left.
func (e *env) clear() {
	if e.cleared || e.t.Failed() {
		return
	}
	e.cleared = true
	e.ctx, e.Service = context.WithoutCancel(e.ctx), e.Objects
	buckets, err := e.ListBuckets(e.ctx, objects.ListBucketsInput{Owner: owner, Max: s3.MaxListBuckets})
	e.must(err)
	for _, b := range buckets.Buckets {
		for e.clearPage(b.Name) {
			continue
		}
	}
	e.empty()
}

// clearPage deletes a page of versions and of uploads; false when there are no more.
func (e *env) clearPage(b s3.BucketName) bool {
	all, err := e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: b, Max: s3.MaxListKeys})
	e.must(err)
	for _, v := range all.Versions {
		_, err := e.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: b, Key: s3.Key(v.Key), VersionID: v.VersionID})
		e.must(err)
	}
	uploads, err := e.ListMultipartUploads(e.ctx, objects.ListUploadsInput{Bucket: b, Max: s3.MaxListKeys})
	e.must(err)
	for _, u := range uploads.Uploads {
		e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: b, Key: u.Key, Upload: u.ID}))
	}
	return all.Truncated || uploads.Truncated
}

func (e *env) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// refuse fails the test unless err is an S3 error of the code.
func (e *env) refuse(err error, want s3.Code) {
	e.t.Helper()
	if got, ok := errors.AsType[*s3.Error](err); !ok || got.Code != want {
		e.t.Fatalf("error is %v, want %s", err, want)
	}
}

// bytesOf is the same random content for the same seed.
func bytesOf(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	out := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(out)
	return out
}

func bodyOf(data []byte) objects.Body {
	return objects.Body{Reader: bytes.NewReader(data), Size: int64(len(data))}
}

// unsized is a body of which nobody knows the length, in odd pieces.
func unsized(data []byte) objects.Body {
	return objects.Body{Reader: iotest.HalfReader(bytes.NewReader(data)), Size: -1}
}

func (e *env) tryPut(key s3.Key, body objects.Body) (objects.Object, error) {
	return e.PutObject(e.ctx, objects.PutObjectInput{Bucket: bucket, Key: key, Owner: owner, Body: body})
}

func (e *env) put(key s3.Key, data []byte) objects.Object {
	e.t.Helper()
	o, err := e.tryPut(key, bodyOf(data))
	e.must(err)
	if o.Size != int64(len(data)) || o.ETag != etagOf(data) {
		e.t.Fatalf("put of %d bytes answers %d bytes and %q, want %q", len(data), o.Size, o.ETag, etagOf(data))
	}
	return o
}

func etagOf(data []byte) s3.ETag {
	sum := md5.Sum(data)
	return s3.ETag(hex.EncodeToString(sum[:]))
}

// sumOf is the base64 digest of an algorithm.
func sumOf(a checksum.Algorithm, data []byte) string {
	h := checksum.NewHasher(checksum.SetOf(a))
	_, _ = h.Write(data)
	return a.Encode(h.Sum(a))
}

func (e *env) tryGet(in objects.GetObjectInput) (*objects.GetObjectOutput, []byte, error) {
	out, err := e.GetObject(e.ctx, in)
	if err != nil {
		return nil, nil, err
	}
	data, err := drain(out)
	return out, data, err
}

func drain(out *objects.GetObjectOutput) ([]byte, error) {
	var buf bytes.Buffer
	n, err := out.Body.WriteTo(&buf)
	if n != int64(buf.Len()) {
		err = errors.Join(err, io.ErrShortWrite)
	}
	return buf.Bytes(), errors.Join(err, out.Body.Close())
}

func (e *env) get(key s3.Key) []byte {
	e.t.Helper()
	out, data, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: key})
	e.must(err)
	if out.Object.Size != int64(len(data)) {
		e.t.Fatalf("object %q of %d bytes reads back as %d", key, out.Object.Size, len(data))
	}
	return data
}

// holds fails the test unless a key reads back as data.
func (e *env) holds(key s3.Key, data []byte) {
	e.t.Helper()
	if got := e.get(key); !bytes.Equal(got, data) {
		e.t.Fatalf("object %q reads back wrong: %s", key, difference(got, data))
	}
}

func (e *env) absent(key s3.Key) {
	e.t.Helper()
	_, err := e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: key})
	e.refuse(err, s3.NoSuchKey)
}

func (e *env) remove(key s3.Key) {
	e.t.Helper()
	_, err := e.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: bucket, Key: key})
	e.must(err)
}

// difference describes where two contents part.
func difference(got, want []byte) string {
	if len(got) != len(want) {
		return cmp.Diff(len(want), len(got))
	}
	for i := range got {
		if got[i] != want[i] {
			return cmp.Diff([]int{i, int(want[i])}, []int{i, int(got[i])})
		}
	}
	return ""
}

func (e *env) keys() []string {
	e.t.Helper()
	out, err := e.ListObjects(e.ctx, objects.ListObjectsInput{Bucket: bucket, Max: s3.MaxListKeys})
	e.must(err)
	var keys []string
	for _, o := range out.Objects {
		keys = append(keys, o.Key)
	}
	return keys
}

// upload starts a multipart upload.
func (e *env) upload(key s3.Key) objects.Upload {
	e.t.Helper()
	u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: key, Owner: owner})
	e.must(err)
	return u
}

func (e *env) tryPart(u objects.Upload, number int, body objects.Body) (objects.Part, error) {
	return e.UploadPart(e.ctx, objects.UploadPartInput{Bucket: bucket, Key: u.Key, Upload: u.ID, Number: number, Body: body})
}

func (e *env) part(u objects.Upload, number int, data []byte) objects.CompletedPart {
	e.t.Helper()
	p, err := e.tryPart(u, number, bodyOf(data))
	e.must(err)
	return objects.CompletedPart{Number: number, ETag: p.ETag}
}

func (e *env) tryComplete(u objects.Upload, parts ...objects.CompletedPart) (objects.Object, error) {
	return e.CompleteMultipartUpload(e.ctx, objects.CompleteUploadInput{
		Bucket: bucket, Key: u.Key, Upload: u.ID, Parts: parts, Size: -1,
	})
}

func (e *env) complete(u objects.Upload, parts ...objects.CompletedPart) objects.Object {
	e.t.Helper()
	o, err := e.tryComplete(u, parts...)
	e.must(err)
	return o
}

// copyTo copies an object of the bucket to another key of it.
func (e *env) copyTo(from, to s3.Key) objects.Object {
	e.t.Helper()
	out, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
		Source: objects.CopySource{Bucket: bucket, Key: from}, Bucket: bucket, Key: to, Owner: owner,
	})
	e.must(err)
	return out.Object
}

// noIntents fails the test when an unfinished write left its announcement.
func (e *env) noIntents() {
	e.t.Helper()
	if s := e.Summary(); s.Intents != 0 {
		e.t.Errorf("%d intents are left over", s.Intents)
	}
}

// row is what metadata says of a key.
func (e *env) row(key s3.Key) (row *metadata.Object) {
	e.t.Helper()
	e.must(e.DB.View(e.ctx, "test", func(r *metadata.Reader) error {
		b, err := r.BucketByName(string(bucket))
		if err == nil {
			row, err = r.Object(b.ID, string(key))
		}
		return err
	}))
	return row
}

// empty fails the test unless the steward has freed everything.
func (e *env) empty() {
	e.t.Helper()
	e.RunSteward()
	s := e.Summary()
	if s.Objects+s.Versions+s.Uploads+s.Parts+s.DataIDs+s.Manifests+s.Extents+s.Refs+s.Pins+s.Garbage+s.Intents+s.LiveBytes != 0 {
		e.t.Errorf("not everything was freed: %+v", s)
	}
}
