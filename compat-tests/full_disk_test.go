//go:build compat

package compat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestFullDisk fills a small file system: writes then get 503, everything
// acknowledged reads back, deletes work, and with more room writes work again.
func TestFullDisk(t *testing.T) {
	if isPeer() {
		skip(t, "needs a server of its own")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=1400m", "tmpfs", dir).CombinedOutput(); err != nil {
		skip(t, fmt.Sprintf("cannot mount a small file system: %v: %s", err, bytes.TrimSpace(out)))
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	s := startServerOn(t, makeDirs(dir), "--partition-size", "64MiB")
	c := s.client()
	bucket := "full-" + randomHex(4)
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	body := func(i int) []byte { return pattern([]int{100, 20000, 4 * mib}[i%3], byte(i)) }
	tryPut := func(i int) error {
		key := fmt.Sprint("k", i)
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body(i))})
		return err
	}
	want503 := func(err error) {
		t.Helper()
		resp, ok := errors.AsType[*awshttp.ResponseError](err)
		if !ok || resp.HTTPStatusCode() != 503 {
			t.Errorf("a full disk answers %v, want 503", err)
		}
	}
	stored := 0 // k0 to k(stored-1) were acknowledged
	for ; stored < 9000; stored++ {
		if err := tryPut(stored); err != nil {
			want503(err)
			break
		}
	}
	if stored < 60 || stored == 9000 {
		t.Fatalf("full after %d objects", stored)
	}
	for i := range 30 { // it stays so, and stays up
		if err := tryPut(9000 + i); err != nil {
			want503(err)
		}
	}
	for i := range stored {
		wantBytes(t, fmt.Sprint("k", i), get(t, c, bucket, fmt.Sprint("k", i)), body(i))
	}
	for i := range stored / 2 {
		key := fmt.Sprint("k", i)
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
			t.Fatalf("delete on a full disk: %v", err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,size=2800m", dir).CombinedOutput(); err != nil {
		t.Fatalf("remount: %v: %s", err, out)
	}
	again := 3*stored + 2 // of 4 MiB
	tick := pollTicker(t)
	for tryPut(again) != nil {
		if !tick() {
			t.Fatal("writes do not recover with more room")
		}
	}
	wantBytes(t, "written after recovery", get(t, c, bucket, fmt.Sprint("k", again)), body(again))
	check(t, s)
}

// pollTicker returns a function that waits a little and says whether to try on.
func pollTicker(t *testing.T) func() bool {
	t.Helper()
	tick, deadline := time.NewTicker(100*time.Millisecond), time.NewTimer(patience)
	t.Cleanup(func() { tick.Stop(); deadline.Stop() })
	return func() bool {
		select {
		case <-tick.C:
			return true
		case <-deadline.C:
			return false
		}
	}
}
