package gateway

import (
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func TestPutAndGetHeaders(t *testing.T) {
	s := newServer(t)
	put := s.ok("PUT", "/bucket/key", "hello",
		"Content-Type", "text/plain", "Cache-Control", "no-cache", "Content-Disposition", "inline", "Content-Language", "fr",
		"Content-Encoding", "aws-chunked,gzip", "Expires", "Thu, 01 Dec 2033 16:00:00 GMT",
		"x-amz-meta-Color", "blue", "x-amz-meta-empty", "", "x-amz-meta-two", "1", "x-amz-meta-two", "2")
	if got := put.Header.Get("ETag"); got != `"5d41402abc4b2a76b9719d911017c592"` {
		t.Errorf("etag %s", got)
	}
	in, _ := lastAsked[objects.PutObjectInput](s.objects)
	want := objects.Attributes{
		ContentType: "text/plain", CacheControl: "no-cache", ContentDisposition: "inline", ContentLanguage: "fr",
		ContentEncoding: "gzip", Expires: "Thu, 01 Dec 2033 16:00:00 GMT",
		User: []objects.Pair{{Name: "color", Value: "blue"}, {Name: "empty"}, {Name: "two", Value: "1,2"}},
	}
	if d := cmp.Diff(want, in.Attributes); d != "" {
		t.Error(d)
	}
	for _, method := range []string{"GET", "HEAD"} {
		a := s.ok(method, "/bucket/key", "", "Accept-Encoding", "identity")
		for name, value := range map[string]string{
			"Content-Type": "text/plain", "Cache-Control": "no-cache", "Content-Disposition": "inline", "Content-Language": "fr",
			"Content-Encoding": "gzip", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT", "ETag": `"5d41402abc4b2a76b9719d911017c592"`,
			"Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT", "Accept-Ranges": "bytes", "Content-Length": "5",
			"x-amz-meta-color": "blue", "x-amz-meta-two": "1,2", "x-amz-version-id": "", "x-amz-storage-class": "",
		} {
			if got := a.Header.Get(name); got != value {
				t.Errorf("%s: %s = %q, want %q", method, name, got, value)
			}
		}
		if method == "GET" && a.body != "hello" {
			t.Errorf("body %q", a.body)
		}
	}
}

func TestPutDefaults(t *testing.T) {
	s := newServer(t)
	s.ok("PUT", "/bucket/key", "", "Content-Encoding", "aws-chunked")
	a := s.ok("GET", "/bucket/key", "")
	if a.Header.Get("Content-Type") != "binary/octet-stream" || a.Header.Get("Content-Encoding") != "" || a.Header.Get("Content-Length") != "0" {
		t.Errorf("%v", a.Header)
	}
}

func TestUserMetadataLimit(t *testing.T) {
	s := newServer(t)
	s.ok("PUT", "/bucket/key", "x", "x-amz-meta-a", strings.Repeat("v", 2047))
	s.expect(s3.MetadataTooLarge, "PUT", "/bucket/key", "x", "x-amz-meta-a", strings.Repeat("v", 2048))
}

func TestPutDigests(t *testing.T) {
	s := newServer(t)
	sum := md5.Sum([]byte("hello"))
	good := base64.StdEncoding.EncodeToString(sum[:])
	s.ok("PUT", "/bucket/key", "hello", "Content-MD5", good)
	s.expect(s3.BadDigest, "PUT", "/bucket/bad", "other", "Content-MD5", good)
	for _, invalid := range []string{"", "x", "AAAA", good + "=="} {
		s.expect(s3.InvalidDigest, "PUT", "/bucket/bad", "hello", "Content-MD5", invalid)
	}
	for a := checksum.CRC32; a.Valid(); a++ {
		value := sumOf(a, []byte("hello"))
		put := s.ok("PUT", "/bucket/key", "hello", a.Header(), value, "x-amz-sdk-checksum-algorithm", a.String())
		if put.Header.Get(a.Header()) != value || put.Header.Get("x-amz-checksum-type") != "FULL_OBJECT" {
			t.Errorf("%s: %v", a, put.Header)
		}
		s.expect(s3.BadDigest, "PUT", "/bucket/bad", "other", a.Header(), value)
		s.expect(s3.BadDigest, "PUT", "/bucket/bad", "hello", a.Header(), "nonsense")
		if get := s.ok("GET", "/bucket/key", "", "x-amz-checksum-mode", "ENABLED"); get.Header.Get(a.Header()) != value {
			t.Errorf("%s is not shown: %v", a, get.Header)
		}
		if get := s.ok("HEAD", "/bucket/key", ""); get.Header.Get(a.Header()) != "" {
			t.Errorf("%s is shown unasked", a)
		}
	}
	s.expect(s3.InvalidRequest, "PUT", "/bucket/bad", "x", "x-amz-checksum-crc32", "AAAAAA==", "x-amz-checksum-crc32c", "AAAAAA==")
	s.expect(s3.InvalidRequest, "PUT", "/bucket/bad", "x", "x-amz-sdk-checksum-algorithm", "CRC32")
	s.expect(s3.InvalidRequest, "PUT", "/bucket/bad", "x", "x-amz-sdk-checksum-algorithm", "ROT13")
	s.expect(s3.BadDigest, "PUT", "/bucket/bad", "x", "x-amz-sdk-checksum-algorithm", "SHA1", "x-amz-checksum-crc32", sumOf(checksum.CRC32, []byte("x")))
	if keys := s.objects.keys(); len(keys) != 1 {
		t.Errorf("stored %q", keys)
	}
}

func TestPutLengths(t *testing.T) {
	s := newServer(t)
	r := s.request("PUT", "/bucket/key", "hello")
	r.ContentLength = -1 // sent with Transfer-Encoding: chunked
	a := s.send(s.sign(r, "hello"))
	if a.StatusCode != http.StatusOK {
		t.Errorf("a body that shows where it ends: %d", a.StatusCode)
	}
	c := s.dial()
	c.send(s.head("/bucket/key", "", s3.MaxPutSize+1))
	if a := c.answer(); a == nil || a.failure(t).Code != s3.EntityTooLarge {
		t.Errorf("%+v", a)
	}
	c = s.dial()
	c.send(strings.Replace(s.head("/bucket/key", "", 0), "Content-Length: 0\r\n", "", 1))
	if a := c.answer(); a == nil || a.failure(t).Code != s3.MissingContentLength {
		t.Errorf("%+v", a)
	}
	if keys := s.objects.keys(); len(keys) != 1 {
		t.Errorf("stored %q", keys)
	}
}

func TestRangesOfGet(t *testing.T) {
	s := newServer(t)
	s.ok("PUT", "/bucket/key", "0123456789")
	s.ok("PUT", "/bucket/empty", "")
	tests := []struct {
		rng, body, content string
		status             int
	}{
		{"bytes=2-4", "234", "bytes 2-4/10", 206},
		{"bytes=7-", "789", "bytes 7-9/10", 206},
		{"bytes=-2", "89", "bytes 8-9/10", 206},
		{"bytes=0-", "0123456789", "bytes 0-9/10", 206},
		{"bytes=0-100", "0123456789", "bytes 0-9/10", 206},
		{"bytes=1-2,4-5", "0123456789", "", 200},
		{"bytes=4-1", "0123456789", "", 200},
		{"pages=1-2", "0123456789", "", 200},
	}
	for _, tt := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			a := s.do(method, "/bucket/key", "", "Range", tt.rng)
			if a.StatusCode != tt.status || a.Header.Get("Content-Range") != tt.content || a.ContentLength != int64(len(tt.body)) {
				t.Errorf("%s %s: %d %v", method, tt.rng, a.StatusCode, a.Header)
			}
			if method == "GET" && a.body != tt.body {
				t.Errorf("%s: %q", tt.rng, a.body)
			}
		}
	}
	s.expect(s3.InvalidRange, "GET", "/bucket/key", "", "Range", "bytes=10-")
	s.expect(s3.InvalidRange, "GET", "/bucket/empty", "", "Range", "bytes=0-")
	s.expect(s3.InvalidRequest, "GET", "/bucket/key?partNumber=1", "", "Range", "bytes=0-1")
	for _, bad := range []string{"0", "10001", "x", ""} {
		s.expect(s3.InvalidArgument, "GET", "/bucket/key?partNumber="+bad, "")
	}
}

