package compat

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestObjectConditionalReads(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "k", []byte("hello"))
	etag := `"` + md5Hex([]byte("hello")) + `"`
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	future := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	modified := s.raw(t, &rawRequest{Method: "HEAD", Path: "/" + bucket + "/k"}).Header.Get("Last-Modified")
	const other = `"00000000000000000000000000000000"`
	cases := []struct {
		name   string
		header map[string]string
		status int
	}{
		{"match", header("if-match", etag), 200},
		{"match without quotes", header("if-match", md5Hex([]byte("hello"))), 200},
		{"match any", header("if-match", "*"), 200},
		{"match other", header("if-match", other), 412},
		{"none match", header("if-none-match", etag), 304},
		{"none match any", header("if-none-match", "*"), 304},
		{"none match other", header("if-none-match", other), 200},
		{"modified since past", header("if-modified-since", past), 200},
		{"modified since then", header("if-modified-since", modified), 304},
		{"unmodified since then", header("if-unmodified-since", modified), 200},
		{"unmodified since past", header("if-unmodified-since", past), 412},
		{"unmodified since future", header("if-unmodified-since", future), 200},
		{"not a date", header("if-modified-since", "yesterday"), 200},
		// The pairs that the documentation of GetObject spells out.
		{"match true, unmodified false", header("if-match", etag, "if-unmodified-since", past), 200},
		{"match false, unmodified true", header("if-match", other, "if-unmodified-since", future), 412},
		{"none match false, modified true", header("if-none-match", etag, "if-modified-since", past), 304},
		{"none match true, modified false", header("if-none-match", other, "if-modified-since", future), 200},
	}
	for _, tc := range cases {
		for _, method := range []string{"GET", "HEAD"} {
			resp := s.raw(t, &rawRequest{Method: method, Path: "/" + bucket + "/k", Header: tc.header})
			if resp.Status != tc.status {
				t.Errorf("%s %s: %d, want %d", method, tc.name, resp.Status, tc.status)
				continue
			}
			switch {
			case tc.status == 304 && (resp.Header.Get("ETag") != etag || len(resp.Body) != 0):
				t.Errorf("%s %s: 304 with ETag %q and %d bytes", method, tc.name, resp.Header.Get("ETag"), len(resp.Body))
			case tc.status == 412 && method == "GET" && resp.Code() != "PreconditionFailed":
				t.Errorf("%s: code %q", tc.name, resp.Code())
			case tc.status == 200 && method == "GET" && string(resp.Body) != "hello":
				t.Errorf("%s: body %q", tc.name, resp.Body)
			}
		}
	}
	s.raw(t, &rawRequest{Path: "/" + bucket + "/none", Header: header("if-match", etag)}).want(t, "missing object", 404, "NoSuchKey")
	ranged := s.raw(t, &rawRequest{Path: "/" + bucket + "/k", Header: header("if-match", other, "range", "bytes=0-0")})
	ranged.want(t, "range of another version", 412, "PreconditionFailed")
}

func TestObjectConditionalWrites(t *testing.T) {
	t.Parallel()
	for _, status := range []types.BucketVersioningStatus{"", "Enabled", "Suspended"} {
		t.Run("versioning "+string(status), func(t *testing.T) {
			t.Parallel()
			c, bucket := newBucket(t)
			if status != "" {
				setVersioning(t, c, bucket, status)
			}
			s := shared(t)
			write := func(body string, pairs ...string) *rawResponse {
				return s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Body: []byte(body), Header: header(pairs...)})
			}
			tag := func(body string) string { return `"` + md5Hex([]byte(body)) + `"` }
			write("a", "if-match", tag("a")).want(t, "If-Match of nothing", 404, "NoSuchKey")
			write("a", "if-match", "*").want(t, "If-Match: * of nothing", 404, "NoSuchKey")
			write("a", "if-none-match", "*").want(t, "creation", 200)
			write("b", "if-none-match", "*").want(t, "creation again", 412, "PreconditionFailed")
			write("b", "if-match", tag("b")).want(t, "another entity tag", 412, "PreconditionFailed")
			write("b", "if-match", md5Hex([]byte("a"))).want(t, "the entity tag, without quotes", 200)
			write("c", "if-match", tag("b"), "if-none-match", "*").want(t, "both", 501, "NotImplemented")
			write("c", "if-unmodified-since", "Sat, 29 Oct 2100 19:43:31 GMT").want(t, "a time", 501, "NotImplemented")
			write("c", "if-modified-since", "Sat, 29 Oct 1994 19:43:31 GMT").want(t, "a time", 501, "NotImplemented")
			copied := func(pairs ...string) *rawResponse {
				h := header(append(pairs, "x-amz-copy-source", bucket+"/source")...)
				return s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Header: h})
			}
			put(t, c, bucket, "source", []byte("copy"))
			copied("if-none-match", "*").want(t, "copy onto what is there", 412, "PreconditionFailed")
			copied("if-match", tag("a")).want(t, "copy onto another", 412, "PreconditionFailed")
			copied("if-match", tag("b")).want(t, "copy", 200)
			removeVersion(t, c, bucket, "k", "")
			copied("if-match", "*").want(t, "copy onto what is deleted", 404, "NoSuchKey")
			copied("if-none-match", "*").want(t, "copy onto what is deleted", 200)
			conditionalParts(t, c, bucket)
		})
	}
}

