package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/s3"
)

const websiteIndex = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"

// newSite is a realm with a bucket "site" that anybody may read, and its owner.
func newSite(t *testing.T, configuration string) (*realm, *caller) {
	t.Helper()
	r := newRealm(t, func(o *Options) {
		o.WebsiteDomains, o.Domains = []string{"web.test"}, []string{"s3.test", "rest.web.test"}
	})
	r.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	owner := r.root()
	owner.ok("PUT", "/site", "")
	owner.ok("PUT", "/site?policy", allow("s3:GetObject", "site/*"))
	if configuration != "" {
		owner.ok("PUT", "/site?website", "<WebsiteConfiguration>"+configuration+"</WebsiteConfiguration>")
	}
	return r, owner
}

// visit asks a website for a page, as a browser does.
func (r *realm) visit(method, host, target string, headers ...string) *answer {
	r.t.Helper()
	req := r.request(method, target, "", headers...)
	req.Host = host
	return r.send(req)
}

// page visits http://site.web.test and requires a status.
func (r *realm) page(status int, target string, headers ...string) *answer {
	r.t.Helper()
	a := r.visit("GET", "site.web.test", target, headers...)
	if a.StatusCode != status {
		r.t.Errorf("GET %s %q: %d, want %d\n%s", target, headers, a.StatusCode, status, a.body)
	}
	return a
}

func (r *realm) redirects(status int, target, location string) {
	r.t.Helper()
	if got := r.page(status, target).Header.Get("Location"); got != location {
		r.t.Errorf("GET %s goes to %q, want %q", target, got, location)
	}
}

func TestBucketWebsite(t *testing.T) {
	r := newRealm(t)
	owner, other := r.newAccount("owner"), r.newAccount("other")
	owner.ok("PUT", "/site", "")
	owner.fails(s3.NoSuchWebsiteConfiguration, "GET", "/site?website", "")
	owner.fails(s3.MissingRequestBodyError, "PUT", "/site?website", "")
	owner.fails(s3.MalformedXML, "PUT", "/site?website", "<a/>")
	owner.fails(s3.MaxMessageLengthExceeded, "PUT", "/site?website", strings.Repeat(" ", s3.MaxWebsiteBody+1))
	owner.ok("PUT", "/site?website", "<WebsiteConfiguration>"+websiteIndex+"</WebsiteConfiguration>")
	if got := owner.ok("GET", "/site?website", "").body; !strings.HasSuffix(got, websiteIndex+"</WebsiteConfiguration>") {
		t.Error(got)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		other.denied(method, "/site?website", "<WebsiteConfiguration>"+websiteIndex+"</WebsiteConfiguration>")
	}
	owner.ok("DELETE", "/site?website", "")
	owner.ok("DELETE", "/site?website", "")
	owner.fails(s3.NoSuchWebsiteConfiguration, "GET", "/site?website", "")
}

func TestWebsitePages(t *testing.T) {
	r, owner := newSite(t, websiteIndex)
	owner.ok("PUT", "/site/index.html", "<h1>home</h1>", "Content-Type", "text/html", "Cache-Control", "max-age=60")
	owner.ok("PUT", "/site/docs/index.html", "docs")
	owner.ok("PUT", "/site/a%20b/%C3%BC", "odd")
	owner.ok("PUT", "/site/plain", "plain")
	owner.ok("PUT", "/site/plain/index.html", "below")

	home := r.page(200, "/")
	if home.body != "<h1>home</h1>" || home.Header.Get("Content-Type") != "text/html" || home.Header.Get("Cache-Control") != "max-age=60" {
		t.Errorf("%q %v", home.body, home.Header)
	}
	if got := r.page(200, "/?versionId=none&acl&response-content-type=a").body; got != "<h1>home</h1>" {
		t.Errorf("with a query: %q", got)
	}
	if got := r.page(200, "/docs/").body; got != "docs" {
		t.Errorf("%q", got)
	}
	r.redirects(302, "/docs", "/docs/")
	if got := r.page(200, "/a%20b/%C3%BC").body; got != "odd" {
		t.Errorf("%q", got)
	}
	if got := r.page(200, "/plain").body; got != "plain" {
		t.Errorf("an object goes before a directory: %q", got)
	}
	r.page(304, "/", "If-None-Match", home.Header.Get("ETag"))
	r.page(412, "/", "If-Match", `"other"`)
	if a := r.page(206, "/", "Range", "bytes=4-7"); a.body != "home" || a.Header.Get("Content-Range") != "bytes 4-7/13" {
		t.Errorf("%q %v", a.body, a.Header)
	}
	r.page(416, "/", "Range", "bytes=100-")
	if a := r.visit("HEAD", "SITE.Web.Test.:8080", "/"); a.StatusCode != http.StatusOK || a.ContentLength != 13 {
		t.Errorf("HEAD: %d %v", a.StatusCode, a.Header)
	}
	// A directory without an index document is not there, and is never listed.
	// Without the permission to list, that is not told.
	if a := r.page(403, "/a%20b/"); !strings.Contains(a.body, "<li>Code: AccessDenied</li>") {
		t.Error(a.body)
	}
	owner.ok("PUT", "/site?policy", policy(
		`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::site/*"}`,
		`{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::site"}`))
	a := r.page(404, "/a%20b/")
	for _, part := range []string{"<h1>404 Not Found</h1>", "<li>Code: NoSuchKey</li>", "<li>Key: a b/index.html</li>", "<li>RequestId: "} {
		if !strings.Contains(a.body, part) {
			t.Errorf("without %s: %s", part, a.body)
		}
	}
	if a.Header.Get("Content-Type") != "text/html; charset=utf-8" || a.Header.Get("X-Amz-Error-Code") != "NoSuchKey" {
		t.Errorf("%v", a.Header)
	}
	if a := r.page(404, "/%3Cscript%3E"); strings.Contains(a.body, "<script>") || !strings.Contains(a.body, "&lt;script&gt;") {
		t.Error(a.body)
	}
	if a := r.visit("HEAD", "site.web.test", "/none"); a.StatusCode != http.StatusNotFound || a.body != "" {
		t.Errorf("HEAD: %d %q", a.StatusCode, a.body)
	}
	r.page(400, "/"+strings.Repeat("a", 1025))
}

