package objects_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// keep sets the bucket's versioning.
func (e *env) keep(status s3.VersioningStatus) {
	e.t.Helper()
	e.must(e.PutBucketVersioning(e.ctx, bucket, status))
}

// versions describes the versions of the bucket in the order of the listing:
// key, content or "marker", id where it is "null", * for the latest.
func (e *env) versions() []string {
	e.t.Helper()
	out, err := e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: bucket, Max: s3.MaxListKeys})
	e.must(err)
	var all []string
	for _, v := range out.Versions {
		what := "marker"
		if !v.DeleteMarker {
			what = string(e.getVersion(s3.Key(v.Key), v.VersionID))
		}
		text := v.Key + ":" + what
		if v.VersionID == s3.NullVersion {
			text += " null"
		}
		if v.Latest {
			text += " *"
		}
		all = append(all, text)
	}
	return all
}

func (e *env) shows(want ...string) {
	e.t.Helper()
	if diff := cmp.Diff(want, e.versions()); diff != "" {
		e.t.Fatalf("versions (-want +got):\n%s", diff)
	}
}

func (e *env) getVersion(key s3.Key, id s3.VersionID) []byte {
	e.t.Helper()
	out, data, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: key, VersionID: id})
	e.must(err)
	if out.Object.VersionID != id || !out.Object.Versioned && id != s3.NullVersion {
		e.t.Fatalf("version %q reads as %+v", id, out.Object)
	}
	return data
}

func (e *env) delete(key s3.Key, id s3.VersionID) objects.DeleteObjectOutput {
	e.t.Helper()
	out, err := e.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: bucket, Key: key, VersionID: id})
	e.must(err)
	return out
}

func TestVersioningState(t *testing.T) {
	e := open(t)
	state := func() s3.VersioningStatus {
		b, err := e.BucketState(e.ctx, bucket)
		e.must(err)
		return b.Versioning
	}
	if got := state(); got != "" {
		t.Errorf("a new bucket's versioning is %q", got)
	}
	for _, status := range []s3.VersioningStatus{s3.VersioningSuspended, s3.VersioningEnabled, s3.VersioningEnabled, s3.VersioningSuspended} {
		e.keep(status)
		if got := state(); got != status {
			t.Errorf("versioning is %q after %q", got, status)
		}
	}
	e.refuse(e.PutBucketVersioning(e.ctx, bucket, "On"), s3.MalformedXML)
	e.refuse(e.PutBucketVersioning(e.ctx, "nowhere", s3.VersioningEnabled), s3.NoSuchBucket)
	e.restart()
	if got := state(); got != s3.VersioningSuspended {
		t.Errorf("versioning is %q after a restart", got)
	}
}

func TestVersionsAreKept(t *testing.T) {
	e := open(t)
	first := e.put("k", []byte("before"))
	if first.Versioned || first.VersionID != s3.NullVersion {
		t.Errorf("unversioned put answers %+v", first)
	}
	e.keep(s3.VersioningEnabled)
	a, b := e.put("k", []byte("a")), e.put("k", bytesOf(1, 9000))
	if !a.Versioned || a.VersionID == b.VersionID || a.VersionID == s3.NullVersion {
		t.Errorf("versions %q and %q", a.VersionID, b.VersionID)
	}
	e.holds("k", bytesOf(1, 9000))
	gone := e.delete("k", "")
	if !gone.DeleteMarker || gone.VersionID == "" || gone.VersionID == b.VersionID {
		t.Errorf("deletion answers %+v", gone)
	}
	e.absent("k")
	e.shows("k:marker *", "k:"+string(bytesOf(1, 9000)), "k:a", "k:before null")
	if keys := e.keys(); len(keys) != 0 {
		t.Errorf("listed: %q", keys)
	}
	// The marker goes: what it hid comes back.
	if out := e.delete("k", gone.VersionID); !out.DeleteMarker || out.VersionID != gone.VersionID {
		t.Errorf("deletion of the marker answers %+v", out)
	}
	e.holds("k", bytesOf(1, 9000))
	// The newest goes: the one before is current.
	if out := e.delete("k", b.VersionID); out.DeleteMarker || out.VersionID != b.VersionID {
		t.Errorf("deletion of a version answers %+v", out)
	}
	e.shows("k:a *", "k:before null")
	e.delete("k", a.VersionID)
	e.shows("k:before null *")
	e.delete("k", a.VersionID) // gone already
	e.put("k", []byte("c"))
	e.delete("k", s3.NullVersion)
	e.shows("k:c *")
}