// conditionalParts completes an upload onto a key that has the content "copy".
func conditionalParts(t *testing.T, c *s3.Client, bucket string) {
	t.Helper()
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	part, err := c.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: &bucket, Key: aws.String("k"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("parts"),
	})
	if err != nil {
		t.Fatal(err)
	}
	complete := func(match, none *string) error {
		_, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
			Bucket: &bucket, Key: aws.String("k"), UploadId: up.UploadId, IfMatch: match, IfNoneMatch: none,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}},
		})
		return err
	}
	wantError(t, complete(nil, aws.String("*")), 412, "PreconditionFailed")
	wantError(t, complete(part.ETag, nil), 412, "PreconditionFailed")
	if err := complete(aws.String(md5Hex([]byte("copy"))), nil); err != nil {
		t.Error(err)
	}
	if got := get(t, c, bucket, "k"); string(got) != "parts" {
		t.Errorf("then the object is %q", got)
	}
}

func TestObjectConditionalDeletions(t *testing.T) {
	t.Parallel()
	for _, status := range []types.BucketVersioningStatus{"", "Enabled", "Suspended"} {
		t.Run("versioning "+string(status), func(t *testing.T) {
			t.Parallel()
			c, bucket := newBucket(t)
			if status != "" {
				setVersioning(t, c, bucket, status)
			}
			s := shared(t)
			remove := func(pairs ...string) *rawResponse {
				return s.raw(t, &rawRequest{Method: "DELETE", Path: "/" + bucket + "/k", Header: header(pairs...)})
			}
			const wrong = `"00000000000000000000000000000000"`
			nothing := remove("if-match", wrong)
			nothing.want(t, "If-Match of nothing", 204)
			if nothing.Header.Get("x-amz-delete-marker") != "" {
				t.Error("a conditional deletion of nothing left a delete marker")
			}
			put(t, c, bucket, "k", []byte("hello"))
			head := s.raw(t, &rawRequest{Method: "HEAD", Path: "/" + bucket + "/k"})
			modified, tag := head.Header.Get("Last-Modified"), head.Header.Get("ETag")
			past := "Sat, 29 Oct 1994 19:43:31 GMT"
			remove("if-match", wrong).want(t, "another entity tag", 412, "PreconditionFailed")
			remove("x-amz-if-match-size", "4").want(t, "another size", 412, "PreconditionFailed")
			remove("x-amz-if-match-last-modified-time", past).want(t, "another time", 412, "PreconditionFailed")
			remove("if-match", tag, "x-amz-if-match-size", "4").want(t, "one of two", 412, "PreconditionFailed")
			remove("x-amz-if-match-size", "many").want(t, "no size", 400, "InvalidArgument")
			remove("if-none-match", "*").want(t, "If-None-Match", 501, "NotImplemented")
			for _, entry := range []types.ObjectIdentifier{
				{ETag: aws.String(wrong)}, {Size: aws.Int64(4)}, {LastModifiedTime: aws.Time(time.Unix(1e9, 0))},
			} {
				entry.Key = aws.String("k")
				out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{entry}}})
				if err != nil || len(out.Errors) != 1 || *out.Errors[0].Code != "PreconditionFailed" {
					t.Errorf("%+v %v", out, err)
				}
			}
			if got := get(t, c, bucket, "k"); string(got) != "hello" {
				t.Fatalf("left is %q", got)
			}
			remove("if-match", tag, "x-amz-if-match-size", "5", "x-amz-if-match-last-modified-time", modified).want(t, "all", 204)
			s.raw(t, &rawRequest{Path: "/" + bucket + "/k"}).want(t, "then", 404, "NoSuchKey")
			if status != "" { // a delete marker is there, and has no entity tag
				remove("if-match", tag).want(t, "If-Match of a delete marker", 412, "PreconditionFailed")
				remove("if-match", "*").want(t, "If-Match: * of a delete marker", 204)
			}
		})
	}
}
