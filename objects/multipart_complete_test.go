package objects_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// multipartTag is the entity tag that AWS makes of parts.
func multipartTag(parts ...[]byte) s3.ETag {
	h := md5.New()
	for _, p := range parts {
		sum := md5.Sum(p)
		h.Write(sum[:])
	}
	return s3.ETag(fmt.Sprintf("%s-%d", hex.EncodeToString(h.Sum(nil)), len(parts)))
}

func TestComplete(t *testing.T) {
	heavy(t)
	e := open(t)
	parts := [][]byte{bytesOf(1, 5*mib), bytesOf(2, 5*mib+1), bytesOf(3, 9000)}
	u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{
		Bucket: bucket, Key: "k", Owner: owner, Attributes: objects.Attributes{ContentType: "a/b"},
	})
	e.must(err)
	var list []objects.CompletedPart
	for i, n := range []int{7, 3, 5} { // uploaded in any order
		list = append(list, e.part(u, n, parts[[]int{2, 0, 1}[i]]))
	}
	list = []objects.CompletedPart{list[1], list[2], list[0]}
	e.part(u, 4, bytesOf(4, 20_000)) // not used
	e.part(u, 9, bytesOf(4, 10))
	o := e.complete(u, list...)
	all := slices.Concat(parts...)
	want := objects.Object{
		Key: "k", VersionID: "null", Size: int64(len(all)), ETag: multipartTag(parts...), Modified: o.Modified,
		StorageClass: "STANDARD", Owner: owner, Attributes: objects.Attributes{ContentType: "a/b"}, PartCount: 3,
		Checksums: []objects.Checksum{{Algorithm: "CRC64NVME", Type: "FULL_OBJECT", Value: sumOf(checksum.CRC64NVME, all)}},
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
	e.holds("k", all)
	e.checkRanges("k", all, ranges(rand.New(rand.NewPCG(3, 4)), int64(len(all)), 20))
	e.checkRanges("k", all, []s3.ByteRange{{First: 5*mib - 1, Last: 5 * mib}, {First: 10*mib - 1, Last: 10*mib + 2}})
	for i, n := range []int{3, 5, 7} {
		out, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: "k", PartNumber: n})
		e.must(err)
		if d := difference(got, parts[i]); d != "" || out.Object.PartCount != 3 || !out.Partial {
			t.Errorf("part %d: %s, %d parts", n, d, out.Object.PartCount)
		}
	}
	for _, n := range []int{1, 4, 9, 10_000} {
		_, _, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: "k", PartNumber: n})
		e.refuse(err, s3.InvalidPart)
	}
	again := e.complete(u, list...)
	if diff := cmp.Diff(o, again); diff != "" {
		t.Errorf("completed twice (-first +second):\n%s", diff)
	}
	e.put("k", []byte("new"))
	_, err = e.tryComplete(u, list...)
	e.refuse(err, s3.NoSuchUpload)
	e.holds("k", []byte("new"))
}

func TestCompleteOfOneEmptyPart(t *testing.T) {
	e := open(t)
	u := e.upload("k")
	o := e.complete(u, e.part(u, 1, nil))
	if o.Size != 0 || o.ETag != multipartTag(nil) || o.PartCount != 1 {
		t.Errorf("object %+v", o)
	}
	e.holds("k", nil)
	out, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: "k", PartNumber: 1})
	e.must(err)
	if len(got) != 0 || !out.Partial {
		t.Errorf("part 1: %q", got)
	}
}