// TestWebsiteHosts: which host is a website, and which the REST endpoint.
func TestWebsiteHosts(t *testing.T) {
	r, owner := newSite(t, websiteIndex)
	owner.ok("PUT", "/site/index.html", "home")
	for _, bucket := range []string{"www.example.com", "plain.example.com", "sub.s3.test", "more.dots"} {
		owner.ok("PUT", "/"+bucket, "")
		owner.ok("PUT", "/"+bucket+"?policy", allow("s3:GetObject", bucket+"/*"))
		owner.ok("PUT", "/"+bucket+"/index.html", bucket)
		if bucket != "plain.example.com" {
			owner.ok("PUT", "/"+bucket+"?website", "<WebsiteConfiguration>"+websiteIndex+"</WebsiteConfiguration>")
		}
	}
	owner.ok("PUT", "/unset", "")
	for _, tt := range []struct {
		host, target string
		status       int
		body         string
	}{
		{"site.web.test", "/", 200, "home"},
		{"www.example.com", "/", 200, "www.example.com"},
		{"WWW.example.com:8443", "/", 200, "www.example.com"},
		{"more.dots.web.test", "/", 200, "more.dots"},
		{"unset.web.test", "/", 404, "<li>Code: NoSuchWebsiteConfiguration</li>"},
		{"none.web.test", "/", 404, "<li>Code: NoSuchBucket</li>"},
		{"a_b.web.test", "/", 404, "<li>Code: NoSuchBucket</li>"},
		{"web.test", "/", 404, "<li>Code: NoSuchBucket</li>"},
		{"site.s3.test", "/", 403, "<Code>AccessDenied</Code>"},
		{"site.rest.web.test", "/", 403, "<Code>AccessDenied</Code>"},
		{"sub.s3.test", "/", 404, "<Code>NoSuchBucket</Code>"}, // bucket "sub" of the REST endpoint
		{"plain.example.com", "/site/index.html", 200, "home"},
		{"elsewhere.example.com", "/site/index.html", 200, "home"},
		{"web.test.example.com", "/site/index.html", 200, "home"},
		{"xweb.test", "/site/index.html", 200, "home"},
	} {
		a := r.visit("GET", tt.host, tt.target)
		if a.StatusCode != tt.status || !strings.Contains(a.body, tt.body) {
			t.Errorf("%s%s: %d, want %d with %q\n%s", tt.host, tt.target, a.StatusCode, tt.status, tt.body, a.body)
		}
	}
	// Who signs speaks to the REST endpoint, whatever bucket has its name.
	req := r.sign(r.request("GET", "/site/index.html", "", "Host", "www.example.com"), "")
	req.Host = "www.example.com"
	if a := r.send(r.sign(req, "")); a.StatusCode != http.StatusOK || a.body != "home" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	// On its own domain a signature is of no meaning.
	if a := r.visit("GET", "site.web.test", "/", "Authorization", "AWS4-HMAC-SHA256 nonsense"); a.StatusCode != http.StatusOK {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestWebsiteMethods(t *testing.T) {
	r, owner := newSite(t, websiteIndex)
	owner.ok("PUT", "/site?policy", allow("s3:*", "site/*"))
	for _, method := range []string{"PUT", "POST", "DELETE", "PATCH"} {
		a := r.visit(method, "site.web.test", "/key?uploads")
		if a.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(a.body, "<li>Code: MethodNotAllowed</li>") || a.Header.Get("Allow") == "" {
			t.Errorf("%s: %d %v %s", method, a.StatusCode, a.Header, a.body)
		}
	}
	if got := owner.ok("GET", "/site?list-type=2", "").body; strings.Contains(got, "<Key>") {
		t.Error(got)
	}
}

// TestWebsiteVisitorsAreAnonymous: a website shows what the policy, the ACLs and
// the public access block let anybody read, and nothing by any other way.
func TestWebsiteVisitorsAreAnonymous(t *testing.T) {
	r, owner := newSite(t, websiteIndex+"<ErrorDocument><Key>errors/404.html</Key></ErrorDocument>")
	for _, key := range []string{"index.html", "hidden/index.html", "errors/404.html", "page"} {
		owner.ok("PUT", "/site/"+key, key)
	}
	owner.ok("PUT", "/site/by-acl", "open", "x-amz-acl", "public-read")
	owner.ok("PUT", "/site/moved", "", "x-amz-website-redirect-location", "/secret-place")
	owner.ok("DELETE", "/site?policy", "")
	r.page(403, "/")
	r.page(200, "/by-acl")
	if a := r.page(403, "/hidden"); a.Header.Get("Location") != "" {
		t.Error("a directory is told of that nobody may read")
	}
	if a := r.page(403, "/moved"); a.Header.Get("Location") != "" || strings.Contains(a.body, "secret-place") {
		t.Errorf("%v %s", a.Header, a.body)
	}
	if a := r.page(403, "/none"); !strings.Contains(a.body, "An Error Occurred While Attempting to Retrieve a Custom Error Document") {
		t.Error(a.body)
	}
	owner.ok("PUT", "/site?policy", policy(
		`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::site/*"}`,
		`{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::site/hidden/*"}`,
		`{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::site/page","Condition":{"StringNotLike":{"aws:Referer":"https://site.web.test/*"}}}`))
	if got := r.page(200, "/").body; got != "index.html" {
		t.Error(got)
	}
	if got := r.page(403, "/hidden").body; got != "errors/404.html" {
		t.Error(got)
	}
	r.page(403, "/page")
	r.page(200, "/page", "Referer", "https://site.web.test/")
	owner.ok("PUT", "/site?publicAccessBlock", "<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>")
	r.page(403, "/")
	r.page(403, "/by-acl")
	owner.ok("DELETE", "/site?publicAccessBlock", "")
	owner.ok("PUT", "/site?requestPayment", "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>")
	r.page(403, "/", "x-amz-request-payer", "requester")
}

func TestWebsiteErrorDocument(t *testing.T) {
	r, owner := newSite(t, websiteIndex+"<ErrorDocument><Key>error.html</Key></ErrorDocument>")
	owner.ok("PUT", "/site?policy", policy(
		`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::site/*"}`,
		`{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::site"}`))
	a := r.page(404, "/none")
	for _, part := range []string{"<li>Key: none</li>", "Custom Error Document</h3>", "<li>Key: error.html</li>"} {
		if !strings.Contains(a.body, part) {
			t.Errorf("without %s: %s", part, a.body)
		}
	}
	owner.ok("PUT", "/site/error.html", "sorry", "Content-Type", "text/html")
	owner.ok("PUT", "/site/page", "page")
	for target, status := range map[string]int{"/none": 404, "/none/": 404, "/page": 412} {
		a := r.page(status, target, "If-Match", `"x"`, "Range", "bytes=0-1")
		if a.body != "sorry" || a.Header.Get("Content-Type") != "text/html" || a.Header.Get("X-Amz-Error-Code") == "" {
			t.Errorf("%s: %q %v", target, a.body, a.Header)
		}
	}
	if a := r.visit("HEAD", "site.web.test", "/none"); a.StatusCode != http.StatusNotFound || a.body != "" || a.ContentLength != 5 {
		t.Errorf("HEAD: %d %v", a.StatusCode, a.Header)
	}
	owner.ok("PUT", "/site/error.html", "", "x-amz-website-redirect-location", "/help")
	r.redirects(301, "/none", "/help")
}

func TestWebsiteRedirects(t *testing.T) {
	r, owner := newSite(t, "<RedirectAllRequestsTo><HostName>example.com</HostName></RedirectAllRequestsTo>")
	owner.ok("DELETE", "/site?policy", "") // where to go is for everybody
	r.redirects(301, "/", "http://example.com/")
	r.redirects(301, "/a%20b/c?d=e&f", "http://example.com/a%20b/c?d=e&f")
	owner.ok("PUT", "/site?website", "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>example.com</HostName><Protocol>https</Protocol></RedirectAllRequestsTo></WebsiteConfiguration>")
	r.redirects(301, "/x", "https://example.com/x")

	owner.ok("PUT", "/site?policy", allow("s3:GetObject", "site/*"))
	owner.ok("PUT", "/site?website", "<WebsiteConfiguration>"+websiteIndex+"<RoutingRules>"+
		"<RoutingRule><Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect></RoutingRule>"+
		"<RoutingRule><Condition><KeyPrefixEquals>api/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>403</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>api.test</HostName><Protocol>https</Protocol><HttpRedirectCode>307</HttpRedirectCode><ReplaceKeyPrefixWith>v2?key=</ReplaceKeyPrefixWith></Redirect></RoutingRule>"+
		"</RoutingRules></WebsiteConfiguration>")
	owner.ok("PUT", "/site/docs/there", "never seen")
	owner.ok("PUT", "/site/api/there", "seen")
	owner.ok("PUT", "/site/api/dir/index.html", "seen")
	r.redirects(301, "/docs/there", "http://site.web.test/documents/there")
	r.redirects(307, "/api/none", "https://api.test/v2?key=none")
	r.redirects(307, "/api/none/", "https://api.test/v2?key=none/")
	r.page(200, "/api/there")
	r.redirects(302, "/api/dir", "/api/dir/")
	r.page(403, "/other")

	// What an object says is in force for its website, and shown over REST.
	owner.ok("PUT", "/site/old", "old", "x-amz-website-redirect-location", "https://new.test/a?b#c")
	r.redirects(301, "/old", "https://new.test/a?b#c")
	if a := r.page(301, "/old", "If-None-Match", "*"); a.body != "" {
		t.Error(a.body)
	}
	if a := owner.ok("GET", "/site/old", ""); a.body != "old" || a.Header.Get("X-Amz-Website-Redirect-Location") != "https://new.test/a?b#c" {
		t.Errorf("%q %v", a.body, a.Header)
	}
	owner.fails(s3.InvalidRedirectLocation, "PUT", "/site/old", "", "x-amz-website-redirect-location", "new")
	// A location that begins with two slashes would be another host's.
	owner.ok("PUT", "/site//evil.test/index.html", "home")
	r.redirects(302, "//evil.test", "/%2Fevil.test/")
}

func TestWebsiteRedirectIsKept(t *testing.T) {
	r := newRealm(t)
	owner := r.root()
	owner.ok("PUT", "/site", "")
	shown := func(target, want string) {
		t.Helper()
		if got := owner.ok("HEAD", target, "").Header.Get("X-Amz-Website-Redirect-Location"); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	const header = "x-amz-website-redirect-location"
	owner.ok("PUT", "/site/a", "a", header, "/b")
	shown("/site/a", "/b")
	// A copy never takes it from its source.
	owner.ok("PUT", "/site/copy", "", "x-amz-copy-source", "/site/a")
	shown("/site/copy", "")
	owner.ok("PUT", "/site/copy", "", "x-amz-copy-source", "/site/a", header, "/c")
	shown("/site/copy", "/c")
	owner.ok("PUT", "/site/copy", "", "x-amz-copy-source", "/site/copy", header, "/d")
	shown("/site/copy", "/d")
	owner.ok("PUT", "/site/copy", "", "x-amz-copy-source", "/site/a", "x-amz-metadata-directive", "REPLACE", header, "/e")
	shown("/site/copy", "/e")
	upload := uploadIn(t, owner.ok("POST", "/site/parts?uploads", "", header, "/f").body)
	tag := owner.ok("PUT", "/site/parts?partNumber=1&uploadId="+upload, "part").Header.Get("ETag")
	owner.ok("POST", "/site/parts?uploadId="+upload, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+tag+"</ETag></Part></CompleteMultipartUpload>")
	shown("/site/parts", "/f")
}

func TestWebsiteCORS(t *testing.T) {
	r, owner := newSite(t, websiteIndex)
	owner.ok("PUT", "/site/font", "font")
	owner.ok("PUT", "/site?cors", "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>https://a.test</AllowedOrigin></CORSRule></CORSConfiguration>")
	for _, target := range []string{"/font", "/"} {
		a := r.visit("GET", "site.web.test", target, "Origin", "https://a.test")
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != "https://a.test" {
			t.Errorf("%s: %q", target, got)
		}
	}
	if a := r.visit("OPTIONS", "site.web.test", "/font", "Origin", "https://a.test", "Access-Control-Request-Method", "GET"); a.StatusCode != http.StatusOK {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := r.visit("OPTIONS", "site.web.test", "/font", "Origin", "https://b.test", "Access-Control-Request-Method", "GET"); a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "<li>Code: AccessForbidden</li>") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
