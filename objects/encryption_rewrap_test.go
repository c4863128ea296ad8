package objects_test

import (
	"fmt"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// rewrapAll makes passes of small steps until one has nothing to do.
func (e *env) rewrapAll() (passes int, total objects.RewrapOutput) {
	e.t.Helper()
	for {
		passes++
		done := int64(0)
		for cursor := []byte(nil); ; {
			out, err := e.RewrapKeys(e.ctx, objects.RewrapInput{Cursor: cursor, Rows: 2})
			e.must(err)
			total.Looked += out.Looked
			total.Rewrapped += out.Rewrapped
			total.Failed += out.Failed
			done += out.Rewrapped
			if cursor = out.Cursor; cursor == nil {
				break
			}
		}
		if done == 0 {
			return passes, total
		}
	}
}

// TestRewrapKeys rotates keys and drops the older versions: everything reads as
// before, uploads go on, and no data was moved.
func TestRewrapKeys(t *testing.T) {
	e, p := openEncrypting(t)
	e.must(e.PutBucketVersioning(e.ctx, bucket, s3.VersioningEnabled))
	contents := make(map[s3.Key][]byte)
	for _, name := range names() {
		for i, size := range []int{0, 100, 100 * kib} {
			key := s3.Key(fmt.Sprintf("%s-%d", name, i))
			contents[key] = bytesOf(uint64(i), size)
			e.putAs(key, []byte("older version"), encryptions()[name])
			e.putAs(key, contents[key], encryptions()[name])
		}
	}
	kms := encryptions()["kms"]
	u := e.uploadAs("u", kms)
	first := e.partAs(u, 1, bytesOf(1, 5*mib), kms)
	ids := e.row("s3-2").Data.ID
	p.Rotate("one")
	p.Rotate("undercroft-sse-s3")
	passes, total := e.rewrapAll()
	// Three sizes in two versions with the modes s3, kms and bucket, and the upload.
	if passes != 2 || total.Rewrapped != 19 || total.Failed != 0 || total.Looked != 2*(19+6) {
		t.Errorf("%d passes, %+v", passes, total)
	}
	p.Drop("one")
	p.Drop("undercroft-sse-s3")
	for key, data := range contents {
		for _, name := range names() {
			if e.row(key) != nil && key == s3.Key(name+"-"+string(key[len(key)-1])) {
				e.holdsAs(key, data, encryptions()[name])
			}
		}
	}
	versions, err := e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: bucket, Prefix: "s3-", Max: 100})
	e.must(err)
	for _, v := range versions.Versions {
		_, _, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: s3.Key(v.Key), VersionID: v.VersionID})
		e.must(err)
	}
	if got := e.row("s3-2").Data.ID; got != ids {
		t.Error("data was moved")
	}
	e.complete(u, first, e.partAs(u, 2, []byte("end"), kms))
	e.holdsAs("u", append(bytesOf(1, 5*mib), "end"...), kms)
	e.Summary()
}

// TestRewrapSkipsKeysThatAreGone and goes on with the others.
func TestRewrapSkipsKeysThatAreGone(t *testing.T) {
	e, p := openEncrypting(t)
	e.putAs("a", []byte("a"), encryptions()["kms2"])
	e.putAs("b", []byte("b"), encryptions()["kms"])
	p.Rotate("one")
	p.Delete("two")
	passes, total := e.rewrapAll()
	if passes != 2 || total.Rewrapped != 1 || total.Failed != 2 {
		t.Errorf("%d passes, %+v", passes, total)
	}
	p.Drop("one")
	e.holdsAs("b", []byte("b"), encryptions()["kms"])
}
