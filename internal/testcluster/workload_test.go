package testcluster_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

const bucket s3.BucketName = "bucket"

// state is what a store should hold: entity tags of objects by key, and of the
// parts of uploads in progress by key and number, and buckets.
type state map[string]string

// effect is what an operation changes; "" removes.
type effect map[string]string

func (s state) with(e effect) state {
	out := maps.Clone(s)
	for name, tag := range e {
		if tag == "" {
			delete(out, name)
			continue
		}
		out[name] = tag
	}
	return out
}

// operation is atomic: after a crash it has happened or not.
type operation struct {
	run    func(ctx context.Context, svc *objects.Service) error
	effect effect
}

// script is what one client does, one after the other.
type script struct {
	prefix  string
	ops     []operation
	states  []state // states[i] is after i operations
	uploads map[s3.Key]s3.UploadID
	after   func() // called after each operation, if set

	acked, started atomic.Int64
}

func content(seed uint64, n int) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(out)
	return out
}

func tagOf(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

func bodyOf(data []byte) objects.Body {
	return objects.Body{Reader: bytes.NewReader(data), Size: int64(len(data))}
}

func (s *script) add(e effect, run func(ctx context.Context, svc *objects.Service) error) {
	if len(s.states) == 0 {
		s.states = []state{{}}
	}
	s.ops = append(s.ops, operation{run, e})
	s.states = append(s.states, s.states[len(s.states)-1].with(e))
}

func (s *script) put(key string, data []byte) {
	k := s3.Key(s.prefix + key)
	s.add(effect{string(k): tagOf(data)}, func(ctx context.Context, svc *objects.Service) error {
		_, err := svc.PutObject(ctx, objects.PutObjectInput{Bucket: bucket, Key: k, Body: bodyOf(data)})
		return err
	})
}

func (s *script) remove(key string) {
	k := s3.Key(s.prefix + key)
	s.add(effect{string(k): ""}, func(ctx context.Context, svc *objects.Service) error {
		_, err := svc.DeleteObject(ctx, objects.DeleteObjectInput{Bucket: bucket, Key: k})
		return err
	})
}

func (s *script) copy(from, to string) {
	f, k := s3.Key(s.prefix+from), s3.Key(s.prefix+to)
	tag := s.states[len(s.states)-1][string(f)]
	s.add(effect{string(k): tag}, func(ctx context.Context, svc *objects.Service) error {
		_, err := svc.CopyObject(ctx, objects.CopyObjectInput{
			Source: objects.CopySource{Bucket: bucket, Key: f}, Bucket: bucket, Key: k,
		})
		return err
	})
}

func classOf(key s3.Key) string              { return "class of " + string(key) }
func uploadName(key s3.Key) string           { return "upload " + string(key) }
func partName(key s3.Key, number int) string { return fmt.Sprintf("part %d of %s", number, key) }

// begin starts the upload of a key; one at a time.
func (s *script) begin(key string) {
	k := s3.Key(s.prefix + key)
	s.add(effect{uploadName(k): "there"}, func(ctx context.Context, svc *objects.Service) error {
		u, err := svc.CreateMultipartUpload(ctx, objects.CreateUploadInput{Bucket: bucket, Key: k})
		s.uploads[k] = u.ID
		return err
	})
}

func (s *script) part(key string, number int, data []byte) {
	k := s3.Key(s.prefix + key)
	s.add(effect{partName(k, number): tagOf(data)}, func(ctx context.Context, svc *objects.Service) error {
		_, err := svc.UploadPart(ctx, objects.UploadPartInput{
			Bucket: bucket, Key: k, Upload: s.uploads[k], Number: number, Body: bodyOf(data),
		})
		return err
	})
}

func (s *script) partCopy(key string, number int, from string) {
	k, f := s3.Key(s.prefix+key), s3.Key(s.prefix+from)
	tag := s.states[len(s.states)-1][string(f)]
	s.add(effect{partName(k, number): tag}, func(ctx context.Context, svc *objects.Service) error {
		_, err := svc.UploadPartCopy(ctx, objects.UploadPartCopyInput{
			Source: objects.CopySource{Bucket: bucket, Key: f}, Bucket: bucket, Key: k, Upload: s.uploads[k], Number: number,
		})
		return err
	})
}

// ended is the effect of an upload that is over.
func (s *script) ended(k s3.Key) effect {
	e := effect{uploadName(k): ""}
	for n := range 4 {
		e[partName(k, n)] = ""
	}
	return e
}

// complete makes an object of one part.
func (s *script) complete(key string, number int) {
	k := s3.Key(s.prefix + key)
	part := s.states[len(s.states)-1][partName(k, number)]
	raw, _ := hex.DecodeString(part)
	e := s.ended(k)
	e[string(k)] = tagOf(raw) + "-1"
	s.add(e, func(ctx context.Context, svc *objects.Service) error {
		_, err := svc.CompleteMultipartUpload(ctx, objects.CompleteUploadInput{
			Bucket: bucket, Key: k, Upload: s.uploads[k], Size: -1,
			Parts: []objects.CompletedPart{{Number: number, ETag: s3.ETag(part)}},
		})
		return err
	})
}

func (s *script) abort(key string) {
	k := s3.Key(s.prefix + key)
	s.add(s.ended(k), func(ctx context.Context, svc *objects.Service) error {
		return svc.AbortMultipartUpload(ctx, objects.AbortUploadInput{Bucket: bucket, Key: k, Upload: s.uploads[k]})
	})
}

// newScript is a client that does some of everything.
func newScript(n uint64) *script {
	s := &script{prefix: fmt.Sprintf("client-%d/", n), uploads: map[s3.Key]s3.UploadID{}}
	seed := n * 100
	data := func(size int) []byte {
		seed++
		return content(seed, size)
	}
	s.put("inline", data(100))
	s.put("batched", data(9000))
	s.put("large", data(300<<10))
	s.put("empty", nil)
	s.put("inline", data(200))
	s.put("batched", data(20_000))
	s.copy("batched", "copy")
	s.copy("inline", "inline copy")
	s.begin("upload")
	s.part("upload", 1, data(10_000))
	s.part("upload", 1, data(11_000))
	s.part("upload", 2, data(50))
	s.remove("batched")
	s.complete("upload", 1)
	s.begin("upload")
	s.partCopy("upload", 1, "copy")
	s.put("large", data(30))
	s.complete("upload", 1)
	s.copy("upload", "upload copy")
	s.remove("copy")
	s.begin("given up")
	s.part("given up", 3, data(12_000))
	s.abort("given up")
	s.put("upload", data(1<<20+1))
	s.remove("inline")
	s.remove("upload copy")
	return s
}

// run does all operations.
func (s *script) run(ctx context.Context, svc *objects.Service) error {
	for i, op := range s.ops {
		s.started.Store(int64(i + 1))
		if err := op.run(ctx, svc); err != nil {
			return fmt.Errorf("%s operation %d: %w", s.prefix, i, err)
		}
		s.acked.Store(int64(i + 1))
		if s.after != nil {
			s.after()
		}
	}
	return nil
}

// runAll runs scripts at once and fails the test when one fails.
func runAll(t *testing.T, svc *objects.Service, scripts []*script) {
	t.Helper()
	var wg sync.WaitGroup
	for _, s := range scripts {
		wg.Go(func() {
			if err := s.run(t.Context(), svc); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// found reads all that a store holds of a script's keys, every byte of it.
func (s *script) found(ctx context.Context, svc *objects.Service) (state, error) {
	out := state{}
	page, err := svc.ListObjects(ctx, objects.ListObjectsInput{Bucket: bucket, Prefix: s.prefix, Max: 1000})
	if err != nil {
		return nil, err
	}
	for _, o := range page.Objects {
		got, err := svc.GetObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: s3.Key(o.Key)})
		if err != nil {
			return nil, fmt.Errorf("get %s: %w", o.Key, err)
		}
		var data bytes.Buffer
		if _, err := got.Body.WriteTo(&data); err != nil {
			return nil, fmt.Errorf("read %s: %w", o.Key, err)
		}
		if err := got.Body.Close(); err != nil {
			return nil, err
		}
		tag := tagOf(data.Bytes())
		if got.Object.PartCount > 0 {
			raw, _ := hex.DecodeString(tag)
			tag = tagOf(raw) + "-1"
		}
		if tag != string(o.ETag) || tag != string(got.Object.ETag) {
			return nil, fmt.Errorf("%s reads back as %s, listed as %s", o.Key, tag, o.ETag)
		}
		out[o.Key] = tag
		if class := got.Object.StorageClass; class != "STANDARD" {
			out[classOf(s3.Key(o.Key))] = class
		}
	}
	return out, s.foundUploads(ctx, svc, out)
}

func (s *script) foundUploads(ctx context.Context, svc *objects.Service, out state) error {
	page, err := svc.ListMultipartUploads(ctx, objects.ListUploadsInput{Bucket: bucket, Prefix: s.prefix, Max: 1000})
	if err != nil {
		return err
	}
	for _, u := range page.Uploads {
		out[uploadName(u.Key)] = "there"
		parts, err := svc.ListParts(ctx, objects.ListPartsInput{Bucket: bucket, Key: u.Key, Upload: u.ID, Max: 1000})
		if err != nil {
			return err
		}
		for _, p := range parts.Parts {
			out[partName(u.Key, p.Number)] = string(p.ETag)
		}
	}
	return nil
}

// progress is how far scripts were around a moment: from is acknowledged
// before it, to is begun after it.
type progress []span

type span struct{ from, to int64 }

func begun(scripts []*script) progress {
	p := make(progress, len(scripts))
	for i, s := range scripts {
		p[i].from = s.acked.Load()
	}
	return p
}

func (p progress) until(scripts []*script) {
	for i, s := range scripts {
		p[i].to = s.started.Load()
	}
}

// verify holds that a store has, of each script, exactly what it had after some
// number of operations within its progress.
func (p progress) verify(ctx context.Context, svc *objects.Service, scripts []*script) error {
	for i, s := range scripts {
		got, err := s.found(ctx, svc)
		if err != nil {
			return err
		}
		if !s.explains(got, p[i]) {
			return fmt.Errorf("%safter %d to %d operations is none of the states of the script; to the last acknowledged (-want +got):\n%s",
				s.prefix, p[i].from, p[i].to, cmp.Diff(s.states[p[i].from], got))
		}
	}
	return nil
}

func (s *script) explains(got state, p span) bool {
	for n := p.from; n <= p.to; n++ {
		if maps.Equal(s.states[n], got) {
			return true
		}
	}
	return false
}
