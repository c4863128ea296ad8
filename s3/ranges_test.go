package s3_test

import (
	"strings"
	"testing"

	"github.com/undercroft/undercroft/s3"
)

func TestRange(t *testing.T) {
	const (
		whole = iota
		part
		unsatisfiable
	)
	tests := []struct {
		header         string
		size           int64
		kind           int
		offset, length int64
	}{
		{"bytes=0-0", 10, part, 0, 1},
		{"bytes=0-9", 10, part, 0, 10},
		{"bytes=2-5", 10, part, 2, 4},
		{"bytes=5-100", 10, part, 5, 5},
		{"bytes=5-", 10, part, 5, 5},
		{"bytes=0-", 10, part, 0, 10},
		{"bytes=-3", 10, part, 7, 3},
		{"bytes=-30", 10, part, 0, 10},
		{"bytes=9-99999999999999999999999", 10, part, 9, 1},
		{"bytes=10-", 10, unsatisfiable, 0, 0},
		{"bytes=10-20", 10, unsatisfiable, 0, 0},
		{"bytes=99999999999999999999999-", 10, unsatisfiable, 0, 0},
		{"bytes=-0", 10, unsatisfiable, 0, 0},
		{"bytes=0-", 0, unsatisfiable, 0, 0},
		{"bytes=0-0", 0, unsatisfiable, 0, 0},
		{"bytes=-5", 0, unsatisfiable, 0, 0},
		{"", 10, whole, 0, 0},
		{"bytes=", 10, whole, 0, 0},
		{"bytes=-", 10, whole, 0, 0},
		{"bytes=5-2", 10, whole, 0, 0},
		{"bytes=a-b", 10, whole, 0, 0},
		{"bytes=+1-2", 10, whole, 0, 0},
		{"bytes=1--2", 10, whole, 0, 0},
		{"bytes=0-1,3-4", 10, whole, 0, 0},
		{"bytes 0-1", 10, whole, 0, 0},
		{"items=0-1", 10, whole, 0, 0},
	}
	for _, tt := range tests {
		r, ok := s3.ParseRange(tt.header)
		if !ok {
			if tt.kind != whole {
				t.Errorf("%q is ignored", tt.header)
			}
			continue
		}
		offset, length, ok := r.Resolve(tt.size)
		switch {
		case tt.kind == whole:
			t.Errorf("%q is not ignored", tt.header)
		case ok != (tt.kind == part):
			t.Errorf("%q of %d: satisfiable = %v", tt.header, tt.size, ok)
		case ok && (offset != tt.offset || length != tt.length):
			t.Errorf("%q of %d: %d+%d, want %d+%d", tt.header, tt.size, offset, length, tt.offset, tt.length)
		}
	}
}

func TestCopySourceRange(t *testing.T) {
	for _, bad := range []string{"", "0-1", "bytes=0-", "bytes=-5", "bytes=2-1", "bytes=0-1,2-3", "bytes=hello-world"} {
		if _, err := s3.ParseCopySourceRange(bad); s3.CodeOf(err) != s3.InvalidArgument {
			t.Errorf("%q: %v", bad, err)
		}
	}
	r, err := s3.ParseCopySourceRange("bytes=2-9")
	if err != nil {
		t.Fatal(err)
	}
	if offset, length, err := r.ResolveCopySource(10); err != nil || offset != 2 || length != 8 {
		t.Errorf("got %d+%d, %v", offset, length, err)
	}
	if _, _, err := r.ResolveCopySource(9); s3.CodeOf(err) != s3.InvalidRange {
		t.Errorf("past the end: %v", err)
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=-1", "bytes=5-", "bytes=1-2,3-4", "bytes=99999999999999999999-"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		r, ok := s3.ParseRange(header)
		if !ok || size < 0 {
			return
		}
		if !strings.HasPrefix(header, "bytes=") || strings.Contains(header, ",") {
			t.Fatalf("%q was accepted", header)
		}
		offset, length, ok := r.Resolve(size)
		if ok && (offset < 0 || length <= 0 || length > size || offset > size-length) {
			t.Fatalf("%q of %d: %d+%d", header, size, offset, length)
		}
	})
}

func TestParseCopySource(t *testing.T) {
	good := map[string]s3.CopySource{
		"bucket/key":                    {Bucket: "bucket", Key: "key"},
		"/bucket/key":                   {Bucket: "bucket", Key: "key"},
		"bucket/a/b//c":                 {Bucket: "bucket", Key: "a/b//c"},
		"bucket%2Fkey":                  {Bucket: "bucket", Key: "key"},
		"/bucket/k%20e%2By+%25":         {Bucket: "bucket", Key: "k e+y+%"},
		"/bucket/key?versionId=v1":      {Bucket: "bucket", Key: "key", Version: "v1"},
		"/bucket/a%3FversionId%3Dx":     {Bucket: "bucket", Key: "a?versionId=x"},
		"/bucket/what?":                 {Bucket: "bucket", Key: "what?"},
		"/bucket/%3Fkey?versionId=null": {Bucket: "bucket", Key: "?key", Version: "null"},
	}
	for in, want := range good {
		got, err := s3.ParseCopySource(in)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", in, got, err, want)
		}
	}
	bad := []string{"", "/", "bucket", "bucket/", "/bucket/", "//key", "B_/key", "bucket/%zz", "bucket/%ff", "bucket/key?versionId=", "bucket/" + strings.Repeat("k", 1025)}
	for _, in := range bad {
		if _, err := s3.ParseCopySource(in); s3.CodeOf(err) != s3.InvalidArgument {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func FuzzCopySource(f *testing.F) {
	for _, s := range []string{"/bucket/key", "bucket/key?versionId=x", "bucket/%2F%2f", "%62ucket/k"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		src, err := s3.ParseCopySource(header)
		if err != nil {
			return
		}
		if s3.ValidateBucketName(src.Bucket) != nil || s3.ValidateKey(src.Key) != nil {
			t.Fatalf("%q gave %+v", header, src)
		}
	})
}
