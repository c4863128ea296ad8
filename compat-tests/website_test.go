package compat

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// browser speaks to one server, whatever host a URL names, and follows nothing.
func (s *server) browser(pool *x509.CertPool) *http.Client {
	address := s.endpoint[strings.Index(s.endpoint, "://")+3:]
	dialer := &net.Dialer{}
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool}, DisableCompression: true,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
}

// visit asks for a page; headers are pairs of names and values.
func visit(t *testing.T, client *http.Client, method, url string, headers ...string) *rawResponse {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := exchange(client, req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return resp
}

// publish makes a bucket that everybody may read.
func publish(t *testing.T, c *s3.Client, bucket string) {
	t.Helper()
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeletePublicAccessBlock(t.Context(), &s3.DeletePublicAccessBlockInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + bucket + `/*"},` +
		`{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::` + bucket + `"}]}`
	if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
}

// TestWebsite is a website as a browser sees it, and its configuration as the SDK does.
func TestWebsite(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--website-domain", "web.test", "--domain", "s3.test")
	c := s.client()
	publish(t, c, "site")
	get := func(path string, headers ...string) *rawResponse {
		t.Helper()
		return visit(t, s.browser(nil), "GET", "http://site.web.test"+path, headers...)
	}
	get("/").want(t, "no website", 404)
	if body := string(get("/").Body); !strings.Contains(body, "<li>Code: NoSuchWebsiteConfiguration</li>") {
		t.Errorf("no website: %s", body)
	}
	config := &types.WebsiteConfiguration{
		IndexDocument: &types.IndexDocument{Suffix: aws.String("index.html")}, ErrorDocument: &types.ErrorDocument{Key: aws.String("error.html")},
		RoutingRules: []types.RoutingRule{{
			Condition: &types.Condition{KeyPrefixEquals: aws.String("docs/")},
			Redirect:  &types.Redirect{ReplaceKeyPrefixWith: aws.String("documents/")},
		}, {
			Condition: &types.Condition{HttpErrorCodeReturnedEquals: aws.String("404"), KeyPrefixEquals: aws.String("lost/")},
			Redirect:  &types.Redirect{HostName: aws.String("found.test"), Protocol: types.ProtocolHttps, ReplaceKeyWith: aws.String("here"), HttpRedirectCode: aws.String("303")},
		}},
	}
	if _, err := c.PutBucketWebsite(t.Context(), &s3.PutBucketWebsiteInput{Bucket: aws.String("site"), WebsiteConfiguration: config}); err != nil {
		t.Fatal(err)
	}
	kept, err := c.GetBucketWebsite(t.Context(), &s3.GetBucketWebsiteInput{Bucket: aws.String("site")})
	if err != nil || len(kept.RoutingRules) != 2 || *kept.RoutingRules[1].Redirect.HttpRedirectCode != "303" || *kept.ErrorDocument.Key != "error.html" {
		t.Fatalf("%+v, %v", kept, err)
	}
	page := pattern(3*mib+17, 4) // over the pieces of a stream
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("site"), Key: aws.String("big/index.html"), Body: bytes.NewReader(page), ContentType: aws.String("text/html"), CacheControl: aws.String("max-age=7"),
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "site", "error.html", []byte("sorry"))
	put(t, c, "site", "index.html", []byte("home"))

	whole := get("/big/")
	whole.want(t, "index document", 200)
	wantBytes(t, "index document", whole.Body, page)
	tag := whole.Header.Get("ETag")
	if whole.Header.Get("Cache-Control") != "max-age=7" || whole.Header.Get("Content-Type") != "text/html" || tag == "" {
		t.Errorf("%v", whole.Header)
	}
	part := get("/big/", "Range", "bytes=2097150-2097153")
	part.want(t, "range", 206)
	wantBytes(t, "range", part.Body, page[2097150:2097154])
	get("/big/", "If-None-Match", tag).want(t, "not modified", 304)
	for target, want := range map[string]string{
		"/big": "302 /big/", "/docs/a?b=c": "301 http://site.web.test/documents/a", "/lost/thing": "303 https://found.test/here",
	} {
		resp := get(target)
		if strconv.Itoa(resp.Status) != want[:3] || resp.Header.Get("Location") != want[4:] {
			t.Errorf("%s: %d %s, want %s", target, resp.Status, resp.Header.Get("Location"), want)
		}
	}
	missing := get("/missing")
	missing.want(t, "missing", 404)
	wantBytes(t, "error document", missing.Body, []byte("sorry"))
	head := visit(t, s.browser(nil), "HEAD", "http://site.web.test/")
	head.want(t, "HEAD", 200)
	visit(t, s.browser(nil), "DELETE", "http://site.web.test/index.html").want(t, "DELETE", 405)
	if _, err := c.DeleteBucketWebsite(t.Context(), &s3.DeleteBucketWebsiteInput{Bucket: aws.String("site")}); err != nil {
		t.Fatal(err)
	}
	get("/").want(t, "after DeleteBucketWebsite", 404)
}

// TestWebsiteRedirectLocation: by every way to write an object, over the SDK.
func TestWebsiteRedirectLocation(t *testing.T) {
	t.Parallel()
	s := shared(t)
	c, bucket := s.bucket(t)
	shown := func(key, want string) {
		t.Helper()
		out, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		if err != nil || aws.ToString(out.WebsiteRedirectLocation) != want {
			t.Errorf("%s: %q, %v; want %q", key, aws.ToString(out.WebsiteRedirectLocation), err, want)
		}
	}
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("put"), Body: strings.NewReader("x"), WebsiteRedirectLocation: aws.String("/a")})
	if err != nil {
		t.Fatal(err)
	}
	shown("put", "/a")
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("put"), Body: strings.NewReader("x"), WebsiteRedirectLocation: aws.String("nowhere")})
	wantError(t, err, 400, "InvalidRedirectLocation")
	if _, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("copy"), CopySource: aws.String(bucket + "/put")}); err != nil {
		t.Fatal(err)
	}
	shown("copy", "")
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("parts"), WebsiteRedirectLocation: aws.String("https://b.test/")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: aws.String("parts"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: aws.String("parts"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: p.ETag, PartNumber: aws.Int32(1)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	shown("parts", "https://b.test/")
}

// TestWebsiteOverTLS: each host name with its own certificate, and another after a
// hangup, while a connection goes on.
func TestWebsiteOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := x509.NewCertPool()
	var flags []string
	pair := func(name string) {
		certFile, keyFile := writeNamedCertificate(t, dir, name, pool)
		flags = append(flags, "--tls-cert", certFile, "--tls-key", keyFile)
	}
	pair("127.0.0.1")
	pair("*.web.test")
	pair("www.example.org")
	s := startServer(t, append(flags, "--website-domain", "web.test")...)
	s.endpoint = "https" + s.endpoint[len("http"):]
	browser := s.browser(pool)
	c := s.client(func(o *s3.Options) { o.HTTPClient = browser })
	for _, bucket := range []string{"site", "www.example.org"} {
		publish(t, c, bucket)
		_, err := c.PutBucketWebsite(t.Context(), &s3.PutBucketWebsiteInput{Bucket: &bucket, WebsiteConfiguration: &types.WebsiteConfiguration{
			IndexDocument: &types.IndexDocument{Suffix: aws.String("index.html")},
			RoutingRules:  []types.RoutingRule{{Condition: &types.Condition{KeyPrefixEquals: aws.String("to/")}, Redirect: &types.Redirect{ReplaceKeyWith: aws.String("x")}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		put(t, c, bucket, "index.html", []byte(bucket))
	}
	wantBytes(t, "bucket.domain", visit(t, browser, "GET", "https://site.web.test/").Body, []byte("site"))
	wantBytes(t, "custom domain", visit(t, browser, "GET", "https://www.example.org/").Body, []byte("www.example.org"))
	if got := visit(t, browser, "GET", "https://www.example.org/to/").Header.Get("Location"); got != "https://www.example.org/x" {
		t.Errorf("Location %q", got)
	}
	if _, err := try(t.Context(), "https://elsewhere.test/"); err == nil {
		t.Error("a name without a certificate was served")
	}
	// Another certificate of another authority: only after the hangup does a new
	// connection get it, and the old connection stays.
	other := x509.NewCertPool()
	writeNamedCertificate(t, dir, "*.web.test", other)
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://site.web.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := exchange(s.browser(other), req); err == nil && resp.Status == 200 {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the new certificate is not served")
		}
	}
	wantBytes(t, "the connection that was open", visit(t, browser, "GET", "https://site.web.test/").Body, []byte("site"))
}

// writeNamedCertificate makes a self-signed certificate for a host name, or an
// address, and adds it to a pool.
func writeNamedCertificate(t *testing.T, dir, name string, pool *x509.CertPool) (certFile, keyFile string) {
	t.Helper()
	certPEM, keyPEM := selfSigned(t, name)
	base := filepath.Join(dir, strings.ReplaceAll(name, "*", "star"))
	certFile, keyFile = base+".crt", base+".key"
	for file, data := range map[string][]byte{certFile: certPEM, keyFile: keyPEM} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile
}

// TestWebsiteRedirectOfAForm: POST has it as a field.
func TestWebsiteRedirectOfAForm(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.client()
	publish(t, c, "forms")
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::forms/*"}]}`
	if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("forms"), Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, f := range [][2]string{{"key", "posted"}, {"x-amz-website-redirect-location", "/posted"}, {"file", "x"}} {
		w, err := form.CreateFormField(f[0])
		if err == nil {
			_, err = io.WriteString(w, f[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.endpoint+"/forms", &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := exchange(plainHTTP, req)
	if err != nil {
		t.Fatal(err)
	}
	resp.want(t, "POST", 204)
	out, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("forms"), Key: aws.String("posted")})
	if err != nil || aws.ToString(out.WebsiteRedirectLocation) != "/posted" {
		t.Errorf("%v, %v", out, err)
	}
}
