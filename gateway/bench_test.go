package gateway

import (
	"net/http"
	"testing"
	"time"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// nullWriter is a response that goes nowhere.
type nullWriter struct {
	header http.Header
	status int
	bytes  int
}

func (w *nullWriter) Header() http.Header { return w.header }

func (w *nullWriter) Write(p []byte) (int, error) {
	w.bytes += len(p)
	return len(p), nil
}

func (w *nullWriter) WriteHeader(status int) { w.status = status }

// benchmarkRequest measures everything that the gateway does for a signed
// request, without the cost of net/http and of objects.
func benchmarkRequest(b *testing.B, method, target string) {
	b.Helper()
	s := newServer(b)
	s.objects.stored["some/key"] = fakeObject{
		Object: objects.Object{Size: 4096, ETag: "d41d8cd98f00b204e9800998ecf8427e", Modified: time.Unix(1e9, 0), StorageClass: "STANDARD", Owner: fakeOwner()},
		data:   make([]byte, 4096),
	}
	owner := s3.OwnerID("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	for range 1000 {
		s.objects.list.Objects = append(s.objects.list.Objects, objects.ListedObject{
			Key: "some/folder/of/keys/000000000001", Size: 4096, ETag: "d41d8cd98f00b204e9800998ecf8427e",
			Modified: time.Unix(1e9, 0), StorageClass: "STANDARD", Owner: owner, ChecksumAlgorithm: "CRC64NVME", ChecksumType: "FULL_OBJECT",
		})
	}
	s.objects.silent = true
	r := s.sign(s.request(method, target, ""), "")
	r.RequestURI = target
	r.Host = r.URL.Host
	b.ReportAllocs()
	for b.Loop() {
		w := &nullWriter{header: make(http.Header, 16)}
		s.gateway.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

func BenchmarkGetObject4K(b *testing.B)       { benchmarkRequest(b, "GET", "/bucket/some/key") }
func BenchmarkHeadObject(b *testing.B)        { benchmarkRequest(b, "HEAD", "/bucket/some/key") }
func BenchmarkListObjectsV2Page(b *testing.B) { benchmarkRequest(b, "GET", "/bucket?list-type=2") }