func TestNoncurrentVersionsGoWithoutPromotion(t *testing.T) {
	e := open(t)
	e.keep(s3.VersioningEnabled)
	a := e.put("k", []byte("a"))
	b := e.put("k", []byte("b"))
	m1 := e.delete("k", "")
	m2 := e.delete("k", "")
	e.delete("k", a.VersionID)
	e.shows("k:marker *", "k:marker", "k:b")
	e.delete("k", m2.VersionID) // a marker is below
	e.absent("k")
	e.shows("k:marker *", "k:b")
	e.delete("k", b.VersionID)
	e.shows("k:marker *")
	e.delete("k", m1.VersionID)
	e.shows()
	if out := e.delete("nothing", ""); !out.DeleteMarker {
		t.Errorf("deletion of nothing answers %+v", out)
	}
	e.shows("nothing:marker *")
	err := e.DeleteBucket(e.ctx, bucket)
	e.refuse(err, s3.BucketNotEmpty)
}

func TestSuspendedWritesReplaceTheNullVersion(t *testing.T) {
	e := open(t)
	e.keep(s3.VersioningEnabled)
	e.put("k", []byte("a"))
	e.keep(s3.VersioningSuspended)
	n := e.put("k", []byte("n1"))
	if n.Versioned || n.VersionID != s3.NullVersion {
		t.Errorf("suspended put answers %+v", n)
	}
	e.shows("k:n1 null *", "k:a")
	e.put("k", bytesOf(2, 9000))
	e.shows("k:"+string(bytesOf(2, 9000))+" null *", "k:a")
	e.keep(s3.VersioningEnabled)
	e.put("k", []byte("b"))
	e.shows("k:b *", "k:"+string(bytesOf(2, 9000))+" null", "k:a")
	e.keep(s3.VersioningSuspended)
	e.put("k", []byte("n3")) // replaces the null version below
	e.shows("k:n3 null *", "k:b", "k:a")
	for range 2 {
		if out := e.delete("k", ""); !out.DeleteMarker || out.VersionID != s3.NullVersion {
			t.Errorf("suspended deletion answers %+v", out)
		}
		e.shows("k:marker null *", "k:b", "k:a")
	}
	e.keep(s3.VersioningEnabled)
	e.delete("k", "")
	e.shows("k:marker *", "k:marker null", "k:b", "k:a")
	e.keep(s3.VersioningSuspended)
	e.put("k", []byte("n4")) // replaces a null marker that is not the newest
	e.shows("k:n4 null *", "k:marker", "k:b", "k:a")
	e.delete("k", s3.NullVersion)
	e.shows("k:marker *", "k:b", "k:a")
	e.delete("k", "")
	if out := e.delete("k", s3.NullVersion); !out.DeleteMarker || out.VersionID != s3.NullVersion {
		t.Errorf("deletion of the null marker answers %+v", out)
	}
	e.shows("k:marker *", "k:b", "k:a")
}

func TestReadsOfDeleteMarkers(t *testing.T) {
	e := open(t)
	e.keep(s3.VersioningEnabled)
	e.put("k", []byte("x"))
	gone := e.delete("k", "")
	for name, id := range map[string]s3.VersionID{"newest": "", "named": gone.VersionID} {
		want := s3.NoSuchKey
		if id != "" {
			want = s3.MethodNotAllowed
		}
		_, get := e.GetObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k", VersionID: id})
		_, head := e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k", VersionID: id})
		_, attributes := e.GetObjectAttributes(e.ctx, objects.AttributesInput{Bucket: bucket, Key: "k", VersionID: id})
		for _, err := range []error{get, head, attributes} {
			e.refuse(err, want)
			marker, ok := errors.AsType[*objects.MarkerError](err)
			if !ok || marker.VersionID != gone.VersionID || marker.Named != (id != "") || marker.Modified.IsZero() {
				t.Errorf("%s marker: %+v", name, marker)
			}
		}
		want = s3.NoSuchKey
		if id != "" {
			want = s3.InvalidRequest
		}
		source := objects.CopySource{Bucket: bucket, Key: "k", VersionID: id}
		_, err := e.CopyObject(e.ctx, objects.CopyObjectInput{Source: source, Bucket: bucket, Key: "copy"})
		e.refuse(err, want)
		u := e.upload("copy")
		_, err = e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{Source: source, Bucket: bucket, Key: "copy", Upload: u.ID, Number: 1})
		e.refuse(err, want)
		if marker, ok := errors.AsType[*objects.MarkerError](err); ok {
			t.Errorf("a copy tells of its source's marker: %+v", marker)
		}
	}
	_, err := e.GetObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k", VersionID: "00000000000000000000000000"})
	e.refuse(err, s3.NoSuchVersion)
}

