package objects_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// partCopy copies a range of a source into a part; nil is all of it.
func (e *env) partCopy(u objects.Upload, number int, source s3.Key, r *s3.ByteRange) objects.CompletedPart {
	e.t.Helper()
	out, err := e.tryPartCopy(u, number, source, r)
	e.must(err)
	return objects.CompletedPart{Number: number, ETag: out.Part.ETag}
}

func (e *env) tryPartCopy(u objects.Upload, number int, source s3.Key, r *s3.ByteRange) (objects.UploadPartCopyOutput, error) {
	return e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{
		Source: objects.CopySource{Bucket: bucket, Key: source}, Range: r,
		Bucket: bucket, Key: u.Key, Upload: u.ID, Number: number,
	})
}

// TestPartCopy makes parts of all of, and of ranges of, every kind of source.
func TestPartCopy(t *testing.T) {
	for name, produce := range makers() {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			data := produce(e, "source")
			size := int64(len(data))
			u := e.upload("k")
			whole := e.partCopy(u, 1, "source", nil)
			e.complete(u, whole)
			e.holds("k", data)
			if e.row("source").Parts == 0 && whole.ETag != etagOf(data) {
				t.Errorf("entity tag of a whole copy %q, want %q", whole.ETag, etagOf(data))
			}
			for _, r := range []s3.ByteRange{
				{First: 0, Last: size}, {First: size, Last: size + 1}, {First: -1, Last: 1}, {First: 0, Last: -1}, {First: 3, Last: 2},
			} {
				_, err := e.tryPartCopy(e.upload("z"), 1, "source", &r)
				e.refuse(err, s3.InvalidRange)
			}
			if size == 0 || raceEnabled {
				return
			}
			for _, r := range []s3.ByteRange{{First: 0, Last: 0}, {First: size - 1, Last: size - 1}, {First: 1, Last: size - 1}, {First: size / 3, Last: size / 2}} {
				u := e.upload("k")
				e.complete(u, e.partCopy(u, 1, "source", &r))
				e.holds("k", data[r.First:r.Last+1])
			}
			u = e.upload("k")
			last := e.partCopy(u, 2, "source", &s3.ByteRange{First: size / 2, Last: size - 1})
			e.remove("source")
			first := e.part(u, 1, bytesOf(9, 5*mib))
			e.complete(u, first, last)
			e.holds("k", slices.Concat(bytesOf(9, 5*mib), data[size/2:]))
		})
	}
}

// TestPartCopyReplaced replaces and aborts parts that pin their source.
func TestPartCopyReplaced(t *testing.T) {
	e := open(t)
	a, b := bytesOf(1, 20_000), bytesOf(2, 30_000)
	e.put("a", a)
	e.put("b", b)
	u := e.upload("k")
	e.partCopy(u, 1, "a", nil)
	e.partCopy(u, 1, "a", nil)
	second := e.partCopy(u, 1, "b", nil)
	e.remove("a")
	e.remove("b")
	e.partCopyRefused(u)
	e.complete(u, second)
	e.holds("k", b)

	u = e.upload("k2")
	e.partCopy(u, 1, "k", nil)
	e.partCopy(u, 2, "k", &s3.ByteRange{First: 5, Last: 600})
	e.part(u, 2, bytesOf(3, 10))
	e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: bucket, Key: "k2", Upload: u.ID}))
	e.holds("k", b)
	if s := e.Summary(); s.Pins != 1 { // the part of k, on b
		t.Errorf("%d pins are left, want 1", s.Pins)
	}
}

func (e *env) partCopyRefused(u objects.Upload) {
	e.t.Helper()
	_, err := e.tryPartCopy(u, 1, "a", nil)
	e.refuse(err, s3.NoSuchKey)
	_, err = e.tryPartCopy(u, 0, "a", nil)
	e.refuse(err, s3.InvalidArgument)
	_, err = e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{
		Source: objects.CopySource{Bucket: "nowhere", Key: "a"}, Bucket: bucket, Key: u.Key, Upload: u.ID, Number: 1,
	})
	e.refuse(err, s3.NoSuchBucket)
}

func TestPartCopyWithConditions(t *testing.T) {
	e := open(t)
	put := e.put("source", bytesOf(1, 20_000))
	u := e.upload("k")
	c := s3.Conditions{IfNoneMatch: `"` + string(put.ETag) + `"`}
	in := objects.UploadPartCopyInput{
		Source: objects.CopySource{Bucket: bucket, Key: "source", Precondition: c.CheckCopySource},
		Bucket: bucket, Key: "k", Upload: u.ID, Number: 1,
	}
	_, err := e.UploadPartCopy(e.ctx, in)
	e.refuse(err, s3.PreconditionFailed)
	c = s3.Conditions{IfMatch: `"` + string(put.ETag) + `"`}
	in.Source.Precondition = c.CheckCopySource
	out, err := e.UploadPartCopy(e.ctx, in)
	e.must(err)
	if out.SourceVersioned || out.SourceVersionID != s3.NullVersion || out.Part.Size != 20_000 {
		t.Errorf("output %+v", out)
	}
}

