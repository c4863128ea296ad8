package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func TestAnonymousIsDenied(t *testing.T) {
	s := newServer(t)
	for _, tt := range []struct{ method, target string }{
		{"GET", "/"}, {"GET", "/bucket"}, {"PUT", "/bucket"}, {"GET", "/bucket/key"}, {"PUT", "/bucket/key"}, {"DELETE", "/bucket/key"},
	} {
		a := s.send(s.request(tt.method, tt.target, ""))
		if f := a.failure(t); f.Code != s3.AccessDenied || a.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s: %d %s", tt.method, tt.target, a.StatusCode, f.Code)
		}
	}
	for _, in := range s.objects.asked {
		if get, ok := in.(objects.GetObjectInput); !ok || get.Access == nil {
			t.Errorf("objects was asked %v", in)
		}
	}
}

func TestWrongKeysAndSignatures(t *testing.T) {
	s := newServer(t)
	r := s.sign(s.request("GET", "/bucket", ""), "")
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), testAccessKey, "AKIAOTHEROTHEROTHERO", 1))
	if f := s.send(r).failure(t); f.Code != s3.InvalidAccessKeyID {
		t.Errorf("unknown key: %s", f.Code)
	}
	r = s.sign(s.request("GET", "/bucket", ""), "")
	r.URL.RawQuery = "prefix=other"
	if f := s.send(r).failure(t); f.Code != s3.SignatureDoesNotMatch {
		t.Errorf("changed query: %s", f.Code)
	}
}

func TestErrorDocument(t *testing.T) {
	s := newServer(t)
	a := s.expect(s3.NoSuchKey, "GET", "/bucket/no%20such", "")
	f := a.failure(t)
	if f.Resource != "/bucket/no such" || f.RequestID == "" || f.RequestID != a.Header.Get("x-amz-request-id") || f.HostID != a.Header.Get("x-amz-id-2") {
		t.Errorf("%+v, headers %v", f, a.Header)
	}
	if got := a.Header.Get("Content-Type"); got != "application/xml" {
		t.Errorf("content type %s", got)
	}
	if a.Header.Get("Date") == "" || a.Header.Get("Server") == "" {
		t.Errorf("headers %v", a.Header)
	}
}

func TestErrorsOfHeadHaveNoBody(t *testing.T) {
	s := newServer(t)
	a := s.do("HEAD", "/bucket/none", "")
	if a.StatusCode != http.StatusNotFound || a.body != "" || a.Header.Get("x-amz-request-id") == "" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

func TestNotImplementedAndMethodNotAllowed(t *testing.T) {
	s := newServer(t)
	s.expect(s3.NotImplemented, "GET", "/bucket?session", "")
	s.expect(s3.NotImplemented, "GET", "/bucket/key?annotation", "")
	s.expect(s3.NotImplemented, "PUT", "/bucket?replication", "<x/>")
	s.expect(s3.NotImplemented, "GET", "/bucket?nonsense", "")
	s.expect(s3.NotImplemented, "GET", "/?nonsense", "")
	a := s.expect(s3.MethodNotAllowed, "POST", "/bucket/key", "x")
	if allow := a.Header.Get("Allow"); !strings.Contains(allow, "PUT") || strings.Contains(allow, "POST") {
		t.Errorf("allow: %q", allow)
	}
	if len(s.objects.asked) != 0 {
		t.Errorf("objects was asked %v", s.objects.asked)
	}
}

func TestHeadersThatAreNotEnforcedAreRefused(t *testing.T) {
	s := newServer(t)
	refused := [][2]string{
		{"x-amz-server-side-encryption-later", "1"},
		{"x-amz-object-lock-event-hold", "ON"},
		{"x-amz-write-offset-bytes", "5"},
		{"x-amz-checksum-xxhash64", "AAAA"},
	}
	for _, h := range refused {
		a := s.expect(s3.NotImplemented, "PUT", "/bucket/key", "body", h[0], h[1])
		if got := a.failure(t).Header; got != h[0] {
			t.Errorf("%s: the answer names %q", h[0], got)
		}
	}
	s.expect(s3.InvalidStorageClass, "PUT", "/bucket/key", "body", "x-amz-storage-class", "GLACIER")
	s.expect(s3.InvalidArgument, "PUT", "/bucket/key", "body", "x-amz-acl", "everybody")
	if keys := s.objects.keys(); len(keys) != 0 {
		t.Fatalf("stored %q", keys)
	}
	s.ok("PUT", "/bucket/key", "body", "x-amz-acl", "private", "x-amz-storage-class", "STANDARD",
		"x-amz-request-payer", "requester")
	s.ok("PUT", "/bucket/key", "body", "x-amz-acl", "bucket-owner-full-control")
}

func TestExpectedBucketOwner(t *testing.T) {
	s := newServer(t)
	s.expect(s3.AccessDenied, "PUT", "/bucket/key", "x", "x-amz-expected-bucket-owner", "123456789012")
	if keys := s.objects.keys(); len(keys) != 0 {
		t.Fatalf("stored %q", keys)
	}
	s.ok("PUT", "/bucket/key", "x", "x-amz-expected-bucket-owner", "000000000001")
	s.expect(s3.AccessDenied, "PUT", "/bucket/copy", "", "x-amz-copy-source", "/bucket/key", "x-amz-source-expected-bucket-owner", "123456789012")
}

func TestPanicIsAnInternalErrorAndLogged(t *testing.T) {
	s := newServer(t)
	a := s.expect(s3.InternalError, "DELETE", "/bucket/panic", "")
	if log := s.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, a.Header.Get("x-amz-request-id")) || !strings.Contains(log, "told to") {
		t.Errorf("log: %s", log)
	}
	if strings.Contains(a.body, "told to") {
		t.Error("the client sees the panic")
	}
}

