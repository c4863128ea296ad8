// Package nullserver is an S3 server that does nothing it can leave out: the
// speed of light for a server that speaks HTTP through net/http.
//
// It reads and drops bodies, optionally hashing them, and remembers only the
// size of each object; reads answer that many bytes of one pattern. It checks
// no signature and stores nothing. Use it to find what the client and the
// network stack cost, and to try the load driver. Only bench may import it.
package nullserver

import (
	"crypto/md5" // the ETag of S3 is MD5
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const patternSize = 1 << 20

// Work says how much of what a real server must do this one does.
type Work string

// The levels of work on a body.
const (
	Discard Work = "discard" // read it and drop it
	MD5     Work = "md5"     // and compute the ETag
)

// Server is the handler. Its methods are safe for concurrent use.
type Server struct {
	work    Work
	pattern []byte
	buffers sync.Pool

	mu      sync.Mutex // guards the fields below
	sizes   map[string]int64
	sorted  []string // bucket/key in order; nil when sizes changed
	uploads map[string]int64
	nextID  uint64
}

// New returns an empty server.
func New(work Work) *Server {
	s := &Server{work: work, pattern: make([]byte, patternSize), sizes: map[string]int64{}, uploads: map[string]int64{}}
	for i := range s.pattern {
		s.pattern[i] = byte(i * 31)
	}
	s.buffers.New = func() any { b := make([]byte, 64<<10); return &b }
	return s
}

// ServeHTTP answers path-style requests.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	bucket, key, _ := strings.Cut(name, "/")
	switch {
	case key == "" && r.Method == http.MethodGet:
		s.list(w, r, bucket+"/")
	case key == "":
		w.WriteHeader(http.StatusOK)
	case r.Method == http.MethodPut:
		s.put(w, r, name)
	case r.Method == http.MethodPost:
		s.post(w, r, name)
	case r.Method == http.MethodDelete:
		s.mu.Lock()
		delete(s.sizes, name)
		s.sorted = nil
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	default:
		s.get(w, r, name)
	}
}

func (s *Server) put(w http.ResponseWriter, r *http.Request, name string) {
	n, etag, err := s.drain(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if text := r.Header.Get("X-Amz-Decoded-Content-Length"); text != "" {
		if n, err = strconv.ParseInt(text, 10, 64); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	s.mu.Lock()
	if id := r.URL.Query().Get("uploadId"); id != "" {
		s.uploads[id] += n
	} else {
		s.sizes[name] = n
		s.sorted = nil
	}
	s.mu.Unlock()
	w.Header().Set("ETag", etag)
	w.WriteHeader(http.StatusOK)
}

// drain reads the body with a pooled buffer, and hashes it when that is the work.
func (s *Server) drain(r *http.Request) (int64, string, error) {
	buf, ok := s.buffers.Get().(*[]byte)
	if !ok {
		return 0, "", fmt.Errorf("pool holds %T", buf)
	}
	defer s.buffers.Put(buf)
	var sum hash.Hash
	if s.work == MD5 {
		sum = md5.New()
	}
	var n int64
	for {
		m, err := r.Body.Read(*buf)
		n += int64(m)
		if sum != nil {
			sum.Write((*buf)[:m])
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n, "", fmt.Errorf("read body: %w", err)
		}
	}
	if sum == nil {
		return n, `"d41d8cd98f00b204e9800998ecf8427e"`, nil
	}
	return n, `"` + hex.EncodeToString(sum.Sum(nil)) + `"`, nil
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, name string) {
	s.mu.Lock()
	n, ok := s.sizes[name]
	s.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	for n > 0 {
		m, err := w.Write(s.pattern[:min(n, patternSize)])
		if err != nil {
			return
		}
		n -= int64(m)
	}
}

func (s *Server) post(w http.ResponseWriter, r *http.Request, name string) {
	if _, _, err := s.drain(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.URL.Query().Get("uploadId")
	if id == "" {
		s.nextID++
		id = strconv.FormatUint(s.nextID, 10)
		s.uploads[id] = 0
		_, _ = fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
		return
	}
	s.sizes[name] = s.uploads[id]
	s.sorted = nil
	delete(s.uploads, id)
	_, _ = io.WriteString(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
}

type listedObject struct {
	Key          string
	Size         int64
	LastModified string
	ETag         string
	StorageClass string
}

type listResult struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listedObject
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, bucket string) {
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("max-keys"))
	if err != nil {
		limit = 1000
	}
	prefix := bucket + q.Get("prefix")
	from := max(prefix, bucket+q.Get("continuation-token"))
	res := listResult{}
	s.mu.Lock()
	if s.sorted == nil {
		s.sorted = make([]string, 0, len(s.sizes))
		for name := range s.sizes {
			s.sorted = append(s.sorted, name)
		}
		slices.Sort(s.sorted)
	}
	at, _ := slices.BinarySearch(s.sorted, from)
	for ; at < len(s.sorted) && strings.HasPrefix(s.sorted[at], prefix); at++ {
		key := s.sorted[at][len(bucket):]
		if len(res.Contents) == limit {
			res.IsTruncated, res.NextContinuationToken = true, key
			break
		}
		res.Contents = append(res.Contents, listedObject{
			key, s.sizes[s.sorted[at]], "2026-01-01T00:00:00.000Z",
			`"d41d8cd98f00b204e9800998ecf8427e"`, "STANDARD",
		})
	}
	s.mu.Unlock()
	body, err := xml.Marshal(res)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(body)
}
