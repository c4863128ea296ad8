package compat

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestBucketUnconfiguredReads reads a new bucket as Terraform's provider does
// when it refreshes a bucket and all that can be set of it.
func TestBucketUnconfiguredReads(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	ctx := t.Context()
	reads := map[string]struct {
		read func(bucket *string) error
		want string // the error's code; empty for none
	}{
		"accelerate": {func(b *string) error {
			out, err := c.GetBucketAccelerateConfiguration(ctx, &s3.GetBucketAccelerateConfigurationInput{Bucket: b})
			return unless(err, func() bool { return out.Status == "" })
		}, ""},
		"logging": {func(b *string) error {
			out, err := c.GetBucketLogging(ctx, &s3.GetBucketLoggingInput{Bucket: b})
			return unless(err, func() bool { return out.LoggingEnabled == nil })
		}, ""},
		"notification": {func(b *string) error {
			out, err := c.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: b})
			return unless(err, func() bool {
				return out.EventBridgeConfiguration == nil && len(out.QueueConfigurations)+len(out.TopicConfigurations)+len(out.LambdaFunctionConfigurations) == 0
			})
		}, ""},
		"request payment": {func(b *string) error {
			out, err := c.GetBucketRequestPayment(ctx, &s3.GetBucketRequestPaymentInput{Bucket: b})
			return unless(err, func() bool { return out.Payer == "BucketOwner" })
		}, ""},
		"versioning": {func(b *string) error {
			out, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: b})
			return unless(err, func() bool { return out.Status == "" && out.MFADelete == "" })
		}, ""},
		"abac": {func(b *string) error {
			out, err := c.GetBucketAbac(ctx, &s3.GetBucketAbacInput{Bucket: b})
			return unless(err, func() bool { return out.AbacStatus != nil && out.AbacStatus.Status == "Disabled" })
		}, ""},
		"analytics list": {func(b *string) error {
			out, err := c.ListBucketAnalyticsConfigurations(ctx, &s3.ListBucketAnalyticsConfigurationsInput{Bucket: b})
			return unless(err, func() bool { return len(out.AnalyticsConfigurationList) == 0 && !aws.ToBool(out.IsTruncated) })
		}, ""},
		"intelligent-tiering list": {func(b *string) error {
			out, err := c.ListBucketIntelligentTieringConfigurations(ctx, &s3.ListBucketIntelligentTieringConfigurationsInput{Bucket: b})
			return unless(err, func() bool {
				return len(out.IntelligentTieringConfigurationList) == 0 && !aws.ToBool(out.IsTruncated)
			})
		}, ""},
		"inventory list": {func(b *string) error {
			out, err := c.ListBucketInventoryConfigurations(ctx, &s3.ListBucketInventoryConfigurationsInput{Bucket: b})
			return unless(err, func() bool { return len(out.InventoryConfigurationList) == 0 && !aws.ToBool(out.IsTruncated) })
		}, ""},
		"metrics list": {func(b *string) error {
			out, err := c.ListBucketMetricsConfigurations(ctx, &s3.ListBucketMetricsConfigurationsInput{Bucket: b})
			return unless(err, func() bool { return len(out.MetricsConfigurationList) == 0 && !aws.ToBool(out.IsTruncated) })
		}, ""},
		"analytics": {func(b *string) error {
			_, err := c.GetBucketAnalyticsConfiguration(ctx, &s3.GetBucketAnalyticsConfigurationInput{Bucket: b, Id: aws.String("i")})
			return err
		}, "NoSuchConfiguration"},
		"intelligent-tiering": {func(b *string) error {
			_, err := c.GetBucketIntelligentTieringConfiguration(ctx, &s3.GetBucketIntelligentTieringConfigurationInput{Bucket: b, Id: aws.String("i")})
			return err
		}, "NoSuchConfiguration"},
		"inventory": {func(b *string) error {
			_, err := c.GetBucketInventoryConfiguration(ctx, &s3.GetBucketInventoryConfigurationInput{Bucket: b, Id: aws.String("i")})
			return err
		}, "NoSuchConfiguration"},
		"metrics": {func(b *string) error {
			_, err := c.GetBucketMetricsConfiguration(ctx, &s3.GetBucketMetricsConfigurationInput{Bucket: b, Id: aws.String("i")})
			return err
		}, "NoSuchConfiguration"},
		"cors": {func(b *string) error {
			_, err := c.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: b})
			return err
		}, "NoSuchCORSConfiguration"},
		"encryption": {func(b *string) error {
			_, err := c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: b})
			return err
		}, "ServerSideEncryptionConfigurationNotFoundError"},
		"lifecycle": {func(b *string) error {
			_, err := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
			return err
		}, "NoSuchLifecycleConfiguration"},
		"metadata": {func(b *string) error {
			_, err := c.GetBucketMetadataConfiguration(ctx, &s3.GetBucketMetadataConfigurationInput{Bucket: b})
			return err
		}, "MetadataConfigurationNotFound"},
		"object lock": {func(b *string) error {
			_, err := c.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: b})
			return err
		}, "ObjectLockConfigurationNotFoundError"},
		"policy": {func(b *string) error {
			_, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: b})
			return err
		}, "NoSuchBucketPolicy"},
		"replication": {func(b *string) error {
			_, err := c.GetBucketReplication(ctx, &s3.GetBucketReplicationInput{Bucket: b})
			return err
		}, "ReplicationConfigurationNotFoundError"},
		"tagging": {func(b *string) error {
			_, err := c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: b})
			return err
		}, "NoSuchTagSet"},
		"website": {func(b *string) error {
			_, err := c.GetBucketWebsite(ctx, &s3.GetBucketWebsiteInput{Bucket: b})
			return err
		}, "NoSuchWebsiteConfiguration"},
	}
	missing := "missing-" + randomHex(6)
	for name, tt := range reads {
		err := tt.read(&bucket)
		if tt.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if tt.want != "" {
			wantError(t, err, 404, tt.want)
		}
		wantError(t, tt.read(&missing), 404, "NoSuchBucket")
	}
}

