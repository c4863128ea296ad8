package compat

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestObjectACLLife(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner, other := newParty(t, s, "owner"), newParty(t, s, "other")
	bucket, key := owner.openBucket(t), aws.String("key")
	put(t, owner.Client, bucket, *key, []byte("body"))
	want := func(list string) {
		t.Helper()
		out, err := owner.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: &bucket, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if got := grants(out.Grants); got != list || aws.ToString(out.Owner.DisplayName) != "owner" {
			t.Errorf("%s's with %q, want %q", aws.ToString(out.Owner.DisplayName), got, list)
		}
	}
	read := func(c *s3.Client) error {
		_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: key})
		return err
	}
	before, err := owner.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	want("owner=FULL_CONTROL")
	wantError(t, read(other.Client), 403, "AccessDenied")
	for _, in := range []struct {
		in   s3.PutObjectAclInput
		list string
	}{
		{s3.PutObjectAclInput{ACL: "public-read"}, "AllUsers=READ owner=FULL_CONTROL"},
		{s3.PutObjectAclInput{GrantRead: aws.String("id=" + other.CanonicalID)}, "other=READ"},
		{s3.PutObjectAclInput{AccessControlPolicy: &types.AccessControlPolicy{
			Owner: &types.Owner{ID: &owner.CanonicalID}, Grants: []types.Grant{userGrant(other.CanonicalID, types.PermissionFullControl)},
		}}, "other=FULL_CONTROL"},
	} {
		in.in.Bucket, in.in.Key = &bucket, key
		if _, err := owner.PutObjectAcl(t.Context(), &in.in); err != nil {
			t.Fatal(err)
		}
		want(in.list)
		if err := read(other.Client); err != nil {
			t.Errorf("with %s: %v", in.list, err)
		}
	}
	if _, err := other.PutObjectAcl(t.Context(), &s3.PutObjectAclInput{Bucket: &bucket, Key: key, ACL: "private"}); err != nil {
		t.Errorf("with FULL_CONTROL: %v", err)
	}
	want("owner=FULL_CONTROL") // it is still the owner's
	wantError(t, read(other.Client), 403, "AccessDenied")
	after, err := owner.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: key})
	if err != nil || !after.LastModified.Equal(*before.LastModified) || *after.ETag != *before.ETag {
		t.Errorf("an ACL changed the object: %+v %v", after, err)
	}
	_, err = owner.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: &bucket, Key: aws.String("none")})
	wantError(t, err, 404, "NoSuchKey")
	_, err = other.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: &bucket, Key: aws.String("none")})
	wantError(t, err, 403, "AccessDenied")
}

// TestObjectACLOfVersions: each version has a list of its own.
func TestObjectACLOfVersions(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner, other := newParty(t, s, "owner"), newParty(t, s, "other")
	bucket, key := owner.openBucket(t), aws.String("key")
	_, err := owner.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	first := put(t, owner.Client, bucket, *key, []byte("first"))
	second := put(t, owner.Client, bucket, *key, []byte("second"))
	if _, err := owner.PutObjectAcl(t.Context(), &s3.PutObjectAclInput{Bucket: &bucket, Key: key, VersionId: first.VersionId, ACL: "public-read"}); err != nil {
		t.Fatal(err)
	}
	read := func(version *string) error {
		_, err := other.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: key, VersionId: version})
		return err
	}
	if err := read(first.VersionId); err != nil {
		t.Errorf("the version that is public: %v", err)
	}
	wantError(t, read(second.VersionId), 403, "AccessDenied")
	wantError(t, read(nil), 403, "AccessDenied")
	for _, version := range []*string{first.VersionId, second.VersionId} {
		if _, err := owner.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: key, VersionId: version}); err != nil {
			t.Error(err)
		}
	}
}

// TestObjectACLOfWhatOthersWrite: in a bucket of writers an object is its
// writer's, and a copy or an upload has the list that was asked for.
func TestObjectACLOfWhatOthersWrite(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner, writer := newParty(t, s, "owner"), newParty(t, s, "writer")
	bucket := owner.openBucket(t)
	if _, err := owner.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: &bucket, GrantWrite: aws.String("id=" + writer.CanonicalID)}); err != nil {
		t.Fatal(err)
	}
	put(t, writer.Client, bucket, "plain", []byte("body"))
	_, err := owner.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("plain")})
	wantError(t, err, 403, "AccessDenied")
	source := aws.String(bucket + "/plain")
	_, err = writer.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("copy"), CopySource: source, ACL: "bucket-owner-read"})
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "the copy", get(t, owner.Client, bucket, "copy"), []byte("body"))
	up, err := writer.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("upload"), ACL: "bucket-owner-full-control"})
	if err != nil {
		t.Fatal(err)
	}
	part, err := writer.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: aws.String("upload"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = writer.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: aws.String("upload"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	acl, err := owner.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: &bucket, Key: aws.String("upload")})
	if err != nil || grants(acl.Grants) != "owner=FULL_CONTROL writer=FULL_CONTROL" || aws.ToString(acl.Owner.DisplayName) != "writer" {
		t.Errorf("%+v %v", acl, err)
	}
}
