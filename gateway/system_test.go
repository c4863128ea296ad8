package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/s3"
)

// newSystem is a gateway over a whole store, which is checked when the test ends.
func newSystem(t *testing.T) (*server, *awss3.Client) {
	t.Helper()
	cluster := testcluster.New(t, testcluster.Options{})
	s := newServer(t, func(o *Options) { o.Objects = cluster.Objects })
	c := awss3.New(awss3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.URL), UsePathStyle: true,
		Credentials:      credentials.NewStaticCredentialsProvider(testAccessKey, testSecret, ""),
		RetryMaxAttempts: 1,
	})
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("bucket")}); err != nil {
		t.Fatal(err)
	}
	return s, c
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(b)
	return b
}

func codeOf(err error) s3.Code {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return s3.Code(e.ErrorCode())
	}
	return ""
}

func TestSystemObjects(t *testing.T) {
	_, c := newSystem(t)
	ctx := t.Context()
	bucket := aws.String("bucket")
	for _, size := range []int{0, 1, 4096, 8192, 8193, 100_000, 6 << 20} {
		key, body := aws.String(fmt.Sprintf("dir/%d", size)), randomBytes(size)
		put, err := c.PutObject(ctx, &awss3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(body), Metadata: map[string]string{"size": fmt.Sprint(size)}})
		if err != nil {
			t.Fatal(size, err)
		}
		get, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: bucket, Key: key, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(size, err)
		}
		got, err := io.ReadAll(get.Body)
		if err != nil || !bytes.Equal(got, body) || *get.ETag != *put.ETag || get.Metadata["size"] != fmt.Sprint(size) {
			t.Errorf("size %d: %d bytes, %v", size, len(got), err)
		}
	}
	part, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: bucket, Key: aws.String("dir/100000"), Range: aws.String("bytes=70000-70009")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(part.Body); err != nil || !bytes.Equal(got, randomBytes(100_000)[70000:70010]) {
		t.Errorf("range: %x %v", got, err)
	}
	if _, err := c.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String("bucket/dir/8193")}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: bucket, Delimiter: aws.String("/")})
	if err != nil || len(list.Contents) != 1 || len(list.CommonPrefixes) != 1 || *list.CommonPrefixes[0].Prefix != "dir/" {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := c.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: bucket}); codeOf(err) != s3.BucketNotEmpty {
		t.Error(err)
	}
	all, err := c.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: bucket})
	if err != nil {
		t.Fatal(err)
	}
	var ids []types.ObjectIdentifier
	for _, o := range all.Contents {
		ids = append(ids, types.ObjectIdentifier{Key: o.Key})
	}
	deleted, err := c.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: ids}})
	if err != nil || len(deleted.Deleted) != 8 || len(deleted.Errors) != 0 {
		t.Errorf("%+v %v", deleted, err)
	}
	if _, err := c.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: bucket}); err != nil {
		t.Error(err)
	}
}

func TestSystemMultipart(t *testing.T) {
	_, c := newSystem(t)
	ctx := t.Context()
	bucket, key := aws.String("bucket"), aws.String("big")
	up, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	body := randomBytes(5<<20 + 10)
	var parts []types.CompletedPart
	for i, piece := range [][]byte{body[:5<<20], body[5<<20:]} {
		number := aws.Int32(int32(i + 1))
		out, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: bucket, Key: key, UploadId: up.UploadId, PartNumber: number, Body: bytes.NewReader(piece)})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32})
	}
	listed, err := c.ListParts(ctx, &awss3.ListPartsInput{Bucket: bucket, Key: key, UploadId: up.UploadId})
	if err != nil || len(listed.Parts) != 2 || *listed.Parts[1].Size != 10 {
		t.Errorf("%+v %v", listed, err)
	}
	uploads, err := c.ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: bucket, Prefix: key})
	if err != nil || len(uploads.Uploads) != 1 {
		t.Errorf("%+v %v", uploads, err)
	}
	reversed := slices.Clone(parts)
	slices.Reverse(reversed)
	complete := &awss3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: reversed}}
	if _, err := c.CompleteMultipartUpload(ctx, complete); codeOf(err) != s3.InvalidPartOrder {
		t.Error(err)
	}
	complete.MultipartUpload.Parts = parts
	done, err := c.CompleteMultipartUpload(ctx, complete)
	if err != nil || !strings.HasSuffix(*done.ETag, `-2"`) {
		t.Fatal(done, err)
	}
	for number, size := range map[int32]int64{1: 5 << 20, 2: 10} {
		get, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: bucket, Key: key, PartNumber: aws.Int32(number)})
		if err != nil || *get.ContentLength != size || *get.PartsCount != 2 {
			t.Fatalf("part %d: %+v %v", number, get, err)
		}
		_ = get.Body.Close()
	}
	whole, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(whole.Body); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestSystemCutBodiesLeakNothing cuts uploads at many places. Nothing may be
// stored, no goroutine may stay, and the store's checker, at the end of the
// test, may find nothing without an owner.
func TestSystemCutBodiesLeakNothing(t *testing.T) {
	s, c := newSystem(t)
	body := string(randomBytes(300_000))
	if _, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("warm"), Body: strings.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
	s.CloseClientConnections()
	before := runtime.NumGoroutine()
	for i := range 40 {
		cut := i * len(body) / 40
		conn := s.dial()
		conn.send(s.head("/bucket/cut", body, len(body)) + body[:cut])
		_ = conn.Close()
	}
	s.wait(func() bool { return s.gateway.inFlight.Load() == 0 && runtime.NumGoroutine() <= before+3 })
	_, err := c.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String("bucket"), Key: aws.String("cut")})
	if err == nil {
		t.Error("a cut body was stored")
	}
}

// wait waits until a condition holds.
func (s *server) wait(holds func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			buf := make([]byte, 1<<16)
			s.t.Fatalf("still not so; goroutines:\n%s", buf[:runtime.Stack(buf, true)])
		}
	}
}

// TestSystemVirtualHost asks by host name.
func TestSystemVirtualHost(t *testing.T) {
	cluster := testcluster.New(t, testcluster.Options{})
	s := newServer(t, func(o *Options) { o.Objects, o.Domains = cluster.Objects, []string{"s3.example.test"} })
	ask := func(method, target, body string) string {
		r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		r.Host, r.URL.Host, r.URL.Scheme = "host-bucket.s3.example.test", "host-bucket.s3.example.test", "http"
		s.sign(r, body)
		r.Header.Set("Content-Length", fmt.Sprint(len(body)))
		w := httptest.NewRecorder()
		s.gateway.ServeHTTP(w, r)
		if w.Code/100 != 2 {
			t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
		return w.Body.String()
	}
	ask("PUT", "/", "")
	ask("PUT", "/a%20b//c%2Bd", "hello")
	if got := ask("GET", "/a%20b//c%2Bd", ""); got != "hello" {
		t.Errorf("%q", got)
	}
	if got := ask("GET", "/?list-type=2", ""); !strings.Contains(got, "<Key>a b//c+d</Key>") {
		t.Error(got)
	}
}
