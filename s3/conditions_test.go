package s3_test

import (
	"testing"
	"time"

	"github.com/undercroft/undercroft/s3"
)

func TestConditions(t *testing.T) {
	const tag = s3.ETag("abc")
	now := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	sec := now.Truncate(time.Second)
	before, after := sec.Add(-time.Second), sec.Add(time.Second)
	tests := []struct {
		name       string
		c          s3.Conditions
		read, copy s3.Code
	}{
		{"none", s3.Conditions{}, "", ""},
		{"if-match", s3.Conditions{IfMatch: `"abc"`}, "", ""},
		{"if-match without quotes", s3.Conditions{IfMatch: `abc`}, "", ""},
		{"if-match star", s3.Conditions{IfMatch: `*`}, "", ""},
		{"if-match list", s3.Conditions{IfMatch: `"x", "abc"`}, "", ""},
		{"if-match other", s3.Conditions{IfMatch: `"x"`}, s3.PreconditionFailed, s3.PreconditionFailed},
		{"if-none-match", s3.Conditions{IfNoneMatch: `"abc"`}, s3.NotModified, s3.PreconditionFailed},
		{"if-none-match weak", s3.Conditions{IfNoneMatch: `W/"abc"`}, s3.NotModified, s3.PreconditionFailed},
		{"if-none-match star", s3.Conditions{IfNoneMatch: `*`}, s3.NotModified, s3.PreconditionFailed},
		{"if-none-match other", s3.Conditions{IfNoneMatch: `"x"`}, "", ""},
		{"modified since before", s3.Conditions{IfModifiedSince: before}, "", ""},
		{"modified since same second", s3.Conditions{IfModifiedSince: sec}, s3.NotModified, s3.PreconditionFailed},
		{"modified since after", s3.Conditions{IfModifiedSince: after}, s3.NotModified, s3.PreconditionFailed},
		{"unmodified since before", s3.Conditions{IfUnmodifiedSince: before}, s3.PreconditionFailed, s3.PreconditionFailed},
		{"unmodified since same second", s3.Conditions{IfUnmodifiedSince: sec}, "", ""},
		{"match true beats unmodified false", s3.Conditions{IfMatch: `"abc"`, IfUnmodifiedSince: before}, "", ""},
		{"match false beats unmodified true", s3.Conditions{IfMatch: `"x"`, IfUnmodifiedSince: after}, s3.PreconditionFailed, s3.PreconditionFailed},
		{"none-match false beats modified true", s3.Conditions{IfNoneMatch: `"abc"`, IfModifiedSince: before}, s3.NotModified, s3.PreconditionFailed},
		{"none-match true beats modified false", s3.Conditions{IfNoneMatch: `"x"`, IfModifiedSince: after}, "", ""},
		{"412 beats 304", s3.Conditions{IfMatch: `"x"`, IfNoneMatch: `"abc"`}, s3.PreconditionFailed, s3.PreconditionFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := s3.CodeOf(tt.c.CheckRead(tag, now)); got != tt.read {
				t.Errorf("read: got %q, want %q", got, tt.read)
			}
			if got := s3.CodeOf(tt.c.CheckCopySource(tag, now)); got != tt.copy {
				t.Errorf("copy: got %q, want %q", got, tt.copy)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	for _, at := range []time.Time{
		time.Date(2026, 1, 2, 3, 4, 5, 6789e3, time.UTC),
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.FixedZone("x", 3600)),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
	} {
		if got, want := string(s3.AppendISO8601(nil, at)), at.UTC().Format(s3.ISO8601); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	want := time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC)
	for _, in := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:37Z",
	} {
		if got, ok := s3.ParseHTTP(in); !ok || !got.Equal(want) {
			t.Errorf("%q: %v %v", in, got, ok)
		}
	}
	if _, ok := s3.ParseHTTP("yesterday"); ok {
		t.Error("yesterday is a date")
	}
	if got := s3.FormatHTTP(want); got != "Sun, 06 Nov 1994 08:49:37 GMT" {
		t.Error(got)
	}
}
