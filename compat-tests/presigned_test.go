package compat

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// fetch sends a presigned request as any HTTP client would.
func fetch(t *testing.T, method, target string, body []byte, h http.Header) *rawResponse {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range h {
		if name != "Host" && name != "Content-Length" {
			req.Header[name] = values
		}
	}
	resp, err := exchange(plainHTTP, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestPresignedRequests(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	p := s3.NewPresignClient(c)
	key := "dir/ü file+%.txt"
	body := []byte("presigned body")
	putReq, err := p.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, ContentType: aws.String("text/plain")})
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, putReq.Method, putReq.URL, body, putReq.SignedHeader).want(t, "PUT", 200)
	getReq, err := p.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key, ResponseContentType: aws.String("text/css")}, s3.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	got := fetch(t, getReq.Method, getReq.URL, nil, getReq.SignedHeader)
	got.want(t, "GET", 200)
	wantBytes(t, "GET", got.Body, body)
	if ct := got.Header.Get("Content-Type"); ct != "text/css" {
		t.Errorf("Content-Type %q", ct)
	}
	ranged := getReq.SignedHeader.Clone()
	ranged.Set("Range", "bytes=1-3") // a header that is not signed may be added
	if r := fetch(t, getReq.Method, getReq.URL, nil, ranged); r.Status != 206 || string(r.Body) != "res" {
		t.Errorf("range: %d %q", r.Status, r.Body)
	}
	headReq, err := p.PresignHeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, headReq.Method, headReq.URL, nil, headReq.SignedHeader).want(t, "HEAD", 200)
	fetch(t, "GET", headReq.URL, nil, headReq.SignedHeader).want(t, "GET with a URL for HEAD", 403, "SignatureDoesNotMatch")

	up := beginUpload(t, c, bucket, "multi")
	partReq, err := p.PresignUploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: aws.String("multi"), UploadId: &up.id, PartNumber: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, partReq.Method, partReq.URL, body, partReq.SignedHeader).want(t, "part", 200)
	delReq, err := p.PresignDeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, delReq.Method, delReq.URL, nil, delReq.SignedHeader).want(t, "DELETE", 204)
	wantAbsent(t, c, bucket, key)
}

// presign makes a GET URL of any age and life, which SDKs would not.
func (s *server) presign(t *testing.T, path string, at time.Time, expires, in string) string {
	t.Helper()
	u := s.endpoint + path + "?X-Amz-Expires=" + expires
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	signed, _, err := signer.PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: s.accessKey, SecretAccessKey: s.secretKey},
		req, "UNSIGNED-PAYLOAD", "s3", in, at)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestPresignedRefusals(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "k", []byte("secret"))
	path := "/" + bucket + "/k"
	now := time.Now()
	good := s.presign(t, path, now, "60", region)
	fetch(t, "GET", good, nil, nil).want(t, "good", 200)
	swap := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("no %q in %s", from, good)
		}
		return strings.Replace(good, from, to, 1)
	}
	u, err := url.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	signature := u.Query().Get("X-Amz-Signature")
	cases := []struct {
		name, url string
		status    int
		codes     []string
	}{
		{"expired", s.presign(t, path, now.Add(-time.Hour), "60", region), 403, []string{"AccessDenied"}},
		{"from the future", s.presign(t, path, now.Add(time.Hour), "60", region), 403, []string{"AccessDenied", "RequestTimeTooSkewed"}},
		{"longer than a week", s.presign(t, path, now, "604801", region), 400, []string{"AuthorizationQueryParametersError"}},
		{"negative life", s.presign(t, path, now, "-1", region), 400, []string{"AuthorizationQueryParametersError"}},
		{"life is a word", s.presign(t, path, now, "soon", region), 400, []string{"AuthorizationQueryParametersError"}},
		{"another region", s.presign(t, path, now, "60", "eu-west-9"), 400, []string{"AuthorizationQueryParametersError"}},
		{"another key", swap(path, "/"+bucket+"/other"), 403, []string{"SignatureDoesNotMatch"}},
		{"longer life", swap("X-Amz-Expires=60", "X-Amz-Expires=600"), 403, []string{"SignatureDoesNotMatch"}},
		{"a parameter more", good + "&response-content-type=text%2Fhtml", 403, []string{"SignatureDoesNotMatch"}},
		{"spoiled signature", swap(signature, strings.Repeat("0", 64)), 403, []string{"SignatureDoesNotMatch"}},
		{"no signature", swap("X-Amz-Signature="+signature, "X-Amz-Signatur=1"), 400, []string{"AuthorizationQueryParametersError"}},
		{"unknown access key", swap(url.QueryEscape(s.accessKey), "nobody"), 403, []string{"InvalidAccessKeyId"}},
		{"another algorithm", swap("AWS4-HMAC-SHA256", "AWS4-HMAC-MD5"), 400, []string{"AuthorizationQueryParametersError", "InvalidRequest"}},
	}
	for _, tc := range cases {
		resp := fetch(t, "GET", tc.url, nil, nil)
		resp.want(t, tc.name, tc.status, tc.codes...)
		if bytes.Contains(resp.Body, []byte("secret")) {
			t.Errorf("%s: the object was served", tc.name)
		}
	}
}

