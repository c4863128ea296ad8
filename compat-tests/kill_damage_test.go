package compat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// value is what an object may hold; the zero value is no object.
type value struct {
	name string // of the contents
	size int
}

func (v value) body() []byte {
	b := make([]byte, v.size)
	_, _ = mathrand.NewChaCha8(sha256.Sum256([]byte(v.name))).Read(b)
	return b
}

// ledger says what each key may hold: one value where everything was
// acknowledged, and that of the request that was cut off besides.
type ledger struct {
	bucket string
	round  int

	mu  sync.Mutex
	may map[string][]value
}

func (l *ledger) begin(key string, v value) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.may[key]) == 0 {
		l.may[key] = []value{{}}
	}
	l.may[key] = append(l.may[key], v)
}

func (l *ledger) acknowledge(key string, v value) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.may[key] = []value{v}
}

// sure returns a key of a worker's whose value is certain.
func (l *ledger) sure(prefix string, rng *mathrand.Rand) (string, value) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range rng.Perm(workerKeys) {
		key := prefix + strconv.Itoa(i)
		if may := l.may[key]; len(may) == 1 && may[0] != (value{}) {
			return key, may[0]
		}
	}
	return "", value{}
}

const workerKeys = 25

// worker changes its own keys until a request fails.
type worker struct {
	ledger *ledger
	client *s3.Client
	bucket string
	prefix string
	rng    *mathrand.Rand
	done   *atomic.Int64
}

func (w *worker) run(ctx context.Context, round int) {
	for n := 0; ; n++ {
		key := w.prefix + strconv.Itoa(w.rng.IntN(workerKeys))
		v := value{fmt.Sprint(key, "@", round, ".", n), w.size()}
		op := w.put
		switch w.rng.IntN(20) {
		case 0, 1, 2:
			v, op = value{}, w.remove
		case 3, 4:
			source, of := w.ledger.sure(w.prefix, w.rng)
			if source == "" || source == key {
				continue
			}
			v, op = of, func(ctx context.Context, key string, _ value) error { return w.copy(ctx, source, key) }
		case 5:
			v.size, op = 5<<20+w.rng.IntN(2<<20), w.upload
		}
		w.ledger.begin(key, v)
		if op(ctx, key, v) != nil {
			return // the server is gone
		}
		w.ledger.acknowledge(key, v)
		w.done.Add(1)
	}
}

func (w *worker) size() int {
	return []int{
		0, w.rng.IntN(8 << 10), w.rng.IntN(64 << 10), w.rng.IntN(64 << 10),
		w.rng.IntN(600 << 10), w.rng.IntN(5 << 20),
	}[w.rng.IntN(6)]
}

func (w *worker) put(ctx context.Context, key string, v value) error {
	_, err := w.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &w.bucket, Key: &key, Body: bytes.NewReader(v.body())})
	return err
}

func (w *worker) remove(ctx context.Context, key string, _ value) error {
	_, err := w.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &w.bucket, Key: &key})
	return err
}

func (w *worker) copy(ctx context.Context, source, key string) error {
	_, err := w.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &w.bucket, Key: &key, CopySource: aws.String(w.bucket + "/" + source)})
	return err
}

func (w *worker) upload(ctx context.Context, key string, v value) error {
	up, err := w.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &w.bucket, Key: &key})
	if err != nil {
		return err
	}
	body := v.body()
	var parts []types.CompletedPart
	for i, piece := range [][]byte{body[:5<<20], body[5<<20:]} {
		n := aws.Int32(int32(i + 1))
		out, err := w.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &w.bucket, Key: &key, UploadId: up.UploadId, PartNumber: n, Body: bytes.NewReader(piece),
		})
		if err != nil {
			return err
		}
		parts = append(parts, types.CompletedPart{ETag: out.ETag, PartNumber: n, ChecksumCRC32: out.ChecksumCRC32})
	}
	_, err = w.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &w.bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return err
}

