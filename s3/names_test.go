package s3_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/s3"
)

func TestValidateBucketName(t *testing.T) {
	good := []string{"abc", "a1b", "my-bucket", "my.bucket.name", strings.Repeat("a", 63), "1.2.3", "192-168-5-4", "a--b"}
	bad := []string{
		"", "ab", strings.Repeat("a", 64), "Abc", "a_b", "-abc", "abc-", ".abc", "abc.", "a..b", "a.-b", "a-.b",
		"192.168.5.4", "999.999.999.999", "xn--abc", "sthree-abc", "abc-s3alias", "abc--ol-s3", "abc--x-s3", "a b", "a/b", "ab\x00c", "äbc",
	}
	for _, name := range good {
		if err := s3.ValidateBucketName(s3.BucketName(name)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range bad {
		if err := s3.ValidateBucketName(s3.BucketName(name)); s3.CodeOf(err) != s3.InvalidBucketName {
			t.Errorf("%q: got %v, want InvalidBucketName", name, err)
		}
	}
}

func TestValidateKey(t *testing.T) {
	tests := []struct {
		name string
		key  string
		want s3.Code
	}{
		{"plain", "a/b/c", ""},
		{"dots", "../..//./x", ""},
		{"nul and controls", "a\x00b\x01\r\n", ""},
		{"longest", strings.Repeat("k", 1024), ""},
		{"longest in bytes", strings.Repeat("é", 512), ""},
		{"too long", strings.Repeat("k", 1025), s3.KeyTooLongError},
		{"too long in bytes", strings.Repeat("é", 512) + "x", s3.KeyTooLongError},
		{"invalid utf-8", "a\xff", s3.InvalidURI},
		{"surrogate", "\xed\xa0\x80", s3.InvalidURI},
		{"empty", "", s3.InvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := s3.CodeOf(s3.ValidateKey(s3.Key(tt.key))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestErrorIsByCode(t *testing.T) {
	cause := errors.New("disk on fire")
	err := error(s3.NewError(s3.NoSuchKey).With("Key", "k").Because(cause))
	if !errors.Is(err, s3.NewError(s3.NoSuchKey)) {
		t.Error("same code does not match")
	}
	if errors.Is(err, s3.NewError(s3.NoSuchBucket)) {
		t.Error("other code matches")
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if got := s3.CodeOf(errors.New("other")); got != s3.InternalError {
		t.Errorf("CodeOf(other) = %q", got)
	}
	if s3.AsError(nil) != nil || s3.CodeOf(nil) != "" {
		t.Error("nil is an error")
	}
}

func TestErrorWithDoesNotChangeTheOriginal(t *testing.T) {
	base := s3.NewError(s3.InvalidArgument).With("A", "1")
	one, two := base.With("B", "2"), base.With("C", "3")
	if one.Field("C") != "" || two.Field("B") != "" || len(base.Fields) != 1 {
		t.Errorf("fields are shared: %v %v %v", base.Fields, one.Fields, two.Fields)
	}
}

func TestEveryCodeHasStatusAndMessage(t *testing.T) {
	n := 0
	for code := range s3.Codes() {
		n++
		e := s3.NewError(code)
		if e.Status < 300 || e.Status > 599 || e.Message == "" || e.Message == string(code) {
			t.Errorf("%s: %d %q", code, e.Status, e.Message)
		}
	}
	if n < 70 {
		t.Errorf("only %d codes", n)
	}
}

func TestErrorXML(t *testing.T) {
	err := s3.NewError(s3.NoSuchKey).With("Key", "a<b>&\x01").Because(errors.New("secret"))
	got := string(err.AppendXML(nil, "/b/a", "REQ", "HOST"))
	want := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>` +
		"<Key>a&lt;b&gt;&amp;\uFFFD</Key>" + `<Resource>/b/a</Resource><RequestId>REQ</RequestId><HostId>HOST</HostId></Error>`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
