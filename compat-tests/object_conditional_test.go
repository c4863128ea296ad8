package compat

import (
	"net/http"
	"testing"
	"time"
)

func TestObjectConditionalReads(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "k", []byte("hello"))
	etag := `"` + md5Hex([]byte("hello")) + `"`
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	future := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	modified := s.raw(t, &rawRequest{Method: "HEAD", Path: "/" + bucket + "/k"}).Header.Get("Last-Modified")
	const other = `"00000000000000000000000000000000"`
	cases := []struct {
		name   string
		header map[string]string
		status int
	}{
		{"match", header("if-match", etag), 200},
		{"match without quotes", header("if-match", md5Hex([]byte("hello"))), 200},
		{"match any", header("if-match", "*"), 200},
		{"match other", header("if-match", other), 412},
		{"none match", header("if-none-match", etag), 304},
		{"none match any", header("if-none-match", "*"), 304},
		{"none match other", header("if-none-match", other), 200},
		{"modified since past", header("if-modified-since", past), 200},
		{"modified since then", header("if-modified-since", modified), 304},
		{"unmodified since then", header("if-unmodified-since", modified), 200},
		{"unmodified since past", header("if-unmodified-since", past), 412},
		{"unmodified since future", header("if-unmodified-since", future), 200},
		{"not a date", header("if-modified-since", "yesterday"), 200},
		// The pairs that the documentation of GetObject spells out.
		{"match true, unmodified false", header("if-match", etag, "if-unmodified-since", past), 200},
		{"match false, unmodified true", header("if-match", other, "if-unmodified-since", future), 412},
		{"none match false, modified true", header("if-none-match", etag, "if-modified-since", past), 304},
		{"none match true, modified false", header("if-none-match", other, "if-modified-since", future), 200},
	}
	for _, tc := range cases {
		for _, method := range []string{"GET", "HEAD"} {
			resp := s.raw(t, &rawRequest{Method: method, Path: "/" + bucket + "/k", Header: tc.header})
			if resp.Status != tc.status {
				t.Errorf("%s %s: %d, want %d", method, tc.name, resp.Status, tc.status)
				continue
			}
			switch {
			case tc.status == 304 && (resp.Header.Get("ETag") != etag || len(resp.Body) != 0):
				t.Errorf("%s %s: 304 with ETag %q and %d bytes", method, tc.name, resp.Header.Get("ETag"), len(resp.Body))
			case tc.status == 412 && method == "GET" && resp.Code() != "PreconditionFailed":
				t.Errorf("%s: code %q", tc.name, resp.Code())
			case tc.status == 200 && method == "GET" && string(resp.Body) != "hello":
				t.Errorf("%s: body %q", tc.name, resp.Body)
			}
		}
	}
	s.raw(t, &rawRequest{Path: "/" + bucket + "/none", Header: header("if-match", etag)}).want(t, "missing object", 404, "NoSuchKey")
	ranged := s.raw(t, &rawRequest{Path: "/" + bucket + "/k", Header: header("if-match", other, "range", "bytes=0-0")})
	ranged.want(t, "range of another version", 412, "PreconditionFailed")
}
