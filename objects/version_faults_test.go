package objects_test

import (
	"context"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// rivalry is a store whose next commit of a class ends without word, and where
// another writer comes before the request looks what became of it.
type rivalry struct {
	*shaky
	t     *testing.T
	once  *once
	rival func(ctx context.Context)
}

func newRivalry(t *testing.T, class string, fault mem.Fault) *rivalry {
	t.Helper()
	r := &rivalry{t: t, once: &once{class: class, fault: fault}}
	r.shaky = newShaky(t, mem.Faults{Hook: r.once.hook, Rival: func(ctx context.Context, _ *mem.Engine) {
		if r.rival != nil {
			r.rival(ctx)
		}
	}})
	return r
}

func (r *rivalry) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rivalry) put(ctx context.Context, text string) objects.Object {
	r.t.Helper()
	o, err := r.PutObject(ctx, objects.PutObjectInput{Bucket: bucket, Key: "k", Body: bodyOf([]byte(text))})
	r.must(err)
	return o
}

// TestUnknownDeletionsAreSettled: whoever writes the key before the request
// looks, a deletion that was applied is acknowledged, and no other.
func TestUnknownDeletionsAreSettled(t *testing.T) {
	for _, fault := range []mem.Fault{mem.UnknownApplied, mem.UnknownLost} {
		for _, rival := range []string{"put", "delete"} {
			for name, status := range map[string]s3.VersioningStatus{
				"object": "", "marker": s3.VersioningEnabled, "null marker": s3.VersioningSuspended, "version": s3.VersioningEnabled,
			} {
				applied := fault == mem.UnknownApplied
				t.Run(name+"/"+rival+map[bool]string{true: "/applied", false: "/lost"}[applied], func(t *testing.T) {
					class := "delete"
					if name == "marker" || name == "null marker" {
						class = "mark"
					}
					r := newRivalry(t, class, fault)
					if status != "" {
						r.must(r.PutBucketVersioning(t.Context(), bucket, status))
					}
					first := r.put(t.Context(), "first")
					in := objects.DeleteObjectInput{Bucket: bucket, Key: "k"}
					if name == "version" {
						in.VersionID = first.VersionID
					}
					r.rival = func(ctx context.Context) {
						if rival == "put" {
							r.put(ctx, "rival")
							return
						}
						_, err := r.DeleteObject(ctx, objects.DeleteObjectInput{Bucket: bucket, Key: "k"})
						r.must(err)
					}
					r.once.armed.Store(true)
					_, err := r.DeleteObject(t.Context(), in)
					// The null marker may have been replaced: then nobody knows.
					if applied && err != nil && (name != "null marker" || s3.CodeOf(err) != s3.ServiceUnavailable) {
						t.Errorf("applied, but the answer is %v", err)
					}
					if !applied && s3.CodeOf(err) != s3.ServiceUnavailable {
						t.Errorf("lost, but the answer is %v", err)
					}
				})
			}
		}
	}
}

// TestUnknownWritesAreSettled: a version that others were put above is found,
// by its order.
func TestUnknownWritesAreSettled(t *testing.T) {
	for _, fault := range []mem.Fault{mem.UnknownApplied, mem.UnknownLost} {
		r := newRivalry(t, "put", fault)
		r.must(r.PutBucketVersioning(t.Context(), bucket, s3.VersioningEnabled))
		r.rival = func(ctx context.Context) {
			r.put(ctx, "rival")
			_, err := r.DeleteObject(ctx, objects.DeleteObjectInput{Bucket: bucket, Key: "k"})
			r.must(err)
		}
		r.once.armed.Store(true)
		o, err := r.PutObject(t.Context(), objects.PutObjectInput{Bucket: bucket, Key: "k", Body: bodyOf([]byte("mine"))})
		if fault == mem.UnknownLost {
			if s3.CodeOf(err) != s3.ServiceUnavailable {
				t.Errorf("lost, but the answer is %v", err)
			}
			continue
		}
		r.must(err)
		out, err := r.GetObject(t.Context(), objects.GetObjectInput{Bucket: bucket, Key: "k", VersionID: o.VersionID})
		r.must(err)
		if data, err := drain(out); err != nil || string(data) != "mine" {
			t.Errorf("the version answered reads as %q, %v", data, err)
		}
	}
}

