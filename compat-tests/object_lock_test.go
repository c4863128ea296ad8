package compat

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// repository is what a backup program keeps in a bucket with Object Lock. Its
// server is its own: nobody could empty the bucket.
type repository struct {
	*s3.Client
	t      *testing.T
	s      *server
	bucket *string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	s := startServer(t)
	r := &repository{Client: s.client(), t: t, s: s, bucket: aws.String("backups")}
	_, err := r.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: r.bucket, ObjectLockEnabledForBucket: aws.Bool(true)})
	r.must(err)
	return r
}

func (r *repository) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// put writes a block under retention and returns its version.
func (r *repository) put(key string, mode types.ObjectLockMode, until time.Time) types.ObjectIdentifier {
	r.t.Helper()
	out, err := r.PutObject(r.t.Context(), &s3.PutObjectInput{
		Bucket: r.bucket, Key: &key, Body: strings.NewReader(key), ObjectLockMode: mode, ObjectLockRetainUntilDate: &until,
	})
	r.must(err)
	return types.ObjectIdentifier{Key: &key, VersionId: out.VersionId}
}

// deleteAll deletes versions in one request and returns the keys that stay,
// each refused as AWS refuses it.
func (r *repository) deleteAll(blocks []types.ObjectIdentifier, bypass *bool) (stay []string) {
	r.t.Helper()
	in := &s3.DeleteObjectsInput{
		Bucket: r.bucket, Delete: &types.Delete{Objects: blocks, Quiet: aws.Bool(true)}, BypassGovernanceRetention: bypass,
	}
	out, err := r.DeleteObjects(r.t.Context(), in)
	r.must(err)
	for _, e := range out.Errors {
		if aws.ToString(e.Code) != "AccessDenied" || aws.ToString(e.Message) != "Access Denied because object protected by object lock." || e.VersionId == nil {
			r.t.Errorf("%s: %s %s", aws.ToString(e.Key), aws.ToString(e.Code), aws.ToString(e.Message))
		}
		stay = append(stay, *e.Key)
	}
	return stay
}

// extend sets the end of a block's retention.
func (r *repository) extend(block types.ObjectIdentifier, mode types.ObjectLockRetentionMode, until time.Time) error {
	_, err := r.PutObjectRetention(r.t.Context(), &s3.PutObjectRetentionInput{
		Bucket: r.bucket, Key: block.Key, VersionId: block.VersionId,
		Retention: &types.ObjectLockRetention{Mode: mode, RetainUntilDate: &until},
	})
	return err
}