func TestCompleteRefusals(t *testing.T) {
	e := open(t)
	u := e.upload("k")
	small, large := e.part(u, 1, bytesOf(1, 5*mib-1)), e.part(u, 2, bytesOf(2, 5*mib))
	last := e.part(u, 3, []byte("x"))
	wrong := func(p objects.CompletedPart) objects.CompletedPart {
		p.ETag = etagOf([]byte("something else"))
		return p
	}
	for name, tc := range map[string]struct {
		parts []objects.CompletedPart
		want  s3.Code
	}{
		"none":           {nil, s3.MalformedXML},
		"order":          {[]objects.CompletedPart{last, large}, s3.InvalidPartOrder},
		"missing":        {[]objects.CompletedPart{large, {Number: 4, ETag: large.ETag}}, s3.InvalidPart},
		"missing before": {[]objects.CompletedPart{{Number: 0, ETag: large.ETag}, large}, s3.InvalidPart},
		"twice, another": {[]objects.CompletedPart{large, wrong(large)}, s3.InvalidPart},
		"entity tag":     {[]objects.CompletedPart{wrong(large), last}, s3.InvalidPart},
		"no entity tag":  {[]objects.CompletedPart{{Number: 2}, last}, s3.InvalidPart},
		"too small":      {[]objects.CompletedPart{small, large}, s3.EntityTooSmall},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := e.tryComplete(u, tc.parts...)
			e.refuse(err, tc.want)
			e.absent("k")
		})
	}
	in := objects.CompleteUploadInput{
		Bucket: bucket, Key: "k", Upload: u.ID, Parts: []objects.CompletedPart{large, last}, Size: 5 * mib,
	}
	_, err := e.CompleteMultipartUpload(e.ctx, in)
	e.refuse(err, s3.InvalidRequest)
	in.Size++
	in.Precondition = func(*objects.Object) error { return s3.NewError(s3.PreconditionFailed) }
	_, err = e.CompleteMultipartUpload(e.ctx, in)
	e.refuse(err, s3.PreconditionFailed)
	e.absent("k")
	if s := e.Summary(); s.Manifests != 0 || s.Parts != 3 {
		t.Errorf("refused completions left something: %+v", s)
	}
	in.Precondition = nil
	_, err = e.CompleteMultipartUpload(e.ctx, in)
	e.must(err)
}

// TestCompleteWithChecksums holds the object's checksum against one made of the parts
// here, for every algorithm and type, and refuses what differs.
func TestCompleteWithChecksums(t *testing.T) {
	heavy(t)
	e := open(t)
	parts := [][]byte{bytesOf(1, 5*mib), bytesOf(2, 10_001)}
	for _, tc := range []struct {
		algorithm checksum.Algorithm
		kind      string
	}{
		{checksum.CRC32, "COMPOSITE"},
		{checksum.CRC32, "FULL_OBJECT"},
		{checksum.CRC32C, "COMPOSITE"},
		{checksum.CRC32C, "FULL_OBJECT"},
		{checksum.CRC64NVME, "FULL_OBJECT"},
		{checksum.SHA1, "COMPOSITE"},
		{checksum.SHA256, "COMPOSITE"},
		{checksum.SHA256, ""},
		{checksum.CRC64NVME, ""},
	} {
		t.Run(tc.algorithm.String()+tc.kind, func(t *testing.T) {
			u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{
				Bucket: bucket, Key: "k", Owner: owner, Checksum: tc.algorithm, ChecksumType: tc.kind,
			})
			e.must(err)
			var list []objects.CompletedPart
			var sums []string
			for i, data := range parts {
				body := bodyOf(data)
				body.Checksum = checksum.SHA512
				_, err := e.tryPart(u, i+1, body)
				e.refuse(err, s3.InvalidRequest)
				body = bodyOf(data)
				p, err := e.tryPart(u, i+1, body)
				e.must(err)
				sums = append(sums, sumOf(tc.algorithm, data))
				if len(p.Checksums) != 1 || p.Checksums[0].Value != sums[i] {
					t.Errorf("part %d has %+v, want %s", i+1, p.Checksums, sums[i])
				}
				list = append(list, objects.CompletedPart{Number: i + 1, ETag: p.ETag, Checksums: []objects.Checksum{
					{Algorithm: tc.algorithm.String(), Value: sums[i]},
				}})
			}
			want := objects.Checksum{Algorithm: tc.algorithm.String(), Type: "FULL_OBJECT", Value: sumOf(tc.algorithm, slices.Concat(parts...))}
			if u.ChecksumType == "COMPOSITE" {
				raw := make([]byte, 0, 64)
				for _, s := range sums {
					d, err := tc.algorithm.Decode(s)
					e.must(err)
					raw = append(raw, d...)
				}
				want.Type, want.Value = "COMPOSITE", sumOf(tc.algorithm, raw)+"-2"
			}
			in := objects.CompleteUploadInput{Bucket: bucket, Key: "k", Upload: u.ID, Parts: list, Size: -1}
			in.Expected = want
			in.Expected.Value = sumOf(tc.algorithm, []byte("else"))
			_, err = e.CompleteMultipartUpload(e.ctx, in)
			e.refuse(err, s3.BadDigest)
			in.Expected = want
			in.Parts = slices.Clone(list)
			in.Parts[1].Checksums = []objects.Checksum{{Algorithm: want.Algorithm, Value: sums[0]}}
			_, err = e.CompleteMultipartUpload(e.ctx, in)
			e.refuse(err, s3.InvalidPart)
			in.Parts = list
			o, err := e.CompleteMultipartUpload(e.ctx, in)
			e.must(err)
			if diff := cmp.Diff([]objects.Checksum{want}, o.Checksums); diff != "" {
				t.Errorf("checksums (-want +got):\n%s", diff)
			}
		})
	}
	for _, tc := range []struct {
		algorithm checksum.Algorithm
		kind      string
	}{{checksum.SHA256, "FULL_OBJECT"}, {checksum.CRC64NVME, "COMPOSITE"}, {0, "COMPOSITE"}, {checksum.CRC32, "ELSE"}} {
		_, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{
			Bucket: bucket, Key: "k", Checksum: tc.algorithm, ChecksumType: tc.kind,
		})
		e.refuse(err, s3.InvalidRequest)
	}
}

