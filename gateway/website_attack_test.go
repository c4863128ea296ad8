package gateway

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/s3"
)

// raw sends a request as it is written, which net/http's client would not.
func (r *realm) raw(line string, headers ...string) *answer {
	r.t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(r.t.Context(), "tcp", r.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "%s\r\n%s\r\nConnection: close\r\n\r\n", line, strings.Join(headers, "\r\n")); err != nil {
		r.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // readAnswer closes it
	if err != nil {
		r.t.Fatal(err)
	}
	return readAnswer(r.t, res)
}

// TestBucketNamedAsTheEndpoint: an operator who did not say how the REST endpoint is
// called, and somebody who makes a bucket of that name. The bucket gets the pages
// that nobody signed for, and no upload by a form or an anonymous PUT, and no
// preflight of a signed request.
func TestBucketNamedAsTheEndpoint(t *testing.T) {
	r, owner := newSite(t, "")
	owner.ok("PUT", "/api.example.com", "")
	owner.ok("PUT", "/api.example.com?website", "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>evil.test</HostName></RedirectAllRequestsTo></WebsiteConfiguration>")
	owner.ok("PUT", "/site?policy", allow("s3:PutObject", "site/*"))
	owner.ok("PUT", "/site?cors", "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>*</AllowedHeader><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>")
	const host = "api.example.com"
	if a := r.visit("GET", host, "/site/key"); a.StatusCode != http.StatusMovedPermanently {
		t.Errorf("a page: %d %s", a.StatusCode, a.body)
	}
	if a := r.visit("GET", host, "/site/key?a;b=%zz"); a.StatusCode != http.StatusMovedPermanently {
		t.Errorf("a page with a query that is none: %d %s", a.StatusCode, a.body)
	}
	for _, method := range []string{"PUT", "POST", "DELETE"} {
		a := r.visit(method, host, "/site/key")
		if strings.Contains(a.body, "<html>") || method == "PUT" && a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", method, a.StatusCode, a.body)
		}
	}
	for _, headers := range [][]string{
		{"Access-Control-Request-Method", "PUT"},
		{"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "x-amz-date, Authorization"},
	} {
		a := r.visit("OPTIONS", host, "/site/key", append(headers, "Origin", "https://a.test")...)
		if a.StatusCode != http.StatusOK {
			t.Errorf("preflight %q: %d %s", headers, a.StatusCode, a.body)
		}
	}
}

func TestWebsiteHostTricks(t *testing.T) {
	r, owner := newSite(t, websiteIndex+"<RoutingRules><RoutingRule><Condition><KeyPrefixEquals>to/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith>x/</ReplaceKeyPrefixWith></Redirect></RoutingRule></RoutingRules>")
	owner.ok("PUT", "/site/index.html", "home")
	for _, tt := range []struct {
		line, host string
		status     int
		location   string
	}{
		{"GET / HTTP/1.1", "SITE.Web.Test.:80", 200, ""},
		{"GET http://site.web.test/ HTTP/1.1", "other.example.com", 200, ""},
		{"GET http://site.s3.test/ HTTP/1.1", "site.web.test", 403, ""},
		{"GET http://evil.test@site.web.test/to/a HTTP/1.1", "x", 301, "http://site.web.test/x/a"},
		{"GET /to/a HTTP/1.1", "site.web.test:80@evil.test", 400, ""},
		{"GET /to/a HTTP/1.1", "site.web.test:8080", 301, "http://site.web.test:8080/x/a"},
		{"GET /to//evil.test HTTP/1.1", "site.web.test", 301, "http://site.web.test/x//evil.test"},
		{"GET /to/a%0d%0aSet-Cookie:%20a HTTP/1.1", "site.web.test", 301, "http://site.web.test/x/a%0D%0ASet-Cookie:%20a"},
		{"GET / HTTP/1.1", "[::1]:80", 403, ""},
		{"GET / HTTP/1.1", "127.0.0.1", 403, ""},
		{"GET / HTTP/1.1", ".web.test", 404, ""},
		{"GET / HTTP/1.1", "..web.test", 404, ""},
		{"GET /a%00b HTTP/1.1", "site.web.test", 403, ""},
		{"GET /%ff HTTP/1.1", "site.web.test", 400, ""},
		{"GET * HTTP/1.1", "site.web.test", 403, ""},
	} {
		a := r.raw(tt.line, "Host: "+tt.host, "X-Forwarded-Host: evil.test", "X-Forwarded-Proto: https", "Forwarded: host=evil.test")
		if a.StatusCode != tt.status || a.Header.Get("Location") != tt.location || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s of %s: %d %q, want %d %q\n%s", tt.line, tt.host, a.StatusCode, a.Header.Get("Location"), tt.status, tt.location, a.body)
		}
	}
}

