package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func TestObjectTagging(t *testing.T) {
	s := newServer(t)
	const document = "<Tagging><TagSet><Tag><Key>b</Key><Value>2</Value></Tag><Tag><Key>a</Key><Value></Value></Tag></TagSet></Tagging>"
	s.expect(s3.NoSuchKey, "GET", "/bucket/key?tagging", "")
	s.expect(s3.NoSuchKey, "PUT", "/bucket/key?tagging", document)
	s.ok("PUT", "/bucket/key", "body")
	if a := s.ok("GET", "/bucket/key?tagging", ""); !strings.Contains(a.body, "<TagSet></TagSet>") {
		t.Error(a.body)
	}
	s.ok("PUT", "/bucket/key?tagging", document)
	if a := s.ok("GET", "/bucket/key?tagging", ""); !strings.Contains(a.body, "<Key>a</Key><Value></Value></Tag><Tag><Key>b</Key><Value>2</Value>") {
		t.Error(a.body)
	}
	for _, method := range []string{"GET", "HEAD"} {
		if got := s.ok(method, "/bucket/key", "").Header.Get("X-Amz-Tagging-Count"); got != "2" {
			t.Errorf("%s: %q tags", method, got)
		}
	}
	s.expect(s3.MalformedXML, "PUT", "/bucket/key?tagging", "<Tagging/>")
	s.expect(s3.InvalidTag, "PUT", "/bucket/key?tagging", "<Tagging><TagSet>"+strings.Repeat("<Tag><Key>k</Key><Value/></Tag>", 11)+"</TagSet></Tagging>")
	s.expect(s3.MissingRequestBodyError, "PUT", "/bucket/key?tagging", "")
	if a := s.ok("DELETE", "/bucket/key?tagging&versionId=null", ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: %d", a.StatusCode)
	}
	in, _ := lastAsked[objects.PutObjectTaggingInput](s.objects)
	if in.Tags != nil || in.VersionID != "null" || in.Key != "key" || in.Access == nil {
		t.Errorf("%+v", in)
	}
	if got := s.ok("GET", "/bucket/key", "").Header["X-Amz-Tagging-Count"]; got != nil {
		t.Errorf("%q tags", got)
	}
}

func TestTaggingHeader(t *testing.T) {
	s := newServer(t)
	want := []objects.Pair{{Name: "a", Value: "x/y"}, {Name: "b"}}
	s.ok("PUT", "/bucket/key", "body", "x-amz-tagging", "b&a=x%2Fy")
	put, _ := lastAsked[objects.PutObjectInput](s.objects)
	s.ok("POST", "/bucket/key?uploads", "", "x-amz-tagging", "b&a=x%2Fy")
	upload, _ := lastAsked[objects.CreateUploadInput](s.objects)
	for name, got := range map[string][]objects.Pair{"PutObject": put.Tags, "CreateMultipartUpload": upload.Tags} {
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	for header, code := range map[string]s3.Code{"a=1&a=2": s3.InvalidArgument, "a*b=1": s3.InvalidTag, "aws:a=1": s3.InvalidTag} {
		s.expect(code, "PUT", "/bucket/refused", "body", "x-amz-tagging", header)
		s.expect(code, "POST", "/bucket/refused?uploads", "", "x-amz-tagging", header)
		s.expect(code, "PUT", "/bucket/refused", "", "x-amz-copy-source", "/bucket/key", "x-amz-tagging-directive", "REPLACE", "x-amz-tagging", header)
	}
	if keys := s.objects.keys(); len(keys) != 1 {
		t.Errorf("keys %q", keys)
	}
	for directive, replaced := range map[string][]objects.Pair{"COPY": nil, "REPLACE": want} {
		s.ok("PUT", "/bucket/copy", "", "x-amz-copy-source", "/bucket/key", "x-amz-tagging-directive", directive, "x-amz-tagging", "b&a=x%2Fy")
		in, _ := lastAsked[objects.CopyObjectInput](s.objects)
		if d := cmp.Diff(replaced, in.Tags); d != "" || in.ReplaceTags != (directive == "REPLACE") {
			t.Errorf("%s: replace %v, %s", directive, in.ReplaceTags, d)
		}
	}
	s.expect(s3.InvalidArgument, "PUT", "/bucket/copy", "", "x-amz-copy-source", "/bucket/key", "x-amz-tagging-directive", "MERGE")
}