func TestIfRange(t *testing.T) {
	s := newServer(t)
	tag := s.ok("PUT", "/bucket/key", "0123456789").Header.Get("ETag")
	for condition, status := range map[string]int{
		tag: 206, `"other"`: 200, "Fri, 02 Jan 2026 03:04:05 GMT": 206, "Fri, 02 Jan 2026 03:04:06 GMT": 200,
	} {
		a := s.do("GET", "/bucket/key", "", "Range", "bytes=2-4", "If-Range", condition)
		if a.StatusCode != status {
			t.Errorf("if-range %s: %d", condition, a.StatusCode)
		}
	}
	s.expect(s3.PreconditionFailed, "GET", "/bucket/key", "", "Range", "bytes=2-4", "If-Range", tag, "If-Match", `"x"`)
}

func TestConditionalReads(t *testing.T) {
	s := newServer(t)
	tag := s.ok("PUT", "/bucket/key", "hello").Header.Get("ETag")
	a := s.do("GET", "/bucket/key", "", "If-None-Match", tag)
	if a.StatusCode != http.StatusNotModified || a.body != "" || a.Header.Get("ETag") != tag || a.Header.Get("Last-Modified") == "" || a.Header.Get("Content-Type") != "" {
		t.Errorf("%d %q %v", a.StatusCode, a.body, a.Header)
	}
	if a := s.do("HEAD", "/bucket/key", "", "If-Modified-Since", "Fri, 02 Jan 2026 03:04:05 GMT"); a.StatusCode != http.StatusNotModified {
		t.Errorf("%d", a.StatusCode)
	}
	f := s.expect(s3.PreconditionFailed, "GET", "/bucket/key", "", "If-Match", `"x"`)
	if !strings.Contains(f.body, "<Condition>If-Match</Condition>") {
		t.Error(f.body)
	}
	s.ok("GET", "/bucket/key", "", "If-Match", tag, "If-Unmodified-Since", "Fri, 02 Jan 2015 03:04:05 GMT")
	s.ok("GET", "/bucket/key", "", "If-Modified-Since", "not a date")
}

