package objects_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// TestCompleteOfManyParts makes an object of so many parts that its manifest
// is written ahead, under an intent. The parts share the bytes of one object.
func TestCompleteOfManyParts(t *testing.T) {
	heavy(t)
	e := open(t)
	many := int(rounds(2100, 10_000))
	e.put("lead", lead())
	e.put("end", bytesOf(2, 9000))
	u := e.upload("k")
	list := make([]objects.CompletedPart, many)
	for i := range many - 1 {
		list[i] = e.partCopy(u, i+1, "lead", nil)
	}
	list[many-1] = e.partCopy(u, many, "end", nil)
	in := objects.CompleteUploadInput{Bucket: bucket, Key: "k", Upload: u.ID, Parts: list, Size: -1}
	in.Precondition = func(*objects.Object) error { return s3.NewError(s3.PreconditionFailed) }
	_, err := e.CompleteMultipartUpload(e.ctx, in)
	e.refuse(err, s3.PreconditionFailed)
	if s := e.Summary(); s.Intents != 0 || s.Manifests != 0 || s.Parts != int64(many) {
		t.Errorf("a refused completion left %+v", s)
	}
	ctx, cancel := context.WithCancel(e.ctx)
	in.Precondition = func(*objects.Object) error {
		cancel()
		return nil
	}
	if _, err := e.CompleteMultipartUpload(ctx, in); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a completion cancelled while publishing: %v", err)
	}
	cancel()
	in.Precondition = nil
	o, err := e.CompleteMultipartUpload(e.ctx, in)
	e.must(err)
	size := int64(many-1)*s3.MinPartSize + 9000
	if o.Size != size || o.PartCount != many {
		t.Fatalf("object of %d bytes in %d parts, want %d in %d", o.Size, o.PartCount, size, many)
	}
	e.remove("lead")
	e.copyTo("k", "copy")
	e.remove("k")
	e.checkMany("copy", many, size)
	e.remove("copy")
	e.noIntents()
}

// checkMany reads at borders of parts.
func (e *env) checkMany(key s3.Key, many int, size int64) {
	e.t.Helper()
	at := func(offset, n int64) (want []byte) {
		for i := offset; i < offset+n; i++ {
			if i >= size-9000 {
				want = append(want, bytesOf(2, 9000)[i-(size-9000)])
				continue
			}
			want = append(want, lead()[i%s3.MinPartSize])
		}
		return want
	}
	rng := rand.New(rand.NewPCG(1, 2))
	offsets := []int64{0, size - 9000 - 2, size - 5}
	for range 8 {
		offsets = append(offsets, rng.Int64N(int64(many-1))*s3.MinPartSize+s3.MinPartSize-2)
	}
	for _, offset := range offsets {
		_, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: key, Range: &s3.ByteRange{First: offset, Last: offset + 4}})
		e.must(err)
		if d := difference(got, at(offset, min(5, size-offset))); d != "" {
			e.t.Errorf("5 bytes at %d: %s", offset, d)
		}
	}
	out, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: key, PartNumber: many})
	e.must(err)
	if len(got) != 9000 || out.Offset != size-9000 {
		e.t.Errorf("the last part: %d bytes at %d", len(got), out.Offset)
	}
	page, err := e.GetObjectAttributes(e.ctx, objects.AttributesInput{
		Bucket: bucket, Key: key, WantParts: true, PartNumberMarker: many - 3, MaxParts: 2,
	})
	e.must(err)
	if len(page.Parts) != 2 || page.Parts[0].Number != many-2 || !page.Truncated {
		e.t.Errorf("page of parts %+v", page)
	}
}

// TestNothingRunsOn: requests that fail or are given up leave no goroutine.
func TestNothingRunsOn(t *testing.T) {
	e := open(t)
	e.put("k", bytesOf(1, 2*mib))
	e.holds("k", bytesOf(1, 2*mib))
	baseline := runtime.NumGoroutine()
	for i := range 20 {
		data := bytesOf(2, 300*kib)
		_, err := e.tryPut("new", objects.Body{Reader: &failing{data, io.ErrUnexpectedEOF}, Size: -1})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(e.ctx)
		out, err := e.GetObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: "k"})
		e.must(err)
		if i%2 == 0 {
			cancel()
		}
		_, _ = out.Body.WriteTo(&choking{i * 100 * kib}) // fails, either way
		e.must(out.Body.Close())
		cancel()
		_, err = e.PutObject(ctx, objects.PutObjectInput{Bucket: bucket, Key: "new", Body: bodyOf(data)})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	for range 100_000_000 {
		if runtime.NumGoroutine() <= baseline && e.Store.Status().BufferMemory == 0 {
			return
		}
		runtime.Gosched()
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before, %d bytes of buffers:\n%s", runtime.NumGoroutine(), baseline,
		e.Store.Status().BufferMemory, stacks[:runtime.Stack(stacks, true)])
}
