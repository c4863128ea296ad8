package compat

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// signV2 signs a text with Signature Version 2.
func signV2(secret, text string) string {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// v2 is a request signed with Version 2. What it signs is written out.
type v2 struct {
	method, path, query string
	host                string // default the endpoint's
	header              map[string]string
	amz                 string // its x-amz-* headers as they are signed
	resource            string // default the path
	body                []byte
	date                time.Time // default now
	secret, accessKey   string    // default the server's
}

func (s *server) sendV2(t *testing.T, r *v2) *rawResponse {
	t.Helper()
	date := or(r.date, time.Now()).UTC().Format(http.TimeFormat)
	text := fmt.Sprintf("%s\n%s\n%s\n%s\n%s%s", r.method, r.header["Content-MD5"], r.header["Content-Type"], date, r.amz, or(r.resource, r.path))
	req, err := http.NewRequestWithContext(t.Context(), r.method, s.endpoint+r.path+"?"+r.query, bytes.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = or(r.host, req.Host)
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	req.Header.Set("Date", date)
	req.Header.Set("Authorization", "AWS "+or(r.accessKey, s.accessKey)+":"+signV2(or(r.secret, s.secretKey), text))
	resp, err := exchange(plainHTTP, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// presignV2 makes a URL that expires.
func (s *server) presignV2(method, path, query string, expires time.Time) string {
	at := strconv.FormatInt(expires.Unix(), 10)
	resource := path
	if query != "" {
		resource += "?" + query
		query = "&" + query
	}
	signature := signV2(s.secretKey, method+"\n\n\n"+at+"\n"+resource)
	return s.endpoint + path + "?AWSAccessKeyId=" + s.accessKey + "&Expires=" + at + "&Signature=" + url.QueryEscape(signature) + query
}

func TestSignatureV2(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--allow-sigv2", "--domain", "s3.example.test")
	c, bucket := s.bucket(t)
	body := []byte("an old client's")
	path := "/" + bucket + "/dir/%C3%BC%20key"
	put := v2{
		method: "PUT", path: path, body: body, amz: "x-amz-meta-a:1\nx-amz-meta-b:2\n",
		header: header("Content-Type", "text/plain", "Content-MD5", md5Base64(body), "x-amz-meta-b", "2", "x-amz-meta-a", "1"),
	}
	s.sendV2(t, &put).want(t, "PUT", 200)
	wantBytes(t, "stored", get(t, c, bucket, "dir/ü key"), body)
	s.sendV2(t, &v2{method: "GET", path: path, query: "prefix=x"}).want(t, "GET", 200)
	s.sendV2(t, &v2{method: "GET", path: "/" + bucket, query: "location=", resource: "/" + bucket + "?location"}).want(t, "location", 200)
	s.sendV2(t, &v2{method: "GET", path: "/" + bucket, resource: "/" + bucket + "/"}).want(t, "list, as boto3 signs it", 200)
	s.sendV2(t, &v2{method: "GET", path: "/dir/%C3%BC%20key", host: bucket + ".s3.example.test", resource: path}).want(t, "virtual host", 200)

	wrong := put
	wrong.secret = "wrong"
	s.sendV2(t, &wrong).want(t, "wrong secret", 403, "SignatureDoesNotMatch")
	wrong = put
	wrong.accessKey = "nobody"
	s.sendV2(t, &wrong).want(t, "unknown key", 403, "InvalidAccessKeyId")
	wrong = put
	wrong.amz = ""
	s.sendV2(t, &wrong).want(t, "headers not signed", 403, "SignatureDoesNotMatch")
	wrong = put
	wrong.date = time.Now().Add(-20 * time.Minute)
	s.sendV2(t, &wrong).want(t, "old", 403, "RequestTimeTooSkewed")
	wrong = put
	wrong.body = []byte("another client's")
	s.sendV2(t, &wrong).want(t, "other bytes", 400, "BadDigest")
	wantBytes(t, "still stored", get(t, c, bucket, "dir/ü key"), body)

	soon := time.Now().Add(time.Minute)
	good := s.presignV2("GET", path, "", soon)
	wantBytes(t, "URL", fetch(t, "GET", good, nil, nil).Body, body)
	typed := fetch(t, "GET", s.presignV2("GET", path, "response-content-type=a/b", soon), nil, nil)
	if typed.want(t, "URL with an override", 200); typed.Header.Get("Content-Type") != "a/b" {
		t.Errorf("Content-Type %q", typed.Header.Get("Content-Type"))
	}
	fetch(t, "GET", good+"&response-content-type=a/b", nil, nil).want(t, "override added", 403, "SignatureDoesNotMatch")
	fetch(t, "GET", good+"&attributes", nil, nil).want(t, "sub-resource added", 403, "AccessDenied")
	fetch(t, "DELETE", good, nil, nil).want(t, "URL for another method", 403, "SignatureDoesNotMatch")
	fetch(t, "GET", s.presignV2("GET", path, "", time.Now().Add(-time.Second*2)), nil, nil).want(t, "expired URL", 403, "AccessDenied")
	fetch(t, "GET", strings.Replace(good, "Expires=", "Expires=1", 1), nil, nil).want(t, "longer URL", 403, "SignatureDoesNotMatch")
	fetch(t, "DELETE", s.presignV2("DELETE", path, "", soon), nil, nil).want(t, "DELETE", 204)
	wantAbsent(t, c, bucket, "dir/ü key")

	form := s.formV2(bucket)
	post(t, s.endpoint+"/"+bucket, form).want(t, "form", 204)
	wantBytes(t, "posted", get(t, c, bucket, "posted"), form.file)
	form.fields[1] = "nobody"
	post(t, s.endpoint+"/"+bucket, form).want(t, "form of an unknown key", 403, "InvalidAccessKeyId")
	form = s.formV2(bucket)
	form.fields[5] = signV2("wrong", form.fields[3])
	post(t, s.endpoint+"/"+bucket, form).want(t, "form with a wrong secret", 403, "SignatureDoesNotMatch")
}

// formV2 is a form for the key "posted".
func (s *server) formV2(bucket string) *uploadForm {
	policy := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"expiration": %q, "conditions": [{"bucket": %q}, {"key": "posted"}]}`,
		time.Now().Add(time.Minute).UTC().Format("2006-01-02T15:04:05Z"), bucket))
	return &uploadForm{
		fields: []string{"AWSAccessKeyId", s.accessKey, "policy", policy, "signature", signV2(s.secretKey, policy), "key", "posted"},
		file:   []byte("from a form"),
	}
}

// Version 2 is off unless the operator allows it.
func TestSignatureV2IsOff(t *testing.T) {
	t.Parallel()
	if isPeer() {
		skip(t, "is about a setting")
	}
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "k", []byte("secret"))
	path := "/" + bucket + "/k"
	for name, got := range map[string]*rawResponse{
		"header": s.sendV2(t, &v2{method: "GET", path: path}),
		"URL":    fetch(t, "GET", s.presignV2("GET", path, "", time.Now().Add(time.Minute)), nil, nil),
		"form":   post(t, s.endpoint+"/"+bucket, s.formV2(bucket)),
	} {
		got.want(t, name, 400, "InvalidRequest")
		if !strings.Contains(string(got.Body), "Please use AWS4-HMAC-SHA256.") {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
	wantAbsent(t, c, bucket, "posted")
}
