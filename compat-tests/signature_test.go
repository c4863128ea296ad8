package compat

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSignatureRefusals(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "k", []byte("secret"))
	path := "/" + bucket + "/k"
	spoil := func(f func(http.Header)) func(*http.Request) {
		return func(r *http.Request) { f(r.Header) }
	}
	replace := func(from, to string) func(*http.Request) {
		return spoil(func(h http.Header) { h.Set("Authorization", strings.Replace(h.Get("Authorization"), from, to, 1)) })
	}
	cases := []struct {
		name   string
		req    rawRequest
		status int
		codes  []string
	}{
		{"anonymous", rawRequest{Anonymous: true}, 403, []string{"AccessDenied"}},
		{"unknown access key", rawRequest{AccessKey: "nobody"}, 403, []string{"InvalidAccessKeyId"}},
		{"wrong secret", rawRequest{SecretKey: "wrong"}, 403, []string{"SignatureDoesNotMatch"}},
		{"20 minutes old", rawRequest{At: time.Now().Add(-20 * time.Minute)}, 403, []string{"RequestTimeTooSkewed"}},
		{"20 minutes early", rawRequest{At: time.Now().Add(20 * time.Minute)}, 403, []string{"RequestTimeTooSkewed"}},
		{"another region", rawRequest{Region: "eu-west-9"}, 400, []string{"AuthorizationHeaderMalformed"}},
		{"another service", rawRequest{Service: "ec2"}, 400, []string{"AuthorizationHeaderMalformed"}},
		{"spoiled signature", rawRequest{AfterSign: replace("Signature=", "Signature=0")}, 403, []string{"SignatureDoesNotMatch", "AuthorizationHeaderMalformed"}},
		{"host not signed", rawRequest{AfterSign: replace("host;", "")}, 403, []string{"SignatureDoesNotMatch", "AccessDenied"}},
		{"no credential", rawRequest{AfterSign: replace("Credential=", "Credentail=")}, 400, []string{"AuthorizationHeaderMalformed", "InvalidArgument"}},
		{"credential of four parts", rawRequest{AfterSign: replace("/aws4_request", "")}, 400, []string{"AuthorizationHeaderMalformed"}},
		{"unknown scheme", rawRequest{AfterSign: replace("AWS4-HMAC-SHA256", "AWS5-HMAC-SHA256")}, 400, []string{"InvalidArgument", "InvalidRequest", "AuthorizationHeaderMalformed"}},
		{"no date", rawRequest{AfterSign: spoil(func(h http.Header) { h.Del("X-Amz-Date") })}, 403, []string{"AccessDenied"}},
		{"no content hash", rawRequest{AfterSign: spoil(func(h http.Header) { h.Del("X-Amz-Content-Sha256") })}, 400, []string{"InvalidRequest"}},
		{"content hash is a word", rawRequest{SHA256: "something"}, 400, []string{"InvalidArgument", "InvalidRequest", "XAmzContentSHA256Mismatch"}},
		{"header added after signing", rawRequest{AfterSign: spoil(func(h http.Header) { h.Set("X-Amz-Acl", "private") })}, 403, []string{"AccessDenied", "SignatureDoesNotMatch"}},
		{"signed header changed", rawRequest{Header: header("x-amz-meta-a", "1"), AfterSign: spoil(func(h http.Header) { h.Set("X-Amz-Meta-A", "2") })}, 403, []string{"SignatureDoesNotMatch"}},
		{"two Authorization headers", rawRequest{AfterSign: spoil(func(h http.Header) { h.Add("Authorization", h.Get("Authorization")) })}, 400, []string{"InvalidArgument", "InvalidRequest", "AuthorizationHeaderMalformed", "BadRequest"}},
		{"header and query", rawRequest{Query: "X-Amz-Algorithm=AWS4-HMAC-SHA256"}, 400, []string{"InvalidArgument", "AuthorizationQueryParametersError"}},
	}
	for _, tc := range cases {
		tc.req.Path = path
		resp := s.raw(t, &tc.req)
		resp.want(t, tc.name, tc.status, tc.codes...)
		if strings.Contains(string(resp.Body), "secret") {
			t.Errorf("%s: the object was served", tc.name)
		}
		tc.req.Method, tc.req.Body = "PUT", []byte("overwritten")
		if resp := s.raw(t, &tc.req); resp.Status < 400 {
			t.Errorf("%s: PUT answered %d", tc.name, resp.Status)
		}
	}
	wantBytes(t, "object", get(t, c, bucket, "k"), []byte("secret"))
}

// TestSignatureQueryForms: parameters are signed in sorted, canonical form.
func TestSignatureQueryForms(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "a b+c", nil)
	for _, q := range []string{
		"list-type=2&prefix=a%20b%2Bc", "prefix=a%20b%2Bc&list-type=2", "list-type=2&prefix=a+b%2Bc", "list-type=2&prefix=a%20b%2Bc&x-id=ListObjectsV2",
	} {
		resp := s.raw(t, &rawRequest{Path: "/" + bucket, Query: q})
		resp.want(t, q, 200)
		if !strings.Contains(string(resp.Body), "<Key>a b+c</Key>") {
			t.Errorf("%s: %s", q, resp.Body)
		}
	}
}