func TestInternalErrorsAreLoggedAndNotShown(t *testing.T) {
	s := newServer(t)
	s.objects.fail = s3.NewError(s3.InternalError).Because(fmt.Errorf("secret cause"))
	a := s.expect(s3.InternalError, "GET", "/bucket/key", "")
	if strings.Contains(a.body, "secret") || !strings.Contains(s.log.String(), "secret cause") {
		t.Errorf("body %s, log %s", a.body, s.log.String())
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newServer(t, func(o *Options) { o.Metrics = reg })
	s.ok("PUT", "/bucket/key", "12345")
	s.ok("GET", "/bucket/key", "")
	s.expect(s3.NoSuchKey, "GET", "/bucket/none", "")
	s.expect(s3.NotImplemented, "GET", "/bucket?session", "")
	s.Close() // waits for the requests, which are counted after they are answered
	got := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"undercroft_s3_requests_total 2xx PutObject": 1, "undercroft_s3_requests_total 2xx GetObject": 1,
		"undercroft_s3_requests_total 4xx GetObject": 1, "undercroft_s3_requests_total 5xx none": 1,
		"undercroft_s3_received_bytes_total": 5,
	} {
		if got[name] != want {
			t.Errorf("%s = %v, want %v", name, got[name], want)
		}
	}
	if _, err := New(Options{Objects: s.objects, Keyring: s.gateway.o.Keyring, Accounts: rootAccounts{}, Authenticator: s.gateway.o.Authenticator, Now: time.Now, Metrics: reg}); err == nil {
		t.Error("registering twice is no error")
	}
}

func TestOverloadIsRefused(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	s := newServer(t, func(o *Options) { o.MaxRequests = 1 })
	s.objects.onPut = func() { close(inside); <-leave }
	r := s.sign(s.request("PUT", "/bucket/key", "x"), "x")
	done := make(chan error)
	go func() {
		res, err := s.Client().Do(r)
		if err == nil {
			err = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %d", res.StatusCode)
			}
		}
		done <- err
	}()
	<-inside
	s.expect(s3.SlowDown, "GET", "/bucket/key", "")
	close(leave)
	if err := <-done; err != nil {
		t.Errorf("the first request: %v", err)
	}
}

// dial opens a connection on which a test speaks HTTP itself.
func (s *server) dial() *connection {
	s.t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(s.t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	return &connection{Conn: conn, in: bufio.NewReader(conn), t: s.t}
}

// connection is a client's that reads and writes bytes.
type connection struct {
	net.Conn
	in *bufio.Reader
	t  testing.TB
}

func (c *connection) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads a response; it is nil when the server hung up.
func (c *connection) answer() *answer {
	c.t.Helper()
	res, err := http.ReadResponse(c.in, nil) //nolint:bodyclose // readAnswer closes it
	if err != nil {
		return nil
	}
	return readAnswer(c.t, res)
}

// head returns the header of a signed PUT as bytes; length is what it declares.
func (s *server) head(target, body string, length int, headers ...string) string {
	r := s.request("PUT", target, body, headers...)
	r.ContentLength = int64(length)
	s.sign(r, body)
	var b strings.Builder
	fmt.Fprintf(&b, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", target, r.URL.Host, length)
	for name, values := range r.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", name, values[0])
	}
	return b.String() + "\r\n"
}

func TestContinueIsSentOnlyToWhoMaySend(t *testing.T) {
	s := newServer(t)
	c := s.dial()
	c.send(s.head("/bucket/key", "hello", 5, "Expect", "100-continue"))
	line, err := c.in.ReadString('\n')
	if err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q %v", line, err)
	}
	_, _ = c.in.ReadString('\n')
	c.send("hello")
	if a := c.answer(); a == nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%+v", a)
	}

	c = s.dial()
	c.send("PUT /bucket/other HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if a := c.answer(); a == nil || a.StatusCode != http.StatusForbidden || !a.Close {
		t.Fatalf("anonymous: %+v", a)
	}
}

