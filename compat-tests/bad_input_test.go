package compat

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestBadKeys(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put := func(escaped string) *rawResponse {
		return s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/" + escaped, Body: []byte("x")})
	}
	put(strings.Repeat("k", 1025)).want(t, "1025 bytes", 400, "KeyTooLongError")
	put(strings.Repeat("%C3%BC", 512)+"k").want(t, "1025 bytes of UTF-8", 400, "KeyTooLongError")
	put(strings.Repeat("k", 10000)).want(t, "10000 bytes", 400, "KeyTooLongError")
	for name, escaped := range map[string]string{
		"byte ff": "a%ffb", "lone continuation": "%80", "cut sequence": "%e2%82", "surrogate": "%ed%a0%80", "overlong slash": "..%c0%af..",
	} {
		put(escaped).wantRefused(t, name)
	}
	if got := keysOf(t, c, bucket); len(got) != 0 {
		t.Errorf("stored: %q", got)
	}
}

// TestKeysThatLookLikePaths: dots and NUL are either kept as they are or refused,
// and never lead to another name.
func TestKeysThatLookLikePaths(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	_, neighbour := newBucket(t)
	s := shared(t)
	for i, escaped := range []string{
		"..", ".", "../x", "./x", "a/../b", "a/./b", "a/..", "../" + neighbour + "/stolen", "..%2F" + neighbour + "%2Fstolen",
		"%2e%2e/" + neighbour + "/stolen", "a%00b", "%00", "a/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "..%5c..%5cx",
	} {
		body := fmt.Appendf(nil, "body %d", i)
		resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/" + escaped, Body: body})
		if resp.Status != 200 {
			resp.wantRefused(t, escaped)
			continue
		}
		got := s.raw(t, &rawRequest{Path: "/" + bucket + "/" + escaped})
		got.want(t, "GET "+escaped, 200)
		wantBytes(t, escaped, got.Body, body)
		if keys := keysOf(t, c, bucket); len(keys) != 1 {
			t.Errorf("%s: keys %q", escaped, keys)
		}
		s.raw(t, &rawRequest{Method: "DELETE", Path: "/" + bucket + "/" + escaped}).want(t, "DELETE "+escaped, 204)
	}
	if got := keysOf(t, c, neighbour); len(got) != 0 {
		t.Errorf("the neighbour got %q", got)
	}
	if got := keysOf(t, c, bucket); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// xmlBombs are documents that cost more to read than to send.
func xmlBombs() map[string][]byte {
	var entities strings.Builder
	entities.WriteString(`<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a0 "lol">`)
	for i := range 12 {
		fmt.Fprintf(&entities, `<!ENTITY a%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&a%d;", i), 10))
	}
	return map[string][]byte{
		"entities":        []byte(entities.String() + "]><Delete><Object><Key>&a12;</Key></Object></Delete>"),
		"external entity": []byte(`<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>`),
		"deep":            []byte("<Delete>" + strings.Repeat("<a>", 200000)),
		"deep and closed": []byte("<Delete>" + strings.Repeat("<a>", 100000) + strings.Repeat("</a>", 100000) + "</Delete>"),
		"attributes":      []byte("<Delete " + strings.Repeat(`a="b" `, 200000) + "/>"),
		"huge text":       append(append([]byte("<Delete><Object><Key>"), bytes.Repeat([]byte("k"), 8*mib)...), "</Key></Object></Delete>"...),
		"huge comment":    append(append([]byte("<Delete><!--"), bytes.Repeat([]byte("k"), 8*mib)...), "--></Delete>"...),
		"invalid UTF-8":   []byte("<Delete><Object><Key>\xff\xfe</Key></Object></Delete>"),
		"UTF-16":          []byte("\xff\xfe<\x00D\x00"),
		"control bytes":   []byte("<Delete><Object><Key>\x00\x01</Key></Object></Delete>"),
	}
}

func TestXMLBombsAreRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c, bucket := s.bucket(t)
	put(t, c, bucket, "kept", nil)
	u := beginUpload(t, c, bucket, "multi")
	before := s.metric(t, "process_resident_memory_bytes")
	for name, doc := range xmlBombs() {
		for query, body := range map[string][]byte{
			"delete=":          doc,
			"uploadId=" + u.id: bytes.ReplaceAll(doc, []byte("Delete"), []byte("CompleteMultipartUpload")),
		} {
			path := "/" + bucket
			if query != "delete=" {
				path += "/multi"
			}
			r, err := exchange(plainHTTP, s.build(t, &rawRequest{
				Method: "POST", Path: path, Query: query, Body: body, Header: header("x-amz-checksum-crc32", checksumOf("CRC32", body)),
			}))
			if err != nil {
				continue // refused by closing while the body was still being sent
			}
			if name == "deep and closed" && r.Status == 400 || name == "huge comment" {
				continue // may be read to its end and found empty
			}
			r.wantRefused(t, name+" "+query)
			if bytes.Contains(r.Body, []byte("root:")) {
				t.Errorf("%s: a file was read", name)
			}
		}
	}
	if keys := keysOf(t, c, bucket); len(keys) != 1 {
		t.Errorf("keys %q", keys)
	}
	s.settles(t, "process_resident_memory_bytes", before+150*mib)
}

func TestBadHeaders(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	for name, tc := range map[string]struct {
		header map[string]string
		codes  []string
	}{
		"unknown canned ACL":    {header("x-amz-acl", "everybody"), []string{"InvalidArgument"}},
		"unknown storage class": {header("x-amz-storage-class", "PAPYRUS"), []string{"InvalidStorageClass"}},
		"unknown checksum":      {header("x-amz-sdk-checksum-algorithm", "CRC7"), []string{"InvalidRequest"}},
	} {
		resp := s.raw(t, &rawRequest{Method: "PUT", Path: "/" + bucket + "/k", Body: []byte("x"), Header: tc.header})
		if name == "unknown checksum" && resp.Status == 200 { // without a checksum header AWS ignores it
			s.raw(t, &rawRequest{Method: "DELETE", Path: "/" + bucket + "/k"})
			continue
		}
		resp.want(t, name, 400, tc.codes...)
	}
	wantAbsent(t, c, bucket, "k")
	// A server may answer before it was told all, and then close.
	sock := s.dial(t)
	_, _ = sock.conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nX-Filler: " + strings.Repeat("f", 2*mib)))
	if resp, err := sock.tryResponse(); err == nil && resp.Status != 431 && resp.Status != 400 {
		t.Errorf("2 MiB of headers: %d", resp.Status)
	}
	for _, line := range []string{"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"} {
		sock := s.dial(t)
		sock.send([]byte(line), []byte("\r\n\r\n"))
		if resp := sock.response(); resp.Status < 400 || resp.Status > 505 {
			t.Errorf("%q: %d", line, resp.Status)
		}
	}
}

func TestMethodsThatDoNotExist(t *testing.T) {
	t.Parallel()
	c, bucket := newBucket(t)
	s := shared(t)
	put(t, c, bucket, "k", []byte("x"))
	for _, method := range []string{"PATCH", "TRACE", "PROPFIND"} {
		s.raw(t, &rawRequest{Method: method, Path: "/" + bucket + "/k"}).want(t, method, 405, "MethodNotAllowed")
	}
	s.raw(t, &rawRequest{Method: "DELETE", Path: "/"}).want(t, "DELETE /", 405, "MethodNotAllowed")
	wantBytes(t, "object", get(t, c, bucket, "k"), []byte("x"))
}
