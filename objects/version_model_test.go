package objects_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// versionModel is what S3 says of versions, as lists.
type versionModel struct {
	status s3.VersioningStatus
	keys   map[s3.Key][]modelVersion // newest first
}

type modelVersion struct {
	id     s3.VersionID
	value  int
	marker bool
	class  string // "" is STANDARD
}

// add puts a version on top; the null version is there once.
func (m *versionModel) add(key s3.Key, v modelVersion) {
	if m.status != s3.VersioningEnabled {
		v.id = s3.NullVersion
		m.drop(key, s3.NullVersion)
	}
	m.keys[key] = slices.Insert(m.keys[key], 0, v)
}

func (m *versionModel) drop(key s3.Key, id s3.VersionID) {
	m.keys[key] = slices.DeleteFunc(m.keys[key], func(v modelVersion) bool { return v.id == id })
}

// find returns a version by its id, or the live one.
func (m *versionModel) find(key s3.Key, id s3.VersionID) (modelVersion, bool) {
	for i, v := range m.keys[key] {
		if v.id == id || id == "" && i == 0 {
			return v, !v.marker
		}
	}
	return modelVersion{}, false
}

// modelRun holds a service against a model.
type modelRun struct {
	*shaky
	t     *testing.T
	rng   *rand.Rand
	model versionModel
	next  int
}

func (r *modelRun) key() s3.Key {
	return []s3.Key{"a", "a/b", "a\x00", "b"}[r.rng.IntN(4)]
}

// version picks an id: the current one, or one that the key has, or one of
// another key.
func (r *modelRun) version(key s3.Key) s3.VersionID {
	if r.rng.IntN(3) == 0 {
		return ""
	}
	if r.rng.IntN(10) == 0 {
		key = r.key()
	}
	all := r.model.keys[key]
	if len(all) == 0 {
		return s3.NullVersion
	}
	return all[r.rng.IntN(len(all))].id
}

// did says whether an operation took effect. What failed for a fault did not:
// nobody else is there to leave a commit undecided.
func (r *modelRun) did(err error, refusals ...s3.Code) bool {
	r.t.Helper()
	switch code := s3.CodeOf(err); {
	case err == nil:
		return true
	case code == s3.SlowDown, code == s3.ServiceUnavailable, slices.Contains(refusals, code):
		return false
	}
	r.t.Fatal(err)
	return false
}

func (r *modelRun) step(ctx context.Context) {
	r.t.Helper()
	switch r.rng.IntN(12) {
	case 0:
		status := []s3.VersioningStatus{s3.VersioningEnabled, s3.VersioningSuspended}[r.rng.IntN(2)]
		if r.did(r.PutBucketVersioning(ctx, bucket, status)) {
			r.model.status = status
		}
	case 1, 2:
		r.putParts(ctx)
	case 3, 4:
		r.copy(ctx)
	case 5, 6:
		r.remove(ctx, "")
	case 7:
		key := r.key()
		r.removeVersion(ctx, key, r.version(key))
	case 8, 9:
		key := r.key()
		r.move(ctx, key, r.version(key))
	default:
		r.put(ctx)
	}
}

func (r *modelRun) put(ctx context.Context) {
	key := r.key()
	r.next++
	class := r.class()
	in := objects.PutObjectInput{
		Bucket: bucket, Key: key, Body: bodyOf(valueOf(r.next)), Attributes: objects.Attributes{StorageClass: class},
	}
	_, live := r.model.find(key, "")
	if absent := r.rng.IntN(3) == 0; absent {
		in.Precondition = func(current *objects.Object) error {
			if (current != nil) != live {
				r.t.Errorf("asked of %+v, in the model it is there: %v", current, live)
			}
			if current != nil {
				return s3.NewError(s3.PreconditionFailed)
			}
			return nil
		}
	}
	o, err := r.PutObject(ctx, in)
	if r.did(err, s3.PreconditionFailed) {
		r.model.add(key, modelVersion{id: o.VersionID, value: r.next, class: class})
	}
}

