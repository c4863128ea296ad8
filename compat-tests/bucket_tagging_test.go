package compat

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// tagSet makes tags of keys and values.
func tagSet(pairs ...string) *types.Tagging {
	tagging := &types.Tagging{TagSet: []types.Tag{}}
	for i := 0; i < len(pairs); i += 2 {
		tagging.TagSet = append(tagging.TagSet, types.Tag{Key: aws.String(pairs[i]), Value: aws.String(pairs[i+1])})
	}
	return tagging
}

func wantTags(t *testing.T, what string, got []types.Tag, pairs ...string) {
	t.Helper()
	have := []string{}
	for _, tag := range got {
		have = append(have, aws.ToString(tag.Key), aws.ToString(tag.Value))
	}
	if fmt.Sprint(have) != fmt.Sprint(pairs) {
		t.Errorf("%s: tags %q, want %q", what, have, pairs)
	}
}

func TestBucketTaggingLife(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	_, err := c.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: &bucket})
	wantError(t, err, 404, "NoSuchTagSet")
	for _, pairs := range [][]string{{"a", "1", "b", ""}, {"cost centre", "9/ß@x"}} { // the second replaces the first
		if _, err := c.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: &bucket, Tagging: tagSet(pairs...)}); err != nil {
			t.Fatal(err)
		}
		out, err := c.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: &bucket})
		if err != nil {
			t.Fatal(err)
		}
		wantTags(t, "bucket", out.TagSet, pairs...)
	}
	for range 2 { // also where there is none
		if _, err := c.DeleteBucketTagging(t.Context(), &s3.DeleteBucketTaggingInput{Bucket: &bucket}); err != nil {
			t.Fatal(err)
		}
		_, err = c.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: &bucket})
		wantError(t, err, 404, "NoSuchTagSet")
	}
	if _, err := c.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: &bucket, Tagging: tagSet()}); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: &bucket})
	wantError(t, err, 404, "NoSuchTagSet")
}

func TestBucketTaggingRefuses(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	if _, err := c.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: &bucket, Tagging: tagSet("kept", "v")}); err != nil {
		t.Fatal(err)
	}
	many := make([]string, 0, 102)
	for i := range 51 {
		many = append(many, fmt.Sprint(i), "v")
	}
	for code, pairs := range map[string][]string{
		"InvalidTag": {"k", "1", "k", "2"},
		"BadRequest": many,
	} {
		_, err := c.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: &bucket, Tagging: tagSet(pairs...)})
		wantError(t, err, 400, code)
	}
	for _, key := range []string{"aws:cost", "a,b", ""} {
		_, err := c.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: &bucket, Tagging: tagSet(key, "v")})
		wantError(t, err, 400, "InvalidTag")
	}
	put := func(body string, pairs ...string) *rawResponse {
		return s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket, Query: "tagging=", Body: []byte(body), Header: header(pairs...)})
	}
	put("<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>").want(t, "no value", 400, "MalformedXML")
	put("").want(t, "no document", 400, "MissingRequestBodyError")
	put("<Tagging><TagSet/></Tagging>", "Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==").want(t, "another digest", 400, "BadDigest")
	put("<Tagging><TagSet/></Tagging>", "x-amz-checksum-crc32", "AAAAAA==").want(t, "another checksum", 400, "BadDigest")
	put("<Tagging><TagSet>"+string(make([]byte, 70_000))).want(t, "70 KB", 400, "MaxMessageLengthExceeded")
	out, err := c.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	wantTags(t, "after refusals", out.TagSet, "kept", "v")

	missing := "missing-" + randomHex(6)
	_, err = c.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: &missing})
	wantError(t, err, 404, "NoSuchBucket")
	_, err = c.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: &missing, Tagging: tagSet("k", "v")})
	wantError(t, err, 404, "NoSuchBucket")
	_, err = c.DeleteBucketTagging(t.Context(), &s3.DeleteBucketTaggingInput{Bucket: &missing})
	wantError(t, err, 404, "NoSuchBucket")
}

// TestBucketTaggingFromTheBeginning: a bucket may be made with its tags.
func TestBucketTaggingFromTheBeginning(t *testing.T) {
	t.Parallel()
	c := shared(t).client()
	bucket := "tagged-" + randomHex(6)
	create := func(pairs ...string) error {
		_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{
			Bucket: &bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{Tags: tagSet(pairs...).TagSet},
		})
		return err
	}
	wantError(t, create("aws:k", "v"), 400, "InvalidTag")
	_, err := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &bucket})
	wantError(t, err, 404, "NotFound")
	if err := create("k", "v", "b", ""); err != nil {
		t.Fatal(err)
	}
	out, err := c.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	wantTags(t, "new bucket", out.TagSet, "b", "", "k", "v")
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &bucket}); err != nil {
		t.Error(err)
	}
}
