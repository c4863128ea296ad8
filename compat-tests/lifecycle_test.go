package compat

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestLifecycle: rules that are due at once are applied when the administrator asks for it, on versions, markers,
// uploads and classes, and answers tell of those that are not.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	srv := startServer(t, "--storage-class", "COLD=1+0")
	c, bucket := srv.bucket(t)
	past, future := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	rule := func(id, prefix string, fill func(*types.LifecycleRule)) types.LifecycleRule {
		r := types.LifecycleRule{ID: &id, Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: &prefix}}
		fill(&r)
		return r
	}
	rules := &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{
		rule("old", "old/", func(r *types.LifecycleRule) { r.Expiration = &types.LifecycleExpiration{Date: &past} }),
		rule("later", "later/", func(r *types.LifecycleRule) { r.Expiration = &types.LifecycleExpiration{Date: &future} }),
		rule("cold", "cold/", func(r *types.LifecycleRule) {
			r.Transitions = []types.Transition{{Date: &past, StorageClass: "COLD"}}
		}),
		rule("uploads", "later/", func(r *types.LifecycleRule) {
			r.AbortIncompleteMultipartUpload = &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(3)}
		}),
	}}
	_, err := c.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{Bucket: &bucket, LifecycleConfiguration: rules})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := c.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: &bucket})
	if err != nil || len(shown.Rules) != 4 || *shown.Rules[0].ID != "old" || !shown.Rules[0].Expiration.Date.Equal(past) {
		t.Fatalf("%+v %v", shown, err)
	}
	body := []byte(strings.Repeat("x", 100_000))
	for _, key := range []string{"old/a", "later/a", "cold/a"} {
		put(t, c, bucket, key, body)
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("later/a")})
	if err != nil || aws.ToString(head.Expiration) != `expiry-date="Sun, 01 Jan 2090 00:00:00 GMT", rule-id="later"` {
		t.Errorf("%q %v", aws.ToString(head.Expiration), err)
	}
	upload, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("later/b")})
	if err != nil || aws.ToString(upload.AbortRuleId) != "uploads" || upload.AbortDate == nil {
		t.Errorf("%+v %v", upload, err)
	}

	if text, err := srv.administer(t, "lifecycle", "--now", "--watch"); err != nil || !strings.Contains(text, "lifecycle") {
		t.Fatalf("%s %v", text, err)
	}
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("old/a")})
	wantError(t, err, 404, "NotFound")
	cold, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("cold/a")})
	if err != nil || cold.StorageClass != "COLD" || aws.ToInt64(cold.ContentLength) != int64(len(body)) {
		t.Errorf("%+v %v", cold, err)
	}
	if _, err := c.DeleteBucketLifecycle(t.Context(), &s3.DeleteBucketLifecycleInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: &bucket})
	wantError(t, err, 404, "NoSuchLifecycleConfiguration")
}
