package compat

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

// objectSizes straddle what a store may treat differently: empty, inline,
// packed, one block, one piece, several pieces.
var objectSizes = []int{
	0, 1, 1023, 1024, 1025, 4095, 4096, 8191, 8192, 8193, 65531, 65532, 65533, 65536, 65537,
	131072, 524288, mib - 1, mib + 1, 4*mib - 1, 4 * mib, 4*mib + 1, 9*mib + 12345,
}

func TestObjectPutEverySizeReadsBack(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	for i, size := range objectSizes {
		body := pattern(size, byte(i))
		out := put(t, c, bucket, "k", body)
		if want := `"` + md5Hex(body) + `"`; aws.ToString(out.ETag) != want {
			t.Errorf("size %d: ETag %s, want %s", size, aws.ToString(out.ETag), want)
		}
		got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k")})
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, "body", readAll(t, got.Body), body)
		if aws.ToString(got.ETag) != aws.ToString(out.ETag) || aws.ToInt64(got.ContentLength) != int64(size) {
			t.Errorf("size %d: GET has ETag %s, length %d", size, aws.ToString(got.ETag), aws.ToInt64(got.ContentLength))
		}
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("k")})
		if err != nil {
			t.Fatal(err)
		}
		if aws.ToString(head.ETag) != aws.ToString(out.ETag) || aws.ToInt64(head.ContentLength) != int64(size) {
			t.Errorf("size %d: HEAD has ETag %s, length %d", size, aws.ToString(head.ETag), aws.ToInt64(head.ContentLength))
		}
	}
}

func TestObjectHeadDefaults(t *testing.T) {
	t.Parallel()
	_, bucket := newBucket(t)
	before := time.Now().Add(-2 * time.Second)
	s := shared(t) // SDKs send a Content-Type of their own
	s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Body: []byte("hello")}).want(t, "PUT", 200)
	resp := s.raw(t, &rawRequest{Method: "HEAD", Path: "/" + bucket + "/k"})
	want := map[string]string{
		"Content-Length": "5", "Content-Type": "binary/octet-stream", "Accept-Ranges": "bytes",
		"Etag": `"` + md5Hex([]byte("hello")) + `"`,
	}
	for name, value := range want {
		if got := resp.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	for _, name := range []string{"Cache-Control", "Content-Encoding", "Content-Disposition", "Expires", "X-Amz-Storage-Class"} {
		if got, there := resp.Header[name]; there {
			t.Errorf("%s sent although not set: %q", name, got)
		}
	}
	if resp.Header.Get("X-Amz-Request-Id") == "" {
		t.Error("no x-amz-request-id")
	}
	modified, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err != nil || modified.Before(before.Truncate(time.Second)) || modified.After(time.Now().Add(2*time.Second)) {
		t.Errorf("Last-Modified %q: %v", resp.Header.Get("Last-Modified"), err)
	}
}

func TestObjectMissing(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("none")})
	wantError(t, err, 404, "NoSuchKey")
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("none")})
	wantError(t, err, 404, "NotFound")
	resp := shared(t).raw(t, &rawRequest{Path: "/" + bucket + "/none"})
	if !bytes.Contains(resp.Body, []byte("<Key>none</Key>")) || !bytes.Contains(resp.Body, []byte("<RequestId>")) ||
		resp.Header.Get("Content-Type") != "application/xml" {
		t.Errorf("error document (%s): %s", resp.Header.Get("Content-Type"), resp.Body)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("none")}); err != nil {
		t.Errorf("deleting what is not there: %v, want 204", err)
	}
}

func TestObjectOverwriteAndDelete(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	for i, size := range []int{100, 5 * mib, 0, 70000, 10} {
		body := pattern(size, byte(i))
		put(t, c, bucket, "k", body)
		wantBytes(t, "after overwrite", get(t, c, bucket, "k"), body)
	}
	if got := keysOf(t, c, bucket); len(got) != 1 {
		t.Errorf("keys %v", got)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("k")}); err != nil {
		t.Fatal(err)
	}
	wantAbsent(t, c, bucket, "k")
}

