package objects_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/memory"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

// shaky is a service over a metadata engine that fails on purpose, and disks in memory.
type shaky struct {
	*objects.Service
	db *metadata.DB
}

func newShaky(t *testing.T, faults mem.Faults) *shaky {
	t.Helper()
	return newShakyAt(t, faults, time.Now)
}

// newShakyAt is newShaky by another clock.
func newShakyAt(t *testing.T, faults mem.Faults, now func() time.Time) *shaky {
	t.Helper()
	return newShakyOn(t, mem.New(mem.Options{Now: time.Now, Faults: faults, Remote: faults.Seed%2 == 1}), now)
}

// newShakyOn is newShakyAt on an engine, which it closes.
func newShakyOn(t *testing.T, engine kv.Engine, now func() time.Time) *shaky {
	t.Helper()
	quiet := mem.Quiet(t.Context())
	db, err := metadata.Open(engine, metadata.Options{Now: now})
	for try := 0; err != nil && try < 50; try++ {
		db, err = metadata.Open(engine, metadata.Options{Now: now})
	}
	if err != nil {
		t.Fatal(err)
	}
	var disks []blobd.Disk
	err = db.Update(quiet, "test", func(tx *metadata.Tx) error {
		disks = nil
		for i := range 3 {
			d := memory.New(blobd.DiskID{byte(i + 1)})
			disks = append(disks, d)
			if err := tx.PutDisk(&metadata.Disk{ID: metadata.DiskID(d.ID()), State: metadata.DiskActive}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	store, err := partition.Open(quiet, db, partition.Options{
		Disks: disks, Capacity: 64 << 20, BufferMemory: 32 << 20,
		Classes: map[string]partition.Scheme{string(rare): {K: 1, M: 2}, string(cold): {K: 2, M: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &shaky{Service: objects.New(db, store, objects.Options{}), db: db}
	if _, err := s.CreateBucket(quiet, objects.CreateBucketInput{Name: bucket, Owner: owner}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := mem.Quiet(context.WithoutCancel(t.Context()))
		if err := store.Close(ctx); err != nil {
			t.Error(err)
		}
		if st := store.Status(); st.BufferMemory != 0 || st.ReadMemory != 0 {
			t.Errorf("%d bytes of bodies and %d of reads are in use", st.BufferMemory, st.ReadMemory)
		}
		if _, err := metadata.Check(ctx, db, func(p metadata.Problem) { t.Errorf("check: %+v", p) }); err != nil {
			t.Error(err)
		}
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestLinearizableUnderFaults: conflicts, expired reads, commits of which
// nobody knows the outcome: what is said stays true.
func TestLinearizableUnderFaults(t *testing.T) {
	total, decided := rounds(8, 80), uint64(0)
	for seed := range total {
		s := newShaky(t, mem.Faults{
			Seed: seed, CommitConflict: 0.1, CommitTooOld: 0.05, CommitUnavailable: 0.02,
			CommitUnknownApplied: 0.1, CommitUnknownLost: 0.1, ReadTooOld: 0.01, ReadUnavailable: 0.001,
		})
		if linear(t, s.Service, seed, 12) {
			decided++
		}
	}
	t.Logf("%d of %d histories were decided", decided, total)
	if decided*4 < total*3 {
		t.Errorf("only %d of %d histories were decided", decided, total)
	}
}

// once makes the commit of a class fail once.
type once struct {
	class string
	fault mem.Fault
	armed atomic.Bool
}

func (o *once) hook(p mem.Point) mem.Fault {
	if p.Place == mem.AtCommit && p.Class == o.class && o.armed.CompareAndSwap(true, false) {
		return o.fault
	}
	return mem.None
}

// TestUnknownCommits: a commit that was applied without word is found by its
// token and acknowledged; one that was not is refused, and nothing is there.
func TestUnknownCommits(t *testing.T) {
	type op struct {
		class string
		run   func(ctx context.Context, s *shaky) error
		done  func(ctx context.Context, s *shaky) bool
	}
	here := func(key s3.Key) func(ctx context.Context, s *shaky) bool {
		return func(ctx context.Context, s *shaky) bool {
			_, err := s.HeadObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: key})
			return err == nil
		}
	}
	for name, o := range map[string]op{
		"create bucket": {"create-bucket", func(ctx context.Context, s *shaky) error {
			_, err := s.CreateBucket(ctx, objects.CreateBucketInput{Name: other, Owner: owner})
			return err
		}, func(ctx context.Context, s *shaky) bool {
			_, err := s.BucketState(ctx, other)
			return err == nil
		}},
		"delete bucket": {"delete-bucket", func(ctx context.Context, s *shaky) error {
			_, err := s.CreateBucket(ctx, objects.CreateBucketInput{Name: other, Owner: owner})
			return errors.Join(err, s.DeleteBucket(ctx, other))
		}, func(ctx context.Context, s *shaky) bool {
			_, err := s.BucketState(ctx, other)
			return s3.CodeOf(err) == s3.NoSuchBucket
		}},
		"put": {"put", func(ctx context.Context, s *shaky) error {
			_, err := s.PutObject(ctx, objects.PutObjectInput{Bucket: bucket, Key: "k", Body: bodyOf(bytesOf(1, 10_000))})
			return err
		}, here("k")},
		"delete": {"delete", func(ctx context.Context, s *shaky) error {
			_, err := s.PutObject(ctx, objects.PutObjectInput{Bucket: bucket, Key: "k", Body: bodyOf(bytesOf(1, 10_000))})
			if err == nil {
				_, err = s.DeleteObject(ctx, objects.DeleteObjectInput{Bucket: bucket, Key: "k"})
			}
			return err
		}, func(ctx context.Context, s *shaky) bool { return !here("k")(ctx, s) }},
		"create upload": {"create-upload", func(ctx context.Context, s *shaky) error {
			_, err := s.CreateMultipartUpload(ctx, objects.CreateUploadInput{Bucket: bucket, Key: "k"})
			return err
		}, func(ctx context.Context, s *shaky) bool {
			out, err := s.ListMultipartUploads(ctx, objects.ListUploadsInput{Bucket: bucket, Max: 10})
			return err == nil && len(out.Uploads) == 1
		}},
		"part": {"put-part", func(ctx context.Context, s *shaky) error {
			u, err := s.CreateMultipartUpload(ctx, objects.CreateUploadInput{Bucket: bucket, Key: "k"})
			if err == nil {
				_, err = s.UploadPart(ctx, objects.UploadPartInput{Bucket: bucket, Key: "k", Upload: u.ID, Number: 1, Body: bodyOf(bytesOf(1, 20))})
			}
			return err
		}, func(ctx context.Context, s *shaky) bool {
			out, err := s.ListMultipartUploads(ctx, objects.ListUploadsInput{Bucket: bucket, Max: 10})
			if err != nil || len(out.Uploads) != 1 {
				return false
			}
			parts, err := s.ListParts(ctx, objects.ListPartsInput{Bucket: bucket, Key: "k", Upload: out.Uploads[0].ID, Max: 10})
			return err == nil && len(parts.Parts) == 1
		}},
		"complete": {"put", func(ctx context.Context, s *shaky) error {
			u, err := s.CreateMultipartUpload(ctx, objects.CreateUploadInput{Bucket: bucket, Key: "k"})
			if err != nil {
				return err
			}
			p, err := s.UploadPart(ctx, objects.UploadPartInput{Bucket: bucket, Key: "k", Upload: u.ID, Number: 1, Body: bodyOf(bytesOf(1, 20))})
			if err == nil {
				_, err = s.CompleteMultipartUpload(ctx, objects.CompleteUploadInput{
					Bucket: bucket, Key: "k", Upload: u.ID, Parts: []objects.CompletedPart{{Number: 1, ETag: p.ETag}}, Size: -1,
				})
			}
			return err
		}, here("k")},
		"abort": {"abort", func(ctx context.Context, s *shaky) error {
			u, err := s.CreateMultipartUpload(ctx, objects.CreateUploadInput{Bucket: bucket, Key: "k"})
			if err == nil {
				err = s.AbortMultipartUpload(ctx, objects.AbortUploadInput{Bucket: bucket, Key: "k", Upload: u.ID})
			}
			return err
		}, func(ctx context.Context, s *shaky) bool {
			out, err := s.ListMultipartUploads(ctx, objects.ListUploadsInput{Bucket: bucket, Max: 10})
			return err == nil && len(out.Uploads) == 0
		}},
	} {
		for _, fault := range []mem.Fault{mem.UnknownApplied, mem.UnknownLost} {
			t.Run(name+map[mem.Fault]string{mem.UnknownApplied: "/applied", mem.UnknownLost: "/lost"}[fault], func(t *testing.T) {
				o1 := &once{class: o.class, fault: fault}
				s := newShaky(t, mem.Faults{Hook: o1.hook})
				o1.armed.Store(true)
				err := o.run(t.Context(), s)
				if o1.armed.Load() {
					t.Fatalf("no commit of class %q", o.class)
				}
				applied := fault == mem.UnknownApplied
				if applied && err != nil {
					t.Errorf("applied, but the answer is %v", err)
				}
				if !applied && (!errors.Is(err, kv.ErrUnknownCommit) || s3.CodeOf(err) != s3.ServiceUnavailable) {
					t.Errorf("lost, but the answer is %v", err)
				}
				if done := o.done(t.Context(), s); done != applied {
					t.Errorf("done is %v after %v", done, err)
				}
			})
		}
	}
}

// TestUnknownCommitOverwritten: another gateway overwrites before the request
// looks: it says that it does not know, and takes nothing back.
func TestUnknownCommitOverwritten(t *testing.T) {
	var s *shaky
	late := bytesOf(2, 10_000)
	o := &once{class: "put", fault: mem.UnknownApplied}
	s = newShaky(t, mem.Faults{Hook: o.hook, Rival: func(ctx context.Context, _ *mem.Engine) {
		if _, err := s.PutObject(ctx, objects.PutObjectInput{Bucket: bucket, Key: "k", Body: bodyOf(late)}); err != nil {
			t.Error(err)
		}
	}})
	o.armed.Store(true)
	_, err := s.PutObject(t.Context(), objects.PutObjectInput{Bucket: bucket, Key: "k", Body: bodyOf(bytesOf(1, 9000))})
	if s3.CodeOf(err) != s3.ServiceUnavailable {
		t.Errorf("answer %v", err)
	}
	out, err := s.GetObject(t.Context(), objects.GetObjectInput{Bucket: bucket, Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := drain(out)
	if err != nil || difference(got, late) != "" {
		t.Errorf("%v %s", err, difference(got, late))
	}
}

// TestCopyAgainOfAnotherKind: the source is replaced by one of another kind
// between two attempts of the copy's transaction.
func TestCopyAgainOfAnotherKind(t *testing.T) {
	for _, sizes := range [][2]int{{10, 10_000}, {10_000, 10}, {10, 0}, {0, 10}} {
		o := &once{class: "put", fault: mem.Conflict}
		var replace func()
		s := newShaky(t, mem.Faults{Hook: func(p mem.Point) mem.Fault {
			f := o.hook(p)
			if f != mem.None {
				replace()
			}
			return f
		}})
		source := func(data []byte) {
			t.Helper()
			_, err := s.PutObject(mem.Quiet(t.Context()), objects.PutObjectInput{Bucket: bucket, Key: "source", Body: bodyOf(data)})
			if err != nil {
				t.Fatal(err)
			}
		}
		source(bytesOf(1, sizes[0]))
		replace = func() { source(bytesOf(2, sizes[1])) }
		o.armed.Store(true)
		_, err := s.CopyObject(t.Context(), objects.CopyObjectInput{
			Source: objects.CopySource{Bucket: bucket, Key: "source"}, Bucket: bucket, Key: "copy",
		})
		if err != nil || o.armed.Load() {
			t.Fatalf("copy of %v bytes: %v", sizes, err)
		}
		out, err := s.GetObject(t.Context(), objects.GetObjectInput{Bucket: bucket, Key: "copy"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := drain(out); err != nil || difference(got, bytesOf(2, sizes[1])) != "" {
			t.Errorf("copy of %v bytes: %v %s", sizes, err, difference(got, bytesOf(2, sizes[1])))
		}
	}
}
