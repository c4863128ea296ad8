package compat

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestPublicAccessBlockLife(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	out, err := c.GetPublicAccessBlock(t.Context(), &s3.GetPublicAccessBlockInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	if b := out.PublicAccessBlockConfiguration; !aws.ToBool(b.BlockPublicAcls) || !aws.ToBool(b.IgnorePublicAcls) || !aws.ToBool(b.BlockPublicPolicy) || !aws.ToBool(b.RestrictPublicBuckets) {
		t.Errorf("a new bucket has %+v, want all", b)
	}
	_, err = c.PutPublicAccessBlock(t.Context(), &s3.PutPublicAccessBlockInput{
		Bucket: &bucket, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{IgnorePublicAcls: aws.Bool(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if out, err = c.GetPublicAccessBlock(t.Context(), &s3.GetPublicAccessBlockInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	if b := out.PublicAccessBlockConfiguration; aws.ToBool(b.BlockPublicAcls) || !aws.ToBool(b.IgnorePublicAcls) || aws.ToBool(b.BlockPublicPolicy) || aws.ToBool(b.RestrictPublicBuckets) {
		t.Errorf("%+v, want IgnorePublicAcls alone", b)
	}
	for range 2 {
		if _, err := c.DeletePublicAccessBlock(t.Context(), &s3.DeletePublicAccessBlockInput{Bucket: &bucket}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = c.GetPublicAccessBlock(t.Context(), &s3.GetPublicAccessBlockInput{Bucket: &bucket})
	wantError(t, err, 404, "NoSuchPublicAccessBlockConfiguration")
}

// TestPublicAccessBlockSettings turns on each and tries what it is against.
func TestPublicAccessBlockSettings(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner, other := newParty(t, s, "owner"), newParty(t, s, "other")
	bucket, key := owner.openBucket(t), aws.String("key")
	block := func(b types.PublicAccessBlockConfiguration) {
		t.Helper()
		if _, err := owner.PutPublicAccessBlock(t.Context(), &s3.PutPublicAccessBlockInput{Bucket: &bucket, PublicAccessBlockConfiguration: &b}); err != nil {
			t.Fatal(err)
		}
	}
	read := func() error {
		_, err := other.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: key})
		return err
	}
	publish := func() error {
		_, err := owner.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: key, ACL: "public-read"})
		return err
	}
	if err := publish(); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	block(types.PublicAccessBlockConfiguration{BlockPublicAcls: aws.Bool(true)})
	wantError(t, publish(), 403, "AccessDenied")
	_, err := owner.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: &bucket, ACL: "authenticated-read"})
	wantError(t, err, 403, "AccessDenied")
	if err := read(); err != nil {
		t.Errorf("what is public already: %v", err)
	}
	block(types.PublicAccessBlockConfiguration{IgnorePublicAcls: aws.Bool(true)})
	wantError(t, read(), 403, "AccessDenied")
	if err := publish(); err != nil {
		t.Error(err)
	}
	public := statementFor("Allow", `"*"`, "s3:GetObject", bucket)
	block(types.PublicAccessBlockConfiguration{BlockPublicPolicy: aws.Bool(true), IgnorePublicAcls: aws.Bool(true)})
	_, err = owner.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &public})
	wantError(t, err, 403, "AccessDenied")
	block(types.PublicAccessBlockConfiguration{IgnorePublicAcls: aws.Bool(true)})
	owner.setPolicy(t, bucket, public)
	if err := read(); err != nil {
		t.Errorf("with a public policy: %v", err)
	}
	block(types.PublicAccessBlockConfiguration{RestrictPublicBuckets: aws.Bool(true)})
	wantError(t, read(), 403, "AccessDenied")
	wantBytes(t, "the owner's", get(t, owner.Client, bucket, *key), nil)
}
