package compat

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestCopyObjectEverySize(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	_, other := newBucket(t)
	for i, size := range []int{0, 100, 8193, 70000, 5*mib + 1} {
		body := pattern(size, byte(i))
		src := put(t, c, bucket, "src", body)
		for _, target := range []string{bucket, other} {
			out, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{
				Bucket: &target, Key: aws.String("dst"), CopySource: aws.String(bucket + "/src"),
			})
			if err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			if aws.ToString(out.CopyObjectResult.ETag) != aws.ToString(src.ETag) || out.CopyObjectResult.LastModified == nil {
				t.Errorf("size %d: result %+v, want ETag %s", size, out.CopyObjectResult, aws.ToString(src.ETag))
			}
			wantBytes(t, "copy", get(t, c, target, "dst"), body)
		}
		// The copy lives on when its source is overwritten and deleted.
		put(t, c, bucket, "src", []byte("other"))
		wantBytes(t, "copy after overwrite of the source", get(t, c, other, "dst"), body)
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("src")}); err != nil {
			t.Fatal(err)
		}
		wantBytes(t, "copy after delete of the source", get(t, c, other, "dst"), body)
	}
}

func TestCopyObjectSourceForms(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	for key, escaped := range map[string]string{
		"plain": "plain", "a b+c": "a%20b%2Bc", "ü/日本": "%C3%BC/%E6%97%A5%E6%9C%AC", "per%cent?": "per%25cent%3F", "x//y": "x%2F%2Fy",
	} {
		put(t, c, bucket, key, []byte(key))
		for _, source := range []string{bucket + "/" + escaped, "/" + bucket + "/" + escaped, bucket + "%2F" + escaped} {
			resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/dst", Header: header("x-amz-copy-source", source)})
			resp.want(t, source, 200)
			wantBytes(t, source, get(t, c, bucket, "dst"), []byte(key))
		}
	}
	for _, source := range []string{"/", bucket, bucket + "/", "%zz/k", bucket + "/k?versionId="} {
		resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/bad", Header: header("x-amz-copy-source", source)})
		resp.wantRefused(t, "source "+source)
		wantAbsent(t, c, bucket, "bad")
	}
	_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("d"), CopySource: aws.String(bucket + "/none")})
	wantError(t, err, 404, "NoSuchKey")
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("d"), CopySource: aws.String("no-such-bucket-" + randomHex(4) + "/k")})
	wantError(t, err, 404, "NoSuchBucket")
	wantAbsent(t, c, bucket, "d")
}

func TestCopyObjectMetadataDirective(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("src"), ContentType: aws.String("text/plain"), CacheControl: aws.String("no-store"),
		Metadata: map[string]string{"a": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	copyTo := func(key string, directive types.MetadataDirective) (*s3.HeadObjectOutput, error) {
		_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{
			Bucket: &bucket, Key: &key, CopySource: aws.String(bucket + "/src"), MetadataDirective: directive,
			ContentType: aws.String("text/css"), Metadata: map[string]string{"b": "2"},
		})
		if err != nil {
			return nil, err
		}
		return c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	}
	for _, directive := range []types.MetadataDirective{"", types.MetadataDirectiveCopy} {
		head, err := copyTo("copied", directive)
		if err != nil {
			t.Fatal(err)
		}
		if aws.ToString(head.ContentType) != "text/plain" || aws.ToString(head.CacheControl) != "no-store" || head.Metadata["a"] != "1" || len(head.Metadata) != 1 {
			t.Errorf("directive %q: %q %v", directive, aws.ToString(head.ContentType), head.Metadata)
		}
	}
	head, err := copyTo("replaced", types.MetadataDirectiveReplace)
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(head.ContentType) != "text/css" || head.CacheControl != nil || head.Metadata["b"] != "2" || len(head.Metadata) != 1 {
		t.Errorf("REPLACE: %q %v %v", aws.ToString(head.ContentType), head.CacheControl, head.Metadata)
	}
	_, err = copyTo("odd", "SHRED")
	wantError(t, err, 400, "InvalidArgument")
}

func TestCopyObjectOntoItself(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	for _, size := range []int{10, 100000} {
		body := pattern(size, 4)
		put(t, c, bucket, "k", body)
		self := &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("k"), CopySource: aws.String(bucket + "/k")}
		_, err := c.CopyObject(t.Context(), self)
		wantError(t, err, 400, "InvalidRequest")
		self.MetadataDirective, self.Metadata = types.MetadataDirectiveReplace, map[string]string{"new": "yes"}
		if _, err := c.CopyObject(t.Context(), self); err != nil {
			t.Fatal(err)
		}
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("k")})
		if err != nil || head.Metadata["new"] != "yes" {
			t.Errorf("metadata %v, %v", head.Metadata, err)
		}
		wantBytes(t, "after copy onto itself", get(t, c, bucket, "k"), body)
	}
}

func TestCopyObjectSourceConditions(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "src", []byte("hello"))
	etag := `"` + md5Hex([]byte("hello")) + `"`
	const other = `"00000000000000000000000000000000"`
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	modified := s.raw(t, &rawRequest{Method: "HEAD", Path: "/" + bucket + "/src"}).Header.Get("Last-Modified")
	const h = "x-amz-copy-source-if-"
	cases := []struct {
		name   string
		header map[string]string
		ok     bool
	}{
		{"match", header(h+"match", etag), true},
		{"match other", header(h+"match", other), false},
		{"none match", header(h+"none-match", etag), false},
		{"none match other", header(h+"none-match", other), true},
		{"modified since past", header(h+"modified-since", past), true},
		{"modified since then", header(h+"modified-since", modified), false},
		{"unmodified since past", header(h+"unmodified-since", past), false},
		{"unmodified since then", header(h+"unmodified-since", modified), true},
		{"match true, unmodified false", header(h+"match", etag, h+"unmodified-since", past), true},
		{"none match false, modified true", header(h+"none-match", etag, h+"modified-since", past), false},
	}
	for _, tc := range cases {
		tc.header["x-amz-copy-source"] = bucket + "/src"
		resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/dst", Header: tc.header})
		if tc.ok {
			resp.want(t, tc.name, 200)
		} else {
			resp.want(t, tc.name, 412, "PreconditionFailed")
		}
	}
}

func TestCopyObjectOfMultipartObject(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	parts := [][]byte{pattern(5*mib, 1), pattern(6*mib, 2), pattern(100, 3)}
	uploadParts(t, c, bucket, "src", parts)
	_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("dst"), CopySource: aws.String(bucket + "/src")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("src")}); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "copy", get(t, c, bucket, "dst"), join(parts))
}

func join(parts [][]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
