package compat

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestOwnershipControlsLife(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	want := func(o types.ObjectOwnership) {
		t.Helper()
		out, err := c.GetBucketOwnershipControls(t.Context(), &s3.GetBucketOwnershipControlsInput{Bucket: &bucket})
		if err != nil || len(out.OwnershipControls.Rules) != 1 || out.OwnershipControls.Rules[0].ObjectOwnership != o {
			t.Errorf("%+v %v, want %s", out, err, o)
		}
	}
	want(types.ObjectOwnershipBucketOwnerEnforced)
	for _, o := range []types.ObjectOwnership{types.ObjectOwnershipBucketOwnerPreferred, types.ObjectOwnershipObjectWriter} {
		_, err := c.PutBucketOwnershipControls(t.Context(), &s3.PutBucketOwnershipControlsInput{Bucket: &bucket, OwnershipControls: ownershipControls(o)})
		if err != nil {
			t.Fatal(err)
		}
		want(o)
	}
	for range 2 {
		if _, err := c.DeleteBucketOwnershipControls(t.Context(), &s3.DeleteBucketOwnershipControlsInput{Bucket: &bucket}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.GetBucketOwnershipControls(t.Context(), &s3.GetBucketOwnershipControlsInput{Bucket: &bucket})
	wantError(t, err, 404, "OwnershipControlsNotFoundError")
	_, err = c.PutBucketOwnershipControls(t.Context(), &s3.PutBucketOwnershipControlsInput{Bucket: &bucket, OwnershipControls: ownershipControls("Nobody")})
	wantError(t, err, 400, "MalformedXML")
}

// TestOwnershipOfNewBuckets: without ACLs, as at AWS.
func TestOwnershipOfNewBuckets(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner, writer := newParty(t, s, "owner"), newParty(t, s, "writer")
	bucket, key := bucketOf(t, owner.Client), aws.String("key")
	owner.setPolicy(t, bucket, statementFor("Allow", `{"AWS":"`+writer.ID+`"}`, "s3:*", bucket))
	for _, acl := range []types.ObjectCannedACL{"", types.ObjectCannedACLBucketOwnerFullControl} {
		if _, err := writer.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: key, ACL: acl}); err != nil {
			t.Fatal(err)
		}
		out, err := writer.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: &bucket, Key: key})
		if err != nil || aws.ToString(out.Owner.ID) != owner.CanonicalID || grants(out.Grants) != "owner=FULL_CONTROL" {
			t.Errorf("with %q: %+v %v", acl, out, err)
		}
	}
	_, err := writer.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: key, ACL: types.ObjectCannedACLPublicRead})
	wantError(t, err, 400, "AccessControlListNotSupported")
	_, err = owner.PutObjectAcl(t.Context(), &s3.PutObjectAclInput{Bucket: &bucket, Key: key, ACL: types.ObjectCannedACLPrivate})
	wantError(t, err, 400, "AccessControlListNotSupported")
	_, err = owner.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: &bucket, ACL: types.BucketCannedACLPrivate})
	wantError(t, err, 400, "AccessControlListNotSupported")
}

func TestOwnershipEnforcedNeedsAPrivateBucket(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner := newParty(t, s, "owner")
	bucket := owner.openBucket(t)
	enforce := func() error {
		_, err := owner.PutBucketOwnershipControls(t.Context(), &s3.PutBucketOwnershipControlsInput{
			Bucket: &bucket, OwnershipControls: ownershipControls(types.ObjectOwnershipBucketOwnerEnforced),
		})
		return err
	}
	for _, acl := range []types.BucketCannedACL{types.BucketCannedACLPublicRead, types.BucketCannedACLPrivate} {
		if _, err := owner.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: &bucket, ACL: acl}); err != nil {
			t.Fatal(err)
		}
		if acl == types.BucketCannedACLPublicRead {
			wantError(t, enforce(), 400, "InvalidBucketAclWithObjectOwnership")
		} else if err := enforce(); err != nil {
			t.Error(err)
		}
	}
}

// TestSettingsOfNewBuckets: an installation may begin as S3 was before 2023.
func TestSettingsOfNewBuckets(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--object-ownership", "ObjectWriter", "--public-access-block", "off")
	c, bucket := s.bucket(t)
	_, err := c.GetBucketOwnershipControls(t.Context(), &s3.GetBucketOwnershipControlsInput{Bucket: &bucket})
	wantError(t, err, 404, "OwnershipControlsNotFoundError")
	_, err = c.GetPublicAccessBlock(t.Context(), &s3.GetPublicAccessBlockInput{Bucket: &bucket})
	wantError(t, err, 404, "NoSuchPublicAccessBlockConfiguration")
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("key"), ACL: types.ObjectCannedACLPublicRead}); err != nil {
		t.Fatal(err)
	}
	s.raw(t, &rawRequest{Path: "/" + bucket + "/key", Anonymous: true}).want(t, "a public object", 200)
}
