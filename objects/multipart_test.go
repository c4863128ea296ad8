package objects_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func TestCreateUpload(t *testing.T) {
	e := open(t)
	u := e.upload("k")
	if u.Key != "k" || u.Owner != owner || u.StorageClass != "STANDARD" || u.Initiated.IsZero() || len(u.ID) < 16 {
		t.Errorf("upload %+v", u)
	}
	e.absent("k")
	_, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: "nowhere", Key: "k"})
	e.refuse(err, s3.NoSuchBucket)
	_, err = e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket})
	e.refuse(err, s3.InvalidRequest)
	_, err = e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: s3.Key(strings.Repeat("k", 1025))})
	e.refuse(err, s3.KeyTooLongError)
}

// TestUploadsThatAreNotThere: every operation on an upload says NoSuchUpload
// for ids that are malformed, of another key, of another bucket, aborted.
func TestUploadsThatAreNotThere(t *testing.T) {
	e := open(t)
	u := e.upload("k")
	gone := e.upload("k")
	e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: bucket, Key: "k", Upload: gone.ID}))
	e.put("source", []byte("x"))
	for name, at := range map[string]struct {
		bucket s3.BucketName
		key    s3.Key
		id     s3.UploadID
	}{
		"empty": {bucket, "k", ""}, "malformed": {bucket, "k", "../.."}, "short": {bucket, "k", u.ID[1:]},
		"unknown": {bucket, "k", s3.UploadID(strings.Repeat("0", 32))},
		"key":     {bucket, "kk", u.ID}, "bucket": {other, "k", u.ID}, "aborted": {bucket, "k", gone.ID},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := e.UploadPart(e.ctx, objects.UploadPartInput{
				Bucket: at.bucket, Key: at.key, Upload: at.id, Number: 1, Body: bodyOf([]byte("x")),
			})
			e.refuse(err, s3.NoSuchUpload)
			_, err = e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{
				Source: objects.CopySource{Bucket: bucket, Key: "source"}, Bucket: at.bucket, Key: at.key, Upload: at.id, Number: 1,
			})
			e.refuse(err, s3.NoSuchUpload)
			_, err = e.ListParts(e.ctx, objects.ListPartsInput{Bucket: at.bucket, Key: at.key, Upload: at.id, Max: 1})
			e.refuse(err, s3.NoSuchUpload)
			_, err = e.CompleteMultipartUpload(e.ctx, objects.CompleteUploadInput{
				Bucket: at.bucket, Key: at.key, Upload: at.id, Parts: []objects.CompletedPart{{Number: 1}}, Size: -1,
			})
			e.refuse(err, s3.NoSuchUpload)
			err = e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: at.bucket, Key: at.key, Upload: at.id})
			e.refuse(err, s3.NoSuchUpload)
		})
	}
}

func TestUploadPart(t *testing.T) {
	e := open(t)
	u := e.upload("k")
	for _, n := range []int{-1, 0, 10_001} {
		_, err := e.tryPart(u, n, bodyOf(nil))
		e.refuse(err, s3.InvalidArgument)
	}
	data := bytesOf(1, 9000)
	p, err := e.tryPart(u, 10_000, bodyOf(data))
	e.must(err)
	if p.Number != 10_000 || p.Size != 9000 || p.ETag != etagOf(data) || p.Modified.IsZero() {
		t.Errorf("part %+v", p)
	}
	// The last one of a number wins.
	first := e.part(u, 1, bytesOf(1, 100))
	second := e.part(u, 1, bytesOf(2, 5*mib))
	_, err = e.tryComplete(u, first, objects.CompletedPart{Number: 10_000, ETag: p.ETag})
	e.refuse(err, s3.InvalidPart)
	e.complete(u, second, objects.CompletedPart{Number: 10_000, ETag: p.ETag})
	e.holds("k", slices.Concat(bytesOf(2, 5*mib), data))
	if s := e.Summary(); s.Uploads != 0 || s.Parts != 0 {
		t.Errorf("after completion: %+v", s)
	}
}

func TestAbort(t *testing.T) {
	e := open(t)
	u, still := e.upload("k"), e.upload("k")
	for i := range 5 {
		e.part(u, i+1, bytesOf(uint64(i), i*20_000))
	}
	err := e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{
		Bucket: bucket, Key: "k", Upload: u.ID, InitiatedAt: u.Initiated.Truncate(time.Second).Add(time.Second),
	})
	e.refuse(err, s3.PreconditionFailed)
	e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{
		Bucket: bucket, Key: "k", Upload: u.ID, InitiatedAt: u.Initiated.Truncate(time.Second),
	}))
	e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: bucket, Key: "k", Upload: u.ID, InitiatedAt: u.Initiated}))
	_, err = e.tryPart(u, 1, bodyOf(bytesOf(1, 10_000)))
	e.refuse(err, s3.NoSuchUpload)
	if s := e.Summary(); s.Uploads != 1 || s.Parts != 0 {
		t.Errorf("after the abort: %+v", s)
	}
	e.complete(still, e.part(still, 1, []byte("x")))
	e.holds("k", []byte("x"))
}

func TestAbortOfManyParts(t *testing.T) {
	e := open(t)
	u := e.upload("k")
	for i := range 501 {
		e.part(u, i+1, nil)
	}
	e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: bucket, Key: "k", Upload: u.ID}))
	out, err := e.ListMultipartUploads(e.ctx, objects.ListUploadsInput{Bucket: bucket, Max: 10})
	e.must(err)
	if len(out.Uploads) != 0 {
		t.Errorf("uploads %+v", out.Uploads)
	}
	e.Summary()
}

func TestListParts(t *testing.T) {
	e := open(t)
	u := e.upload("k")
	numbers := []int{1, 2, 5, 9, 300, 9999, 10_000}
	var want []objects.Part
	for i, n := range numbers {
		p, err := e.tryPart(u, n, bodyOf(bytesOf(uint64(n), i*5000)))
		e.must(err)
		want = append(want, p)
	}
	for page := 1; page <= len(numbers)+1; page++ {
		var got []objects.Part
		for after := 0; ; {
			out, err := e.ListParts(e.ctx, objects.ListPartsInput{Bucket: bucket, Key: "k", Upload: u.ID, After: after, Max: page})
			e.must(err)
			if diff := cmp.Diff(u, out.Upload); diff != "" {
				t.Fatalf("upload differs (-want +got):\n%s", diff)
			}
			got = append(got, out.Parts...)
			if out.Truncated != (len(got) < len(want)) || len(out.Parts) > page {
				t.Fatalf("page of %d after %d: %d parts, truncated %v", page, after, len(out.Parts), out.Truncated)
			}
			if !out.Truncated {
				break
			}
			after = got[len(got)-1].Number
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", page, diff)
		}
	}
	out, err := e.ListParts(e.ctx, objects.ListPartsInput{Bucket: bucket, Key: "k", Upload: u.ID})
	e.must(err)
	if len(out.Parts) != 0 || out.Truncated {
		t.Errorf("page of none: %+v", out)
	}
}
