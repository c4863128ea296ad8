package compat

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func objectTags(t *testing.T, c *s3.Client, bucket, key, version string) []types.Tag {
	t.Helper()
	in := &s3.GetObjectTaggingInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := c.GetObjectTagging(t.Context(), in)
	if err != nil {
		t.Fatalf("GetObjectTagging %q %q: %v", key, version, err)
	}
	return out.TagSet
}

// wantTagCount looks at x-amz-tagging-count of HEAD and GET.
func wantTagCount(t *testing.T, c *s3.Client, bucket, key string, want int32) {
	t.Helper()
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, got.Body)
	if aws.ToInt32(head.TagCount) != want || aws.ToInt32(got.TagCount) != want || (want == 0) != (head.TagCount == nil) {
		t.Errorf("%s: %d tags by HEAD, %d by GET, want %d", key, aws.ToInt32(head.TagCount), aws.ToInt32(got.TagCount), want)
	}
}

func TestObjectTaggingLife(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	key := aws.String("dir/k ß")
	before := put(t, c, bucket, *key, []byte("body"))
	wantTags(t, "untagged", objectTags(t, c, bucket, *key, ""))
	wantTagCount(t, c, bucket, *key, 0)
	ten := []string{}
	for i := range 10 {
		ten = append(ten, fmt.Sprint(i), strings.Repeat("ß", 256))
	}
	for _, pairs := range [][]string{ten, {"a", "1", "b", ""}} { // the second replaces the first
		if _, err := c.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: &bucket, Key: key, Tagging: tagSet(pairs...)}); err != nil {
			t.Fatal(err)
		}
		wantTags(t, "tagged", objectTags(t, c, bucket, *key, ""), pairs...)
		wantTagCount(t, c, bucket, *key, int32(len(pairs)/2))
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: key})
	if err != nil || aws.ToString(head.ETag) != aws.ToString(before.ETag) || aws.ToInt64(head.ContentLength) != 4 {
		t.Errorf("tags changed the object: %+v, %v", head, err)
	}
	if _, err := c.DeleteObjectTagging(t.Context(), &s3.DeleteObjectTaggingInput{Bucket: &bucket, Key: key}); err != nil {
		t.Fatal(err)
	}
	wantTags(t, "deleted", objectTags(t, c, bucket, *key, ""))
	wantTagCount(t, c, bucket, *key, 0)
}

func TestObjectTaggingOnWrites(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	tagged := func(key, header string, body []byte) error {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), Tagging: &header})
		return err
	}
	if err := tagged("put", "foo=b%2Fa+r&bar", []byte("x")); err != nil {
		t.Fatal(err)
	}
	wantTags(t, "put", objectTags(t, c, bucket, "put", ""), "bar", "", "foo", "b/a r")
	if err := tagged("large", "size=large", pattern(1<<20, 1)); err != nil { // not inline
		t.Fatal(err)
	}
	wantTags(t, "large", objectTags(t, c, bucket, "large", ""), "size", "large")
	for header, code := range map[string]string{
		"k=1&k=2": "InvalidArgument", "a=b,c=d": "InvalidArgument", "a=%zz": "InvalidArgument", "aws:a=b": "InvalidTag",
		"k=" + strings.Repeat("v", 257): "InvalidTag", "a*=1": "InvalidTag", "1&2&3&4&5&6&7&8&9&10&11": "InvalidTag",
	} {
		wantError(t, tagged("refused", header, []byte("x")), 400, code)
	}
	wantAbsent(t, c, bucket, "refused")
	put(t, c, bucket, "put", []byte("again")) // an overwrite has no tags of its predecessor
	wantTags(t, "overwritten", objectTags(t, c, bucket, "put", ""))

	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("parts"), Tagging: aws.String("Hello=World&foo=bar")})
	if err != nil {
		t.Fatal(err)
	}
	part, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: aws.String("parts"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: aws.String("parts"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantTags(t, "multipart", objectTags(t, c, bucket, "parts", ""), "Hello", "World", "foo", "bar")
	_, err = c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("refused"), Tagging: aws.String("k=1&k=2")})
	wantError(t, err, 400, "InvalidArgument")
}

func TestObjectTaggingOnCopies(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	source := aws.String(bucket + "/source")
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("source"), Body: strings.NewReader("x"), Tagging: aws.String("k=source")})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		directive types.TaggingDirective
		header    *string
		want      []string
	}{
		"none":             {"", nil, []string{"k", "source"}},
		"none, header":     {"", aws.String("other=1"), []string{"k", "source"}}, // the header counts with REPLACE only
		"copy":             {types.TaggingDirectiveCopy, nil, []string{"k", "source"}},
		"replace":          {types.TaggingDirectiveReplace, aws.String("other=1&a=2"), []string{"a", "2", "other", "1"}},
		"replace, no tags": {types.TaggingDirectiveReplace, nil, nil},
	}
	for name, tt := range tests {
		_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{
			Bucket: &bucket, Key: &name, CopySource: source, TaggingDirective: tt.directive, Tagging: tt.header,
			MetadataDirective: types.MetadataDirectiveReplace, Metadata: map[string]string{"a": "b"}, // decided apart
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantTags(t, name, objectTags(t, c, bucket, name, ""), tt.want...)
	}
	resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/x", Header: header("x-amz-copy-source", *source, "x-amz-tagging-directive", "MERGE")})
	resp.want(t, "unknown directive", 400, "InvalidArgument")
	resp = s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/x", Header: header("x-amz-copy-source", *source, "x-amz-tagging-directive", "REPLACE", "x-amz-tagging", "k=1&k=2")})
	resp.want(t, "bad tags", 400, "InvalidArgument")
	wantAbsent(t, c, bucket, "x")
}