// TestUnknownAbortIsSettled: an upload that is gone may have been completed.
func TestUnknownAbortIsSettled(t *testing.T) {
	r := newRivalry(t, "abort", mem.UnknownLost)
	u, err := r.CreateMultipartUpload(t.Context(), objects.CreateUploadInput{Bucket: bucket, Key: "k"})
	r.must(err)
	p, err := r.UploadPart(t.Context(), objects.UploadPartInput{Bucket: bucket, Key: "k", Upload: u.ID, Number: 1, Body: bodyOf([]byte("x"))})
	r.must(err)
	r.rival = func(ctx context.Context) { // completed, and overwritten by others
		_, err := r.CompleteMultipartUpload(ctx, objects.CompleteUploadInput{
			Bucket: bucket, Key: "k", Upload: u.ID, Parts: []objects.CompletedPart{{Number: 1, ETag: p.ETag}}, Size: -1,
		})
		r.must(err)
		r.put(ctx, "rival")
	}
	r.once.armed.Store(true)
	err = r.AbortMultipartUpload(t.Context(), objects.AbortUploadInput{Bucket: bucket, Key: "k", Upload: u.ID})
	if s3.CodeOf(err) != s3.ServiceUnavailable {
		t.Errorf("an abort that was lost answers %v", err)
	}
}

// TestVersioningChangeIsSettled: so is a change of the bucket.
func TestVersioningChangeIsSettled(t *testing.T) {
	for _, fault := range []mem.Fault{mem.UnknownApplied, mem.UnknownLost} {
		r := newRivalry(t, "bucket-config", fault)
		r.once.armed.Store(true)
		err := r.PutBucketVersioning(t.Context(), bucket, s3.VersioningEnabled)
		b, berr := r.BucketState(t.Context(), bucket)
		r.must(berr)
		switch applied := fault == mem.UnknownApplied; {
		case applied && (err != nil || b.Versioning != s3.VersioningEnabled):
			t.Errorf("applied, but %v and %q", err, b.Versioning)
		case !applied && (s3.CodeOf(err) != s3.ServiceUnavailable || b.Versioning != ""):
			t.Errorf("lost, but %v and %q", err, b.Versioning)
		}
	}
}

// TestUnknownCompletionIsSettled: an upload that somebody else completed with
// another list has not been completed with this one.
func TestUnknownCompletionIsSettled(t *testing.T) {
	r := newRivalry(t, "put", mem.UnknownLost)
	r.must(r.PutBucketVersioning(t.Context(), bucket, s3.VersioningEnabled))
	u, err := r.CreateMultipartUpload(t.Context(), objects.CreateUploadInput{Bucket: bucket, Key: "k"})
	r.must(err)
	var parts []objects.CompletedPart
	for n, text := range []string{"one", "two"} {
		p, err := r.UploadPart(t.Context(), objects.UploadPartInput{
			Bucket: bucket, Key: "k", Upload: u.ID, Number: n + 1, Body: bodyOf([]byte(text)),
		})
		r.must(err)
		parts = append(parts, objects.CompletedPart{Number: n + 1, ETag: p.ETag})
	}
	complete := func(ctx context.Context, part objects.CompletedPart) (objects.Object, error) {
		return r.CompleteMultipartUpload(ctx, objects.CompleteUploadInput{
			Bucket: bucket, Key: "k", Upload: u.ID, Parts: []objects.CompletedPart{part}, Size: -1,
		})
	}
	var theirs objects.Object
	r.rival = func(ctx context.Context) {
		theirs, err = complete(ctx, parts[1])
		r.must(err)
	}
	r.once.armed.Store(true)
	mine, err := complete(t.Context(), parts[0])
	if s3.CodeOf(err) != s3.ServiceUnavailable {
		t.Errorf("lost, but the answer is %+v, %v; the rival's %+v", mine, err, theirs)
	}
	again, err := complete(t.Context(), parts[1])
	r.must(err)
	if again.VersionID != theirs.VersionID {
		t.Errorf("repeated, the version is %s, not %s", again.VersionID, theirs.VersionID)
	}
}
