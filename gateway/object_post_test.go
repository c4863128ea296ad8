package gateway

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv2"
	"github.com/undercroft/undercroft/sigv4"
)

// allowV2 lets a test's server take Signature Version 2.
func allowV2(o *Options) {
	v, ok := o.Authenticator.(*sigv4.Verifier)
	if ok {
		v.Legacy = &sigv2.Verifier{Now: time.Now}
	}
}

// policyFor makes a policy for the test's bucket that is not expired; conditions
// are JSON.
func policyFor(conditions ...string) string {
	all := append([]string{`{"bucket": "bucket"}`, `["starts-with", "$key", ""]`}, conditions...)
	return encodePolicy(`{"expiration": "` + time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000Z") +
		`", "conditions": [` + strings.Join(all, ", ") + `]}`)
}

// signedV4 adds the fields of a signature to those of a form. The policy gets
// what it must say of them.
func signedV4(conditions []string, fields ...string) []string {
	date := time.Now().UTC().Format("20060102T150405Z")
	scope := date[:8] + "/us-east-1/s3/aws4_request"
	auth := []string{"x-amz-algorithm", "AWS4-HMAC-SHA256", "x-amz-credential", testAccessKey + "/" + scope, "x-amz-date", date}
	for i := 0; i < len(auth); i += 2 {
		conditions = append(conditions, `{"`+auth[i]+`": "`+auth[i+1]+`"}`)
	}
	policy := policyFor(conditions...)
	key := []byte("AWS4" + testSecret)
	for part := range strings.SplitSeq(scope, "/") {
		key = hmacOf(key, part)
	}
	signature := hex.EncodeToString(hmacOf(key, policy))
	return append(append([]string{"policy", policy, "x-amz-signature", signature}, auth...), fields...)
}

func hmacOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func signedV2(conditions []string, fields ...string) []string {
	policy := policyFor(conditions...)
	h := hmac.New(sha1.New, []byte(testSecret))
	h.Write([]byte(policy))
	return append([]string{"AWSAccessKeyId", testAccessKey, "policy", policy, "signature", base64.StdEncoding.EncodeToString(h.Sum(nil))}, fields...)
}

// post sends a form.
func (s *server) post(fields []string, headers ...string) *answer {
	s.t.Helper()
	contentType, body := formOf(s.t, fields...)
	return s.send(s.request("POST", "/bucket", body, append([]string{"Content-Type", contentType}, headers...)...))
}

func TestPostObject(t *testing.T) {
	s := newServer(t, allowV2)
	conditions := []string{
		`["starts-with", "$content-type", "text/"]`, `{"cache-control": "no-cache"}`, `{"x-amz-meta-color": "blue puppy.jpg"}`,
		`{"acl": "private"}`, `["starts-with", "$tagging", ""]`, `["content-length-range", 5, 5]`,
		`["eq", "$x-amz-storage-class", "STANDARD"]`, `["eq", "$x-amz-checksum-crc32", "NhCmhg=="]`, `["eq", "$content-md5", "XUFAKrxLKna5cZ2REBfFkg=="]`,
	}
	fields := []string{
		"key", "user/${filename}", "Content-Type", "text/plain", "Cache-Control", "no-cache", "X-Amz-Meta-Color", "blue ${filename}",
		"acl", "private", "tagging", "<Tagging><TagSet><Tag><Key>a b</Key><Value>1+2=3</Value></Tag></TagSet></Tagging>",
		"x-amz-storage-class", "STANDARD", "x-amz-checksum-crc32", "NhCmhg==", "Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==",
		"x-ignore-this", "1", "file", "hello", "submit", "Upload",
	}
	for name, signed := range map[string][]string{"V4": signedV4(conditions, fields...), "V2": signedV2(conditions, fields...)} {
		a := s.post(signed)
		if a.StatusCode != http.StatusNoContent || a.body != "" {
			t.Fatalf("%s: %d %s", name, a.StatusCode, a.body)
		}
		if got := a.Header.Get("ETag"); got != `"5d41402abc4b2a76b9719d911017c592"` {
			t.Errorf("%s: etag %s", name, got)
		}
		if got := a.Header.Get("Location"); got != s.URL+"/bucket/user/puppy.jpg" {
			t.Errorf("%s: location %s", name, got)
		}
		in, _ := lastAsked[objects.PutObjectInput](s.objects)
		want := objects.Attributes{
			ContentType: "text/plain", CacheControl: "no-cache", User: []objects.Pair{{Name: "color", Value: "blue puppy.jpg"}},
		}
		if d := cmp.Diff(want, in.Attributes); d != "" {
			t.Errorf("%s: attributes (-want +got):\n%s", name, d)
		}
		if d := cmp.Diff([]objects.Pair{{Name: "a b", Value: "1+2=3"}}, in.Tags); d != "" {
			t.Errorf("%s: tags (-want +got):\n%s", name, d)
		}
		if in.Key != "user/puppy.jpg" || in.Body.Size != 5 || in.Owner != fakeOwner() {
			t.Errorf("%s: %+v", name, in)
		}
		if got := string(s.objects.stored["user/puppy.jpg"].data); got != "hello" {
			t.Errorf("%s: stored %q", name, got)
		}
		delete(s.objects.stored, "user/puppy.jpg")
	}
}