func TestCopiesOfVersions(t *testing.T) {
	e := open(t)
	e.keep(s3.VersioningEnabled)
	for _, size := range []int{10, 9000, 300 * kib} {
		key := s3.Key(fmt.Sprint(size))
		old := e.put(key, bytesOf(1, size))
		e.put(key, bytesOf(2, size))
		from := objects.CopySource{Bucket: bucket, Key: key, VersionID: old.VersionID}
		out, err := e.CopyObject(e.ctx, objects.CopyObjectInput{Source: from, Bucket: bucket, Key: key, Owner: owner})
		e.must(err)
		if out.SourceVersionID != old.VersionID || !out.SourceVersioned || out.Object.VersionID == old.VersionID || !out.Object.Versioned {
			t.Errorf("copy answers %+v", out)
		}
		e.holds(key, bytesOf(1, size))
		// The old version goes, its bytes stay with the copy.
		e.delete(key, old.VersionID)
		e.RunSteward()
		e.holds(key, bytesOf(1, size))
		// A suspended copy of the null version onto itself.
		e.keep(s3.VersioningSuspended)
		e.put("null", bytesOf(3, size))
		_, err = e.CopyObject(e.ctx, objects.CopyObjectInput{
			Source: objects.CopySource{Bucket: bucket, Key: "null"}, Bucket: bucket, Key: "null", Owner: owner, Replace: true,
		})
		e.must(err)
		e.RunSteward()
		e.holds("null", bytesOf(3, size))
		e.keep(s3.VersioningEnabled)
		u := e.upload("parts")
		part, err := e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{
			Source: objects.CopySource{Bucket: bucket, Key: "null", VersionID: s3.NullVersion}, Bucket: bucket, Key: "parts", Upload: u.ID, Number: 1,
		})
		e.must(err)
		if part.SourceVersionID != s3.NullVersion || !part.SourceVersioned {
			t.Errorf("part copy answers %+v", part)
		}
		o := e.complete(u, objects.CompletedPart{Number: 1, ETag: part.Part.ETag})
		e.delete("null", s3.NullVersion)
		e.RunSteward()
		e.holds("parts", bytesOf(3, size))
		if !o.Versioned {
			t.Errorf("completed as %+v", o)
		}
	}
}

// TestVersionsRise: whatever the clock says, a version is above all others of
// its key, and markers count.
func TestVersionsRise(t *testing.T) {
	still := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	e := open(t, func(o *single.Options) { o.Now = func() time.Time { return still } })
	e.keep(s3.VersioningEnabled)
	var want []string
	for i := range 4 {
		text := fmt.Sprint(i)
		e.put("k", []byte(text))
		e.delete("k", "")
		want = append([]string{"k:marker", "k:" + text}, want...)
	}
	want[0] += " *"
	e.shows(want...)
}

// TestCompleteTwiceInAVersionedBucket: the answer of an upload can be asked for
// again after others wrote the key.
func TestCompleteTwiceInAVersionedBucket(t *testing.T) {
	e := open(t)
	e.keep(s3.VersioningEnabled)
	u := e.upload("k")
	stale := e.part(u, 1, []byte("first try"))
	list := []objects.CompletedPart{stale, e.part(u, 1, []byte("x"))} // sent again: the last counts
	done := e.complete(u, list...)
	e.put("k", []byte("y"))
	e.delete("k", "")
	if diff := cmp.Diff(done, e.complete(u, list[1])); diff != "" {
		t.Errorf("completed again (-first +second):\n%s", diff)
	}
	_, err := e.tryComplete(u, stale)
	e.refuse(err, s3.NoSuchUpload)
	_, err = e.tryComplete(u, objects.CompletedPart{Number: 2, ETag: list[1].ETag})
	e.refuse(err, s3.NoSuchUpload)
	e.shows("k:marker *", "k:y", "k:x")
	e.delete("k", done.VersionID)
	_, err = e.tryComplete(u, list...)
	e.refuse(err, s3.NoSuchUpload)
}

// TestPreconditionsOfVersions: a delete marker counts as nothing to a write,
// and is what a deletion would delete.
func TestPreconditionsOfVersions(t *testing.T) {
	e := open(t)
	e.keep(s3.VersioningEnabled)
	var asked []string
	ask := func(current *objects.Object) error {
		switch {
		case current == nil:
			asked = append(asked, "nothing")
		case current.DeleteMarker:
			asked = append(asked, "marker")
		default:
			asked = append(asked, string(current.VersionID))
		}
		return nil
	}
	put := func(text string) objects.Object {
		o, err := e.PutObject(e.ctx, objects.PutObjectInput{Bucket: bucket, Key: "k", Body: bodyOf([]byte(text)), Precondition: ask})
		e.must(err)
		return o
	}
	remove := func(id s3.VersionID) {
		_, err := e.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: bucket, Key: "k", VersionID: id, Precondition: ask})
		e.must(err)
	}
	remove("") // leaves no marker where there is nothing
	a := put("a")
	b := put("b")
	remove("")
	remove("")
	put("c")
	remove(a.VersionID)
	remove(a.VersionID)
	want := []string{"nothing", "nothing", string(a.VersionID), string(b.VersionID), "marker", "nothing", string(a.VersionID), "nothing"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	e.shows("k:c *", "k:marker", "k:marker", "k:b")
}
