package objects_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// borders are the sizes at which the way of an object changes: inline, batched,
// in buffers of 64 KiB, 1 MiB and 4 MiB, more extents than a row holds.
func borders() []int {
	small := []int{0, 1, 8191, 8192, 8193, 64*kib - 1, 64 * kib, 64*kib + 1, 256*kib - 1, 256 * kib, mib + 1}
	if raceEnabled {
		return small
	}
	return append(small, mib-1, mib, 4*mib-1, 4*mib, 4*mib+1, 16*mib+1, 20*mib+3)
}

func TestPutReadsBackAtEveryBorder(t *testing.T) {
	e := open(t)
	for _, size := range borders() {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			data := bytesOf(uint64(size), size)
			key := s3.Key(fmt.Sprintf("sized/%d", size))
			e.put(key, data)
			e.holds(key, data)
			if size > mib+1 {
				return
			}
			o, err := e.tryPut("unsized", unsized(data))
			e.must(err)
			if o.ETag != etagOf(data) {
				t.Errorf("entity tag %q, want %q", o.ETag, etagOf(data))
			}
			e.holds("unsized", data)
		})
	}
	e.restart()
	for _, size := range borders() {
		e.holds(s3.Key(fmt.Sprintf("sized/%d", size)), bytesOf(uint64(size), size))
	}
}

func TestInlineLimit(t *testing.T) {
	for _, limit := range []int64{-1, 100} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			e := open(t, func(o *single.Options) { o.InlineLimit = limit })
			for _, size := range []int{0, 1, 99, 100, 101, 9000} {
				data := bytesOf(1, size)
				before := e.Store.Status().Counters.Blobs
				e.put("k", data)
				e.holds("k", data)
				want := before
				if int64(size) > limit && size > 0 {
					want++
				}
				if got := e.Store.Status().Counters.Blobs; got != want {
					t.Errorf("%d bytes: %d blobs written, want %d", size, got-before, want-before)
				}
			}
		})
	}
}

func TestPutOverwritesAcrossSizeClasses(t *testing.T) {
	e := open(t)
	sizes := []int{0, 10, 9000, 300 * kib}
	for _, from := range sizes {
		for _, to := range sizes {
			e.put("k", bytesOf(1, from))
			e.put("k", bytesOf(2, to))
			e.holds("k", bytesOf(2, to))
		}
	}
	if diff := cmp.Diff([]string{"k"}, e.keys()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// TestPutOfManyExtents takes the way of the intent: more than 64 extents.
func TestPutOfManyExtents(t *testing.T) {
	heavy(t)
	e := open(t, func(o *single.Options) { o.BufferMemory = 8 * mib })
	data := bytesOf(7, 66*mib+17)
	o, err := e.tryPut("big", objects.Body{Reader: unsized(data).Reader, Size: -1})
	e.must(err)
	if o.ETag != etagOf(data) {
		t.Errorf("entity tag %q", o.ETag)
	}
	e.holds("big", data)
	e.noIntents()
	for _, at := range []int64{0, 64*mib - 1, 64 * mib, 65 * mib, 66*mib + 16} {
		_, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: "big", Range: &s3.ByteRange{First: at, Last: at + 1}})
		e.must(err)
		if d := difference(got, data[at:min(at+2, int64(len(data)))]); d != "" {
			t.Errorf("range at %d: %s", at, d)
		}
	}

	broken := objects.Body{Reader: &failing{rest: data[:65*mib+5], err: errors.New("cut")}, Size: -1}
	if _, err := e.tryPut("big", broken); err == nil || err.Error() != "cut" {
		t.Errorf("error of a body cut after the intent: %v", err)
	}
	e.noIntents()
	e.holds("big", data)
	e.copyTo("big", "copy")
	e.remove("big")
	e.holds("copy", data)
}

