package objects_test

import (
	"bytes"
	"crypto/md5"
	"io"
	"testing"
	"time"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// locking is a bucket with Object Lock whose locks end with the test.
func locking(t *testing.T) *env {
	t.Helper()
	e := open(t)
	e.cleared = true // nobody could empty it
	_, err := e.CreateBucket(e.ctx, objects.CreateBucketInput{Name: vault, Owner: owner, ObjectLock: true})
	e.must(err)
	return e
}

var oneDay = objects.ObjectLock{Mode: objects.RetentionCompliance, Days: 1}

// lockOf is the lock of the current version.
func (e *env) lockOf(b s3.BucketName, key s3.Key) objects.Lock {
	e.t.Helper()
	out, err := e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: b, Key: key})
	e.must(err)
	return objects.Lock{Retention: out.Object.Retention, LegalHold: out.Object.LegalHold}
}

// atEnd calls a function when the body is read to its end.
type atEnd struct {
	io.Reader
	call func()
}

func (a *atEnd) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err == io.EOF && a.call != nil {
		a.call()
		a.call = nil
	}
	return n, err //nolint:wrapcheck // a Reader's error must stay as it is
}

// TestDefaultRetentionIsOfTheCommit: a body that was on its way when the
// configuration changed is locked as the bucket is then.
func TestDefaultRetentionIsOfTheCommit(t *testing.T) {
	e := locking(t)
	put := func(key s3.Key, data []byte, then objects.ObjectLock) {
		t.Helper()
		body := bodyOf(data)
		body.Reader = &atEnd{body.Reader, func() { e.must(e.PutObjectLock(e.ctx, vault, then)) }}
		body.Size = -1
		_, err := e.PutObject(e.ctx, objects.PutObjectInput{Bucket: vault, Key: key, Owner: owner, Body: body})
		e.must(err)
	}
	for _, size := range []int{10, 100 * kib} {
		put("locked", bytes.Repeat([]byte("x"), size), oneDay)
		if got := e.lockOf(vault, "locked"); got.Retention.Mode != objects.RetentionCompliance {
			t.Errorf("%d bytes: %+v", size, got)
		}
		put("free", bytes.Repeat([]byte("x"), size), objects.ObjectLock{})
		if got := e.lockOf(vault, "free"); got != (objects.Lock{}) {
			t.Errorf("%d bytes: %+v", size, got)
		}
	}
}

// TestUploadsAreLockedWhenTheyAreCompleted: by what they asked for in the
// beginning, else by the default of the end.
func TestUploadsAreLockedWhenTheyAreCompleted(t *testing.T) {
	e := locking(t)
	until := e.LockTime().AddDate(0, 0, 9).Truncate(time.Millisecond) // as records keep it
	asked := objects.Lock{LegalHold: objects.LegalHoldOn, Retention: objects.Retention{Mode: objects.RetentionGovernance, Until: until}}
	held := objects.Lock{LegalHold: objects.LegalHoldOn}
	for key, lock := range map[s3.Key]objects.Lock{"asked": asked, "held": held, "default": {}} {
		u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: vault, Key: key, Owner: owner, Lock: lock})
		e.must(err)
		e.must(e.PutObjectLock(e.ctx, vault, oneDay))
		body := bodyOf([]byte("part"))
		sum := md5.Sum([]byte("part"))
		body.MD5 = sum[:]
		p, err := e.UploadPart(e.ctx, objects.UploadPartInput{Bucket: vault, Key: key, Upload: u.ID, Number: 1, Body: body})
		e.must(err)
		_, err = e.CompleteMultipartUpload(e.ctx, objects.CompleteUploadInput{
			Bucket: vault, Key: key, Upload: u.ID, Parts: []objects.CompletedPart{{Number: 1, ETag: p.ETag}}, Size: -1,
		})
		e.must(err)
		want := lock
		if want.Retention.Mode == objects.RetentionNone {
			want.Retention = e.lockOf(vault, key).Retention
			if want.Retention.Mode != objects.RetentionCompliance {
				t.Errorf("%s: %+v is not the default", key, want)
			}
		}
		if got := e.lockOf(vault, key); got != want {
			t.Errorf("%s: %+v, want %+v", key, got, want)
		}
		e.must(e.PutObjectLock(e.ctx, vault, objects.ObjectLock{}))
	}
}

// TestNullVersionIsLockedToo: one of before the bucket kept versions.
func TestNullVersionIsLockedToo(t *testing.T) {
	e := open(t)
	e.put("k", []byte("null"))
	in := objects.PutObjectLegalHoldInput{Bucket: bucket, Key: "k", LegalHold: objects.LegalHoldOn}
	_, err := e.PutObjectLegalHold(e.ctx, in)
	e.refuse(err, s3.InvalidRequest)
	e.refuse(e.PutObjectLock(e.ctx, bucket, objects.ObjectLock{}), s3.InvalidBucketState)
	e.must(e.PutBucketVersioning(e.ctx, bucket, s3.VersioningEnabled))
	e.must(e.PutObjectLock(e.ctx, bucket, objects.ObjectLock{}))
	if got := e.lockOf(bucket, "k"); got != (objects.Lock{}) {
		t.Errorf("what was there is locked: %+v", got)
	}
	_, err = e.PutObjectLegalHold(e.ctx, in)
	e.must(err)
	e.refuse(e.PutBucketVersioning(e.ctx, bucket, s3.VersioningSuspended), s3.InvalidBucketState)
	e.put("k", []byte("above"))
	remove := objects.DeleteObjectInput{Bucket: bucket, Key: "k", VersionID: s3.NullVersion}
	_, err = e.DeleteObject(e.ctx, remove)
	e.refuse(err, s3.AccessDenied)
	e.restart()
	_, err = e.DeleteObject(e.ctx, remove)
	e.refuse(err, s3.AccessDenied)
	e.refuse(e.DeleteBucket(e.ctx, bucket), s3.BucketNotEmpty)
	in.VersionID, in.LegalHold = s3.NullVersion, objects.LegalHoldOff
	_, err = e.PutObjectLegalHold(e.ctx, in)
	e.must(err)
	_, err = e.DeleteObject(e.ctx, remove)
	e.must(err)
}

// TestTagsAndACLsOfLockedVersions can be changed: they are no part of what is
// protected.
func TestTagsAndACLsOfLockedVersions(t *testing.T) {
	e := locking(t)
	e.must(e.PutObjectLock(e.ctx, vault, oneDay))
	_, err := e.PutObject(e.ctx, objects.PutObjectInput{Bucket: vault, Key: "k", Owner: owner, Body: bodyOf([]byte("x"))})
	e.must(err)
	before := e.lockOf(vault, "k")
	_, err = e.PutObjectTagging(e.ctx, objects.PutObjectTaggingInput{Bucket: vault, Key: "k", Tags: []objects.Pair{{Name: "a", Value: "b"}}})
	e.must(err)
	_, err = e.PutObjectACL(e.ctx, objects.PutObjectACLInput{Bucket: vault, Key: "k", ACL: func(*objects.Object) []objects.Grant { return nil }})
	e.must(err)
	if got := e.lockOf(vault, "k"); got != before || got.Retention.Mode != objects.RetentionCompliance {
		t.Errorf("%+v, before %+v", got, before)
	}
}