func TestObjectSystemHeadersAndMetadata(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	expires := "Wed, 21 Oct 2065 07:28:00 GMT"
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("k"), Body: strings.NewReader("x"),
		CacheControl: aws.String("max-age=60, public"), ContentDisposition: aws.String(`attachment; filename="a b.txt"`),
		ContentEncoding: aws.String("gzip"), ContentLanguage: aws.String("de, en"), ContentType: aws.String("text/plain; charset=utf-8"),
		Expires:      aws.Time(time.Date(2065, 10, 21, 7, 28, 0, 0, time.UTC)),
		Metadata:     map[string]string{"UPPER-Name": "Value With  Spaces", "empty": "", "plus": "a+b%20c"},
		StorageClass: types.StorageClassStandard, ACL: types.ObjectCannedACLPrivate,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"GET", "HEAD"} {
		resp := shared(t).raw(t, &rawRequest{Method: method, Path: "/" + bucket + "/k"})
		got := map[string]string{}
		for _, name := range []string{
			"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Expires",
			"X-Amz-Meta-Upper-Name", "X-Amz-Meta-Empty", "X-Amz-Meta-Plus",
		} {
			got[name] = resp.Header.Get(name)
		}
		want := map[string]string{
			"Cache-Control": "max-age=60, public", "Content-Disposition": `attachment; filename="a b.txt"`,
			"Content-Encoding": "gzip", "Content-Language": "de, en", "Content-Type": "text/plain; charset=utf-8",
			"Expires": expires, "X-Amz-Meta-Upper-Name": "Value With  Spaces", "X-Amz-Meta-Empty": "", "X-Amz-Meta-Plus": "a+b%20c",
		}
		// Runs of spaces are folded when a request is signed, and may be stored so.
		got["X-Amz-Meta-Upper-Name"] = strings.Join(strings.Fields(got["X-Amz-Meta-Upper-Name"]), "  ")
		want["X-Amz-Meta-Upper-Name"] = "Value  With  Spaces"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", method, diff)
		}
	}
}

// TestObjectMetadataInUnicode: what is not ASCII comes back as a word of RFC
// 2047, however it was sent.
func TestObjectMetadataInUnicode(t *testing.T) {
	t.Parallel()
	_, bucket := newBucket(t)
	s := shared(t)
	send := func(key, value string) string {
		s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/" + key, Header: header("x-amz-meta-u", value)}).want(t, value, 200)
		return s.raw(t, &rawRequest{Method: "HEAD", Path: "/" + bucket + "/" + key}).Header.Get("X-Amz-Meta-U")
	}
	word := "=?UTF-8?B?w6TDtsO8?="
	if got := send("word", word); got != word {
		t.Errorf("encoded word came back as %q", got)
	}
	for i, value := range []string{"äöü", "日本語 テキスト", "emoji \U0001f600 end", "mixed é and e\u0301"} {
		got := send(string(rune('a'+i)), value)
		if decoded := decodeWord(got); decoded != value || got == value {
			t.Errorf("metadata %q came back as %q (%q)", value, got, decoded)
		}
	}
}

// TestObjectOfUnknownLength: a body may show where it ends instead of saying
// its length before.
func TestObjectOfUnknownLength(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	for key, size := range map[string]int{"none": 0, "small": 3, "large": 200_000} {
		body := pattern(size, 5)
		signed, err := s3.NewPresignClient(c).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, signed.URL, io.MultiReader(bytes.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := exchange(plainHTTP, r)
		if err != nil {
			t.Fatal(err)
		}
		resp.want(t, key, 200)
		wantBytes(t, key, get(t, c, bucket, key), body)
	}
}

func TestObjectMetadataLimit(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	put := func(n int) error { // names count too: "k" and the value
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &bucket, Key: aws.String("k"), Metadata: map[string]string{"k": strings.Repeat("v", n)},
		})
		return err
	}
	if err := put(2047); err != nil {
		t.Errorf("2 KiB of metadata refused: %v", err)
	}
	wantError(t, put(2048), 400, "MetadataTooLarge")
}