func TestConditionalWrites(t *testing.T) {
	s := newServer(t)
	s.expect(s3.NoSuchKey, "PUT", "/bucket/key", "a", "If-Match", `"x"`)
	tag := s.ok("PUT", "/bucket/key", "a", "If-None-Match", "*").Header.Get("ETag")
	s.expect(s3.PreconditionFailed, "PUT", "/bucket/key", "b", "If-None-Match", "*")
	s.expect(s3.PreconditionFailed, "PUT", "/bucket/key", "b", "If-None-Match", tag)
	s.expect(s3.PreconditionFailed, "PUT", "/bucket/key", "b", "If-Match", `"x"`)
	s.expect(s3.NotImplemented, "PUT", "/bucket/key", "b", "If-Match", tag, "If-None-Match", "*")
	s.ok("PUT", "/bucket/key", "b", "If-Match", tag)
	s.expect(s3.PreconditionFailed, "DELETE", "/bucket/key", "", "If-Match", tag)
	s.expect(s3.PreconditionFailed, "DELETE", "/bucket/key", "", "x-amz-if-match-size", "2")
	s.expect(s3.PreconditionFailed, "DELETE", "/bucket/key", "", "x-amz-if-match-size", "5000000000000")
	s.expect(s3.InvalidArgument, "DELETE", "/bucket/key", "", "x-amz-if-match-size", "-1")
	s.expect(s3.InvalidArgument, "DELETE", "/bucket/key", "", "x-amz-if-match-last-modified-time", "now")
	s.ok("DELETE", "/bucket/key", "", "If-Match", "*", "x-amz-if-match-size", "1", "x-amz-if-match-last-modified-time", "Fri, 02 Jan 2026 03:04:05 GMT")
	s.ok("DELETE", "/bucket/key", "", "If-Match", `"gone"`)
}

func TestResponseOverrides(t *testing.T) {
	s := newServer(t)
	s.ok("PUT", "/bucket/key", "hello", "Content-Type", "text/plain")
	a := s.ok("GET", "/bucket/key?response-cache-control=no-cache&response-content-disposition=bla&response-content-encoding=aaa"+
		"&response-content-language=esperanto&response-content-type=foo%2Fbar&response-expires=123", "")
	for name, want := range map[string]string{
		"Cache-Control": "no-cache", "Content-Disposition": "bla", "Content-Encoding": "aaa", "Content-Language": "esperanto", "Content-Type": "foo/bar", "Expires": "123",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s = %q", name, got)
		}
	}
	a = s.ok("GET", "/bucket/key?response-content-type=a%0d%0aEvil%3A%20yes", "")
	if a.Header.Get("Evil") != "" {
		t.Error("a response header was injected")
	}
}

