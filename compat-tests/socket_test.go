package compat

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// socket is a raw connection to the server, for what an HTTP client would not do.
type socket struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (s *server) dial(t *testing.T) *socket {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &socket{t: t, conn: conn, r: bufio.NewReader(conn)}
}

func (c *socket) send(parts ...[]byte) {
	c.t.Helper()
	if _, err := c.conn.Write(slices.Concat(parts...)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// response reads one answer.
func (c *socket) response() *rawResponse {
	c.t.Helper()
	resp, err := c.tryResponse()
	if err != nil {
		c.t.Fatalf("read response: %v", err)
	}
	return resp
}

// tryResponse is response where the server may also just close.
func (c *socket) tryResponse() (*rawResponse, error) {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return readResponse(resp)
}

// head writes a signed request's line and headers, with further ones after those
// that were signed. It sends no Content-Length of its own.
func head(req *http.Request, more ...string) []byte {
	var b bytes.Buffer
	target := strings.TrimPrefix(req.URL.Opaque, "//"+req.URL.Host)
	if req.URL.RawQuery != "" {
		target += "?" + req.URL.RawQuery
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", req.Method, target, req.Host)
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		if name == "Content-Length" {
			continue
		}
		for _, value := range req.Header[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	for _, line := range more {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// unsignedPut is a PUT whose signature covers neither body nor length.
func (s *server) unsignedPut(t *testing.T, path string) *http.Request {
	t.Helper()
	return s.build(t, &rawRequest{Method: "PUT", Path: path, SHA256: "UNSIGNED-PAYLOAD"})
}

func TestExpectContinueComesBeforeTheBody(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	body := pattern(100000, 1)
	sock := s.dial(t)
	for range 2 { // the connection stays usable
		sock.send(head(s.unsignedPut(t, "/"+bucket+"/k"), "Expect: 100-continue", fmt.Sprint("Content-Length: ", len(body))))
		// Nothing of the body is sent until this arrives.
		if first := sock.response(); first.Status != 100 {
			t.Fatalf("first answer %d, want 100 Continue", first.Status)
		}
		sock.send(body)
		sock.response().want(t, "after the body", 200)
	}
	wantBytes(t, "object", get(t, c, bucket, "k"), body)
}

// TestExpectContinueOfAnEmptyBody: boto3 and the AWS CLI send Expect with empty
// files too. Without 100 Continue they take the status of this answer for that
// of the next request on the connection, and wait for ever.
func TestExpectContinueOfAnEmptyBody(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	sock := s.dial(t)
	for _, key := range []string{"a", "b"} {
		sock.send(head(s.unsignedPut(t, "/"+bucket+"/"+key), "Expect: 100-continue", "Content-Length: 0"))
		if first := sock.response(); first.Status != 100 {
			t.Fatalf("first answer %d, want 100 Continue", first.Status)
		}
		sock.response().want(t, "PUT", 200)
		wantBytes(t, "object", get(t, c, bucket, key), nil)
	}
}

// TestExpectContinueRefusedWithoutTheBody: who may not write is told so before
// sending anything.
func TestExpectContinueRefusedWithoutTheBody(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	for name, tc := range map[string]struct {
		req    rawRequest
		status int
		code   string
	}{
		"wrong secret":   {rawRequest{Path: "/" + bucket + "/k", SecretKey: "wrong"}, 403, "SignatureDoesNotMatch"},
		"anonymous":      {rawRequest{Path: "/" + bucket + "/k", Anonymous: true}, 403, "AccessDenied"},
		"missing bucket": {rawRequest{Path: "/missing-" + randomHex(8) + "/k"}, 404, "NoSuchBucket"},
	} {
		tc.req.Method, tc.req.SHA256 = "PUT", "UNSIGNED-PAYLOAD"
		for _, length := range []string{"0", "5", "1000000"} {
			sock := s.dial(t)
			sock.send(head(s.build(t, &tc.req), "Expect: 100-continue", "Content-Length: "+length))
			first := sock.response()
			if length == "0" && first.Status == 100 { // nothing is saved by refusing these early
				sock.response().want(t, name, tc.status, tc.code)
				continue
			}
			first.want(t, name+", length "+length, tc.status, tc.code)
			// It is not known whether the body will follow: the connection must end.
			if !first.Close {
				t.Errorf("%s, length %s: no Connection: close", name, length)
			}
		}
	}
	wantAbsent(t, c, bucket, "k")
}

func TestContentLengthBad(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	for name, tc := range map[string]struct {
		lines  []string
		status int
		code   string // empty: any, also none, as HTTP itself is broken
	}{
		"missing":      {nil, 411, "MissingContentLength"},
		"negative":     {[]string{"Content-Length: -1"}, 400, ""},
		"a word":       {[]string{"Content-Length: ten"}, 400, ""},
		"two values":   {[]string{"Content-Length: 1", "Content-Length: 2"}, 400, ""},
		"too large":    {[]string{"Content-Length: 5368709121"}, 400, "EntityTooLarge"},
		"beyond int64": {[]string{"Content-Length: 99999999999999999999"}, 400, ""},
	} {
		sock := s.dial(t)
		sock.send(head(s.unsignedPut(t, "/"+bucket+"/k"), tc.lines...))
		resp := sock.response()
		if tc.code != "" {
			resp.want(t, name, tc.status, tc.code)
		} else if resp.Status != tc.status {
			t.Errorf("%s: status %d, want %d", name, resp.Status, tc.status)
		}
	}
	wantAbsent(t, c, bucket, "k")
}

// TestBodyShorterThanDeclared: the client ends its half of the connection early
// and reads what the server says to that.
func TestBodyShorterThanDeclared(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	for _, declared := range []int{10, 8192, 70000, 6 * mib} {
		sock := s.dial(t)
		sock.send(head(s.unsignedPut(t, "/"+bucket+"/k"), fmt.Sprint("Content-Length: ", declared)), pattern(declared-1, 1))
		tcp, ok := sock.conn.(*net.TCPConn)
		if !ok {
			t.Fatal("not TCP")
		}
		if err := tcp.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if resp, err := sock.tryResponse(); err == nil {
			resp.want(t, fmt.Sprint(declared), 400, "IncompleteBody")
		}
	}
	wantAbsent(t, c, bucket, "k")
}

// TestBodyLongerThanDeclared: the rest is no second request to be obeyed, and
// the object is as long as was declared.
func TestBodyLongerThanDeclared(t *testing.T) {
	t.Parallel()
	notShort(t)
	c, bucket := newBucket(t)
	s := shared(t)
	sock := s.dial(t)
	sock.send(head(s.unsignedPut(t, "/"+bucket+"/k"), "Content-Length: 10"), []byte("0123456789 and more"))
	sock.response().want(t, "declared part", 200)
	if resp, err := sock.tryResponse(); err == nil && resp.Status < 400 {
		t.Errorf("the surplus was answered with %d", resp.Status)
	}
	wantBytes(t, "object", get(t, c, bucket, "k"), []byte("0123456789"))
}

// TestKeepAliveAfterRefusal: a refused small body does not spoil the connection
// for the next request, or the server closes it.
func TestKeepAliveAfterRefusal(t *testing.T) {
	t.Parallel()
	_, bucket := newBucket(t)
	s := shared(t)
	sock := s.dial(t)
	bad := s.build(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/bad", SHA256: "UNSIGNED-PAYLOAD", SecretKey: "wrong"})
	sock.send(head(bad, "Content-Length: 5"), []byte("GET /"))
	first := sock.response()
	first.want(t, "refused", 403, "SignatureDoesNotMatch")
	good := head(s.unsignedPut(t, "/"+bucket+"/good"), "Content-Length: 2")
	if _, err := sock.conn.Write(append(good, "ok"...)); err != nil {
		return
	}
	if resp, err := sock.tryResponse(); err == nil && resp.Status != 200 {
		t.Errorf("next request on the connection: %d", resp.Status)
	}
}
