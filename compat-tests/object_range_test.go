package compat

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestObjectRangeForms(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	body := pattern(1000, 3)
	put(t, c, bucket, "k", body)
	cases := []struct {
		value    string
		from, to int // half open; to < 0: the whole object with status 200
	}{
		{"bytes=0-0", 0, 1},
		{"bytes=0-", 0, 1000},
		{"bytes=999-", 999, 1000},
		{"bytes=10-19", 10, 20},
		{"bytes=990-5000", 990, 1000},
		{"bytes=0-99999999999999999", 0, 1000},
		{"bytes=-1", 999, 1000},
		{"bytes=-1000", 0, 1000},
		{"bytes=-5000", 0, 1000},
		{"BYTES=1-2", 1, 3},
		// What is no single valid range is ignored, as HTTP says.
		{"bytes=5-2", 0, -1},
		{"bytes=a-b", 0, -1},
		{"bytes=-", 0, -1},
		{"bytes=", 0, -1},
		{"items=0-1", 0, -1},
		{"0-1", 0, -1},
		{"bytes=0-1,3-4", 0, -1},
	}
	for _, tc := range cases {
		for _, method := range []string{"GET", "HEAD"} {
			resp := s.raw(t, &rawRequest{Method: method, Path: "/" + bucket + "/k", Header: header("range", tc.value)})
			status, from, to := 206, tc.from, tc.to
			contentRange := fmt.Sprintf("bytes %d-%d/1000", from, to-1)
			if to < 0 {
				status, to, contentRange = 200, 1000, ""
			}
			if strings.HasPrefix(tc.value, "BYTES") && resp.Status == 200 { // AWS is not known to fold case
				continue
			}
			if resp.Status != status || resp.Header.Get("Content-Range") != contentRange ||
				resp.Header.Get("Content-Length") != strconv.Itoa(to-from) {
				t.Errorf("%s %s: %d, Content-Range %q, length %s; want %d %q %d", method, tc.value, resp.Status,
					resp.Header.Get("Content-Range"), resp.Header.Get("Content-Length"), status, contentRange, to-from)
			}
			if method == "GET" {
				wantBytes(t, tc.value, resp.Body, body[from:to])
			}
		}
	}
}

func TestObjectRangeNotSatisfiable(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "k", pattern(1000, 3))
	put(t, c, bucket, "empty", nil)
	// The last byte of nothing: AWS has answered 416, others the empty object.
	last := s.raw(t, &rawRequest{Path: "/" + bucket + "/empty", Header: header("range", "bytes=-1")})
	if last.Status != 416 && (last.Status != 200 || len(last.Body) != 0) {
		t.Errorf("bytes=-1 of an empty object: status %d, %d bytes", last.Status, len(last.Body))
	}
	for _, tc := range []struct{ key, value string }{
		{"k", "bytes=1000-"},
		{"k", "bytes=1000-1001"},
		{"k", "bytes=99999999999999-"},
		{"k", "bytes=-0"},
		{"empty", "bytes=0-"},
		{"empty", "bytes=0-0"},
	} {
		resp := s.raw(t, &rawRequest{Path: "/" + bucket + "/" + tc.key, Header: header("range", tc.value)})
		resp.want(t, tc.key+" "+tc.value, 416, "InvalidRange")
		if !strings.Contains(string(resp.Body), "<ActualObjectSize>") {
			t.Errorf("%s %s: no ActualObjectSize in %s", tc.key, tc.value, resp.Body)
		}
		head := s.raw(t, &rawRequest{Method: "HEAD", Path: "/" + bucket + "/" + tc.key, Header: header("range", tc.value)})
		head.want(t, "HEAD "+tc.key+" "+tc.value, 416)
	}
}

// TestObjectRangeRandom reads random ranges of objects of every layout.
func TestObjectRangeRandom(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for i, size := range []int{5, 8192, 65533, 200000, 4*mib + 1, 9*mib + 12345} {
		body := pattern(size, byte(i))
		put(t, c, bucket, "k", body)
		for range 25 {
			from := rng.IntN(size)
			to := from + 1 + rng.IntN(size-from)
			value := fmt.Sprintf("bytes=%d-%d", from, to-1)
			out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k"), Range: &value})
			if err != nil {
				t.Fatal(err)
			}
			wantBytes(t, fmt.Sprintf("size %d %s", size, value), readAll(t, out.Body), body[from:to])
		}
	}
}