// presignAny makes a URL for any request, as the signer of the SDK makes it.
func (s *server) presignAny(t *testing.T, method, path, query string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.endpoint+path+"?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := req.URL.Query()
	q.Set("X-Amz-Expires", "60")
	req.URL.RawQuery = q.Encode()
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	signed, _, err := signer.PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: s.accessKey, SecretAccessKey: s.secretKey},
		req, "UNSIGNED-PAYLOAD", "s3", region, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestPresignedSubresources does by URLs what clients do by signed requests:
// writes, sub-resources, versions, documents in bodies.
func TestPresignedSubresources(t *testing.T) {
	t.Parallel()
	_, bucket := newBucket(t)
	s := shared(t)
	key := "/" + bucket + "/dir/key"
	do := func(status int, method, path, query, body string, h ...string) *rawResponse {
		t.Helper()
		header := http.Header{}
		for i := 0; i < len(h); i += 2 {
			header.Set(h[i], h[i+1])
		}
		got := fetch(t, method, s.presignAny(t, method, path, query), []byte(body), header)
		got.want(t, method+" "+path+"?"+query, status)
		return got
	}
	do(200, "PUT", "/"+bucket, "versioning", `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`)
	first := do(200, "PUT", key, "", "one").Header.Get("X-Amz-Version-Id")
	second := do(200, "PUT", key, "x-amz-meta-color=blue", "two").Header.Get("X-Amz-Version-Id")
	got := do(200, "GET", key, "response-cache-control=no-store", "")
	if string(got.Body) != "two" || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("X-Amz-Meta-Color") != "blue" {
		t.Errorf("%q, %v", got.Body, got.Header)
	}
	if got := do(200, "GET", key, "versionId="+first, ""); string(got.Body) != "one" {
		t.Errorf("first version: %q", got.Body)
	}
	const tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
	do(200, "PUT", key, "tagging&versionId="+first, tagging)
	if got := do(200, "GET", key, "tagging&versionId="+first, ""); !strings.Contains(string(got.Body), "<Key>a</Key><Value>b</Value>") {
		t.Errorf("tags: %s", got.Body)
	}
	do(204, "DELETE", key, "tagging&versionId="+first, "")
	do(200, "HEAD", key, "versionId="+second, "")
	do(200, "GET", "/"+bucket, "versions&prefix=dir%2F", "")

	upload := do(200, "POST", key+"2", "uploads", "")
	_, rest, _ := strings.Cut(string(upload.Body), "<UploadId>")
	id, _, _ := strings.Cut(rest, "<")
	part := do(200, "PUT", key+"2", "partNumber=1&uploadId="+url.QueryEscape(id), "part").Header.Get("ETag")
	do(200, "POST", key+"2", "uploadId="+url.QueryEscape(id),
		"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+part+"</ETag></Part></CompleteMultipartUpload>")
	copied := do(200, "PUT", key+"3", "x-amz-copy-source="+url.QueryEscape(key+"2"), "").Header.Get("X-Amz-Version-Id")
	if got := do(200, "GET", key+"3", "", ""); string(got.Body) != "part" {
		t.Errorf("copy: %q", got.Body)
	}
	document := "<Delete><Object><Key>dir/key</Key><VersionId>" + first + "</VersionId></Object></Delete>"
	deleted := do(200, "POST", "/"+bucket, "delete", document, "Content-MD5", md5Base64([]byte(document)))
	if !strings.Contains(string(deleted.Body), "<Deleted>") {
		t.Errorf("DeleteObjects: %s", deleted.Body)
	}
	do(204, "DELETE", key, "versionId="+second, "")
	do(204, "DELETE", key+"3", "versionId="+copied, "")
	do(404, "GET", key, "versionId="+first, "")
}

// TestPresignedHeadersInQuery: what SDKs move to the query is enforced.
func TestPresignedHeadersInQuery(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	path := "/" + bucket + "/k"
	for query, want := range map[string][]string{
		"x-amz-checksum-crc32=AAAAAA%3D%3D":          {"400", "BadDigest"},
		"x-amz-expected-bucket-owner=999999999999":   {"403", "AccessDenied"},
		"x-amz-server-side-encryption=aws%3Akms%3Ax": {"400", "InvalidArgument"},
		"X-Amz-Security-Token=token":                 {"400", "InvalidToken"},
	} {
		got := fetch(t, "PUT", s.presignAny(t, "PUT", path, query), []byte("body"), nil)
		if got.Code() != want[1] || strconv.Itoa(got.Status) != want[0] {
			t.Errorf("%s: %d %s", query, got.Status, got.Body)
		}
	}
	wantAbsent(t, c, bucket, "k")
}
