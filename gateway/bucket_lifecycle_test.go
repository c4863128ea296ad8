package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

const testLifecycle = "<LifecycleConfiguration><Rule><ID>my rule/1</ID><Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status>" +
	"<Expiration><Days>1</Days></Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"

func TestBucketLifecycle(t *testing.T) {
	s := newServer(t, func(o *Options) { o.StorageClasses = []string{"COLD"} })
	const target = "/bucket?lifecycle"
	minimum := func(a *answer) string { return a.Header.Get(s3.HeaderTransitionMinimum) }
	s.expect(s3.NoSuchLifecycleConfiguration, "GET", target, "")
	if a := s.ok("PUT", target, testLifecycle); a.StatusCode != http.StatusOK || a.body != "" || minimum(a) != "all_storage_classes_128K" {
		t.Errorf("PUT: %d %q %q", a.StatusCode, a.body, minimum(a))
	}
	a := s.ok("GET", target, "")
	if !strings.Contains(a.body, "<ID>my rule/1</ID>") || !strings.Contains(a.body, s3.Namespace) || minimum(a) != "all_storage_classes_128K" {
		t.Errorf("GET: %s %q", a.body, minimum(a))
	}
	s.expect(s3.MalformedXML, "PUT", target, "<Nonsense/>")
	s.expect(s3.MissingRequestBodyError, "PUT", target, "")
	s.expect(s3.InvalidArgument, "PUT", target, testLifecycle, s3.HeaderTransitionMinimum, "0")
	s.expect(s3.NoSuchBucket, "PUT", "/missing?lifecycle", testLifecycle)
	s.expect(s3.MaxMessageLengthExceeded, "PUT", target, strings.Repeat(" ", s3.MaxLifecycleBody+1))
	moves := func(class string) string {
		return strings.Replace(testLifecycle, "<Expiration><Days>1</Days></Expiration>", "<Transition><Days>1</Days><StorageClass>"+class+"</StorageClass></Transition>", 1)
	}
	s.expect(s3.InvalidStorageClass, "PUT", target, moves("WARM"))
	if again := s.ok("GET", target, ""); again.body != a.body {
		t.Errorf("after refusals: %s", again.body)
	}
	s.ok("PUT", target, moves("COLD"), s3.HeaderTransitionMinimum, "varies_by_storage_class")
	if a := s.ok("GET", target, ""); minimum(a) != "varies_by_storage_class" || strings.Contains(a.body, "MinimumObjectSize") || !strings.Contains(a.body, "COLD") {
		t.Errorf("GET: %s %q", a.body, minimum(a))
	}
	s.ok("PUT", target, strings.Replace(testLifecycle, "<ID>my rule/1</ID>", "", 1))
	if a := s.ok("GET", target, ""); !strings.Contains(a.body, "<ID>") || strings.Contains(a.body, "<ID></ID>") {
		t.Errorf("a rule without an id: %s", a.body)
	}
	for range 2 {
		if a := s.ok("DELETE", target, ""); a.StatusCode != http.StatusNoContent {
			t.Errorf("DELETE: %d", a.StatusCode)
		}
	}
	s.expect(s3.NoSuchLifecycleConfiguration, "GET", target, "")
}

func TestLifecycleHeaders(t *testing.T) {
	s := newServer(t)
	s.objects.parts.Upload.Initiated = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.ok("PUT", "/bucket/logs/before", "x")
	if a := s.ok("GET", "/bucket/logs/before", ""); a.Header.Get(s3.HeaderExpiration) != "" {
		t.Error("expires without rules")
	}
	s.ok("PUT", "/bucket?lifecycle", testLifecycle)
	const want = `expiry-date="Sun, 04 Jan 2026 00:00:00 GMT", rule-id="my%20rule%2F1"`
	for _, method := range []string{"PUT", "GET", "HEAD"} {
		if got := s.ok(method, "/bucket/logs/a", "").Header.Get(s3.HeaderExpiration); got != want {
			t.Errorf("%s: %q", method, got)
		}
		if got := s.ok(method, "/bucket/other", "").Header.Get(s3.HeaderExpiration); got != "" {
			t.Errorf("%s of what no rule is about: %q", method, got)
		}
	}
	if got := s.ok("GET", "/bucket/logs/before", "").Header.Get(s3.HeaderExpiration); got != want {
		t.Errorf("of what was there before: %q", got)
	}
	a := s.ok("GET", "/bucket/logs/a?uploadId=upload", "")
	if a.Header.Get(s3.HeaderAbortDate) != "Mon, 05 Jan 2026 00:00:00 GMT" || a.Header.Get(s3.HeaderAbortRuleID) != "my%20rule%2F1" {
		t.Errorf("parts: %v", a.Header)
	}
	if a := s.ok("POST", "/bucket/logs/a?uploads", ""); a.Header.Get(s3.HeaderAbortDate) == "" {
		t.Errorf("an upload: %v", a.Header)
	}
	s.objects.configs[objects.ConfigLifecycle] = []byte("nonsense")
	if a := s.ok("PUT", "/bucket/logs/a", "x"); a.Header.Get(s3.HeaderExpiration) != "" {
		t.Errorf("rules that cannot be read: %v", a.Header)
	}
}
