package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/s3"
)

func routed(rt *router, method, host, target string, header http.Header) (*exchange, error) {
	r := &http.Request{Method: method, Host: host, Header: header, Proto: "HTTP/1.1"}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, err
	}
	r.URL = u
	x := &exchange{r: r, w: httptest.NewRecorder()}
	return x, rt.route(x)
}

func TestRoute(t *testing.T) {
	rt := newRouter([]string{"s3.example.test", "S3.Other.test"}, newTable(Operations()))
	tests := []struct {
		name, host, target string
		scope              Scope
		bucket, key        string
		code               s3.Code
	}{
		{"service", "h", "/", ScopeService, "", "", ""},
		{"bucket", "h", "/bucket", ScopeBucket, "bucket", "", ""},
		{"bucket with slash", "h", "/bucket/", ScopeBucket, "bucket", "", ""},
		{"object", "h:9000", "/bucket/key", ScopeObject, "bucket", "key", ""},
		{"by address", "127.0.0.1:9000", "/bucket/key", ScopeObject, "bucket", "key", ""},
		{"slashes", "h", "/bucket/a/b//c/", ScopeObject, "bucket", "a/b//c/", ""},
		{"leading slash", "h", "/bucket//key", ScopeObject, "bucket", "/key", ""},
		{"only a slash", "h", "/bucket//", ScopeObject, "bucket", "/", ""},
		{"dots", "h", "/bucket/a/../b/./c", ScopeObject, "bucket", "a/../b/./c", ""},
		{"parent", "h", "/bucket/..", ScopeObject, "bucket", "..", ""},
		{"encoded slash", "h", "/bucket/a%2Fb", ScopeObject, "bucket", "a/b", ""},
		{"plus", "h", "/bucket/a+b%2Bc", ScopeObject, "bucket", "a+b+c", ""},
		{"space and percent", "h", "/bucket/a%20b%25c", ScopeObject, "bucket", "a b%c", ""},
		{"newline and nul", "h", "/bucket/a%0Ab%00c", ScopeObject, "bucket", "a\nb\x00c", ""},
		{"unicode", "h", "/bucket/%E2%82%AC", ScopeObject, "bucket", "€", ""},
		{"unescaped unicode", "h", "/bucket/€", ScopeObject, "bucket", "€", ""},
		{"question mark", "h", "/bucket/a%3Fb", ScopeObject, "bucket", "a?b", ""},
		{"semicolon", "h", "/bucket/a;b", ScopeObject, "bucket", "a;b", ""},
		{"absolute form", "h", "http://h/bucket/key", ScopeObject, "bucket", "key", ""},
		{"invalid utf-8", "h", "/bucket/%FF", ScopeObject, "bucket", "\xff", s3.InvalidURI},
		{"long key", "h", "/bucket/" + strings.Repeat("k", 1024), ScopeObject, "bucket", strings.Repeat("k", 1024), ""},
		{"too long key", "h", "/bucket/" + strings.Repeat("k", 1025), ScopeObject, "bucket", strings.Repeat("k", 1025), s3.KeyTooLongError},
		{"bad bucket", "h", "/Bucket/key", ScopeObject, "Bucket", "key", s3.InvalidBucketName},
		{"slash in bucket", "h", "/buck%2Fet/key", ScopeObject, "buck/et", "key", s3.InvalidBucketName},
		{"no bucket", "h", "//key", ScopeService, "", "", s3.InvalidURI},
		{"host style bucket", "bucket.s3.example.test", "/", ScopeBucket, "bucket", "", ""},
		{"host style object", "bucket.s3.example.test:9000", "/a/b", ScopeObject, "bucket", "a/b", ""},
		{"host style double slash", "bucket.s3.example.test", "//a", ScopeObject, "bucket", "/a", ""},
		{"host style dotted bucket", "my.bucket.s3.example.test", "/k", ScopeObject, "my.bucket", "k", ""},
		{"host style upper case", "Bucket.S3.Example.Test", "/Key", ScopeObject, "bucket", "Key", ""},
		{"second domain", "bucket.s3.other.test", "/k", ScopeObject, "bucket", "k", ""},
		{"domain itself is path style", "s3.example.test", "/bucket/k", ScopeObject, "bucket", "k", ""},
		{"other host is path style", "bucket.s3.example.test.evil", "/bucket/k", ScopeObject, "bucket", "k", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x, err := routed(rt, "GET", tt.host, tt.target, http.Header{})
			if got := s3.CodeOf(err); got != tt.code {
				t.Fatalf("got %v, want code %q", err, tt.code)
			}
			if x.scope != tt.scope || string(x.bucket) != tt.bucket || string(x.key) != tt.key {
				t.Errorf("got %s %q %q", x.scope, x.bucket, x.key)
			}
		})
	}
}

