package sigv4

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// canonicalLines returns the canonical request of r, split.
func canonicalLines(t *testing.T, r *http.Request, signed string) []string {
	t.Helper()
	var s scratch
	_, query := rawTarget(r)
	if err := s.parseQuery(query); err != nil {
		t.Fatal(err)
	}
	if err := s.buildCanonical(r, signed, "H"); err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(s.canonical), "\n")
}

func TestCanonicalPathAndQuery(t *testing.T) {
	for target, want := range map[string][2]string{
		"/":                     {"/", ""},
		"/?":                    {"/", ""},
		"//a///b/":              {"//a///b/", ""},
		"/a/./../b":             {"/a/./../b", ""},
		"/a%20b+c":              {"/a%20b%2Bc", ""},
		"/%c3%bc%7e~":           {"/%C3%BC~~", ""},
		"/a%2fb":                {"/a/b", ""}, // S3 knows no other slash
		"/%2525":                {"/%2525", ""},
		"/$&'()*,:;=@[]":        {"/%24%26%27%28%29%2A%2C%3A%3B%3D%40%5B%5D", ""},
		"/k?b&a=2&a=1&A=%2F+":   {"/k", "A=%2F%20&a=1&a=2&b="},
		"/k?a=b=c&=v&&a":        {"/k", "=v&a=&a=b%3Dc"},
		"/k?a-b=1&a=2&a%2Fb=3":  {"/k", "a=2&a%2Fb=3&a-b=1"},
		"/k?X-Amz-Signature=1":  {"/k", ""},
		"/k?a?b=1?":             {"/k", "a%3Fb=1%3F"},
		"/k?x-amz-signature=1":  {"/k", "x-amz-signature=1"},
		"http://h/a%20b?c=d":    {"/a%20b", "c=d"},
		"/k?prefix=%E6%97%A5/+": {"/k", "prefix=%E6%97%A5%2F%20"},
	} {
		r := newRequest("GET", "/", "h")
		r.RequestURI = target
		if strings.HasPrefix(target, "http:") { // absolute form: only URL is split
			r = newRequest("GET", target, "h")
		}
		if got := canonicalLines(t, r, "host"); got[1] != want[0] || got[2] != want[1] {
			t.Errorf("%s: path %q, query %q", target, got[1], got[2])
		}
	}
}

func TestCanonicalHeaders(t *testing.T) {
	r := newRequest("PUT", "/", "Example.test:9000", "X-Amz-Meta-A", "  one   two\tthree ", "X-Amz-Meta-A", "", "X-Amz-Meta-A", "b")
	r.ContentLength = 42
	r.TransferEncoding = []string{"chunked"}
	r.Trailer = http.Header{"X-B": nil, "X-A": nil}
	signed := "absent;content-length;expect;host;trailer;transfer-encoding;x-amz-meta-a"
	want := []string{
		"PUT", "/", "", "absent:", "content-length:42", "expect:100-continue", "host:Example.test:9000",
		"trailer:x-a,x-b", "transfer-encoding:chunked", "x-amz-meta-a:one two\tthree,,b", "", signed, "H",
	}
	if got := canonicalLines(t, r, signed); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("canonical request:\n%s", strings.Join(got, "\n"))
	}
	// What is in the map wins: it is what was received.
	r.Header.Set("Content-Length", "0042")
	r.Header.Set("Expect", "something")
	if got := canonicalLines(t, r, signed); got[4] != "content-length:0042" || got[5] != "expect:something" {
		t.Errorf("%q, %q", got[4], got[5])
	}
}

// Clients that sort in another way than by bytes sign what they send.
func TestUnsortedSignedHeaders(t *testing.T) {
	r := signWith(get("X-Amz-Date", exampleTime), "x-amz-date;x-amz-content-sha256;host")
	if _, err := newVerifier(t).Verify(r); err != nil {
		t.Error(err)
	}
}

// AWS does not insist that x-amz-content-sha256 itself is signed.
func TestContentSHA256NotSigned(t *testing.T) {
	r := signWith(get("X-Amz-Date", exampleTime), "host;x-amz-date")
	v := newVerifier(t)
	if _, err := v.Verify(r); err != nil {
		t.Error(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
	if _, err := v.Verify(r); kindOf(err) != KindSignatureMismatch {
		t.Errorf("changed: %v", err)
	}
}

func TestDateHeaderAlone(t *testing.T) {
	for _, date := range []string{"Fri, 24 May 2013 00:00:00 GMT", exampleTime} {
		r := get("Date", date)
		canonical := canonicalOf(r, "date;host", emptySHA256)
		r.Header.Set("Authorization", authorization("date;host", sign(exampleSecret, testScope, exampleTime, canonical)))
		if _, err := newVerifier(t).Verify(r); err != nil {
			t.Errorf("%s: %v", date, err)
		}
	}
}

func TestPresignedPayloads(t *testing.T) {
	tests := []struct {
		name, inQuery, inHeader, body string
		payload                       Payload
		kind                          Kind
	}{
		{"nothing", "", "", "data", PayloadUnsigned, 0},
		{"word in query", unsignedPayload, "", "data", PayloadUnsigned, 0},
		{"hash in query", digest("data"), "", "data", PayloadSHA256, 0},
		{"hash in query of another body", digest("other"), "", "data", PayloadSHA256, KindContentSHA256Mismatch},
		{"a header does not override a signed hash", digest("other"), unsignedPayload, "data", PayloadSHA256, KindContentSHA256Mismatch},
		{"hash in unsigned header", "", digest("data"), "data", PayloadSHA256, 0},
		{"hash in unsigned header of another body", "", digest("other"), "data", PayloadSHA256, KindContentSHA256Mismatch},
	}
	for _, tt := range tests {
		r := presign("PUT", "/k", paramContentSHA256, tt.inQuery)
		if tt.inHeader != "" {
			r.Header.Set(paramContentSHA256, tt.inHeader)
		}
		r.ContentLength = int64(len(tt.body))
		res, err := newVerifier(t).Verify(r)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got, err := io.ReadAll(res.Body(strings.NewReader(tt.body)))
		if kindOf(err) != tt.kind || err == nil && string(got) != "data" || res.Payload != tt.payload {
			t.Errorf("%s: %q, %v, payload %d", tt.name, got, err, res.Payload)
		}
	}
}

// An aws-chunked body of a presigned URL is decoded; its length must be signed
// as every x-amz-* header.
func TestPresignedChunks(t *testing.T) {
	const signed = "host;x-amz-content-sha256;x-amz-decoded-content-length"
	headers := func(r *http.Request) *http.Request {
		r.Header.Set(paramContentSHA256, streamingUnsigned)
		r.Header.Set("X-Amz-Decoded-Content-Length", "4")
		return r
	}
	if _, err := newVerifier(t).Verify(headers(presign("PUT", "/k"))); kindOf(err) != KindHeadersNotSigned {
		t.Errorf("length not signed: %v", err)
	}
	r := headers(presign("PUT", "/k", paramSignedHeaders, signed))
	target, _, _ := strings.Cut(r.RequestURI, "&X-Amz-Signature=")
	signature := sign(exampleSecret, testScope, exampleTime, canonicalOf(r, signed, streamingUnsigned))
	r = headers(newRequest("PUT", target+"&X-Amz-Signature="+signature, r.Host))
	res, err := newVerifier(t).Verify(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body(strings.NewReader("4\r\ndata\r\n0\r\n\r\n")))
	if err != nil || string(got) != "data" || res.Auth != AuthQuery || res.Length != 4 {
		t.Errorf("%q, %v, %+v", got, err, res)
	}
}
