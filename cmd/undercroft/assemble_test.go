package main

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/config"
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

// TestBackgroundWorkHeedsRequests proves that the settings and the requests reach
// the steward.
func TestBackgroundWorkHeedsRequests(t *testing.T) {
	cfg, err := config.Load(config.Sources{Args: []string{"--data=" + t.TempDir(), "--background-share=40", "--repair-bandwidth=1MiB"}})
	if err != nil {
		t.Fatal(err)
	}
	if o := storeOptions(cfg, parts{}).Steward; o.Activity != nil {
		t.Error("a store without requests heeds some")
	}
	var moved atomic.Int64
	o := storeOptions(cfg, parts{activity: &moved}).Steward
	moved.Store(7)
	if o.Activity == nil || o.Activity() != 7 || o.Share != 40 || o.RepairBandwidth != 1<<20 {
		t.Errorf("the steward gets %+v", o)
	}
}

// TestStoreOptionsFollowTheMetadata: where the metadata is, and how long what was deleted
// rests, reach the store.
func TestStoreOptionsFollowTheMetadata(t *testing.T) {
	for _, c := range []struct {
		args   []string
		place  string // empty: on the data directories
		shared bool
		grace  time.Duration
		inline int64
	}{
		{nil, "", false, 5 * time.Minute, 8 << 10},
		{[]string{"--collect-delay=0"}, "", false, -1, 8 << 10},
		{[]string{"--metadata=pebble:/meta", "--collect-delay=48h"}, "pebble:/meta", false, 48 * time.Hour, 8 << 10},
		{[]string{"--metadata=fdb:/f?prefix=shop"}, "FoundationDB, prefix shop", true, 5 * time.Minute, 1 << 10},
	} {
		cfg, err := config.Load(config.Sources{Args: append([]string{"--data=/d"}, c.args...)})
		if err != nil {
			t.Fatal(err)
		}
		o := storeOptions(cfg, parts{})
		if o.Steward.Grace != c.grace || o.InlineLimit != c.inline || (o.External == nil) != (c.place == "") {
			t.Errorf("%v: %+v", c.args, o)
		}
		if x := o.External; x != nil && (x.Place != c.place || x.Shared != c.shared || x.Process == "") {
			t.Errorf("%v: %+v", c.args, x)
		}
	}
}