// loadUntilKilled works on a server from six clients at once and kills it in
// the middle.
func (l *ledger) loadUntilKilled(t *testing.T, s *server, rng *mathrand.Rand) {
	t.Helper()
	l.round++
	var done atomic.Int64
	var workers sync.WaitGroup
	for i := range 6 {
		w := &worker{
			ledger: l, client: s.client(), bucket: l.bucket, prefix: fmt.Sprintf("w%d/", i),
			rng: mathrand.New(mathrand.NewPCG(rng.Uint64(), 0)), done: &done,
		}
		workers.Go(func() { w.run(t.Context(), l.round) })
	}
	enough := int64(30 + rng.IntN(300))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := s.poll(ctx, func() error {
		if n := done.Load(); n < enough {
			return fmt.Errorf("%d requests of %d were answered", n, enough)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	s.kill()
	workers.Wait()
}

// settle reads every key, holds it against what it may be, and takes what it is
// for certain from then on.
func (l *ledger) settle(t *testing.T, c *s3.Client) {
	t.Helper()
	listed := map[string]bool{}
	for _, key := range keysOf(t, c, l.bucket) {
		listed[key] = true
		if len(l.may[key]) == 0 {
			t.Errorf("%s is listed and was never written", key)
		}
	}
	for key, may := range l.may {
		var body []byte
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &l.bucket, Key: &key})
		if err == nil {
			if body, err = io.ReadAll(out.Body); err != nil {
				t.Errorf("%s: %v", key, err)
			}
			_ = out.Body.Close()
		} else if _, absent := errors.AsType[*types.NoSuchKey](err); !absent {
			t.Errorf("%s: %v", key, err)
			continue
		}
		found := slices.IndexFunc(may, func(v value) bool {
			return (v == value{}) == (out == nil) && len(body) == v.size && bytes.Equal(body, v.body())
		})
		if found < 0 {
			t.Errorf("%s is %d bytes (there: %v) that it cannot be: %+v", key, len(body), out != nil, may)
			continue
		}
		if listed[key] != (may[found] != value{}) {
			t.Errorf("%s: listed %v, holds %+v", key, listed[key], may[found])
		}
		l.may[key] = may[found : found+1]
	}
}

// eachFile calls fn for every file below a directory that is not empty.
func eachFile(t *testing.T, dir string, fn func(path string, size int64) error) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil || info.Size() == 0 {
			return err
		}
		return fn(path, info.Size())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// damages are what may happen to a directory while nobody uses it.
var damages = map[string]func(t *testing.T, dir string, rng *mathrand.Rand){
	"deleted": func(t *testing.T, dir string, _ *mathrand.Rand) {
		t.Helper()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	},
	"truncated": func(t *testing.T, dir string, rng *mathrand.Rand) {
		t.Helper()
		eachFile(t, dir, func(path string, size int64) error { return os.Truncate(path, rng.Int64N(size)) })
	},
	"flipped": func(t *testing.T, dir string, rng *mathrand.Rand) {
		t.Helper()
		eachFile(t, dir, func(path string, size int64) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			for at := rng.Int64N(min(size, 64<<10)); at < size; at += 1 + rng.Int64N(64<<10) {
				b := make([]byte, 1)
				if _, err := f.ReadAt(b, at); err != nil {
					return err
				}
				b[0] ^= 1 << rng.IntN(8)
				if _, err := f.WriteAt(b, at); err != nil {
					return err
				}
			}
			return nil
		})
	},
	"swapped": func(t *testing.T, dir string, _ *mathrand.Rand) {
		t.Helper()
		var files []string
		eachFile(t, dir, func(path string, size int64) error {
			if size > 4<<10 {
				files = append(files, path)
			}
			return nil
		})
		for pair := range slices.Chunk(files, 2) {
			if len(pair) < 2 {
				break
			}
			tmp := pair[0] + ".tmp"
			if err := errors.Join(os.Rename(pair[0], tmp), os.Rename(pair[1], pair[0]), os.Rename(tmp, pair[1])); err != nil {
				t.Fatal(err)
			}
		}
	},
}