func TestObjectTaggingRefuses(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	put(t, c, bucket, "k", []byte("x"))
	tagging := func(bucket, key string, pairs ...string) error {
		_, err := c.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: &bucket, Key: &key, Tagging: tagSet(pairs...)})
		return err
	}
	eleven := []string{}
	for i := range 11 {
		eleven = append(eleven, fmt.Sprint(i), "")
	}
	wantError(t, tagging(bucket, "k", eleven...), 400, "InvalidTag")
	wantError(t, tagging(bucket, "k", "k", "1", "k", "2"), 400, "InvalidTag")
	wantError(t, tagging(bucket, "k", strings.Repeat("k", 129), ""), 400, "InvalidTag")
	wantError(t, tagging(bucket, "k", "k", strings.Repeat("v", 257)), 400, "InvalidTag")
	wantError(t, tagging(bucket, "k", "aws:k", "v"), 400, "InvalidTag")
	wantError(t, tagging(bucket, "missing", "k", "v"), 404, "NoSuchKey")
	wantError(t, tagging("missing-"+randomHex(6), "k", "k", "v"), 404, "NoSuchBucket")
	_, err := c.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &bucket, Key: aws.String("missing")})
	wantError(t, err, 404, "NoSuchKey")
	_, err = c.DeleteObjectTagging(t.Context(), &s3.DeleteObjectTaggingInput{Bucket: &bucket, Key: aws.String("missing")})
	wantError(t, err, 404, "NoSuchKey")
	resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Query: "tagging=", Body: []byte("<Tagging/>")})
	resp.want(t, "no set", 400, "MalformedXML")
	wantTags(t, "after refusals", objectTags(t, c, bucket, "k", ""))
	s.raw(t, &rawRequest{Path: "/" + bucket + "/k", Query: "tagging=", Anonymous: true}).want(t, "anonymous", 403, "AccessDenied")
}

// TestObjectTaggingOfVersions: tags belong to a version, and a delete marker
// has none.
func TestObjectTaggingOfVersions(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	_, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := aws.String("k")
	var versions []string
	for _, tags := range []string{"v=one", "v=two"} {
		out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: key, Body: strings.NewReader(tags), Tagging: &tags})
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, aws.ToString(out.VersionId))
	}
	marker, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []*string{nil, marker.VersionId} {
		_, err := c.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &bucket, Key: key, VersionId: version})
		wantError(t, err, 405, "MethodNotAllowed")
		_, err = c.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: &bucket, Key: key, VersionId: version, Tagging: tagSet("a", "b")})
		wantError(t, err, 405, "MethodNotAllowed")
		_, err = c.DeleteObjectTagging(t.Context(), &s3.DeleteObjectTaggingInput{Bucket: &bucket, Key: key, VersionId: version})
		wantError(t, err, 405, "MethodNotAllowed")
	}
	out, err := c.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: &bucket, Key: key, VersionId: &versions[0], Tagging: tagSet("v", "changed")})
	if err != nil || aws.ToString(out.VersionId) != versions[0] {
		t.Errorf("version %q, %v, want %q", aws.ToString(out.VersionId), err, versions[0])
	}
	wantTags(t, "first version", objectTags(t, c, bucket, *key, versions[0]), "v", "changed")
	wantTags(t, "second version", objectTags(t, c, bucket, *key, versions[1]), "v", "two")
	copied, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("copy"), CopySource: aws.String(bucket + "/k?versionId=" + versions[0])})
	if err != nil {
		t.Fatal(err)
	}
	wantTags(t, "copy of the first version", objectTags(t, c, bucket, "copy", ""), "v", "changed")
	gone, err := c.DeleteObjectTagging(t.Context(), &s3.DeleteObjectTaggingInput{Bucket: &bucket, Key: key, VersionId: &versions[1]})
	if err != nil || aws.ToString(gone.VersionId) != versions[1] {
		t.Errorf("version %q, %v, want %q", aws.ToString(gone.VersionId), err, versions[1])
	}
	wantTags(t, "second version", objectTags(t, c, bucket, *key, versions[1]))
	_, err = c.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &bucket, Key: aws.String("copy"), VersionId: &versions[0]})
	wantError(t, err, 404, "NoSuchVersion")
	for version, key := range map[string]string{versions[0]: "k", versions[1]: "k", aws.ToString(marker.VersionId): "k", aws.ToString(copied.VersionId): "copy"} {
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, VersionId: &version}); err != nil {
			t.Error(err)
		}
	}
}

// TestObjectTaggingCountNeedsPermission: how many tags there are is told to whom
// may read them.
func TestObjectTaggingCountNeedsPermission(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k"), Body: strings.NewReader("x"), Tagging: aws.String("a=1&b=2")})
	if err != nil {
		t.Fatal(err)
	}
	other := s.newAccount(t, "Reader")
	theirs := s.as(other.Key)
	for actions, want := range map[string]int32{`"s3:GetObject"`: 0, `"s3:GetObject","s3:GetObjectTagging"`: 2} {
		policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":[%s],"Resource":"arn:aws:s3:::%s/*"}]}`,
			other.ID, actions, bucket)
		if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy}); err != nil {
			t.Fatal(err)
		}
		wantTagCount(t, theirs, bucket, "k", want)
		_, err := theirs.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &bucket, Key: aws.String("k")})
		if want == 0 {
			wantError(t, err, 403, "AccessDenied")
		} else if err != nil {
			t.Error(err)
		}
	}
	wantTagCount(t, c, bucket, "k", 2)
}
