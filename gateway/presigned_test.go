package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sigv4"
)

// presigned makes a presigned request with AWS's own signer. Of the headers,
// those of S3 are signed; the SDK's signer moves some to the query.
func (s *server) presigned(method, target string, headers ...string) *http.Request {
	s.t.Helper()
	r := s.request(method, target, "", headers...)
	q := r.URL.Query()
	if !q.Has("X-Amz-Expires") {
		q.Set("X-Amz-Expires", "604800")
	}
	r.URL.RawQuery = q.Encode()
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: testAccessKey, SecretAccessKey: testSecret}
	signed, _, err := signer.PresignHTTP(s.t.Context(), creds, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	if r.URL, err = url.Parse(signed); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// targetOf returns where an operation is asked for.
func targetOf(op *Operation) string {
	target := [...]string{"/", "/bucket", "/bucket/a%20key/%C3%BC"}[op.Scope]
	q := url.Values{}
	for _, selector := range op.Query {
		name, value, _ := strings.Cut(selector, "=")
		if name == "partNumber" {
			value = "1"
		}
		q.Set(name, value)
	}
	if op.VersionAction != "" {
		q.Set("versionId", "null")
	}
	if op.Name == "GetObject" {
		q.Set("response-content-type", "text/x; a=\"b c\"")
	}
	return target + "?" + q.Encode()
}

// routeOf names what selects an operation. Some have two names.
func routeOf(op *Operation) string {
	return strings.Join(append([]string{op.Method, op.Scope.String(), op.Header}, op.Query...), " ")
}

// Every operation can be asked for by a presigned URL, and by no other than the
// one that was signed.
func TestPresignedOperations(t *testing.T) {
	s := newServer(t)
	var reached string
	for _, ops := range s.gateway.router.table.byTarget {
		for _, op := range ops {
			if op.Implemented() {
				op.handle = func(_ *Gateway, x *exchange) error {
					if x.caller != nil {
						reached = routeOf(op)
					}
					x.decided = true
					return x.finish(http.StatusOK)
				}
			}
		}
	}
	ops := slices.DeleteFunc(Operations(), func(op Operation) bool {
		return !op.Implemented() || op.decided == onNothing // which asks nobody's signature
	})
	if len(ops) < 20 {
		t.Fatalf("only %d operations", len(ops))
	}
	for i := range ops {
		op := &ops[i]
		t.Run(op.Name, func(t *testing.T) {
			var headers []string
			if op.Header != "" {
				headers = []string{op.Header, "/bucket/source"}
			}
			reached = ""
			if a := s.send(s.presigned(op.Method, targetOf(op), headers...)); a.StatusCode != http.StatusOK || reached != routeOf(op) {
				t.Fatalf("%d, reached %q: %s", a.StatusCode, reached, a.body)
			}
			for name, spoil := range map[string]func(*http.Request){
				"another path":  func(r *http.Request) { r.URL.Path += "x"; r.URL.RawPath = "" },
				"a parameter":   func(r *http.Request) { r.URL.RawQuery += "&a=b" },
				"a longer life": func(r *http.Request) { spoilQuery(r, "X-Amz-Expires", "604799") },
				"another date":  func(r *http.Request) { spoilQuery(r, "X-Amz-Date", time.Now().UTC().Format("20060102")+"T000000Z") },
				"a signature":   func(r *http.Request) { spoilQuery(r, "X-Amz-Signature", strings.Repeat("0", 64)) },
			} {
				r := s.presigned(op.Method, targetOf(op), headers...)
				spoil(r)
				reached = ""
				if a := s.send(r); a.StatusCode/100 == 2 || reached != "" {
					t.Errorf("%s: %d, reached %q", name, a.StatusCode, reached)
				}
			}
		})
	}
}

func spoilQuery(r *http.Request, name, value string) {
	q := r.URL.Query()
	q.Set(name, value)
	r.URL.RawQuery = q.Encode()
}

func TestPresignedLife(t *testing.T) {
	s := newServer(t)
	for expires, want := range map[string]s3.Code{
		"1": "", "604800": "", "0": s3.AccessDenied, "-1": s3.AuthorizationQueryParametersError,
		"604801": s3.AuthorizationQueryParametersError, "x": s3.AuthorizationQueryParametersError, "1.5": s3.AuthorizationQueryParametersError,
	} {
		a := s.send(s.presigned("GET", "/bucket?X-Amz-Expires="+expires))
		switch {
		case want == "" && a.StatusCode != http.StatusOK:
			t.Errorf("%s: %d %s", expires, a.StatusCode, a.body)
		case want != "" && a.failure(t).Code != want:
			t.Errorf("%s: %s, want %s", expires, a.body, want)
		}
	}
	// A session token is of no session that there is, and says so.
	if f := s.send(s.presigned("GET", "/bucket?X-Amz-Security-Token=t")).failure(t); f.Code != s3.InvalidToken {
		t.Errorf("token: %s", f.Code)
	}
}

// What SDKs move from headers to the query counts as if it were a header.
func TestPresignedHeaders(t *testing.T) {
	s := newServer(t)
	put := func(query string, headers ...string) *answer {
		t.Helper()
		r := s.presigned("PUT", "/bucket/k?"+query)
		r.Body, r.ContentLength = http.NoBody, 0
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return s.send(r)
	}
	if a := put("x-amz-meta-color=blue&x-amz-meta-none=&x-amz-storage-class=STANDARD"); a.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	in, _ := lastAsked[objects.PutObjectInput](s.objects)
	if want := []objects.Pair{{Name: "color", Value: "blue"}, {Name: "none"}}; !slices.Equal(in.Attributes.User, want) {
		t.Errorf("user metadata %+v", in.Attributes.User)
	}
	for query, want := range map[string]s3.Code{
		"x-amz-checksum-crc32=AAAAAQ%3D%3D":     s3.BadDigest,
		"x-amz-server-side-encryption=AES512":   s3.InvalidArgument,
		"x-amz-expected-bucket-owner=999999999": s3.AccessDenied,
		"x-amz-storage-class=X":                 s3.InvalidStorageClass,
	} {
		if f := put(query).failure(t); f.Code != want {
			t.Errorf("%s: %s, want %s", query, f.Code, want)
		}
	}
	// A header that is not signed is refused even where the query has it.
	if f := put("x-amz-meta-color=blue", "x-amz-meta-color", "red").failure(t); f.Code != s3.AccessDenied {
		t.Errorf("header and query: %s", f.Code)
	}
	if a := s.send(s.presigned("PUT", "/bucket/copy?x-amz-copy-source=%2Fbucket%2Fk")); a.StatusCode != http.StatusOK {
		t.Errorf("copy: %d %s", a.StatusCode, a.body)
	}
	if in, ok := lastAsked[objects.CopyObjectInput](s.objects); !ok || in.Source.Key != "k" || in.Key != "copy" {
		t.Errorf("copy: %+v", in)
	}
	// Without a signature in the query, a parameter is a parameter.
	s.ok("PUT", "/bucket/k?x-amz-meta-color=green", "")
	if in, _ := lastAsked[objects.PutObjectInput](s.objects); in.Attributes.User != nil {
		t.Errorf("not presigned: %+v", in.Attributes.User)
	}
}

// A presigned URL of Version 2 names no sub-resource that it does not sign.
func TestLegacyURLsCoverSubresources(t *testing.T) {
	for name, want := range map[string]bool{"acl": true, "versionId": true, "list-type=2": true, "attributes": false, "ownershipControls": false} {
		x := &exchange{auth: &sigv4.Result{Legacy: true, Auth: sigv4.AuthQuery}, op: &Operation{Query: []string{name}}}
		if err := x.checkCovered(); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
		x.auth.Auth = sigv4.AuthHeader
		if err := x.checkCovered(); err != nil {
			t.Errorf("%s in a header: %v", name, err)
		}
	}
}