func TestPostObjectAnswers(t *testing.T) {
	s := newServer(t)
	post := func(field, value string) *answer {
		t.Helper()
		return s.post(signedV4([]string{`["starts-with", "$` + field + `", ""]`}, "key", "a b/ü", field, value, "file", "hello"))
	}
	for value, want := range map[string]int{"200": 200, "201": 201, "204": 204, "404": 204, "": 204} {
		if a := post("success_action_status", value); a.StatusCode != want || (a.body == "") != (want != 201) {
			t.Errorf("success_action_status %q: %d %q", value, a.StatusCode, a.body)
		}
	}
	var doc struct {
		XMLName                     xml.Name `xml:"PostResponse"`
		Location, Bucket, Key, ETag string
	}
	a := post("success_action_status", "201")
	if err := xml.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Location != s.URL+"/bucket/a%20b/%C3%BC" || doc.Bucket != "bucket" || doc.Key != "a b/ü" || doc.ETag != `"5d41402abc4b2a76b9719d911017c592"` {
		t.Errorf("%+v", doc)
	}
	const stored = "bucket=bucket&key=a%20b%2F%C3%BC&etag=%225d41402abc4b2a76b9719d911017c592%22"
	s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for target, want := range map[string]string{
		"http://example.test/done":      "http://example.test/done?" + stored,
		"https://example.test/?a=b#top": "https://example.test/?a=b&" + stored + "#top",
		"javascript:alert(1)":           "", "/done": "", "http://": "", "http://a\nb/": "",
	} {
		for _, field := range []string{"success_action_redirect", "redirect"} {
			a := post(field, target)
			if want == "" && a.StatusCode != http.StatusNoContent || want != "" && (a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != want) {
				t.Errorf("%s %q: %d %s", field, target, a.StatusCode, a.Header.Get("Location"))
			}
		}
	}
}