var errOther = errors.New("another answer")

func unless(err error, right func() bool) error {
	if err != nil {
		return err
	}
	if !right() {
		return errOther
	}
	return nil
}

// TestBucketUnconfiguredDeletions: there is nothing to delete, which AWS says
// differently for what a bucket has one of and for what it has many of.
func TestBucketUnconfiguredDeletions(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	ctx := t.Context()
	for name, remove := range map[string]func() error{
		"cors": func() error { return second(c.DeleteBucketCors(ctx, &s3.DeleteBucketCorsInput{Bucket: &bucket})) },
		"encryption": func() error {
			return second(c.DeleteBucketEncryption(ctx, &s3.DeleteBucketEncryptionInput{Bucket: &bucket}))
		},
		"lifecycle": func() error {
			return second(c.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: &bucket}))
		},
		"replication": func() error {
			return second(c.DeleteBucketReplication(ctx, &s3.DeleteBucketReplicationInput{Bucket: &bucket}))
		},
		"tagging": func() error { return second(c.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: &bucket})) },
		"website": func() error { return second(c.DeleteBucketWebsite(ctx, &s3.DeleteBucketWebsiteInput{Bucket: &bucket})) },
	} {
		if err := remove(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := c.DeleteBucketMetricsConfiguration(ctx, &s3.DeleteBucketMetricsConfigurationInput{Bucket: &bucket, Id: aws.String("i")})
	wantError(t, err, 404, "NoSuchConfiguration")
	_, err = c.DeleteBucketInventoryConfiguration(ctx, &s3.DeleteBucketInventoryConfigurationInput{Bucket: &bucket, Id: aws.String("i")})
	wantError(t, err, 404, "NoSuchConfiguration")
	missing := "missing-" + randomHex(6)
	_, err = c.DeleteBucketWebsite(ctx, &s3.DeleteBucketWebsiteInput{Bucket: &missing})
	wantError(t, err, 404, "NoSuchBucket")
}

func second[T any](_ T, err error) error { return err }

// TestBucketUnconfiguredWrites: what is not enforced is not accepted.
func TestBucketUnconfiguredWrites(t *testing.T) {
	t.Parallel()
	s := shared(t)
	_, bucket := s.bucket(t)
	for _, query := range []string{
		"accelerate=", "logging=", "notification=", "replication=", "abac=",
		"id=i&metrics=", "analytics=&id=i", "id=i&inventory=", "id=i&intelligent-tiering=",
	} {
		resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket, Query: query, Body: []byte("<Configuration/>")})
		resp.want(t, "PUT ?"+query, 501, "NotImplemented")
	}
	for _, r := range []rawRequest{
		{Query: "frobnicate="}, {Query: "acl=&tagging="}, {Method: "PUT", Query: "frobnicate="}, {Method: "DELETE", Query: "frobnicate="},
	} {
		r.Path = "/" + bucket
		s.raw(t, &r).want(t, r.Method+" ?"+r.Query, 501, "NotImplemented")
	}
	s.raw(t, &rawRequest{Path: "/" + bucket, Query: "delimiter=&marker=&prefix="}).want(t, "empty parameters of a listing", 200)
	for _, query := range []string{"website=", "lifecycle=", "accelerate=", "metrics=", "tagging=", "cors="} {
		resp := s.raw(t, &rawRequest{Path: "/" + bucket, Query: query, Anonymous: true})
		resp.want(t, "anonymous ?"+query, 403, "AccessDenied")
	}
}