// TestBackupRepository plays what backup programs with immutability ask: is the
// bucket fit for it, write blocks under retention, extend that while a backup
// refers to them, delete what is not needed any more in batches, and list what
// is there.
func TestBackupRepository(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	ctx := t.Context()

	v, err := r.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: r.bucket})
	r.must(err)
	conf, err := r.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: r.bucket})
	r.must(err)
	if lock := conf.ObjectLockConfiguration; v.Status != types.BucketVersioningStatusEnabled || lock.ObjectLockEnabled != types.ObjectLockEnabledEnabled || lock.Rule != nil {
		t.Fatalf("the bucket is not fit: %+v, %+v", v, lock)
	}
	plain := aws.String("plain")
	_, err = r.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: plain})
	r.must(err)
	_, err = r.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: plain})
	wantError(t, err, 404, "ObjectLockConfigurationNotFoundError")

	day := 24 * time.Hour
	until := time.Now().Add(30 * day).UTC().Truncate(time.Second)
	var old, kept []types.ObjectIdentifier
	for i := range 20 {
		old = append(old, r.put(fmt.Sprintf("old/%d", i), types.ObjectLockModeGovernance, until))
		kept = append(kept, r.put(fmt.Sprintf("kept/%d", i), types.ObjectLockModeCompliance, until))
	}
	big := aws.String("big")
	u, err := r.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: r.bucket, Key: big, ObjectLockMode: types.ObjectLockModeCompliance, ObjectLockRetainUntilDate: &until, ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn,
	})
	r.must(err)
	part, err := r.UploadPart(ctx, &s3.UploadPartInput{Bucket: r.bucket, Key: big, UploadId: u.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(pattern(mib, 1))})
	r.must(err)
	done, err := r.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: r.bucket, Key: big, UploadId: u.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}},
	})
	r.must(err)
	kept = append(kept, types.ObjectIdentifier{Key: big, VersionId: done.VersionId})

	later := until.Add(10 * day)
	for _, block := range kept {
		r.must(r.extend(block, types.ObjectLockRetentionModeCompliance, later))
		wantError(t, r.extend(block, types.ObjectLockRetentionModeCompliance, until), 403, "AccessDenied")
		wantError(t, r.extend(block, types.ObjectLockRetentionModeGovernance, later.Add(day)), 403, "AccessDenied")
	}
	head, err := r.HeadObject(ctx, &s3.HeadObjectInput{Bucket: r.bucket, Key: big})
	r.must(err)
	if head.ObjectLockMode != types.ObjectLockModeCompliance || !head.ObjectLockRetainUntilDate.Equal(later) || head.ObjectLockLegalHoldStatus != types.ObjectLockLegalHoldStatusOn {
		t.Errorf("the head of a block: %+v", head)
	}
	for _, block := range kept {
		got, err := r.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: r.bucket, Key: block.Key, VersionId: block.VersionId})
		r.must(err)
		if !got.Retention.RetainUntilDate.Equal(later) {
			t.Errorf("%s until %v, want %v", *block.Key, got.Retention.RetainUntilDate, later)
		}
	}

	all := append(append([]types.ObjectIdentifier(nil), old...), kept...)
	if stay := r.deleteAll(all, nil); len(stay) != len(all) {
		t.Errorf("%d of %d blocks stay", len(stay), len(all))
	}
	if stay := r.deleteAll(all, aws.Bool(true)); len(stay) != len(kept) || strings.HasPrefix(strings.Join(stay, ","), "old") {
		t.Errorf("after a deletion with bypass %q stay", stay)
	}
	// Whoever has the keys hides what is there, and no more than that.
	for _, block := range kept {
		_, err := r.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: r.bucket, Key: block.Key})
		r.must(err)
		_, err = r.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: r.bucket, Key: block.Key, VersionId: block.VersionId, BypassGovernanceRetention: aws.Bool(true)})
		wantError(t, err, 403, "AccessDenied")
	}
	_, err = r.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: r.bucket})
	wantError(t, err, 409, "BucketNotEmpty")
	_, err = r.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: r.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended},
	})
	wantError(t, err, 409, "InvalidBucketState")
	list, err := r.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: r.bucket})
	r.must(err)
	if len(list.Versions) != len(kept) || len(list.DeleteMarkers) != len(kept) {
		t.Errorf("%d versions and %d markers are there, want %d of each", len(list.Versions), len(list.DeleteMarkers), len(kept))
	}
	for i := range list.DeleteMarkers {
		m := &list.DeleteMarkers[i]
		removeVersion(t, r.Client, *r.bucket, *m.Key, *m.VersionId)
	}
	for _, block := range kept {
		get(t, r.Client, *r.bucket, *block.Key)
	}
}

// TestDefaultRetention: what is written while the bucket has one is locked by
// it, however it is written.
func TestDefaultRetention(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	ctx := t.Context()
	_, err := r.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: r.bucket, ObjectLockConfiguration: &types.ObjectLockConfiguration{
		ObjectLockEnabled: types.ObjectLockEnabledEnabled,
		Rule:              &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeGovernance, Years: aws.Int32(1)}},
	}})
	r.must(err)
	put(t, r.Client, *r.bucket, "put", []byte("x"))
	_, err = r.CopyObject(ctx, &s3.CopyObjectInput{Bucket: r.bucket, Key: aws.String("copy"), CopySource: aws.String(*r.bucket + "/put")})
	r.must(err)
	for _, key := range []string{"put", "copy"} {
		head, err := r.HeadObject(ctx, &s3.HeadObjectInput{Bucket: r.bucket, Key: &key})
		r.must(err)
		if got := head.ObjectLockRetainUntilDate.Sub(*head.LastModified); head.ObjectLockMode != types.ObjectLockModeGovernance || got < 365*24*time.Hour || got > 366*24*time.Hour {
			t.Errorf("%s is locked in %s for %v", key, head.ObjectLockMode, got)
		}
		_, err = r.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: r.bucket, Key: &key, VersionId: head.VersionId})
		wantError(t, err, 403, "AccessDenied")
	}
	resp := r.s.raw(t, &rawRequest{Method: "PUT", Path: "/" + *r.bucket + "/undigested", Body: []byte("x")})
	resp.want(t, "no digest", 400, "InvalidRequest")
}
