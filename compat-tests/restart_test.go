package compat

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestKillLosesNothingAcknowledged kills the server with SIGKILL under load, some
// times over, and reads back every object whose PUT was answered.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	notShort(t)
	dirs := makeDirs(t.TempDir())
	s := startServerOn(t, dirs)
	bucket := "survivor-" + randomHex(4)
	if _, err := s.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	acked := map[string]int{} // key to size
	for round := range 3 {
		var writers sync.WaitGroup
		enough := make(chan struct{})
		var once sync.Once
		count := 0
		for w := range 6 {
			writers.Go(func() {
				c := s.client()
				for i := 0; ; i++ {
					key := fmt.Sprintf("r%d/w%d/%d", round, w, i)
					size := []int{0, 500, 9000, 80000, 1200000}[(i+w)%5]
					_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(bodyFor(key, size))})
					if err != nil {
						return // the server is gone
					}
					mu.Lock()
					acked[key] = size
					if count++; count == 150 {
						once.Do(func() { close(enough) })
					}
					mu.Unlock()
				}
			})
		}
		select {
		case <-enough:
		case <-time.After(patience):
			t.Error("writers are too slow")
		}
		s.kill()
		writers.Wait()
		s = startServerOn(t, dirs)
		c := s.client()
		for key, size := range acked {
			wantBytes(t, key, get(t, c, bucket, key), bodyFor(key, size))
		}
		listed := keysOf(t, c, bucket)
		for _, key := range listed { // what was not acknowledged is whole or absent
			if _, ok := acked[key]; !ok {
				if body := get(t, c, bucket, key); !bytes.Equal(body, bodyFor(key, len(body))) {
					t.Errorf("%s: an unacknowledged object is torn", key)
				}
			}
		}
		if len(listed) < len(acked) {
			t.Errorf("%d listed, %d acknowledged", len(listed), len(acked))
		}
		if t.Failed() {
			return
		}
	}
	check(t, s)
}

func bodyFor(key string, size int) []byte {
	var seed byte
	for _, c := range []byte(key) {
		seed = seed*31 + c
	}
	return pattern(size, seed)
}

// check stops the server and runs the public checker of the whole state.
func check(t *testing.T, s *server) {
	t.Helper()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	bin, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"admin", "check"}
	for _, d := range s.dirs {
		args = append(args, "--data", d)
	}
	runTool(t, nil, bin, args...)
}

func TestCheckerIsCleanAfterAWorkload(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	bucket := "checked-" + randomHex(4)
	c := s.client()
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	for i, size := range objectSizes {
		put(t, c, bucket, fmt.Sprintf("k%d", i%15), pattern(size, byte(i)))
	}
	uploadParts(t, c, bucket, "multi", [][]byte{pattern(5*mib, 1), pattern(77, 2)})
	for _, key := range []string{"copy1", "copy2"} {
		if _, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: aws.String(bucket + "/multi")}); err != nil {
			t.Fatal(err)
		}
	}
	open := beginUpload(t, c, bucket, "open")
	open.part(1, pattern(6*mib, 3))
	if _, err := open.copyPart(2, bucket+"/copy1", "bytes=0-5242879"); err != nil {
		t.Fatal(err)
	}
	aborted := beginUpload(t, c, bucket, "aborted")
	aborted.part(1, pattern(100, 4))
	if err := aborted.abort(); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"multi", "copy2", "k3"} {
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	check(t, s)
}

// TestTerminationDrainsRequests: a request under way at SIGTERM ends well, and
// the exit status is 0.
func TestTerminationDrainsRequests(t *testing.T) {
	t.Parallel()
	dirs := makeDirs(t.TempDir())
	s := startServerOn(t, dirs)
	bucket := "drained-" + randomHex(4)
	if _, err := s.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	body := pattern(100000, 1)
	sock := s.dial(t)
	sock.send(head(s.unsignedPut(t, "/"+bucket+"/k"), "Expect: 100-continue", fmt.Sprint("Content-Length: ", len(body))))
	if first := sock.response(); first.Status != 100 {
		t.Fatalf("%d, want 100 Continue", first.Status)
	}
	sock.send(body[:50000])
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// Not ready any more, or not answering at all, shows that it took the signal.
	for ready := true; ready; {
		resp, err := try(t.Context(), s.admin+"/-/readyz")
		ready = err == nil && resp.Status == http.StatusOK
	}
	sock.send(body[50000:])
	sock.response().want(t, "request under way at SIGTERM", 200)
	<-s.exited
	if s.err != nil {
		t.Errorf("exit: %v", s.err)
	}
	again := startServerOn(t, dirs)
	wantBytes(t, "object", get(t, again.client(), bucket, "k"), body)
}

// TestMissingDirectoriesServeDegraded: with as many directories gone as there are
// parity shards, everything reads back; nothing is initialised anew.
func TestMissingDirectoriesServeDegraded(t *testing.T) {
	t.Parallel()
	dirs := makeDirs(t.TempDir())
	s := startServerOn(t, dirs)
	bucket := "degraded-" + randomHex(4)
	c := s.client()
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	for i, size := range objectSizes {
		put(t, c, bucket, fmt.Sprint("k", i), pattern(size, byte(i)))
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 4} { // 4+2: two may go
		if err := os.Rename(dirs[i], dirs[i]+".away"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dirs[i], 0o755); err != nil { // as an unmounted disk looks
			t.Fatal(err)
		}
	}
	s = startServerOn(t, dirs)
	c = s.client()
	for i, size := range objectSizes {
		wantBytes(t, fmt.Sprint("k", i), get(t, c, bucket, fmt.Sprint("k", i)), pattern(size, byte(i)))
	}
	if !strings.Contains(strings.ToLower(s.log.String()), filepath.Base(dirs[1])) {
		t.Errorf("the log does not name the missing directory:\n%s", s.log)
	}
	put(t, c, bucket, "written-degraded", pattern(300000, 7))
	wantBytes(t, "written-degraded", get(t, c, bucket, "written-degraded"), pattern(300000, 7))
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 4} {
		if entries, err := os.ReadDir(dirs[i]); err != nil || len(entries) != 0 {
			t.Errorf("%s was initialised: %v, %v", dirs[i], entries, err)
		}
	}
	if err := errors.Join(os.Remove(dirs[1]), os.Rename(dirs[1]+".away", dirs[1])); err != nil {
		t.Fatal(err)
	}
	s = startServerOn(t, dirs) // one is back
	wantBytes(t, "after a disk came back", get(t, s.client(), bucket, "written-degraded"), pattern(300000, 7))
}

func TestSecondServerOnTheSameDirectoriesIsRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	if second, err := launch(s.dirs); err == nil {
		second.kill()
		t.Fatal("two servers run on the same directories")
	}
	_, bucket := s.bucket(t)
	put(t, s.client(), bucket, "k", []byte("still fine"))
}
