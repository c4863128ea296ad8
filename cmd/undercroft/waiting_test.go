package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/metadata/kv"
)

// late is a store whose metadata is away until the test says how a try ends.
type late struct{ ends chan error }

func (l late) assemble(ctx context.Context, cfg config.Config, p parts) (*system, error) {
	for part := range 2 {
		p.logger.InfoContext(ctx, "what each try says", slog.Int("part", part))
	}
	err := fmt.Errorf("%w: cut short", kv.ErrTimeout)
	select {
	case err = <-l.ends:
	case <-ctx.Done():
	}
	if err != nil {
		return nil, err
	}
	for part := range 2 {
		p.logger.InfoContext(ctx, "what the last try says", slog.Int("part", part))
	}
	return echoAssembler(ctx, cfg, p)
}

const elsewhere = "--metadata=fdb:/nowhere/fdb.cluster"

// TestStartWithoutItsMetadata: a process whose shared metadata is away lives, is not ready,
// asks clients to come back, and serves when it is there.
func TestStartWithoutItsMetadata(t *testing.T) {
	store, log := late{make(chan error)}, new(lines)
	cfg, err := config.Load(config.Sources{Args: rootArgs("--data="+t.TempDir(), elsewhere)})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(process{stderr: log, now: time.Now, assemble: store.assemble}, cfg)
	adminListener, err := listen(t.Context(), "admin-listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	administration := s.serveAdmin(adminListener)
	listener, front := newTestFront(t, s)
	opened := make(chan error, 1)
	var sys *system
	go func() {
		var err error
		sys, _, err = s.open(t.Context(), front)
		opened <- err
	}()
	ask := func(method string) (code int, retryAfter, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+listener.Addr().String()+"/bucket/key", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header.Get("Retry-After"), string(text)
	}
	sentAway := func(when string) {
		t.Helper()
		for method, want := range map[string]string{http.MethodGet: "<Code>ServiceUnavailable</Code>", http.MethodHead: ""} {
			code, retryAfter, body := ask(method)
			after, err := strconv.Atoi(retryAfter)
			if code != http.StatusServiceUnavailable || err != nil || after < 1 || after > waitingAway || !strings.Contains(body, want) || (body == "") != (want == "") {
				t.Errorf("%s, %s: %d, Retry-After %d: %s", when, method, code, after, body)
			}
		}
	}
	sentAway("in the first try")
	for range 2 { // the second try has begun, and nothing came of the first one
		store.ends <- fmt.Errorf("open metadata: %w", kv.ErrAway)
	}
	sentAway("after it")
	admin := "http://" + adminListener.Addr().String()
	if code, body := get(t, admin+"/-/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "starting: waiting for the metadata: open metadata: kv: engine unavailable: the store does not answer") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if code, body := get(t, admin+"/-/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d %s", code, body)
	}
	store.ends <- nil
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	front.serve(sys.S3)
	if code, _, body := ask(http.MethodGet); code != http.StatusOK {
		t.Errorf("when it is there: %d %s", code, body)
	}
	if err := errors.Join(front.drain(t.Context(), time.Minute), administration.close()); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]int{`msg="what each try says"`: 2, `msg="what the last try says"`: 2, `msg="waiting for the metadata"`: 1} {
		if n := strings.Count(log.String(), text); n != want {
			t.Errorf("%s is in the log %d times, want %d:\n%s", text, n, want, log)
		}
	}
}

// TestStartThatWaitsReadsCertificates again at SIGHUP, as one does that serves.
func TestStartThatWaitsReadsCertificates(t *testing.T) {
	dir, log := t.TempDir(), new(lines)
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	writePair(t, cert, key, "old")
	cfg, err := config.Load(config.Sources{Args: rootArgs("--data="+t.TempDir(), elsewhere, "--tls-cert="+cert, "--tls-key="+key)})
	if err != nil {
		t.Fatal(err)
	}
	// A clock that stands still: by themselves changed files are looked at once in a second.
	clock := time.Unix(1e9, 0)
	store := late{make(chan error)}
	var hangups chan<- os.Signal
	s := newServer(process{
		stderr: log, now: func() time.Time { return clock }, assemble: store.assemble,
		notifyHangup: func(c chan<- os.Signal) { hangups = c },
	}, cfg)
	_, front := newTestFront(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error, 1)
	go func() {
		_, _, err := s.open(ctx, front)
		opened <- err
	}()
	store.ends <- kv.ErrAway
	writePair(t, cert, key, "new")
	hangups <- syscall.SIGHUP
	const reloaded = "certificate reloaded"
	for tries := 0; tries < 8 && !strings.Contains(log.String(), reloaded); tries++ {
		store.ends <- kv.ErrAway
	}
	pair, err := front.certificates.get(&tls.ClientHelloInfo{})
	if err != nil || pair.Leaf.Subject.CommonName != "new" {
		t.Errorf("the certificate of %q is served, %v; log:\n%s", pair.Leaf.Subject.CommonName, err, log)
	}
	cancel()
	if err := errors.Join(<-opened, front.close()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestStartThatWaitsIsEnded by a signal, which is no failure.
func TestStartThatWaitsIsEnded(t *testing.T) {
	store := late{make(chan error)}
	ctx, cancel := context.WithCancel(t.Context())
	var out, problems lines
	code := make(chan int, 1)
	go func() {
		args := append([]string{"server", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data=" + t.TempDir()}, rootArgs(elsewhere)...)
		code <- run(ctx, process{args: args, stdout: &out, stderr: &problems, now: time.Now, restoreSignals: func() {}, assemble: store.assemble})
	}()
	store.ends <- kv.ErrLocked
	store.ends <- kv.ErrAway // the first try is over
	cancel()
	if code := <-code; code != exitOK || out.String() != "" {
		t.Errorf("exit code %d, %q; log:\n%s", code, out.String(), &problems)
	}
}

// TestStartThatFails does not wait for what is no outage, nor for metadata of its own.
func TestStartThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		args []string
	}{
		"another failure": {errors.New("no store"), []string{elsewhere}},
		"embedded":        {kv.ErrUnavailable, nil},
	} {
		store := late{make(chan error, 1)}
		store.ends <- test.err
		args := append([]string{"server", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data=" + t.TempDir()}, rootArgs(test.args...)...)
		if code, _, stderr := runOnce(t, store.assemble, nil, args...); code != exitFailure || !strings.Contains(stderr, test.err.Error()) {
			t.Errorf("%s: %d %s", name, code, stderr)
		}
	}
}

// newTestFront serves on a port of its own.
func newTestFront(t *testing.T, s *server) (net.Listener, *front) {
	t.Helper()
	listener, err := listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front, err := s.newFront(listener)
	if err != nil {
		t.Fatal(err)
	}
	return listener, front
}