// TestCompleteNeverIgnoresAChecksum: what the client says of the whole object
// is verified or refused.
func TestCompleteNeverIgnoresAChecksum(t *testing.T) {
	e := open(t)
	data := bytesOf(1, 10_000)
	e.put("source", bytesOf(2, 20_000))
	for name, tc := range map[string]struct {
		part func(u objects.Upload) objects.CompletedPart
		all  []byte
	}{
		"part with another algorithm": {func(u objects.Upload) objects.CompletedPart {
			body := bodyOf(data)
			body.Checksum = checksum.CRC32
			p, err := e.tryPart(u, 1, body)
			e.must(err)
			return objects.CompletedPart{Number: 1, ETag: p.ETag}
		}, data},
		"copied range": {func(u objects.Upload) objects.CompletedPart {
			p, err := e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{
				Source: objects.CopySource{Bucket: bucket, Key: "source"}, Range: &s3.ByteRange{First: 1, Last: 9000},
				Bucket: bucket, Key: u.Key, Upload: u.ID, Number: 1,
			})
			e.must(err)
			return objects.CompletedPart{Number: 1, ETag: p.Part.ETag}
		}, bytesOf(2, 20_000)[1:9001]},
	} {
		t.Run(name, func(t *testing.T) {
			u := e.upload("k")
			in := objects.CompleteUploadInput{
				Bucket: bucket, Key: "k", Upload: u.ID, Parts: []objects.CompletedPart{tc.part(u)}, Size: -1,
			}
			for _, a := range []checksum.Algorithm{checksum.CRC32, checksum.CRC64NVME} {
				in.Expected = objects.Checksum{Algorithm: a.String(), Type: "FULL_OBJECT", Value: sumOf(a, []byte("else"))}
				if _, err := e.CompleteMultipartUpload(e.ctx, in); err == nil {
					t.Fatalf("a wrong %s of the object is accepted", a)
				}
				e.absent("k")
			}
			in.Expected = objects.Checksum{Type: "COMPOSITE"}
			if _, err := e.CompleteMultipartUpload(e.ctx, in); s3.CodeOf(err) != s3.BadDigest {
				t.Errorf("another checksum type: %v", err)
			}
			in.Expected = objects.Checksum{}
			_, err := e.CompleteMultipartUpload(e.ctx, in)
			e.must(err)
			e.holds("k", tc.all)
			e.remove("k")
		})
	}
}

