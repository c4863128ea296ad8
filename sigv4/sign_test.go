package sigv4

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"
)

// A plain signer that shares no code with the verifier.

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func testKey(secret, scope string) []byte {
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return key
}

const testScope = "20130524/us-east-1/s3/aws4_request"

func sign(secret, scope, timestamp, canonical string) string {
	sts := "AWS4-HMAC-SHA256\n" + timestamp + "\n" + scope + "\n" + digest(canonical)
	return hex.EncodeToString(mac(testKey(secret, scope), sts))
}

// canonicalOf is the canonical request of r whose path needs no escapes.
func canonicalOf(r *http.Request, signed, payload string) string {
	var query []string
	for name, values := range r.URL.Query() {
		for _, v := range values {
			if name != paramSignature {
				query = append(query, strings.ReplaceAll(url.QueryEscape(name)+"="+url.QueryEscape(v), "+", "%20"))
			}
		}
	}
	sort.Strings(query)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, r.URL.EscapedPath(), strings.Join(query, "&"))
	for name := range strings.SplitSeq(signed, ";") {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		fmt.Fprintf(&b, "%s:%s\n", name, value)
	}
	return b.String() + "\n" + signed + "\n" + payload
}

// signRequest signs r in its header, with all its x-amz-* headers.
func signRequest(r *http.Request) *http.Request {
	if r.Header.Get("X-Amz-Date") == "" {
		r.Header.Set("X-Amz-Date", exampleTime)
	}
	signed := []string{"host"}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			signed = append(signed, strings.ToLower(name))
		}
	}
	sort.Strings(signed)
	return signWith(r, strings.Join(signed, ";"))
}

func signWith(r *http.Request, signed string) *http.Request {
	canonical := canonicalOf(r, signed, r.Header.Get("X-Amz-Content-Sha256"))
	r.Header.Set("Authorization", authorization(signed, sign(exampleSecret, testScope, r.Header.Get("X-Amz-Date"), canonical)))
	return r
}

// presign returns a presigned request; more are further query parameters.
func presign(method, path string, more ...string) *http.Request {
	q := url.Values{
		paramAlgorithm: {algorithm}, paramCredential: {exampleScope}, paramDate: {exampleTime},
		paramExpires: {"3600"}, paramSignedHeaders: {"host"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
		if more[i+1] == "" {
			q.Del(more[i])
		}
	}
	r := newRequest(method, path+"?"+q.Encode(), "bucket.example.test")
	payload := unsignedPayload
	if p := q.Get(paramContentSHA256); p != "" {
		payload = p
	}
	_, scope, _ := strings.Cut(q.Get(paramCredential), "/")
	signature := sign(exampleSecret, scope, q.Get(paramDate), canonicalOf(r, q.Get(paramSignedHeaders), payload))
	return newRequest(method, path+"?"+q.Encode()+"&X-Amz-Signature="+signature, "bucket.example.test")
}

// stream is an aws-chunked upload made by the test.
type stream struct {
	mode     string
	chunks   []string
	trailers [][2]string
	minio    bool // LF CRLF after a trailer
	length   int  // declared, if it is not that of the chunks
}

// build returns the signed request and its body.
func (s stream) build() (*http.Request, []byte) {
	length := s.length
	if length == 0 {
		length = len(strings.Join(s.chunks, ""))
	}
	r := newRequest("PUT", "/bucket/key", "s3.example.test",
		"X-Amz-Content-Sha256", s.mode, "X-Amz-Decoded-Content-Length", fmt.Sprint(length))
	for _, t := range s.trailers {
		r.Header.Add("X-Amz-Trailer", t[0])
	}
	signRequest(r)
	_, seed, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	body := s.encode(seed)
	r.ContentLength = int64(len(body))
	return r, body
}

func (s stream) encode(previous string) []byte {
	var b bytes.Buffer
	signed := s.mode != streamingUnsigned
	key := testKey(exampleSecret, testScope)
	next := func(name, tail string) string {
		previous = hex.EncodeToString(mac(key, name+"\n"+exampleTime+"\n"+testScope+"\n"+previous+"\n"+tail))
		return previous
	}
	for i, chunk := range append(append([]string{}, s.chunks...), "") {
		fmt.Fprintf(&b, "%x", len(chunk))
		if signed {
			fmt.Fprintf(&b, ";chunk-signature=%s", next("AWS4-HMAC-SHA256-PAYLOAD", digest("")+"\n"+digest(chunk)))
		}
		b.WriteString("\r\n" + chunk)
		if i < len(s.chunks) {
			b.WriteString("\r\n")
		}
	}
	all := ""
	for _, t := range s.trailers {
		all += t[0] + ":" + t[1] + "\n"
		b.WriteString(t[0] + ":" + t[1])
		if s.minio {
			b.WriteString("\n")
		}
		b.WriteString("\r\n")
	}
	if s.mode == streamingSignedTrailer {
		b.WriteString("x-amz-trailer-signature:" + next("AWS4-HMAC-SHA256-TRAILER", digest(all)) + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

func verified(tb testing.TB, r *http.Request) *Result {
	tb.Helper()
	res, err := newVerifier(tb).Verify(r)
	if err != nil {
		tb.Fatal(err)
	}
	return res
}

// However many headers are signed, each is found among them, and one that is
// not is missed.
func TestManySignedHeaders(t *testing.T) {
	r := get()
	for i := range 500 {
		r.Header.Set(fmt.Sprintf("X-Amz-Meta-%d", i), "v")
	}
	signRequest(r)
	verified(t, r)
	r.Header.Set("X-Amz-Meta-More", "v")
	_, err := newVerifier(t).Verify(r)
	if kindOf(err) != KindHeadersNotSigned || answer(t, err).Field("HeadersNotSigned") != "x-amz-meta-more" {
		t.Error(err)
	}
}

func BenchmarkManySignedHeaders(b *testing.B) {
	r := signRequest(get())
	var signed []string
	for i := range 2500 {
		r.Header[fmt.Sprintf("X-Amz-%d", i)] = []string{""}
	}
	for i := range 6000 {
		signed = append(signed, fmt.Sprintf("%04d", i))
	}
	signWith(r, strings.Join(signed, ";"))
	v := newVerifier(b)
	for b.Loop() {
		if _, err := v.Verify(r); kindOf(err) != KindHeadersNotSigned {
			b.Fatal(err)
		}
	}
}
