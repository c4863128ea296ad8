package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipeListener hands out one end of in-memory connections, whose deadlines
// follow the clock of a synctest bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// serveGuarded serves handler behind a guard of one minute and returns a
// client's connection.
func serveGuarded(t *testing.T, handler http.HandlerFunc) net.Conn {
	t.Helper()
	listener := &pipeListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	server := &http.Server{Handler: stallGuard{next: handler, limit: time.Minute, now: time.Now}, ReadHeaderTimeout: time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	client, end := net.Pipe()
	listener.conns <- end
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	return client
}

func send(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

// receive reads one response.
func receive(t *testing.T, r *bufio.Reader) (code int, body string) {
	t.Helper()
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

func TestBodyThatMovesIsNeverCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		client := serveGuarded(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || len(body) != 40 {
				t.Errorf("body %q, %v", body, err)
			}
			// Longer than the limit after the body is complete: the read
			// deadline must not end the request.
			<-time.After(5 * time.Minute)
			if err := r.Context().Err(); err != nil {
				t.Errorf("context after the body: %v", err)
			}
			if _, err := io.WriteString(w, "done"); err != nil {
				t.Error(err)
			}
		})
		send(t, client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\n")
		for range 40 {
			<-time.After(50 * time.Second)
			send(t, client, "x")
		}
		if code, body := receive(t, bufio.NewReader(client)); code != http.StatusOK || body != "done" {
			t.Errorf("%d %q", code, body)
		}
		if took := time.Since(begin); took < 38*time.Minute {
			t.Errorf("took %s: the clock did not run", took)
		}
	})
}

func TestBodyThatStallsIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		client := serveGuarded(t, func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			failed <- err
			w.WriteHeader(http.StatusBadRequest)
		})
		send(t, client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\nhalf")
		begin := time.Now()
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the handler read %v, want a deadline", err)
		}
		// The deadline is not moved for every read, so it may pass a little early.
		if took := time.Since(begin); took < 50*time.Second || took > time.Minute {
			t.Errorf("cut after %s, want about a minute", took)
		}
		if code, _ := receive(t, bufio.NewReader(client)); code != http.StatusBadRequest {
			t.Errorf("the client got %d", code)
		}
	})
}

func TestBodyNobodyReadsIsCutToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serveGuarded(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
		send(t, client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\nhalf")
		// net/http reads on for the rest before it answers.
		in := bufio.NewReader(client)
		if code, _ := receive(t, in); code != http.StatusForbidden {
			t.Errorf("the client got %d", code)
		}
		if _, err := io.ReadAll(in); err != nil {
			t.Errorf("the connection ended with %v, want a close", err)
		}
	})
}

func TestResponseNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		client := serveGuarded(t, func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 8<<20))
			failed <- err
		})
		send(t, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the handler's write ended with %v, want a deadline", err)
		}
	})
}

func TestResponseReadSlowlyIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 8 << 20
		client := serveGuarded(t, func(w http.ResponseWriter, _ *http.Request) {
			if n, err := w.Write(make([]byte, size)); n != size || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
		})
		send(t, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got int
		for got < size {
			<-time.After(20 * time.Second) // 128 KiB each: 21 minutes in all
			n, err := io.ReadFull(response.Body, make([]byte, 128<<10))
			if got += n; err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSecondRequestOnAnOldConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serveGuarded(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		reader := bufio.NewReader(client)
		for range 2 {
			send(t, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			if code, _ := receive(t, reader); code != http.StatusNoContent {
				t.Fatalf("status %d", code)
			}
			<-time.After(time.Hour) // the first request's write deadline is long past
		}
	})
}

func TestGuardWorksWithoutAConnection(t *testing.T) {
	recorder := httptest.NewRecorder()
	handler := stallGuard{limit: time.Minute, now: time.Now, next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Error(err)
		}
	})}
	handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/", strings.NewReader("hello")))
	if recorder.Body.String() != "hello" {
		t.Errorf("%q", recorder.Body)
	}
}