// class picks a storage class, mostly STANDARD.
func (r *modelRun) class() string { return []string{"", "", string(rare), string(cold)}[r.rng.IntN(4)] }

// move moves a version to another storage class: nothing else of it changes.
func (r *modelRun) move(ctx context.Context, key s3.Key, id s3.VersionID) {
	class := r.class()
	in := objects.TransitionInput{Bucket: bucket, Key: key, VersionID: id, Class: s3.StorageClass(class)}
	_, err := r.Transition(ctx, in)
	if !r.did(err, s3.NoSuchKey, s3.NoSuchVersion, s3.MethodNotAllowed) {
		return
	}
	for i, v := range r.model.keys[key] {
		if v.id == id || id == "" && i == 0 {
			r.model.keys[key][i].class = class
		}
	}
}

func (r *modelRun) putParts(ctx context.Context) {
	key, from := r.key(), r.key()
	class := r.class()
	u, err := r.CreateMultipartUpload(ctx, objects.CreateUploadInput{Bucket: bucket, Key: key, Attributes: objects.Attributes{StorageClass: class}})
	if !r.did(err) {
		return
	}
	id := r.version(from)
	source, ok := r.model.find(from, id)
	var tag s3.ETag
	if ok && source.value > 0 && r.rng.IntN(2) == 0 {
		p, perr := r.UploadPartCopy(ctx, objects.UploadPartCopyInput{
			Source: objects.CopySource{Bucket: bucket, Key: from, VersionID: id}, Bucket: bucket, Key: key, Upload: u.ID, Number: 1,
		})
		tag, err = p.Part.ETag, perr
	} else {
		r.next++
		source.value = r.next
		p, perr := r.UploadPart(ctx, objects.UploadPartInput{Bucket: bucket, Key: key, Upload: u.ID, Number: 1, Body: bodyOf(valueOf(r.next))})
		tag, err = p.ETag, perr
	}
	if !r.did(err) {
		return
	}
	in := objects.CompleteUploadInput{Bucket: bucket, Key: key, Upload: u.ID, Parts: []objects.CompletedPart{{Number: 1, ETag: tag}}, Size: -1}
	o, err := r.CompleteMultipartUpload(ctx, in)
	if r.did(err) {
		r.model.add(key, modelVersion{id: o.VersionID, value: source.value, class: class})
		again, err := r.CompleteMultipartUpload(mem.Quiet(ctx), in)
		if err != nil || again.VersionID != o.VersionID {
			r.t.Fatalf("completed as %q, asked again: %q %v", o.VersionID, again.VersionID, err)
		}
	}
}

func (r *modelRun) copy(ctx context.Context) {
	from, key := r.key(), r.key()
	id := r.version(from)
	source, ok := r.model.find(from, id)
	class := r.class()
	out, err := r.CopyObject(ctx, objects.CopyObjectInput{
		StorageClass: class,
		Source:       objects.CopySource{Bucket: bucket, Key: from, VersionID: id}, Bucket: bucket, Key: key,
	})
	if !ok {
		if r.did(err, s3.NoSuchKey, s3.NoSuchVersion, s3.InvalidRequest) {
			r.t.Fatalf("copied %q %q, which is not there", from, id)
		}
		return
	}
	if r.did(err) {
		r.model.add(key, modelVersion{id: out.Object.VersionID, value: source.value, class: class})
	}
}

func (r *modelRun) remove(ctx context.Context, id s3.VersionID) {
	key := r.key()
	out, err := r.DeleteObject(ctx, objects.DeleteObjectInput{Bucket: bucket, Key: key, VersionID: id})
	switch {
	case !r.did(err):
	case r.model.status == "":
		r.model.drop(key, s3.NullVersion)
	default:
		r.model.add(key, modelVersion{id: out.VersionID, marker: true})
	}
}

func (r *modelRun) removeVersion(ctx context.Context, key s3.Key, id s3.VersionID) {
	if id == "" {
		return
	}
	was, _ := r.model.find(key, id)
	out, err := r.DeleteObject(ctx, objects.DeleteObjectInput{Bucket: bucket, Key: key, VersionID: id})
	if r.did(err) {
		if out.DeleteMarker != was.marker {
			r.t.Errorf("deletion of %+v answers %+v", was, out)
		}
		r.model.drop(key, id)
	}
}

