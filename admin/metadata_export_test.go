package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

func TestExportMetadata(t *testing.T) {
	var failure error
	s := httptest.NewServer(NewHandler(Options{Tokens: []string{"token"}, ExportMetadata: func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "rows")
		return errors.Join(err, failure)
	}}))
	defer s.Close()
	c, err := NewClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.WithToken("other").ExportMetadata(t.Context(), &out); !errors.Is(err, ErrRefused) || out.Len() != 0 {
		t.Errorf("without the right: %v, %q", err, out.String())
	}
	c = c.WithToken("token")
	if err := c.ExportMetadata(t.Context(), &out); err != nil || out.String() != "rows" {
		t.Errorf("%v, %q", err, out.String())
	}
	failure = errors.New("the engine\nis gone")
	if err := c.ExportMetadata(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "the engine is gone") {
		t.Errorf("%v", err)
	}
}

// TestExportToAClientThatStalls: an export ends, and lets its version go, when nobody
// takes what it writes.
func TestExportToAClientThatStalls(t *testing.T) {
	ended := make(chan error, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := &patientWriter{w: w, control: http.NewResponseController(w), patience: time.Millisecond}
		defer out.end()
		block := make([]byte, 1<<20)
		for {
			if _, err := out.Write(block); err != nil {
				ended <- err
				return
			}
		}
	}))
	defer s.Close()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
