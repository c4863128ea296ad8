package single_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// unlocked is a file system whose locks end with a process that was killed,
// though its goroutines are still there.
type unlocked struct{ vfs.FS }

func (unlocked) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// content is what the objects of a generation hold.
func content(generation, i int) []byte {
	sizes := []int{100, 20_000, 300_000}
	return bytes.Repeat([]byte{byte(generation), byte(i)}, sizes[i%len(sizes)]/2)
}

// write puts objects until one fails, and counts those that were acknowledged.
func write(s *single.System, generation int, acknowledged *atomic.Int64) {
	for i := range 6 {
		data := content(generation, i)
		_, err := s.Objects.PutObject(context.Background(), objects.PutObjectInput{
			Bucket: "bucket", Key: s3.Key(fmt.Sprintf("%d/%d", generation, i)),
			Body: objects.Body{Reader: bytes.NewReader(data), Size: int64(len(data))},
		})
		if err != nil {
			return
		}
		acknowledged.Add(1)
	}
}

// seen lists the objects that a store shows, whole.
func seen(t *testing.T, s *single.System) map[string]bool {
	t.Helper()
	out, err := s.Objects.ListObjects(t.Context(), objects.ListObjectsInput{Bucket: "bucket", Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, o := range out.Objects {
		var generation, i int
		if _, err := fmt.Sscanf(o.Key, "%d/%d", &generation, &i); err != nil {
			t.Fatal(err)
		}
		got, err := s.Objects.GetObject(t.Context(), objects.GetObjectInput{Bucket: "bucket", Key: s3.Key(o.Key)})
		if err != nil {
			t.Fatalf("%s: %v", o.Key, err)
		}
		var buf bytes.Buffer
		_, err = got.Body.WriteTo(&buf)
		if err = errors.Join(err, got.Body.Close()); err != nil || !bytes.Equal(buf.Bytes(), content(generation, i)) {
			t.Fatalf("%s reads back wrong: %v", o.Key, err)
		}
		keys[o.Key] = true
	}
	return keys
}

func reopen(t *testing.T, fs vfs.FS) *single.System {
	t.Helper()
	s, err := testcluster.Reopen(t, unlocked{fs})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The process is killed before a change, started again, and then the power
// fails: what the second process showed or acknowledged is there, although
// nobody synced what the first one had left in the kernel's cache.
func TestPowerLossAfterAKill(t *testing.T) {
	for n := 0; n < 130; n += 3 {
		t.Run(fmt.Sprint(n), func(t *testing.T) { powerLossAfterAKill(t, n) })
	}
}

// killed runs a process that stands still for ever at change n, and returns
// how many objects it had acknowledged.
func killed(t *testing.T, mem *faultfs.Mem, n int) int {
	t.Helper()
	dying := faultfs.New(mem)
	stalled, ended := make(chan struct{}, 1), make(chan error, 1)
	dying.Add(faultfs.Rule{Kinds: faultfs.Changes, Skip: n, Stall: make(chan struct{}), Stalled: stalled})
	var acknowledged atomic.Int64
	go func() {
		s, err := testcluster.Reopen(t, unlocked{dying})
		if err == nil {
			write(s, 1, &acknowledged)
		}
		ended <- err
	}()
	select {
	case <-stalled: // what becomes of the rest of the process is not looked at
	case err := <-ended:
		if err != nil {
			t.Errorf("open: %v", err)
		}
	}
	return int(acknowledged.Load())
}

func powerLossAfterAKill(t *testing.T, n int) {
	t.Helper()
	mem := faultfs.NewMem(vfs.NewCrashableMem())
	first := testcluster.New(t, testcluster.Options{FS: unlocked{mem}, Disks: 3})
	if _, err := first.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "bucket", Owner: "me"}); err != nil {
		t.Fatal(err)
	}
	first.Stop()

	acknowledged := killed(t, mem, n)
	second := reopen(t, mem)
	before := seen(t, second)
	for i := range acknowledged {
		if !before[fmt.Sprintf("1/%d", i)] {
			t.Errorf("object 1/%d was acknowledged before the kill and is gone", i)
		}
	}
	var taken atomic.Int64
	if write(second, 2, &taken); taken.Load() != 6 {
		t.Fatalf("only %d objects were taken after the kill", taken.Load())
	}
	clone := mem.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: 0, RNG: rand.New(rand.NewPCG(1, 2))})
	third := reopen(t, clone)
	after := seen(t, third)
	for key := range before {
		if !after[key] {
			t.Errorf("object %s was shown before the power loss and is gone", key)
		}
	}
	if len(after) != len(before)+6 {
		t.Errorf("%d objects were shown, 6 written, %d are there", len(before), len(after))
	}
	var report strings.Builder
	if err := third.Check(t.Context(), &report); err != nil {
		t.Errorf("check: %v\n%s", err, report.String())
	}
	if err := errors.Join(third.Close(t.Context()), second.Close(t.Context())); err != nil {
		t.Error(err)
	}
}
