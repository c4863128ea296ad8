package compat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// settles waits until a metric of the server is at most limit.
func (s *server) settles(t *testing.T, name string, limit float64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last float64
	err := s.poll(ctx, func() error {
		if last = s.metric(t, name); last > limit {
			return errors.New("too high")
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s stays at %.0f, want at most %.0f: %v", name, last, limit, err)
	}
}

// TestCutConnectionsLeaveNothing cuts uploads of every form at many bytes. Then
// no object, no part and no goroutine may be left over, and memory has not grown.
func TestCutConnectionsLeaveNothing(t *testing.T) {
	t.Parallel()
	notShort(t)
	s := startServer(t)
	c, bucket := s.bucket(t)
	u := beginUpload(t, c, bucket, "multi")
	body := pattern(3*mib, 1)
	plain := func(path string) []byte {
		return append(head(s.unsignedPut(t, path), fmt.Sprint("Content-Length: ", len(body))), body...)
	}
	chunked := func(b *chunkedBody) func(string) []byte {
		return func(path string) []byte {
			req := s.buildChunked(t, path, b, nil)
			return append(head(req, fmt.Sprint("Content-Length: ", req.ContentLength)), readAll(t, req.Body)...)
		}
	}
	forms := map[string]func(string) []byte{
		"plain":   plain,
		"signed":  chunked(&chunkedBody{data: body, size: 65536, signed: true}),
		"trailer": chunked(&chunkedBody{data: body, size: 65536, trailer: crc32cTrailer(body)}),
		"small":   chunked(&chunkedBody{data: body[:5000], size: 65536, signed: true, trailer: crc32cTrailer(body[:5000])}),
		"part": func(string) []byte {
			req := s.build(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/multi", Query: "partNumber=1&uploadId=" + u.id, SHA256: "UNSIGNED-PAYLOAD"})
			return append(head(req, fmt.Sprint("Content-Length: ", len(body))), body...)
		},
	}
	round := func() {
		for name, form := range forms {
			whole := form("/" + bucket + "/" + name)
			headEnd := strings.Index(string(whole), "\r\n\r\n") + 4
			cuts := []int{1, headEnd / 2, headEnd - 2, headEnd, headEnd + 1, headEnd + 90, (headEnd + len(whole)) / 2, len(whole) - 70, len(whole) - 2, len(whole) - 1}
			for at := headEnd + 4096; at < len(whole); at += max(len(whole)/12, 1000) {
				cuts = append(cuts, at)
			}
			for _, at := range cuts {
				sock := s.dial(t)
				if _, err := sock.conn.Write(whole[:at]); err != nil && at < headEnd {
					t.Fatalf("%s cut at %d: %v", name, at, err)
				}
				_ = sock.conn.Close()
			}
		}
	}
	round() // warms up pools
	base := func() (float64, float64) {
		http.DefaultClient.CloseIdleConnections()
		plainHTTP.CloseIdleConnections()
		return s.metric(t, "go_goroutines"), s.metric(t, "process_resident_memory_bytes")
	}
	// The first round ends when its goroutines are gone.
	last := 1e9
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_ = s.poll(ctx, func() error {
		now, _ := base()
		if now < last {
			last = now
			return errors.New("still falling")
		}
		return nil
	})
	goroutines, heap := base()
	for range 4 {
		round()
	}
	plainHTTP.CloseIdleConnections()
	s.settles(t, "go_goroutines", goroutines+5)
	s.settles(t, "process_resident_memory_bytes", heap+64*mib)
	if keys := keysOf(t, c, bucket); len(keys) != 0 {
		t.Errorf("stored: %v", keys)
	}
	parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &bucket, Key: &u.key, UploadId: &u.id})
	if err != nil || len(parts.Parts) != 0 {
		t.Errorf("parts listed: %+v, %v", parts, err)
	}
	// The server works on, and the cut upload can be finished.
	put(t, c, bucket, "after", body)
	wantBytes(t, "object after the cuts", get(t, c, bucket, "after"), body)
	u.part(1, body)
	u.complete()
	wantBytes(t, "upload after the cuts", get(t, c, bucket, "multi"), body)
}

// TestCutDownloadsLeaveNothing: readers that go away mid-body are let go.
func TestCutDownloadsLeaveNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c, bucket := s.bucket(t)
	put(t, c, bucket, "k", pattern(20*mib, 1))
	wantBytes(t, "before", get(t, c, bucket, "k")[:10], pattern(20*mib, 1)[:10])
	goroutines := s.metric(t, "go_goroutines")
	for i := range 60 {
		sock := s.dial(t)
		sock.send(head(s.build(t, &rawRequest{Path: "/" + bucket + "/k"})))
		buf := make([]byte, 100+i*1000)
		if _, err := sock.conn.Read(buf); err != nil {
			t.Fatal(err)
		}
		_ = sock.conn.Close()
	}
	s.settles(t, "go_goroutines", goroutines+5)
}