func TestPostObjectRefusals(t *testing.T) {
	s := newServer(t)
	good := signedV4(nil, "key", "k", "file", "hello")
	replace := func(field, value string) []string {
		fields := append([]string(nil), good...)
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == field {
				fields[i+1] = value
			}
		}
		return fields
	}
	anything := func(field, value string) []string {
		return signedV4([]string{`["starts-with", "$` + field + `", ""]`}, "key", "k", field, value, "file", "hello")
	}
	tests := []struct {
		name    string
		fields  []string
		code    s3.Code
		message string
	}{
		{"anonymous", []string{"key", "k", "file", "hello"}, s3.AccessDenied, ""},
		{"no key", []string{"file", "hello"}, s3.UserKeyMustBeSpecified, "Bucket POST must contain a field named 'key'"},
		{"empty key", replace("key", ""), s3.InvalidArgument, "User key must have a length greater than 0."},
		{"long key", replace("key", strings.Repeat("k", 1025)), s3.KeyTooLongError, ""},
		{"no file", []string{"key", "k"}, s3.IncorrectNumberOfFilesInPostRequest, "POST requires exactly one file upload per request."},
		{"wrong signature", replace("x-amz-signature", strings.Repeat("0", 64)), s3.SignatureDoesNotMatch, ""},
		{"no signature", replace("x-amz-signature", ""), s3.InvalidArgument, "'X-Amz-Signature'"},
		{"policy changed", replace("policy", policyFor()), s3.SignatureDoesNotMatch, ""},
		{"extra field", append([]string{"acl", "private"}, good...), s3.AccessDenied, "Invalid according to Policy: Extra input fields: acl"},
		{"Version 2", signedV2(nil, "key", "k", "file", "hello"), s3.InvalidRequest, "Please use AWS4-HMAC-SHA256"},
		{"token", append([]string{"x-amz-security-token", "t"}, good...), s3.InvalidToken, ""},
		{"too large", signedV4([]string{`["content-length-range", 0, 4]`}, "key", "k", "file", "hello"), s3.EntityTooLarge, ""},
		{"too small", signedV4([]string{`["content-length-range", 6, 10]`}, "key", "k", "file", "hello"), s3.EntityTooSmall, ""},
		{"encryption", anything("x-amz-server-side-encryption", "AES512"), s3.InvalidArgument, ""},
		{"redirect of a website", anything("x-amz-website-redirect-location", "x"), s3.InvalidRedirectLocation, ""},
		{"storage class", anything("x-amz-storage-class", "GLACIERISH"), s3.InvalidStorageClass, ""},
		{"copy source", anything("x-amz-copy-source", "/a/b"), s3.InvalidArgument, "copy source"},
		{"tags", anything("tagging", "<Tagging>"), s3.MalformedXML, ""},
		{"line break", anything("content-type", "a\r\nSet-Cookie: b"), s3.InvalidArgument, "cannot be a header"},
		{"no header name", anything("x-amz-meta-a b", "1"), s3.InvalidArgument, "cannot be a header"},
		{"one header, two fields", signedV4([]string{`["eq", "$acl", "private"]`, `["eq", "$x-amz-acl", "private"]`}, "key", "k", "acl", "private", "x-amz-acl", "private", "file", ""), s3.InvalidArgument, "twice"},
		{"bad checksum", anything("x-amz-checksum-crc32", "AAAAAA=="), s3.BadDigest, ""},
		{"bad MD5", anything("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="), s3.BadDigest, ""},
		{"no MD5", anything("content-md5", "x"), s3.InvalidDigest, ""},
		{"bad ACL", anything("acl", "publicish"), s3.InvalidArgument, ""},
		{"other owner", anything("x-amz-expected-bucket-owner", "000000000009"), s3.AccessDenied, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := s.post(tt.fields)
			f := a.failure(t)
			if f.Code != tt.code || a.StatusCode != s3.NewError(tt.code).Status || !strings.Contains(f.Message, tt.message) {
				t.Errorf("%d %s %s, want %s with %q", a.StatusCode, f.Code, f.Message, tt.code, tt.message)
			}
		})
	}
	if keys := s.objects.keys(); len(keys) > 0 {
		t.Errorf("stored: %q", keys)
	}
}

func TestPostObjectRequests(t *testing.T) {
	s := newServer(t)
	contentType, body := formOf(t, signedV4(nil, "key", "k", "file", "hello")...)
	send := func(r *http.Request) s3.Code {
		t.Helper()
		return s.send(r).failure(t).Code
	}
	if got := send(s.request("POST", "/bucket", body, "Content-Type", "text/plain")); got != s3.RequestIsNotMultiPartContent {
		t.Error("no form:", got)
	}
	if got := send(s.sign(s.request("POST", "/bucket", body, "Content-Type", contentType), body)); got != s3.InvalidArgument {
		t.Error("signed in its header too:", got)
	}
	if got := send(s.request("POST", "/bucket", body, "Content-Type", contentType, "x-amz-acl", "public-read")); got != s3.NotImplemented {
		t.Error("header of an object:", got)
	}
	if got := send(s.request("POST", "/nobucket", body, "Content-Type", contentType)); got != s3.AccessDenied {
		t.Error("other bucket:", got)
	}
	unsized := s.request("POST", "/bucket", body, "Content-Type", contentType)
	unsized.ContentLength = -1
	if got := send(unsized); got != s3.MissingContentLength {
		t.Error("no length:", got)
	}
	if keys := s.objects.keys(); len(keys) > 0 {
		t.Errorf("stored: %q", keys)
	}
	// Conditions of the request are those of the upload.
	if a := s.send(s.request("POST", "/bucket/", body, "Content-Type", contentType, "If-None-Match", "*")); a.StatusCode != http.StatusNoContent {
		t.Errorf("first: %d %s", a.StatusCode, a.body)
	}
	if got := send(s.request("POST", "/bucket/", body, "Content-Type", contentType, "If-None-Match", "*")); got != s3.PreconditionFailed {
		t.Error("again:", got)
	}
}
