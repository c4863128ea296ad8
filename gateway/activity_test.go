package gateway

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestActivityRisesWithEveryMove sees requests without a body, and with bodies of
// both directions.
func TestActivityRisesWithEveryMove(t *testing.T) {
	var activity atomic.Int64
	s, c := newSystem(t)
	s.gateway.o.Activity = &activity
	moves := func() int64 { return activity.Swap(0) }
	bucket, key := aws.String("bucket"), aws.String("key")
	if _, err := c.HeadBucket(t.Context(), &awss3.HeadBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	if n := moves(); n < 1 {
		t.Errorf("a request counts %d moves", n)
	}
	if _, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(randomBytes(6 << 20))}); err != nil {
		t.Fatal(err)
	}
	if n := moves(); n < 4 {
		t.Errorf("a body of 6 MiB counts %d moves", n)
	}
	out, err := c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, out.Body); n != 6<<20 || err != nil {
		t.Fatalf("%d bytes: %v", n, err)
	}
	if n := moves(); n < 4 {
		t.Errorf("an answer of 6 MiB counts %d moves", n)
	}
}
