//go:build compat

package compat

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// copyAll copies source ("bucket/key") into parts 1 to count of an upload.
func (u *upload) copyAll(ctx context.Context, source string, count, concurrency int) {
	u.t.Helper()
	u.done = make([]types.CompletedPart, count)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrency)
	for i := range count {
		g.Go(func() error {
			number := int32(i + 1)
			out, err := u.c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, PartNumber: &number, CopySource: &source})
			if err != nil {
				return fmt.Errorf("part %d: %w", number, err)
			}
			u.done[i] = types.CompletedPart{PartNumber: &number, ETag: out.CopyPartResult.ETag}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		u.t.Fatal(err)
	}
}

// wantRange reads 1000 bytes of the finished object and compares them with the
// repetition of block that it is.
func (u *upload) wantRange(at int64, block []byte) {
	t, n := u.t, int64(1000)
	t.Helper()
	r := fmt.Sprintf("bytes=%d-%d", at, at+n-1)
	out, err := u.c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &u.bucket, Key: &u.key, Range: &r})
	if err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	from := at % int64(len(block))
	want := slices.Concat(block[from:], block)[:n]
	wantBytes(t, r, readAll(t, out.Body), want)
}

// TestMultipartTenThousandParts builds an object of the most parts that S3 has,
// by copies that move no bytes.
func TestMultipartTenThousandParts(t *testing.T) {
	if isPeer() {
		skip(t, "a peer would copy 50 GB")
	}
	c, bucket := newBucket(t)
	block := pattern(5*mib, 1)
	put(t, c, bucket, "block", block)
	u := beginUpload(t, c, bucket, "many")
	began := time.Now()
	u.copyAll(t.Context(), bucket+"/block", 10000, 16)
	copied := time.Since(began)
	listed := 0
	in := &s3.ListPartsInput{Bucket: &bucket, Key: aws.String("many"), UploadId: &u.id}
	for {
		out, err := c.ListParts(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		listed += len(out.Parts)
		if !aws.ToBool(out.IsTruncated) {
			break
		}
		in.PartNumberMarker = out.NextPartNumberMarker
	}
	if listed != 10000 {
		t.Errorf("%d parts listed", listed)
	}
	began = time.Now()
	out := u.complete()
	t.Logf("10,000 part copies in %v, completed in %v", copied, time.Since(began))
	sum := md5.Sum(block)
	want := fmt.Sprintf(`"%s-10000"`, md5Hex(bytes.Repeat(sum[:], 10000)))
	if got := aws.ToString(out.ETag); got != want {
		t.Errorf("ETag %s, want %s", got, want)
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("many"), PartNumber: aws.Int32(10000)})
	if err != nil || aws.ToInt32(head.PartsCount) != 10000 || aws.ToInt64(head.ContentLength) != 5*mib {
		t.Errorf("HEAD of part 10000: %+v, %v", head, err)
	}
	const size = 10000 * 5 * mib
	for _, at := range []int64{0, 5*mib - 10, size/2 - 10, size - 5*mib - 1, size - 1000} {
		u.wantRange(at, block)
	}
}

// TestMultipartFiveTebibytes builds the largest object of S3 out of 5 MiB: 1024
// copies make 5 GiB, the largest part, and 1024 copies of that make 5 TiB.
func TestMultipartFiveTebibytes(t *testing.T) {
	if isPeer() {
		skip(t, "a peer would copy 5 TB")
	}
	c, bucket := newBucket(t)
	block := pattern(5*mib, 2)
	put(t, c, bucket, "block", block)
	part := beginUpload(t, c, bucket, "part")
	part.copyAll(t.Context(), bucket+"/block", 1024, 16)
	part.complete()
	huge := beginUpload(t, c, bucket, "huge")
	huge.copyAll(t.Context(), bucket+"/part", 1024, 4)
	huge.complete()
	const size = int64(5) << 40
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("huge")})
	if err != nil || aws.ToInt64(head.ContentLength) != size {
		t.Fatalf("HEAD: %d bytes, %v", aws.ToInt64(head.ContentLength), err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	for _, at := range []int64{0, 5<<30 - 500, size - 1000, rng.Int64N(size - 1000), rng.Int64N(size - 1000)} {
		huge.wantRange(at, block)
	}
	// One byte more than S3 allows.
	over := beginUpload(t, c, bucket, "over")
	over.copyAll(t.Context(), bucket+"/part", 1024, 4)
	put(t, c, bucket, "byte", []byte("x"))
	if _, err := over.copyPart(1025, bucket+"/byte", ""); err != nil {
		t.Fatal(err)
	}
	_, err = over.tryComplete(over.done)
	wantError(t, err, 400, "EntityTooLarge")
	// A 5 TiB copy is one small transaction; AWS limits CopyObject to 5 GiB.
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("copy"), CopySource: aws.String(bucket + "/huge")})
	if err != nil {
		wantError(t, err, 400, "InvalidRequest")
	} else {
		(&upload{t: t, c: c, bucket: bucket, key: "copy"}).wantRange(size-1000, block)
	}
}