func TestDeleteObjects(t *testing.T) {
	s := newServer(t)
	for _, key := range []string{"a", "b", "c"} {
		s.ok("PUT", "/bucket/"+key, "x")
	}
	digest := func(body string) string {
		sum := md5.Sum([]byte(body))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	body := `<Delete><Object><Key>a</Key></Object><Object><Key>none</Key></Object><Object><Key>panic!</Key></Object><Object><Key>` +
		strings.Repeat("k", 1025) + `</Key></Object></Delete>`
	s.expect(s3.InvalidRequest, "POST", "/bucket?delete", body)
	s.expect(s3.BadDigest, "POST", "/bucket?delete", body, "Content-MD5", digest("other"))
	s.expect(s3.BadDigest, "POST", "/bucket?delete", body, "x-amz-checksum-crc32", "AAAAAA==")
	if keys := s.objects.keys(); len(keys) != 3 {
		t.Fatalf("left: %q", keys)
	}
	a := s.ok("POST", "/bucket?delete", body, "Content-MD5", digest(body))
	for _, want := range []string{"<Deleted><Key>a</Key></Deleted>", "<Deleted><Key>none</Key></Deleted>", "<Key>panic!</Key><Code>InternalError</Code>", "<Code>KeyTooLongError</Code>"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in %s", want, a.body)
		}
	}
	body = `<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object><Object><Key>c</Key><ETag>"x"</ETag></Object></Delete>`
	a = s.ok("POST", "/bucket?delete", body, "x-amz-checksum-sha256", sumOf(checksum.SHA256, []byte(body)))
	if strings.Contains(a.body, "Deleted") || !strings.Contains(a.body, "<Key>c</Key><Code>PreconditionFailed</Code>") {
		t.Error(a.body)
	}
	if keys := s.objects.keys(); len(keys) != 1 || keys[0] != "c" {
		t.Errorf("left: %q", keys)
	}
	s.expect(s3.MalformedXML, "POST", "/bucket?delete", "<Delete>", "Content-MD5", digest("<Delete>"))
	s.expect(s3.NoSuchBucket, "POST", "/other?delete", body, "Content-MD5", digest(body))
	huge := "<Delete>" + strings.Repeat(" ", s3.MaxDeleteBody)
	s.expect(s3.MaxMessageLengthExceeded, "POST", "/bucket?delete", huge, "Content-MD5", digest(huge))
}

func TestCopyObject(t *testing.T) {
	s := newServer(t)
	a := s.ok("PUT", "/bucket/copy", "", "x-amz-copy-source", "/bucket/a%20b%2Bc?versionId=v1", "x-amz-copy-source-if-match", `"tag"`)
	if !strings.Contains(a.body, "<CopyObjectResult") || !strings.Contains(a.body, "<ETag>&quot;tag&quot;</ETag>") || a.Header.Get("x-amz-copy-source-version-id") != "v1" {
		t.Errorf("%s %v", a.body, a.Header)
	}
	in, _ := lastAsked[objects.CopyObjectInput](s.objects)
	if in.Source.Bucket != "bucket" || in.Source.Key != "a b+c" || in.Source.VersionID != "v1" || in.Replace {
		t.Errorf("%+v", in)
	}
	s.ok("PUT", "/bucket/copy", "", "x-amz-copy-source", "bucket/copy", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-a", "b", "Content-Type", "x/y")
	in, _ = lastAsked[objects.CopyObjectInput](s.objects)
	if !in.Replace || in.Attributes.ContentType != "x/y" || len(in.Attributes.User) != 1 {
		t.Errorf("%+v", in)
	}
	s.expect(s3.InvalidRequest, "PUT", "/bucket/copy", "", "x-amz-copy-source", "/bucket/copy")
	s.expect(s3.InvalidArgument, "PUT", "/bucket/copy", "", "x-amz-copy-source", "/bucket/k", "x-amz-metadata-directive", "MERGE")
	s.expect(s3.InvalidArgument, "PUT", "/bucket/copy", "", "x-amz-copy-source", "nothing")
	s.expect(s3.PreconditionFailed, "PUT", "/bucket/copy", "", "x-amz-copy-source", "/bucket/k", "x-amz-copy-source-if-none-match", "tag")
	s.expect(s3.PreconditionFailed, "PUT", "/bucket/copy", "", "x-amz-copy-source", "/bucket/k", "x-amz-copy-source-if-modified-since", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
}

func TestGetObjectAttributes(t *testing.T) {
	s := newServer(t)
	a := s.ok("GET", "/bucket/key?attributes", "", "x-amz-object-attributes", "ETag,ObjectSize", "x-amz-object-attributes", "ObjectParts, Checksum,StorageClass", "x-amz-max-parts", "1")
	for _, want := range []string{
		"<ETag>tag-2</ETag>", "<ChecksumCRC32C>AAAAAA==-2</ChecksumCRC32C><ChecksumType>COMPOSITE</ChecksumType>", "<PartsCount>2</PartsCount>",
		"<NextPartNumberMarker>1</NextPartNumberMarker><MaxParts>1</MaxParts><IsTruncated>true</IsTruncated>", "<ObjectSize>10</ObjectSize>", "<StorageClass>STANDARD</StorageClass>",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in %s", want, a.body)
		}
	}
	s.expect(s3.InvalidRequest, "GET", "/bucket/key?attributes", "")
	s.expect(s3.InvalidArgument, "GET", "/bucket/key?attributes", "", "x-amz-object-attributes", "Colour")
}
