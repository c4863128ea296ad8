package objects_test

import (
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// TestBoundContextFindsNoOtherBucket: not even one of the same name.
func TestBoundContextFindsNoOtherBucket(t *testing.T) {
	e := open(t)
	state, err := e.BucketState(e.ctx, bucket)
	e.must(err)
	ctx := objects.Bind(e.ctx, state)
	second, err := e.BucketState(e.ctx, other)
	e.must(err)
	ctx = objects.Bind(ctx, second)
	e.must(e.PutBucketVersioning(ctx, bucket, s3.VersioningEnabled))
	e.must(e.DeleteBucket(ctx, bucket))
	_, err = e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: bucket, Owner: owner})
	e.must(err)

	e.refuse(e.PutBucketVersioning(ctx, bucket, s3.VersioningEnabled), s3.NoSuchBucket)
	e.refuse(e.PutBucketConfig(ctx, bucket, objects.ConfigPolicy, []byte("theirs")), s3.NoSuchBucket)
	e.refuse(e.DeleteBucket(ctx, bucket), s3.NoSuchBucket)
	_, err = e.BucketState(ctx, bucket)
	e.refuse(err, s3.NoSuchBucket)
	_, err = e.ListObjects(ctx, objects.ListObjectsInput{Bucket: bucket, Max: 1})
	e.refuse(err, s3.NoSuchBucket)
	_, err = e.PutObject(ctx, objects.PutObjectInput{Bucket: bucket, Key: "k", Body: bodyOf([]byte("theirs"))})
	e.refuse(err, s3.NoSuchBucket)
	_, err = e.BucketState(ctx, other)
	e.must(err)
	_, err = e.BucketState(e.ctx, bucket)
	e.must(err)
}