// TestObjectContentEncodingDropsAWSChunked: aws-chunked describes the transfer.
func TestObjectContentEncodingDropsAWSChunked(t *testing.T) {
	t.Parallel()
	_, bucket := newBucket(t)
	s := shared(t)
	for key, sent := range map[string]string{"a": "aws-chunked", "b": "aws-chunked,gzip", "c": "gzip,aws-chunked"} {
		body := chunkedBody{data: []byte("hello"), size: 8192}
		s.putChunked(t, "/"+bucket+"/"+key, &body, header("content-encoding", sent)).want(t, sent, 200)
		resp := s.raw(t, &rawRequest{Path: "/" + bucket + "/" + key})
		want := strings.Trim(strings.ReplaceAll(sent, "aws-chunked", ""), ",")
		if got := resp.Header.Get("Content-Encoding"); got != want {
			t.Errorf("%s stored as %q, want %q", sent, got, want)
		}
		wantBytes(t, sent, resp.Body, []byte("hello"))
	}
}

// oddKeys are legal and easily mistreated on the way through HTTP and XML.
var oddKeys = []string{
	"plain", "with space", "plus+sign", "percent%41", "100%", "a%2Fb", "semi;colon", "question?mark", "hash#tag", "amp&ersand",
	"<xml>&amp;", `quote"'`, "back\\slash", "colon:at@", "tilde~bang!star*paren()", "equals=comma,", "a//b", "a///", "/leading",
	"trailing/", "/", "//", ".hidden", "a/.b/..c/...", "ünïcödé", "日本語/キー", "\U0001f600", "e\u0301", "\u00e9", "\u200b",
	"tab\there", "line\nbreak", "carriage\rreturn", "\x01control", "\x7fdelete", "{brace}|^`[bracket]",
	"x-amz-meta", "uploads", "acl", strings.Repeat("k", 1024), strings.Repeat("ü", 512),
}

func TestObjectOddKeys(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	for i, key := range oddKeys {
		body := pattern(10+i, byte(i))
		put(t, c, bucket, key, body)
		wantBytes(t, key, get(t, c, bucket, key), body)
	}
	got := map[string]bool{}
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, EncodingType: types.EncodingTypeUrl})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out.Contents {
		// SDKs differ in whether they decode; this one does not.
		key, err := url.QueryUnescape(*o.Key)
		if err != nil {
			t.Errorf("listed key %q: %v", *o.Key, err)
		}
		got[key] = true
	}
	for _, key := range oddKeys {
		if !got[key] {
			t.Errorf("%q is not listed", key)
		}
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	if rest := keysOf(t, c, bucket); len(rest) != 0 {
		t.Errorf("left after deleting all: %q", rest)
	}
}

// TestObjectStorageClassUnknown: a class that does not exist is refused.
func TestObjectStorageClassUnknown(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k"), StorageClass: "PAPYRUS"})
	wantError(t, err, 400, "InvalidStorageClass")
	wantAbsent(t, c, bucket, "k")
}

// TestObjectConditionalWriteIsNeverIgnored: a condition on a PUT is either kept
// or refused, never dropped.
func TestObjectConditionalWriteIsNeverIgnored(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	put(t, c, bucket, "k", []byte("first"))
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("k"), Body: strings.NewReader("second"), IfNoneMatch: aws.String("*"),
	})
	if err == nil {
		t.Fatal("If-None-Match: * overwrote an object")
	}
	wantBytes(t, "object", get(t, c, bucket, "k"), []byte("first"))
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("k"), Body: strings.NewReader("second"), IfMatch: aws.String(`"00000000000000000000000000000000"`),
	})
	if err == nil {
		t.Fatal("If-Match with another ETag overwrote an object")
	}
	wantBytes(t, "object", get(t, c, bucket, "k"), []byte("first"))
}