// TestWebsiteInjection: what a visitor sends comes back as text, in pages and in
// headers.
func TestWebsiteInjection(t *testing.T) {
	r, owner := newSite(t, websiteIndex)
	owner.ok("PUT", "/site?policy", policy(
		`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::site/*"}`,
		`{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::site"}`))
	a := r.page(404, "/%3Cscript%3Ealert(1)%3C/script%3E%0D%0AX-Evil:%201%01")
	if strings.Contains(a.body, "<script>") || a.Header.Get("X-Evil") != "" || !strings.Contains(a.body, "&lt;script&gt;") {
		t.Errorf("%v %s", a.Header, a.body)
	}
	if got := a.Header.Get("X-Amz-Error-Detail-Key"); strings.ContainsFunc(got, func(c rune) bool { return c < ' ' }) {
		t.Errorf("%q", got)
	}
	// A backslash is a slash to browsers.
	owner.ok("PUT", "/site/%5Cevil.test/index.html", "home")
	r.redirects(302, "/%5Cevil.test", "/%5Cevil.test/")
	owner.ok("PUT", "/site//evil.test/index.html", "home")
	r.redirects(302, "/%2Fevil.test", "/%2Fevil.test/")
	owner.ok("PUT", "/site/a%0D%0Ab/index.html", "home")
	r.redirects(302, "/a%0D%0Ab", "/a%0D%0Ab/")
}

// TestWebsiteOfCustomerKeys: pages that are encrypted with a customer's key are
// nobody's to see, as index and as error documents neither.
func TestWebsiteOfCustomerKeys(t *testing.T) {
	r, owner := newSite(t, websiteIndex+"<ErrorDocument><Key>error.html</Key></ErrorDocument>")
	for _, key := range []string{"index.html", "dir/index.html", "error.html"} {
		owner.ok("PUT", "/site/"+key, "secret", customer(customerKey, customerMD5)...)
	}
	for target, status := range map[string]int{"/": 400, "/dir/": 400, "/dir": 403, "/none": 403, "/error.html": 400} {
		for _, method := range []string{"GET", "HEAD"} {
			a := r.visit(method, "site.web.test", target)
			if a.StatusCode != status || strings.Contains(a.body, "secret") || a.Header.Get("Location") != "" {
				t.Errorf("%s %s: %d %v %s", method, target, a.StatusCode, a.Header, a.body)
			}
		}
	}
}

// TestWebsiteEmptyRedirect: a redirect to nowhere is refused, since it could not be
// read again.
func TestWebsiteEmptyRedirect(t *testing.T) {
	_, owner := newSite(t, "")
	owner.fails(s3.MalformedXML, "PUT", "/site?website", "<WebsiteConfiguration>"+websiteIndex+
		"<RoutingRules><RoutingRule><Redirect><HostName></HostName></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>")
}

// TestWebsiteThatCannotBeLookedUp: a visitor is told to come back, in place of that
// nothing is there, which is kept in caches.
func TestWebsiteThatCannotBeLookedUp(t *testing.T) {
	s := newServer(t, func(o *Options) {
		o.WebsiteDomains = []string{"web.test"}
		o.Objects = brokenState{newFake(), s3.NewError(s3.ServiceUnavailable)}
	})
	for _, host := range []string{"site.web.test", "www.example.com"} {
		req := s.request("GET", "/a/b", "")
		req.Host = host
		if a := s.send(req); a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.body, "<html>") {
			t.Errorf("%s: %d %s", host, a.StatusCode, a.body)
		}
	}
}