func TestRouteParameters(t *testing.T) {
	rt := newRouter(nil, newTable(Operations()))
	tests := []struct {
		method, target string
		header         http.Header
		want           s3.Code
	}{
		{"GET", "/b-1/k?versionId=x", nil, ""},
		{"GET", "/b-1/k?versionId=", nil, s3.InvalidArgument},
		{"PUT", "/b-1/k?versionId=x", nil, s3.InvalidArgument},
		{"PUT", "/b-1/k?partNumber=1", nil, s3.InvalidArgument},
		{"GET", "/b-1/k", http.Header{s3.HeaderCopySource: {"/a/b"}}, s3.InvalidArgument},
		{"PUT", "/b-1/k?frobnicate", nil, s3.NotImplemented},
		{"DELETE", "/b-1?frobnicate", nil, s3.NotImplemented},
		{"GET", "/b-1/k?frobnicate", nil, ""},
		{"PUT", "/b-1/k?x-id=PutObject", nil, ""},
		{"PUT", "/b-1/k?X-Amz-Signature=&X-Amz-Algorithm=", nil, ""},
		{"GET", "/b-1?prefix=%zz", nil, s3.InvalidURI},
		{"GET", "/b-1?prefix=a;b", nil, ""},
		{"GET", "/b-1?" + strings.Repeat("q", s3.MaxQueryBytes+1), nil, s3.InvalidURI},
		{"POST", "/WriteGetObjectResponse", http.Header{"X-Amz-Request-Route": {"r"}}, s3.NotImplemented},
	}
	for _, tt := range tests {
		header := tt.header
		if header == nil {
			header = http.Header{}
		}
		if _, err := routed(rt, tt.method, "h", tt.target, header); s3.CodeOf(err) != tt.want {
			t.Errorf("%s %s: %v, want %q", tt.method, tt.target, err, tt.want)
		}
	}
}

func TestSemicolonIsACharacterOfAQuery(t *testing.T) {
	q, err := parseQuery("prefix=a;b&x=;")
	if err != nil || q.Get("prefix") != "a;b" || q.Get("x") != ";" {
		t.Errorf("%v, %v", q, err)
	}
}

func FuzzRoute(f *testing.F) {
	rt := newRouter([]string{"s3.example.test"}, newTable(Operations()))
	for _, target := range []string{"/", "/b/k", "/b//..%2F?acl", "/b?delete&list-type=2", "/%00?uploads", "/bucket/k?versionId=&x"} {
		f.Add("GET", "h", target)
		f.Add("PUT", "b.s3.example.test", target)
	}
	f.Fuzz(func(t *testing.T, method, host, target string) {
		x, err := routed(rt, method, host, target, http.Header{})
		if x == nil || err != nil {
			return
		}
		if x.op == nil || !x.op.Implemented() || x.op.Method != method || x.op.Scope != x.scope {
			t.Fatalf("%s %q: operation %+v", method, target, x.op)
		}
		if x.scope != ScopeService && s3.ValidateBucketName(x.bucket) != nil {
			t.Fatalf("%q: bucket %q", target, x.bucket)
		}
		if x.scope == ScopeObject && s3.ValidateKey(x.key) != nil {
			t.Fatalf("%q: key %q", target, x.key)
		}
	})
}

func BenchmarkRoute(b *testing.B) {
	rt := newRouter(nil, newTable(Operations()))
	r := httptest.NewRequestWithContext(b.Context(), "GET", "/bucket/some/key/of/usual/length.txt", nil)
	b.ReportAllocs()
	for b.Loop() {
		x := exchange{r: r}
		if err := rt.route(&x); err != nil {
			b.Fatal(err)
		}
	}
}
