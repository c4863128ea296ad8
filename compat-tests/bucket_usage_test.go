package compat

import (
	"testing"
)

func TestBucketUsageHeaders(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "a", []byte("foo"))
	put(t, c, bucket, "b", make([]byte, 100_000))
	head := func(query string) *rawResponse {
		resp := s.raw(t, &rawRequest{Method: "HEAD", Path: "/" + bucket, Query: query})
		resp.want(t, "HEAD "+query, 200)
		return resp
	}
	asked := head("read-stats=true")
	for name, want := range map[string]string{"X-Rgw-Object-Count": "2", "X-Rgw-Bytes-Used": "100003", "X-Rgw-Quota-Max-Buckets": "10000"} {
		if got := asked.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := head("").Header.Values("X-Rgw-Object-Count"); got != nil {
		t.Errorf("not asked for: X-Rgw-Object-Count %q", got)
	}
}

func TestBucketsNoMoreThanAllowed(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--max-buckets", "2")
	for _, name := range []string{"first", "second"} {
		s.raw(t, &rawRequest{Method: "PUT", Path: "/" + name}).want(t, name, 200)
	}
	s.raw(t, &rawRequest{Method: "PUT", Path: "/third"}).want(t, "third", 400, "TooManyBuckets")
	s.raw(t, &rawRequest{Method: "PUT", Path: "/second"}).want(t, "one's own again", 200)
	s.raw(t, &rawRequest{Method: "DELETE", Path: "/first"}).want(t, "first", 204)
	s.raw(t, &rawRequest{Method: "PUT", Path: "/third"}).want(t, "third", 200)
}
