package compat

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// uploadForm is a form as a browser sends it: fields in their order, then the file.
type uploadForm struct {
	fields []string // names and values
	name   string   // of the file
	file   []byte
	after  []string // fields after the file
}

func (f *uploadForm) encode(t *testing.T) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	write := func(fields []string) {
		for i := 0; i < len(fields); i += 2 {
			if err := w.WriteField(fields[i], fields[i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(f.fields)
	part, err := w.CreateFormFile("file", or(f.name, "puppy.jpg"))
	if err == nil {
		_, err = part.Write(f.file)
	}
	if err != nil {
		t.Fatal(err)
	}
	write(f.after)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

// post sends a form to a URL.
func post(t *testing.T, target string, f *uploadForm) *rawResponse {
	t.Helper()
	contentType, body := f.encode(t)
	return fetch(t, http.MethodPost, target, body, http.Header{"Content-Type": {contentType}})
}

// presignPost asks the SDK for a form and returns where it goes and its fields.
func presignPost(t *testing.T, c *s3.Client, in *s3.PutObjectInput, conditions ...any) (target string, fields []string) {
	t.Helper()
	p, err := s3.NewPresignClient(c).PresignPostObject(t.Context(), in, func(o *s3.PresignPostOptions) {
		o.Conditions, o.Expires = conditions, time.Minute
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range p.Values {
		fields = append(fields, name, value)
	}
	return p.URL, fields
}

func TestPostObject(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	for _, size := range []int{0, 1, 4 << 10, 100 << 10, 9<<20 + 123} {
		body := pattern(size, 7)
		target, fields := presignPost(
			t, c, &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("user/ü pup.jpg")},
			[]any{"starts-with", "$Content-Type", "image/"}, map[string]string{"x-amz-meta-color": "blue"},
			[]any{"content-length-range", size, size}, map[string]string{"Content-MD5": md5Base64(body)}, map[string]string{"success_action_status": "201"},
		)
		fields[slices.Index(fields, "key")+1] = "user/${filename}" // variables are expanded before the policy is looked at
		fields = append(fields, "Content-Type", "image/jpeg", "x-amz-meta-color", "blue", "Content-MD5", md5Base64(body), "success_action_status", "201")
		got := post(t, target, &uploadForm{fields: fields, name: `C:\pictures\ü pup.jpg`, file: body, after: []string{"submit", "Upload"}})
		got.want(t, "form", 201)
		if want := "<Key>user/ü pup.jpg</Key><ETag>&quot;" + md5Hex(body) + "&quot;</ETag>"; !strings.Contains(string(got.Body), want) {
			t.Errorf("%d bytes: %s", size, got.Body)
		}
		if got.Header.Get("ETag") != `"`+md5Hex(body)+`"` || got.Header.Get("Location") != target+"/user/%C3%BC%20pup.jpg" {
			t.Errorf("%d bytes: %v", size, got.Header)
		}
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("user/ü pup.jpg")})
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, "stored", readAll(t, out.Body), body)
		if aws.ToString(out.ContentType) != "image/jpeg" || out.Metadata["color"] != "blue" {
			t.Errorf("%d bytes: %v %v", size, aws.ToString(out.ContentType), out.Metadata)
		}
	}
}

func md5Base64(b []byte) string {
	sum := md5.Sum(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestPostObjectRefusals(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	body := pattern(300<<10, 8)
	target, fields := presignPost(t, c, &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k")},
		[]any{"content-length-range", 10, len(body)}, []any{"starts-with", "$Content-MD5", ""})
	md5Field := []string{"Content-MD5", md5Base64(body)}
	with := func(more ...string) []string { return append(append([]string(nil), fields...), more...) }
	for name, tc := range map[string]struct {
		form   uploadForm
		status int
		code   string
	}{
		"too small":   {uploadForm{fields: with(md5Field...), file: body[:9]}, 400, "EntityTooSmall"},
		"too large":   {uploadForm{fields: with(md5Field...), file: append(body, 1)}, 400, "EntityTooLarge"},
		"other bytes": {uploadForm{fields: with(md5Field...), file: body[1:]}, 400, "BadDigest"},
		"two files":   {uploadForm{fields: with(md5Field...), file: body, after: []string{"file", "x"}}, 400, "IncorrectNumberOfFilesInPostRequest"},
		"extra field": {uploadForm{fields: with(append(md5Field, "acl", "public-read")...), file: body}, 403, "AccessDenied"},
		"condition":   {uploadForm{fields: fields, file: body}, 403, "AccessDenied"},
		"no fields":   {uploadForm{fields: []string{"key", "k"}, file: body}, 403, "AccessDenied"},
		"no key":      {uploadForm{file: body}, 400, "UserKeyMustBeSpecified"},
		"many fields": {uploadForm{fields: with("x-ignore-a", strings.Repeat("a", 30<<10)), file: body}, 400, "MaxPostPreDataLengthExceededError"},
	} {
		post(t, target, &tc.form).want(t, name, tc.status, tc.code)
	}
	contentType, whole := (&uploadForm{fields: with(md5Field...), file: body}).encode(t)
	header := http.Header{"Content-Type": {contentType}}
	for _, cut := range []int{3, 10, 100, 200 << 10} {
		fetch(t, "POST", target, whole[:len(whole)-cut], header).want(t, "form without its end", 400, "MalformedPOSTRequest", "EntityTooLarge")
	}
	fetch(t, "POST", target, whole, http.Header{"Content-Type": {"text/plain"}}).want(t, "no form", 412, "RequestIsNotMultiPartContent")
	wantAbsent(t, c, bucket, "k")
	fetch(t, "POST", target, whole, header).want(t, "the same form whole", 204)
	wantBytes(t, "stored", get(t, c, bucket, "k"), body)
}

func TestPostObjectRedirects(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	const done = "http://example.test/done?a=b"
	target, fields := presignPost(t, c, &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k/1")}, map[string]string{"success_action_redirect": done})
	got := post(t, target, &uploadForm{fields: append(fields, "success_action_redirect", done), file: []byte("x")})
	got.want(t, "form", 303)
	u, err := url.Parse(got.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Host != "example.test" || u.Path != "/done" || q.Get("a") != "b" || q.Get("bucket") != bucket || q.Get("key") != "k/1" || q.Get("etag") != `"`+md5Hex([]byte("x"))+`"` {
		t.Errorf("redirected to %s", u)
	}
}

// A form without a signature is anonymous: what is open to everybody takes it.
func TestPostObjectAnonymous(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner := newParty(t, s, "owner")
	bucket := owner.openBucket(t)
	target := s.endpoint + "/" + bucket
	form := &uploadForm{fields: []string{"key", "k", "Content-Type", "text/plain"}, file: []byte("public")}
	post(t, target, form).want(t, "private bucket", 403, "AccessDenied")
	if _, err := owner.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: &bucket, ACL: "public-read-write"}); err != nil {
		t.Fatal(err)
	}
	post(t, target, form).want(t, "public bucket", 204)
	listed := keysOf(t, owner.Client, bucket)
	if len(listed) != 1 || listed[0] != "k" {
		t.Errorf("listed %q", listed)
	}
}
