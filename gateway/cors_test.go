package gateway

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

const testCORS = "<CORSConfiguration><CORSRule><ID>one</ID><AllowedMethod>GET</AllowedMethod><AllowedMethod>POST</AllowedMethod>" +
	"<AllowedOrigin>https://*.test</AllowedOrigin></CORSRule></CORSConfiguration>"

func TestCrossOriginHeadersOfRefusals(t *testing.T) {
	s := newServer(t)
	s.ok("PUT", "/bucket?cors", testCORS)
	for _, target := range []string{"/bucket/none", "/bucket?session", "/bucket?list-type=7", "/bucket/k?versionId=", "/bucket?max-keys=x"} {
		a := s.do("GET", target, "", "Origin", "https://a.test")
		if a.StatusCode < 400 || a.Header.Get("Access-Control-Allow-Origin") != "https://a.test" || a.Header.Get("Vary") == "" {
			t.Errorf("%s: %d, headers %v", target, a.StatusCode, a.Header)
		}
	}
	for _, target := range []string{"/other/k", "/B", "/"} {
		a := s.do("GET", target, "", "Origin", "https://a.test")
		if a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers %v", target, a.Header)
		}
	}
	a := s.expect(s3.MethodNotAllowed, "POST", "/bucket/key", "x", "Origin", "https://b.test")
	if a.Header.Get("Access-Control-Allow-Methods") != "GET, POST" || a.Header.Get("Allow") == "" {
		t.Errorf("headers %v", a.Header)
	}
}

// TestPreflightNeedsNoSignature sends preflights as browsers do, for URLs that
// are signed for another method.
func TestPreflightNeedsNoSignature(t *testing.T) {
	s := newServer(t)
	s.ok("PUT", "/bucket?cors", testCORS)
	for _, target := range []string{"/bucket/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0", "/bucket?uploads", "/bucket/key?unknown", "/bucket/"} {
		a := s.send(s.request("OPTIONS", target, "", "Origin", "https://a.test", "Access-Control-Request-Method", "GET"))
		if a.StatusCode != http.StatusOK || a.body != "" || a.Header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s: %d, headers %v\n%s", target, a.StatusCode, a.Header, a.body)
		}
	}
	s.expect(s3.BadRequest, "OPTIONS", "/bucket", "")
	s.expect(s3.AccessForbidden, "OPTIONS", "/missing/k", "", "Origin", "a", "Access-Control-Request-Method", "GET")
	s.expect(s3.MethodNotAllowed, "OPTIONS", "/", "", "Origin", "https://a.test", "Access-Control-Request-Method", "GET")
}

// brokenState fails where a bucket is looked up.
type brokenState struct {
	*fakeObjects
	err error
}

func (b brokenState) BucketState(context.Context, s3.BucketName) (*objects.BucketState, error) {
	return nil, b.err
}

// TestCrossOriginFailures: a preflight says that it could not be decided, any
// other request fails by itself.
func TestCrossOriginFailures(t *testing.T) {
	s := newServer(t, func(o *Options) {
		o.Objects = brokenState{newFake(), s3.NewError(s3.ServiceUnavailable).Because(errors.New("away"))}
	})
	s.expect(s3.ServiceUnavailable, "OPTIONS", "/bucket/k", "", "Origin", "a", "Access-Control-Request-Method", "GET")
	s.expect(s3.ServiceUnavailable, "GET", "/bucket/k", "", "Origin", "a")

	s = newServer(t)
	s.objects.configs[objects.ConfigCORS] = []byte("<CORSConfiguration>") // as no PutBucketCors leaves it
	s.expect(s3.InternalError, "OPTIONS", "/bucket/k", "", "Origin", "a", "Access-Control-Request-Method", "GET")
	s.expect(s3.NoSuchKey, "GET", "/bucket/k", "", "Origin", "a")
}
