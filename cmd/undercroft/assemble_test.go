package main

import (
	"net/http"
	"strings"
	"testing"
)

// The store itself is proven elsewhere; this proves that it is joined.
func TestTheRealStoreBehindTheServer(t *testing.T) {
	dirs := t.TempDir() + "/d{1...3}"
	i := start(t, assemble, "--data="+dirs)
	if code, body := get(t, i.admin+"/-/readyz"); code != http.StatusOK || !strings.Contains(body, `"name": "disks"`) {
		t.Errorf("readyz: %d %s", code, body)
	}
	if code, body := get(t, i.endpoint+"/"); code != http.StatusForbidden || !strings.Contains(body, "<Code>AccessDenied</Code>") {
		t.Errorf("an anonymous listing of buckets: %d %s", code, body)
	}
	code, _, stderr := runOnce(t, nil, nil, "admin", "check", "--data", dirs)
	if code != exitFailure || !strings.Contains(stderr, "check failed: ") {
		t.Errorf("an offline check of directories in use: %d %q", code, stderr)
	}
	if code, _, stderr := runOnce(t, nil, nil, "admin", "check", "--admin", i.admin); code != exitOK {
		t.Errorf("a check of the running server: %d %q", code, stderr)
	}
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d, log:\n%s", code, i.stderr)
	}
	if code, stdout, stderr := runOnce(t, nil, nil, "admin", "check", "--data", dirs); code != exitOK || stdout == "" {
		t.Errorf("an offline check: %d %q %q", code, stdout, stderr)
	}
	again := start(t, assemble, "--data="+dirs)
	if code := again.stop(); code != exitOK {
		t.Errorf("the second run: exit code %d, log:\n%s", code, again.stderr)
	}
}