func TestCompletesRace(t *testing.T) {
	e := open(t, func(o *single.Options) { o.Now = time.Now })
	for round := range 10 {
		u := e.upload("k")
		a, b := e.part(u, 1, bytesOf(1, 9000)), e.part(u, 2, bytesOf(2, 9001))
		lists := [][]objects.CompletedPart{{a}, {b}, {b}}
		outs := make([]objects.Object, len(lists))
		errs := make([]error, len(lists))
		var wg sync.WaitGroup
		for i, list := range lists {
			wg.Go(func() { outs[i], errs[i] = e.tryComplete(u, list...) })
		}
		wg.Wait()
		made := [2]s3.ETag{multipartTag(bytesOf(1, 9000)), multipartTag(bytesOf(2, 9001))}
		first := errs[0] == nil
		if first == (errs[1] == nil) || first == (errs[2] == nil) {
			t.Fatalf("round %d: completions of one upload with two lists: %v", round, errs)
		}
		for i, err := range errs {
			if err != nil {
				e.refuse(err, s3.NoSuchUpload)
			} else if outs[i].ETag != made[min(i, 1)] {
				t.Fatalf("round %d: list %d made %q", round, i, outs[i].ETag)
			}
		}
		want := bytesOf(1, 9000)
		if !first {
			want = bytesOf(2, 9001)
		}
		e.holds("k", want)
	}
}

// TestCompleteRacesUploads: whatever parts come and uploads end meanwhile, an
// object is made of the parts listed, and a part acknowledged after the end is not.
func TestCompleteRacesUploads(t *testing.T) {
	e := open(t, func(o *single.Options) { o.Now = time.Now })
	contents := [][]byte{bytesOf(1, 9000), bytesOf(2, 8999), bytesOf(3, 10)}
	for round := range 15 {
		u := e.upload("k")
		var wg sync.WaitGroup
		listed := e.part(u, 1, contents[0])
		var completed, aborted error
		wg.Go(func() { _, completed = e.tryComplete(u, listed) })
		if round%3 == 0 {
			wg.Go(func() {
				aborted = e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: bucket, Key: "k", Upload: u.ID})
			})
		}
		for i, data := range contents[1:] {
			wg.Go(func() {
				if _, err := e.tryPart(u, 1+i, bodyOf(data)); err != nil {
					e.refuse(err, s3.NoSuchUpload)
				}
			})
		}
		wg.Wait()
		switch {
		case completed == nil:
			e.holds("k", contents[0])
			if round%3 == 0 {
				e.refuse(aborted, s3.NoSuchUpload)
			}
		case round%3 == 0 && aborted == nil:
			if s3.CodeOf(completed) != s3.InvalidPart { // replaced before, then aborted
				e.refuse(completed, s3.NoSuchUpload)
			}
			e.absent("k")
		default:
			e.refuse(completed, s3.InvalidPart) // replaced before
			e.absent("k")
			e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: bucket, Key: "k", Upload: u.ID}))
		}
		e.remove("k")
	}
	if s := e.Summary(); s.Parts != 0 || s.Uploads != 0 {
		t.Errorf("left over: %+v", s)
	}
}

func TestAttributesListParts(t *testing.T) {
	heavy(t)
	e := open(t)
	u := e.upload("k")
	parts := [][]byte{bytesOf(1, 5*mib), bytesOf(2, 5*mib), nil}
	var list []objects.CompletedPart
	for i, data := range parts {
		list = append(list, e.part(u, i*10+1, data))
	}
	e.complete(u, list...)
	for page := 1; page < 5; page++ {
		var got []string
		for marker := 0; ; {
			out, err := e.GetObjectAttributes(e.ctx, objects.AttributesInput{
				Bucket: bucket, Key: "k", WantParts: true, PartNumberMarker: marker, MaxParts: page,
			})
			e.must(err)
			if out.Object.PartCount != 3 || len(out.Parts) > page {
				t.Fatalf("attributes %+v", out)
			}
			for _, p := range out.Parts {
				got = append(got, fmt.Sprintf("%d:%d", p.Number, p.Size))
				marker = p.Number
			}
			if !out.Truncated {
				break
			}
		}
		if diff := cmp.Diff("1:5242880 11:5242880 21:0", strings.Join(got, " ")); diff != "" {
			t.Errorf("parts by pages of %d (-want +got):\n%s", page, diff)
		}
	}
	e.put("plain", []byte("x"))
	out, err := e.GetObjectAttributes(e.ctx, objects.AttributesInput{Bucket: bucket, Key: "plain", WantParts: true, MaxParts: 10})
	e.must(err)
	if len(out.Parts) != 0 || out.Truncated || out.Object.Size != 1 {
		t.Errorf("attributes of a plain object: %+v", out)
	}
	_, err = e.GetObjectAttributes(e.ctx, objects.AttributesInput{Bucket: bucket, Key: "nothing"})
	e.refuse(err, s3.NoSuchKey)
}
