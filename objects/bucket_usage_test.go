package objects_test

import (
	"fmt"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func TestBucketUsage(t *testing.T) {
	e := open(t)
	usage := func(want objects.BucketUsage) {
		t.Helper()
		got, err := e.BucketUsage(e.ctx, bucket)
		e.must(err)
		if got != want {
			t.Errorf("the bucket holds %+v, want %+v", got, want)
		}
	}
	usage(objects.BucketUsage{})
	e.put("a", []byte("foo"))
	e.put("b", bytesOf(1, 20_000))
	usage(objects.BucketUsage{Objects: 2, Bytes: 20_003})
	e.remove("b")
	usage(objects.BucketUsage{Objects: 1, Bytes: 3})
	_, err := e.BucketUsage(e.ctx, "nowhere")
	e.refuse(err, s3.NoSuchBucket)
}

func TestCreateBucketNoMoreThanAllowed(t *testing.T) {
	e := open(t)
	create := func(name s3.BucketName, by s3.OwnerID) error {
		_, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: name, Owner: by, Most: 3})
		return err
	}
	for i := range 3 {
		e.must(create(s3.BucketName(fmt.Sprintf("more-%d", i)), "counted"))
	}
	e.refuse(create("too-many", "counted"), s3.TooManyBuckets)
	e.refuse(create("more-0", "counted"), s3.BucketAlreadyOwnedByYou)
	e.must(create("of-another", "another"))
	e.must(e.DeleteBucket(e.ctx, "more-0"))
	e.must(create("in-its-place", "counted"))
}