func TestPutKeepsAttributes(t *testing.T) {
	e := open(t)
	attributes := objects.Attributes{
		ContentType: "a/b", CacheControl: "c", ContentDisposition: "d", ContentEncoding: "e", ContentLanguage: "f", Expires: "g",
		User: []objects.Pair{{Name: "k1", Value: "v1"}, {Name: "k2", Value: "ä"}},
	}
	put, err := e.PutObject(e.ctx, objects.PutObjectInput{
		Bucket: bucket, Key: "k", Owner: owner, Body: bodyOf([]byte("x")), Attributes: attributes,
	})
	e.must(err)
	head, err := e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k"})
	e.must(err)
	if diff := cmp.Diff(put, head.Object); diff != "" {
		t.Errorf("what was put and what is there differ (-put +head):\n%s", diff)
	}
	want := objects.Object{
		Key: "k", VersionID: "null", Size: 1, ETag: etagOf([]byte("x")), StorageClass: "STANDARD", Owner: owner,
		Attributes: attributes, Modified: put.Modified,
		Checksums: []objects.Checksum{{Algorithm: "CRC64NVME", Type: "FULL_OBJECT", Value: sumOf(checksum.CRC64NVME, []byte("x"))}},
	}
	if diff := cmp.Diff(want, put); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
	if put.Modified.IsZero() || put.Modified != put.Modified.Truncate(time.Millisecond) {
		t.Errorf("modified %v", put.Modified)
	}
}

func TestPutRefusesBadNames(t *testing.T) {
	e := open(t)
	for key, want := range map[s3.Key]s3.Code{
		"":                                     s3.InvalidRequest,
		s3.Key(strings.Repeat("k", 1025)):      s3.KeyTooLongError,
		s3.Key(strings.Repeat("ä", 512) + "a"): s3.KeyTooLongError,
		"a\xff":                                s3.InvalidURI,
	} {
		_, err := e.tryPut(key, bodyOf(nil))
		e.refuse(err, want)
	}
	for _, key := range []s3.Key{"\x00", "a\x00b", "..", "/", "//", ".", "a/../b", " ", "\U0010ffff", s3.Key(strings.Repeat("ä", 512))} {
		data := []byte("of " + key)
		e.put(key, data)
		e.holds(key, data)
	}
	_, err := e.PutObject(e.ctx, objects.PutObjectInput{Bucket: "nowhere", Key: "k", Body: bodyOf(nil)})
	e.refuse(err, s3.NoSuchBucket)
}

func TestPutPrecondition(t *testing.T) {
	e := open(t)
	failed := s3.NewError(s3.PreconditionFailed)
	absent := func(current *objects.Object) error {
		if current != nil {
			return failed
		}
		return nil
	}
	try := func(data []byte, pre objects.WritePrecondition) error {
		_, err := e.PutObject(e.ctx, objects.PutObjectInput{Bucket: bucket, Key: "k", Owner: owner, Body: bodyOf(data), Precondition: pre})
		return err
	}
	for _, size := range []int{10, 10_000, mib + 1} {
		e.remove("k")
		first, second := bytesOf(1, size), bytesOf(2, size)
		e.must(try(first, absent))
		e.refuse(try(second, absent), s3.PreconditionFailed)
		e.holds("k", first)
		matches := func(current *objects.Object) error {
			if current == nil || current.ETag != etagOf(first) {
				return failed
			}
			return nil
		}
		e.must(try(second, matches))
		e.refuse(try(first, matches), s3.PreconditionFailed)
		e.holds("k", second)
	}
}

func TestPutVersionsRise(t *testing.T) {
	still := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	e := open(t, func(o *single.Options) { o.Now = func() time.Time { return still } })
	last := metadata.Ord(0)
	for range 3 {
		e.put("k", []byte("x"))
		ord := e.row("k").Ord
		if ord <= last {
			t.Fatalf("order %d after %d although the clock stands still", ord, last)
		}
		last = ord
	}
}

func TestPutIsCancelled(t *testing.T) {
	e := open(t)
	e.put("k", []byte("before"))
	for _, size := range []int{100, 10_000, 2 * mib} {
		for after := range 4 {
			ctx, cancel := context.WithCancel(e.ctx)
			data := bytesOf(3, size)
			body := &stepped{rest: data, step: size/4 + 1, at: func(n int) {
				if n == after {
					cancel()
				}
			}}
			_, err := e.PutObject(ctx, objects.PutObjectInput{
				Bucket: bucket, Key: "k", Owner: owner, Body: objects.Body{Reader: body, Size: int64(size)},
			})
			cancel()
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%d bytes cancelled at read %d: %v", size, after, err)
			}
			e.holds("k", []byte("before"))
		}
	}
	e.noIntents()
}