// TestKillAndDamagedDirectories kills the server at random instants under load, spoils
// two of its six directories (4+2: any two), and wants every
// acknowledged object back, byte for byte, and a clean check. KILL_ROUNDS and
// KILL_SEED ask for more, or for one again.
func TestKillAndDamagedDirectories(t *testing.T) {
	notShort(t)
	rounds, seed := 2, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("KILL_ROUNDS")); err == nil {
		rounds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("KILL_SEED"), 10, 64); err == nil {
		seed = n
	}
	for i := range rounds {
		t.Run(fmt.Sprint("KILL_SEED=", seed), func(t *testing.T) { killAndDamage(t, seed) })
		seed += uint64(i) + 1
	}
}

// damageTwo spoils two directories and returns them.
func damageTwo(t *testing.T, dirs []string, rng *mathrand.Rand) (damaged []string) {
	t.Helper()
	names := []string{"deleted", "truncated", "flipped", "swapped"}
	for _, i := range rng.Perm(len(dirs))[:2] {
		name := names[rng.IntN(len(names))]
		t.Log(filepath.Base(dirs[i]), name)
		damages[name](t, dirs[i], rng)
		damaged = append(damaged, dirs[i])
	}
	return damaged
}

func killAndDamage(t *testing.T, seed uint64) {
	t.Helper()
	rng := mathrand.New(mathrand.NewPCG(seed, 99))
	dirs := makeDirs(t.TempDir())
	s := startServerOn(t, dirs, "--partition-size", "64MiB")
	bucket := "killed-" + randomHex(4)
	if _, err := s.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	l := &ledger{bucket: bucket, may: map[string][]value{}}
	for range 2 {
		l.loadUntilKilled(t, s, rng)
		s = startServerOn(t, dirs, "--partition-size", "64MiB")
		l.settle(t, s.client())
	}
	l.loadUntilKilled(t, s, rng)
	damageTwo(t, dirs, rng)
	s = startServerOn(t, dirs, "--partition-size", "64MiB")
	l.settle(t, s.client())
	l.loadUntilKilled(t, s, rng)
	s = startServerOn(t, dirs, "--partition-size", "64MiB")
	l.settle(t, s.client())
	check(t, s)
}

// TestKillDamageAndHeal is the same on one store for several rounds: after each damage it is
// made whole by an administrator's commands, so that the next two may go.
func TestKillDamageAndHeal(t *testing.T) {
	notShort(t)
	rounds, seed := 2, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("KILL_ROUNDS")); err == nil {
		rounds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("KILL_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Log("KILL_SEED", seed)
	rng := mathrand.New(mathrand.NewPCG(seed, 98))
	dirs := makeDirs(t.TempDir())
	s := startServerOn(t, dirs, "--partition-size", "64MiB")
	l := &ledger{bucket: "healed-" + randomHex(4), may: map[string][]value{}}
	if _, err := s.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &l.bucket}); err != nil {
		t.Fatal(err)
	}
	for range rounds {
		l.loadUntilKilled(t, s, rng)
		damaged := damageTwo(t, dirs, rng)
		s = startServerOn(t, dirs, "--partition-size", "64MiB")
		l.settle(t, s.client())
		heal(t, s, damaged)
		l.settle(t, s.client())
		if t.Failed() {
			return
		}
	}
	check(t, s)
}

// heal makes a store whole after damage to directories.
func heal(t *testing.T, s *server, damaged []string) {
	t.Helper()
	admin := func(args ...string) string {
		t.Helper()
		out, err := s.administer(t, args...)
		if err != nil {
			t.Fatalf("admin %v: %v\n%s", args, err, out)
		}
		return out
	}
	missing := map[string]bool{}
	for line := range strings.Lines(admin("disk", "list")) {
		for _, dir := range damaged {
			if strings.Contains(line, dir) && strings.Contains(line, "missing") {
				missing[dir] = true
			}
		}
	}
	for dir := range missing {
		// Refused until the disks that are there were looked at.
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := s.poll(ctx, func() error {
			_, err := s.administer(t, "disk", "remove", dir, "--lost")
			return err
		})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	for dir := range missing {
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o750)); err != nil {
			t.Fatal(err)
		}
		admin("disk", "add", dir)
	}
	admin("scrub", "--now", "--watch")
	admin("repair", "--now", "--watch")
	if out := admin("status"); !strings.Contains(out, "healthy") {
		t.Fatalf("after the repair:\n%s", out)
	}
}
