package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// selection is what a range header selects of some bytes; ok is false for 416.
// It is written apart from s3.ByteRange, straight from RFC 9110.
func selection(data []byte, r s3.ByteRange) (want []byte, ok bool) {
	size := int64(len(data))
	first, last := r.First, r.Last
	switch {
	case first < 0:
		if last == 0 || size == 0 {
			return nil, false
		}
		first, last = max(size-last, 0), size-1
	case first >= size:
		return nil, false
	case last < 0 || last >= size:
		last = size - 1
	}
	return data[first : last+1], true
}

// ranges are random ranges of a size, and those at places where something changes.
func ranges(rng *rand.Rand, size int64, n int) []s3.ByteRange {
	out := []s3.ByteRange{
		{First: 0, Last: 0},
		{First: 0, Last: -1},
		{First: -1, Last: 1},
		{First: -1, Last: 0},
		{First: -1, Last: size + 10},
		{First: size - 1, Last: size + 10},
		{First: size, Last: -1},
		{First: size + 1, Last: size + 2},
	}
	for _, at := range []int64{65532, 128 * kib, 256 * kib, mib, 4 * mib, 8 * mib} {
		if at+2 < size {
			out = append(out, s3.ByteRange{First: at - 1, Last: at}, s3.ByteRange{First: at, Last: at + 1})
		}
	}
	for range n {
		first := rng.Int64N(size + 1)
		switch rng.IntN(4) {
		case 0:
			out = append(out, s3.ByteRange{First: -1, Last: rng.Int64N(size + 2)})
		case 1:
			out = append(out, s3.ByteRange{First: first, Last: min(first+rng.Int64N(300), size)})
		default:
			out = append(out, s3.ByteRange{First: first, Last: first + rng.Int64N(size+1)})
		}
	}
	return out
}

// checkRanges holds GetObject with ranges against the selection of data.
func (e *env) checkRanges(key s3.Key, data []byte, rs []s3.ByteRange) {
	e.t.Helper()
	for _, r := range rs {
		if r.First > r.Last && r.Last >= 0 && r.First >= 0 {
			continue // no header says so
		}
		want, ok := selection(data, r)
		out, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: key, Range: &r, RangeHeader: "as given"})
		if !ok {
			e.refuse(err, s3.InvalidRange)
			if e, _ := errors.AsType[*s3.Error](err); e.Field("RangeRequested") != "as given" {
				t := e.Field("RangeRequested")
				panic("range in the error: " + t)
			}
			continue
		}
		e.must(err)
		if !bytes.Equal(got, want) {
			e.t.Fatalf("%q range %+v: %s", key, r, difference(got, want))
		}
		if !out.Partial || out.Length != int64(len(want)) || out.Object.Size != int64(len(data)) {
			e.t.Fatalf("%q range %+v: partial %v, %d+%d of %d", key, r, out.Partial, out.Offset, out.Length, out.Object.Size)
		}
	}
}

func TestRanges(t *testing.T) {
	e := open(t)
	rng := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 100, 8192, 9000, 70_000, 300 * kib}
	if !raceEnabled {
		sizes = append(sizes, mib+3, 9*mib+1)
	}
	for _, size := range sizes {
		data := bytesOf(uint64(size), size)
		key := s3.Key(fmt.Sprint(size))
		e.put(key, data)
		e.checkRanges(key, data, ranges(rng, int64(size), 15))
	}
}

func TestGetWhatIsNotThere(t *testing.T) {
	e := open(t)
	e.put("k", []byte("x"))
	for _, tc := range []struct {
		in   objects.GetObjectInput
		want s3.Code
	}{
		{objects.GetObjectInput{Bucket: "nowhere", Key: "k"}, s3.NoSuchBucket},
		{objects.GetObjectInput{Bucket: bucket, Key: "kk"}, s3.NoSuchKey},
		{objects.GetObjectInput{Bucket: other, Key: "k"}, s3.NoSuchKey},
		{objects.GetObjectInput{Bucket: bucket, Key: ""}, s3.NoSuchKey},
		{objects.GetObjectInput{Bucket: bucket, Key: "k", VersionID: "rubbish"}, s3.InvalidArgument},
		{objects.GetObjectInput{Bucket: bucket, Key: "k", VersionID: "00000000000000000000000000"}, s3.NoSuchVersion},
		{objects.GetObjectInput{Bucket: bucket, Key: "kk", VersionID: "null"}, s3.NoSuchVersion},
		{objects.GetObjectInput{Bucket: bucket, Key: "k", PartNumber: 2}, s3.InvalidPart},
	} {
		_, _, err := e.tryGet(tc.in)
		e.refuse(err, tc.want)
		_, err = e.HeadObject(e.ctx, tc.in)
		e.refuse(err, tc.want)
	}
	out, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: "k", VersionID: "null"})
	e.must(err)
	if string(got) != "x" || out.Object.Versioned {
		t.Errorf("null version: %q, %+v", got, out.Object)
	}
	out, got, err = e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: "k", PartNumber: 1})
	e.must(err)
	if string(got) != "x" || !out.Partial {
		t.Errorf("part 1 of what has no parts: %q, partial %v", got, out.Partial)
	}
}

