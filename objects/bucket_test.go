package objects_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func TestCreateBucket(t *testing.T) {
	e := open(t)
	in := objects.CreateBucketInput{Name: "fresh", Owner: owner, Region: "eu-central-1"}
	made, err := e.CreateBucket(e.ctx, in)
	e.must(err)
	head, err := e.BucketState(e.ctx, "fresh")
	e.must(err)
	if diff := cmp.Diff(objects.Bucket{Name: "fresh", Owner: owner, Region: "eu-central-1", Created: made.Created}, head.Bucket); diff != "" {
		t.Errorf("bucket (-want +got):\n%s", diff)
	}
	_, err = e.CreateBucket(e.ctx, in)
	e.refuse(err, s3.BucketAlreadyOwnedByYou)
	in.Owner = "somebody else"
	_, err = e.CreateBucket(e.ctx, in)
	e.refuse(err, s3.BucketAlreadyExists)
	for _, name := range []s3.BucketName{"", "ab", "Upper", "a..b", "1.2.3.4", "a_b", s3.BucketName(strings.Repeat("a", 64))} {
		_, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: name, Owner: owner})
		e.refuse(err, s3.InvalidBucketName)
	}
}

func TestDeleteBucket(t *testing.T) {
	e := open(t)
	e.refuse(e.DeleteBucket(e.ctx, "nowhere"), s3.NoSuchBucket)
	e.put("k", []byte("x"))
	e.refuse(e.DeleteBucket(e.ctx, bucket), s3.BucketNotEmpty)
	e.remove("k")
	u := e.upload("k")
	e.part(u, 1, bytesOf(1, 10_000))
	e.must(e.DeleteBucket(e.ctx, bucket)) // ends the upload; the checker finds its parts waiting for the collector
	_, err := e.BucketState(e.ctx, bucket)
	e.refuse(err, s3.NoSuchBucket)
	_, err = e.tryPut("k", bodyOf(nil))
	e.refuse(err, s3.NoSuchBucket)
	_, err = e.ListObjects(e.ctx, objects.ListObjectsInput{Bucket: bucket, Max: 1})
	e.refuse(err, s3.NoSuchBucket)
	_, err = e.tryPart(u, 1, bodyOf(nil))
	e.refuse(err, s3.NoSuchBucket)

	// A bucket of the same name is another bucket.
	_, err = e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: bucket, Owner: "another"})
	e.must(err)
	e.absent("k")
	_, err = e.tryPart(u, 1, bodyOf(nil))
	e.refuse(err, s3.NoSuchUpload)
}

func TestListBuckets(t *testing.T) {
	e := open(t)
	for i := range 7 {
		_, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: s3.BucketName(fmt.Sprintf("many-%d", i)), Owner: "lister"})
		e.must(err)
	}
	list := func(in objects.ListBucketsInput) (names []string, truncated bool) {
		t.Helper()
		in.Owner = "lister"
		out, err := e.ListBuckets(e.ctx, in)
		e.must(err)
		for _, b := range out.Buckets {
			names = append(names, string(b.Name))
		}
		return names, out.Truncated
	}
	for _, tc := range []struct {
		in        objects.ListBucketsInput
		want      string
		truncated bool
	}{
		{objects.ListBucketsInput{Max: 100}, "0123456", false},
		{objects.ListBucketsInput{Max: 7}, "0123456", false},
		{objects.ListBucketsInput{Max: 3}, "012", true},
		{objects.ListBucketsInput{Max: 3, After: "many-2"}, "345", true},
		{objects.ListBucketsInput{Max: 3, After: "many-5"}, "6", false},
		{objects.ListBucketsInput{Max: 3, After: "many-6"}, "", false},
		{objects.ListBucketsInput{Max: 3, Prefix: "many-4"}, "4", false},
		{objects.ListBucketsInput{Max: 3, Prefix: "nothing"}, "", false},
		{objects.ListBucketsInput{Max: 3, Prefix: "many", After: "many-4"}, "56", false},
	} {
		names, truncated := list(tc.in)
		got := strings.ReplaceAll(strings.Join(names, ""), "many-", "")
		if got != tc.want || truncated != tc.truncated {
			t.Errorf("%+v: %q truncated %v, want %q %v", tc.in, got, truncated, tc.want, tc.truncated)
		}
	}
}

// TestDeleteBucketRacesWrites: no object is ever acknowledged in a bucket that
// is deleted with it. An upload may start before and end with its bucket.
func TestDeleteBucketRacesWrites(t *testing.T) {
	e := open(t, func(o *single.Options) { o.Now = time.Now })
	for round := range 30 {
		name := s3.BucketName(fmt.Sprintf("race-%d", round))
		_, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: name, Owner: owner})
		e.must(err)
		var wg sync.WaitGroup
		var deleted, made, started error
		wg.Go(func() { deleted = e.DeleteBucket(e.ctx, name) })
		wg.Go(func() {
			_, made = e.PutObject(e.ctx, objects.PutObjectInput{Bucket: name, Key: "k", Body: bodyOf(bytesOf(1, 10+round*1000))})
		})
		if round%3 == 0 {
			wg.Go(func() {
				_, started = e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: name, Key: "k"})
			})
		}
		wg.Wait()
		if deleted != nil {
			e.refuse(deleted, s3.BucketNotEmpty)
		}
		for _, err := range []error{made, started} {
			if err != nil {
				e.refuse(err, s3.NoSuchBucket)
			}
		}
		if deleted == nil && made == nil {
			t.Fatalf("round %d: a write and the deletion of its bucket are both acknowledged", round)
		}
	}
}

// TestBucketCacheIsNeverStale: each of two services sees at once what the other does.
func TestBucketCacheIsNeverStale(t *testing.T) {
	e := open(t)
	second := objects.New(e.DB, e.Store, objects.Options{})
	for round := range 5 {
		name := s3.BucketName("shared")
		made, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: name, Owner: owner, Region: fmt.Sprint(round)})
		e.must(err)
		seen, err := second.BucketState(e.ctx, name)
		e.must(err)
		if seen.Bucket != made {
			t.Errorf("round %d: %+v, want %+v", round, seen.Bucket, made)
		}
		_, err = second.PutObject(e.ctx, objects.PutObjectInput{Bucket: name, Key: "k", Body: bodyOf([]byte("x"))})
		e.must(err)
		_, err = second.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: name, Key: "k"})
		e.must(err)
		e.must(e.DeleteBucket(e.ctx, name))
		_, err = second.BucketState(e.ctx, name)
		e.refuse(err, s3.NoSuchBucket)
	}
}

// TestDeleteBucketBeforeCommit: a bucket that goes after a write has looked for
// it, and before that commits, makes the write fail.
func TestDeleteBucketBeforeCommit(t *testing.T) {
	e := open(t)
	name := s3.BucketName("doomed")
	_, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: name, Owner: owner})
	e.must(err)
	attempts := 0
	_, err = e.PutObject(e.ctx, objects.PutObjectInput{
		Bucket: name, Key: "k", Body: bodyOf([]byte("x")),
		Precondition: func(*objects.Object) error {
			if attempts++; attempts == 1 {
				return e.DeleteBucket(e.ctx, name)
			}
			return nil
		},
	})
	e.refuse(err, s3.NoSuchBucket)
	if attempts != 1 {
		t.Errorf("the write got past its bucket %d times", attempts)
	}
}