// TestPartCopyComputesChecksums: an upload that keeps checksums has them of
// copied parts too.
func TestPartCopyComputesChecksums(t *testing.T) {
	for name, produce := range makers() {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			data := produce(e, "source")
			for _, a := range []checksum.Algorithm{checksum.CRC64NVME, checksum.CRC32C} {
				u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{
					Bucket: bucket, Key: "k", Owner: owner, Checksum: a, ChecksumType: "FULL_OBJECT",
				})
				e.must(err)
				out, err := e.tryPartCopy(u, 1, "source", nil)
				e.must(err)
				if !slices.ContainsFunc(out.Part.Checksums, func(c objects.Checksum) bool {
					return c.Algorithm == a.String() && c.Value == sumOf(a, data)
				}) {
					t.Errorf("checksums of the part %v, want %s %s", out.Part.Checksums, a, sumOf(a, data))
				}
				o, err := e.CompleteMultipartUpload(e.ctx, objects.CompleteUploadInput{
					Bucket: bucket, Key: "k", Upload: u.ID, Size: int64(len(data)),
					Parts:    []objects.CompletedPart{{Number: 1, ETag: out.Part.ETag}},
					Expected: objects.Checksum{Algorithm: a.String(), Value: sumOf(a, data)},
				})
				e.must(err)
				if o.Checksums[0].Value != sumOf(a, data) {
					t.Errorf("checksum of the object %v", o.Checksums)
				}
			}
		})
	}
}

// TestNestedCopies copies ranges of objects that were made of copied ranges, and deletes
// the sources as it goes.
func TestNestedCopies(t *testing.T) {
	heavy(t)
	e := open(t)
	rng := rand.New(rand.NewPCG(5, 6))
	base := bytesOf(1, 6*mib)
	e.put("gen-0", base)
	content := base
	for gen := range 5 {
		from, to := s3.Key(fmt.Sprintf("gen-%d", gen)), s3.Key(fmt.Sprintf("gen-%d", gen+1))
		u := e.upload(to)
		first := s3.ByteRange{First: rng.Int64N(1000), Last: 5*mib + 1000 + rng.Int64N(1000)}
		second := s3.ByteRange{First: rng.Int64N(int64(len(content)) - 5000), Last: int64(len(content)) - 1 - rng.Int64N(100)}
		parts := []objects.CompletedPart{e.partCopy(u, 1, from, &first), e.partCopy(u, 2, from, &second)}
		if gen%2 == 0 {
			e.copyTo(from, from+" copy")
			e.remove(from)
		}
		e.complete(u, parts...)
		next := slices.Concat(content[first.First:first.Last+1], content[second.First:second.Last+1])
		e.holds(to, next)
		e.checkRanges(to, next, ranges(rng, int64(len(next)), 3))
		e.remove(from + " copy")
		e.remove(from)
		e.holds(to, next)
		content = next
	}
	e.Summary()
	e.copyTo("gen-5", "flat")
	e.remove("gen-5")
	e.holds("flat", content)
}

// TestFragmentedPartCopy copies what is in more runs of data than a part may
// have: it is written anew. Each generation copies the tail of the one before
// with a few bytes more, which makes one run more.
func TestFragmentedPartCopy(t *testing.T) {
	onlyLong(t)
	e := open(t)
	lead := bytesOf(1, 5*mib)
	const step = 3
	e.put("lead", lead)
	u := e.upload("gen")
	e.complete(u, e.partCopy(u, 1, "lead", nil), e.part(u, 2, []byte("end")))
	tail := []byte("end")
	for range 1520 {
		u := e.upload("gen")
		from := int64(len(lead) - step)
		parts := []objects.CompletedPart{
			e.partCopy(u, 1, "lead", nil),
			e.partCopy(u, 2, "gen", &s3.ByteRange{First: from, Last: int64(len(lead)+len(tail)) - 1}),
		}
		e.complete(u, parts...)
		tail = slices.Concat(lead[from:], tail)
	}
	e.holds("gen", slices.Concat(lead, tail))
	if n := e.Store.Status().Counters.Blobs; n != 4 {
		t.Errorf("%d blobs written, want 3 at first and one for the copy that was too fragmented", n)
	}
}

// TestPartCopyOfReplacedSource: a source that is replaced between the look at it and the copy
// is looked at again, wherever its bytes are; one that always is ends as what may be tried again.
func TestPartCopyOfReplacedSource(t *testing.T) {
	for name, size := range map[string]int{"inline": 40, "on disks": 50_000} {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			for _, times := range []int{1, 1000} {
				e.put("source", bytesOf(1, size))
				u := e.upload("k")
				looks := 0
				out, err := e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{
					Source: objects.CopySource{Bucket: bucket, Key: "source", Precondition: func(s3.ETag, time.Time) error {
						if looks++; looks <= times {
							e.put("source", bytesOf(uint64(1+looks), size))
						}
						return nil
					}},
					Bucket: bucket, Key: u.Key, Upload: u.ID, Number: 1,
				})
				if times > 1 {
					e.refuse(err, s3.SlowDown)
					continue
				}
				e.must(err)
				e.complete(u, objects.CompletedPart{Number: 1, ETag: out.Part.ETag})
				e.holds("k", bytesOf(2, size))
			}
		})
	}
}