func TestObjectPartNumberReads(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	parts := [][]byte{pattern(5*mib, 1), pattern(5*mib+3, 2), pattern(17, 3)}
	uploadParts(t, c, bucket, "multi", parts)
	offset := 0
	total := 0
	for _, p := range parts {
		total += len(p)
	}
	for i, p := range parts {
		for _, method := range []string{"GET", "HEAD"} {
			resp := s.raw(t, &rawRequest{Method: method, Path: "/" + bucket + "/multi", Query: "partNumber=" + strconv.Itoa(i+1)})
			resp.want(t, "part", 206)
			wantRange := fmt.Sprintf("bytes %d-%d/%d", offset, offset+len(p)-1, total)
			if got := resp.Header.Get("Content-Range"); got != wantRange {
				t.Errorf("%s part %d: Content-Range %q, want %q", method, i+1, got, wantRange)
			}
			if got := resp.Header.Get("X-Amz-Mp-Parts-Count"); got != "3" {
				t.Errorf("%s part %d: x-amz-mp-parts-count %q", method, i+1, got)
			}
			if method == "GET" {
				wantBytes(t, "part "+strconv.Itoa(i+1), resp.Body, p)
			}
		}
		offset += len(p)
	}
	get := func(key, query string, h map[string]string) *rawResponse {
		return s.raw(t, &rawRequest{Path: "/" + bucket + "/" + key, Query: query, Header: h})
	}
	get("multi", "partNumber=4", nil).want(t, "part 4 of 3", 400, "InvalidPart")
	get("multi", "partNumber=0", nil).want(t, "part 0", 400, "InvalidArgument")
	get("multi", "partNumber=10001", nil).want(t, "part 10001", 400, "InvalidArgument")
	get("multi", "partNumber=x", nil).want(t, "part x", 400, "InvalidArgument")
	get("multi", "partNumber=1", header("range", "bytes=0-1")).want(t, "range and part", 400, "InvalidRequest")

	put(t, c, bucket, "single", []byte("whole"))
	whole := get("single", "partNumber=1", nil)
	whole.want(t, "part 1 of an object put in one", 206)
	wantBytes(t, "part 1", whole.Body, []byte("whole"))
	get("single", "partNumber=2", nil).want(t, "part 2 of an object put in one", 400, "InvalidPart")
}

func TestObjectResponseOverrides(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "k", []byte("x"))
	query := "response-cache-control=no-store&response-content-disposition=attachment%3B%20filename%3D%22%C3%BC.txt%22" +
		"&response-content-encoding=br&response-content-language=fr&response-content-type=text%2Fcss&response-expires=Thu%2C%2001%20Jan%201970%2000%3A00%3A00%20GMT"
	want := map[string]string{
		"Cache-Control": "no-store", "Content-Encoding": "br", "Content-Language": "fr", "Content-Type": "text/css",
		"Expires": "Thu, 01 Jan 1970 00:00:00 GMT",
	}
	for _, method := range []string{"GET", "HEAD"} {
		resp := s.raw(t, &rawRequest{Method: method, Path: "/" + bucket + "/k", Query: query})
		resp.want(t, method, 200)
		for name, value := range want {
			if got := resp.Header.Get(name); got != value {
				t.Errorf("%s: %s %q, want %q", method, name, got, value)
			}
		}
		if got := resp.Header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; filename=") {
			t.Errorf("Content-Disposition %q", got)
		}
	}
	if got := s.raw(t, &rawRequest{Path: "/" + bucket + "/k"}).Header.Get("Content-Type"); got == "text/css" {
		t.Error("an override was stored")
	}
	inject := s.raw(t, &rawRequest{Path: "/" + bucket + "/k", Query: "response-content-type=a%0D%0AX-Evil%3A%201"})
	if inject.Header.Get("X-Evil") != "" {
		t.Error("a response override injected a header")
	}
}