func TestCutBodyStoresNothing(t *testing.T) {
	s := newServer(t)
	body := strings.Repeat("x", 100)
	for _, cut := range []int{0, 1, 50, 99} {
		c := s.dial()
		c.send(s.head("/bucket/key", body, len(body)) + body[:cut])
		if tcp, ok := c.Conn.(*net.TCPConn); !ok || tcp.CloseWrite() != nil {
			t.Fatal("cannot close one half of the connection")
		}
		// The server may as well just hang up.
		if a := c.answer(); a != nil && a.StatusCode != http.StatusBadRequest {
			t.Errorf("cut at %d: %d", cut, a.StatusCode)
		}
	}
	s.Close()
	if keys := s.objects.keys(); len(keys) != 0 {
		t.Errorf("stored %q", keys)
	}
}

func TestResetConnectionIsNoFaultOfTheServer(t *testing.T) {
	s := newServer(t, func(o *Options) { o.AccessLog = true })
	body := strings.Repeat("x", 100_000)
	c := s.dial()
	c.send(s.head("/bucket/key", body, len(body), "Expect", "100-continue"))
	if line, err := c.in.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q %v", line, err)
	}
	c.send(body[:10])
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok || tcp.SetLinger(0) != nil || tcp.Close() != nil {
		t.Fatal("cannot reset the connection")
	}
	s.waitForLog("IncompleteBody")
	if log := s.log.String(); strings.Contains(log, "level=ERROR") || len(s.objects.keys()) != 0 {
		t.Errorf("stored %q, log: %s", s.objects.keys(), log)
	}
}

func TestBrokenFramingIsTheClientsFault(t *testing.T) {
	s := newServer(t)
	c := s.dial()
	head := s.head("/new-bucket", "", 0)
	c.send(strings.Replace(head, "Content-Length: 0", "Transfer-Encoding: chunked", 1) + "zz\r\nhello\r\n")
	if a := c.answer(); a == nil || !strings.Contains(a.body, "IncompleteBody") {
		t.Errorf("%+v", a)
	}
}

func TestReadDeadlineIsARequestTimeout(t *testing.T) {
	s := newServer(t)
	s.Close()
	s.Server = httptest.NewUnstartedServer(s.gateway)
	accepted := make(chan net.Conn, 1)
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		accepted <- c
		return ctx
	}
	s.Start()
	t.Cleanup(s.Close)
	c := s.dial()
	c.send(s.head("/bucket/key", "hello", 5) + "he")
	// The time is up once the request has arrived, however long that took.
	s.wait(func() bool { return s.gateway.inFlight.Load() == 1 })
	if err := (<-accepted).SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	a := c.answer()
	if a == nil || a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "RequestTimeout") {
		t.Errorf("%+v", a)
	}
	if keys := s.objects.keys(); len(keys) != 0 {
		t.Errorf("stored %q", keys)
	}
}

// waitForLog waits until the log has a text.
func (s *server) waitForLog(text string) {
	s.t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(s.log.String(), text) {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatalf("no %q in the log:\n%s", text, s.log.String())
		}
	}
}

func TestFailedReadCutsTheResponse(t *testing.T) {
	s := newServer(t)
	s.ok("PUT", "/bucket/key", strings.Repeat("x", 100_000))
	s.objects.cutAt = 70_000
	res, err := s.Client().Do(s.sign(s.request("GET", "/bucket/key", ""), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if n, err := io.Copy(io.Discard, res.Body); err == nil || n > 70_000 {
		t.Errorf("%d bytes, %v", n, err)
	}
	s.waitForLog("the disk is gone")
	if !strings.Contains(s.log.String(), "level=ERROR") {
		t.Errorf("log: %s", s.log.String())
	}
}

func TestUnreadBodyClosesTheConnection(t *testing.T) {
	s := newServer(t)
	s.objects.fail = s3.NewError(s3.NoSuchBucket)
	body := strings.Repeat("x", 1<<20)
	c := s.dial()
	c.send(s.head("/bucket/key", body, len(body)))
	if a := c.answer(); a == nil || a.StatusCode != http.StatusNotFound || !a.Close {
		t.Errorf("%+v", a)
	}
}