func TestReadPrecondition(t *testing.T) {
	e := open(t)
	put := e.put("k", []byte("x"))
	for _, tc := range []struct {
		conditions s3.Conditions
		want       s3.Code
	}{
		{s3.Conditions{IfMatch: `"` + string(put.ETag) + `"`}, ""},
		{s3.Conditions{IfMatch: `"0"`}, s3.PreconditionFailed},
		{s3.Conditions{IfNoneMatch: `"` + string(put.ETag) + `"`}, s3.NotModified},
		{s3.Conditions{IfNoneMatch: `"0"`}, ""},
		{s3.Conditions{IfModifiedSince: put.Modified.Add(time.Hour)}, s3.NotModified},
		{s3.Conditions{IfUnmodifiedSince: put.Modified.Add(-time.Hour)}, s3.PreconditionFailed},
	} {
		// A range that cannot be satisfied does not hide the condition.
		in := objects.GetObjectInput{Bucket: bucket, Key: "k", Precondition: tc.conditions.CheckRead}
		_, _, err := e.tryGet(in)
		_, headErr := e.HeadObject(e.ctx, in)
		if tc.want == "" {
			e.must(errors.Join(err, headErr))
			continue
		}
		e.refuse(err, tc.want)
		e.refuse(headErr, tc.want)
		in.Range = &s3.ByteRange{First: 5, Last: 9}
		_, _, err = e.tryGet(in)
		e.refuse(err, tc.want)
	}
}

// TestReadingGoesOnAfterDeletion: who has begun to read gets the version that was there.
func TestReadingGoesOnAfterDeletion(t *testing.T) {
	e := open(t)
	for _, size := range []int{100, 10_000, 2 * mib} {
		data := bytesOf(1, size)
		e.put("k", data)
		out, err := e.GetObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k"})
		e.must(err)
		e.put("k", []byte("other"))
		e.remove("k")
		got, err := drain(out)
		e.must(err)
		if d := difference(got, data); d != "" {
			t.Errorf("%d bytes: %s", size, d)
		}
	}
}

// choking takes some bytes and then no more.
type choking struct{ left int }

func (c *choking) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestReaderThatStops(t *testing.T) {
	e := open(t)
	e.put("k", bytesOf(1, 3*mib))
	for _, after := range []int{0, 1, 100 * kib, 2 * mib} {
		out, err := e.GetObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k"})
		e.must(err)
		if _, err := out.Body.WriteTo(&choking{after}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v", err)
		}
		e.must(out.Body.Close())
		if n := e.Store.Status().ReadMemory; n != 0 {
			t.Errorf("%d bytes are in use after Close", n)
		}
	}
	for _, unread := range []bool{true, false} {
		ctx, cancel := context.WithCancel(e.ctx)
		out, err := e.GetObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: "k"})
		e.must(err)
		if unread {
			cancel()
		}
		_, err = out.Body.WriteTo(&cancelling{cancel: cancel})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error of a reading cancelled: %v", err)
		}
		e.must(out.Body.Close())
		if n := e.Store.Status().ReadMemory; n != 0 {
			t.Errorf("%d bytes are in use after Close", n)
		}
	}
}

type cancelling struct{ cancel func() }

func (c *cancelling) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}

func TestManyReadersAtOnce(t *testing.T) {
	e := open(t, func(o *single.Options) { o.Now = time.Now })
	data := bytesOf(1, mib+1)
	e.put("k", data)
	errs := make(chan error)
	const readers = 8
	for range readers {
		go func() {
			_, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: "k"})
			if err == nil && !bytes.Equal(got, data) {
				err = errors.New(difference(got, data))
			}
			errs <- err
		}()
	}
	for range readers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