// text lists all versions as the model has them.
func (m *versionModel) text() (all []string) {
	for key, versions := range m.keys {
		for i, v := range versions {
			all = append(all, versionText(string(key), v.id, v.marker, i == 0))
		}
	}
	slices.SortStableFunc(all, func(a, b string) int {
		x, _, _ := strings.Cut(a, "|")
		y, _, _ := strings.Cut(b, "|")
		return strings.Compare(x, y)
	})
	return all
}

func versionText(key string, id s3.VersionID, marker, latest bool) string {
	return fmt.Sprintf("%s|%s marker=%v latest=%v", key, id, marker, latest)
}

// check compares everything that can be read.
func (r *modelRun) check(ctx context.Context) {
	r.t.Helper()
	want := r.model.text()
	for _, page := range []int{1000, 1 + r.rng.IntN(5)} {
		in := objects.ListVersionsInput{Bucket: bucket, Max: page}
		var got []string
		for {
			out, err := r.ListObjectVersions(ctx, in)
			if err != nil {
				r.t.Fatal(err)
			}
			for _, v := range out.Versions {
				got = append(got, versionText(v.Key, v.VersionID, v.DeleteMarker, v.Latest))
			}
			if !out.Truncated {
				break
			}
			in.KeyMarker, in.VersionMarker = out.NextKey, out.NextVersion
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.t.Fatalf("pages of %d (-want +got):\n%s", page, diff)
		}
	}
	live := 0
	for key, versions := range r.model.keys {
		for i, v := range versions {
			if i == 0 && !v.marker {
				live++
				r.read(ctx, key, "", v)
			}
			if r.rng.IntN(4) == 0 {
				r.read(ctx, key, v.id, v)
			}
		}
	}
	out, err := r.ListObjects(ctx, objects.ListObjectsInput{Bucket: bucket, Max: 1000})
	if err != nil || len(out.Objects) != live {
		r.t.Fatalf("%d objects are listed, want %d: %v", len(out.Objects), live, err)
	}
}

func (r *modelRun) read(ctx context.Context, key s3.Key, id s3.VersionID, want modelVersion) {
	r.t.Helper()
	out, err := r.GetObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: key, VersionID: id})
	if want.marker {
		if _, ok := errors.AsType[*objects.MarkerError](err); !ok {
			r.t.Fatalf("read of the marker %q %q: %v", key, id, err)
		}
		return
	}
	if err != nil {
		r.t.Fatalf("read of %q %q: %v", key, id, err)
	}
	data, err := drain(out)
	if d := difference(data, valueOf(want.value)); err != nil || d != "" || out.Object.VersionID != want.id || out.Object.Attributes.StorageClass != want.class {
		r.t.Fatalf("%q %q reads as %q in %s, want %q: %v %s", key, id, out.Object.VersionID, out.Object.StorageClass, want.class, err, d)
	}
}

// modelFaults are those of a run against a model: the first one has none.
func modelFaults(seed uint64) mem.Faults {
	if seed == 0 {
		return mem.Faults{}
	}
	return mem.Faults{
		Seed: seed, CommitConflict: 0.1, CommitTooOld: 0.05, CommitUnavailable: 0.02,
		CommitUnknownApplied: 0.1, CommitUnknownLost: 0.1, ReadTooOld: 0.01,
	}
}

// TestVersionsAgainstModel does random operations while commits fail, conflict
// or end without word; the checker looks at the rows when it ends.
func TestVersionsAgainstModel(t *testing.T) {
	for seed := range rounds(12, 400) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newShaky(t, modelFaults(seed))
			r := &modelRun{shaky: s, t: t, rng: rand.New(rand.NewPCG(seed, 5)), model: versionModel{keys: map[s3.Key][]modelVersion{}}}
			for range 120 {
				r.step(r.BeginRequest(t.Context()))
				r.check(r.BeginRequest(mem.Quiet(t.Context())))
			}
		})
	}
}
