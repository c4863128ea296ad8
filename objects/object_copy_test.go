package objects_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// makers make a source of each kind of data and return its content.
func makers() map[string]func(e *env, key s3.Key) []byte {
	sized := func(n int) func(e *env, key s3.Key) []byte {
		return func(e *env, key s3.Key) []byte {
			data := bytesOf(uint64(n), n)
			e.put(key, data)
			return data
		}
	}
	out := map[string]func(e *env, key s3.Key) []byte{
		"empty": sized(0), "inline": sized(100), "extents": sized(10_000),
		"manifest": func(e *env, key s3.Key) []byte {
			u := e.upload(key)
			e.complete(u, e.part(u, 1, lead()), e.part(u, 2, bytesOf(2, 100)))
			return slices.Concat(lead(), bytesOf(2, 100))
		},
		"manifest of one": func(e *env, key s3.Key) []byte {
			u := e.upload(key)
			e.complete(u, e.part(u, 5, bytesOf(3, 9000)))
			return bytesOf(3, 9000)
		},
	}
	if raceEnabled {
		delete(out, "manifest")
		return out
	}
	out["rows"] = sized(17*mib + 1)
	return out
}

// lead is the smallest part that may have another after it.
func lead() []byte { return bytesOf(1, s3.MinPartSize) }

// permutations are all orders of 0..n-1.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for i := range n {
			out = append(out, slices.Insert(slices.Clone(p), i, n-1))
		}
	}
	return out
}

// TestCopiesOutliveTheirSources deletes an object, its copy, the copy of that
// and another copy in every order: who is left keeps the bytes.
func TestCopiesOutliveTheirSources(t *testing.T) {
	for name, produce := range makers() {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			orders := permutations(4)
			if name == "rows" || name == "manifest" {
				orders = [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}}
			}
			blobs := int64(0)
			for _, order := range orders {
				keys := []s3.Key{"source", "copy", "copy of copy", "second copy"}
				data := produce(e, keys[0])
				before := e.Store.Status().Counters.Blobs
				e.copyTo(keys[0], keys[1])
				e.copyTo(keys[1], keys[2])
				e.copyTo(keys[0], keys[3])
				blobs += e.Store.Status().Counters.Blobs - before
				for i, victim := range order {
					e.remove(keys[victim])
					e.RunSteward()
					for _, left := range order[i+1:] {
						e.holds(keys[left], data)
					}
				}
				e.empty()
			}
			if blobs != 0 {
				t.Errorf("copies wrote %d blobs", blobs)
			}
		})
	}
}

func TestCopyKeepsWhatTheSourceHas(t *testing.T) {
	for name, produce := range makers() {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			data := produce(e, "source")
			source, err := e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "source"})
			e.must(err)
			out, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
				Source: objects.CopySource{Bucket: bucket, Key: "source"}, Bucket: other, Key: "copy", Owner: "copier",
			})
			e.must(err)
			if out.SourceVersioned || out.SourceVersionID != s3.NullVersion {
				t.Errorf("source version %+v", out)
			}
			want := source.Object
			want.Key, want.Owner, want.Modified = "copy", "copier", out.Object.Modified
			if diff := cmp.Diff(want, out.Object); diff != "" {
				t.Errorf("copy (-want +got):\n%s", diff)
			}
			e.remove("source")
			_, got, err := e.tryGet(objects.GetObjectInput{Bucket: other, Key: "copy"})
			e.must(err)
			if d := difference(got, data); d != "" {
				t.Error(d)
			}
			if name == "manifest" {
				_, got, err := e.tryGet(objects.GetObjectInput{Bucket: other, Key: "copy", PartNumber: 2})
				e.must(err)
				if len(got) != 100 {
					t.Errorf("part 2 of the copy has %d bytes", len(got))
				}
			}
		})
	}
}

func TestCopyOntoItself(t *testing.T) {
	for name, produce := range makers() {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			data := produce(e, "k")
			e.copyTo("k", "also")
			for i := range 3 {
				attributes := objects.Attributes{ContentType: fmt.Sprintf("type/%d", i)}
				out, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
					Source: objects.CopySource{Bucket: bucket, Key: "k"}, Bucket: bucket, Key: "k", Owner: owner,
					Replace: true, Attributes: attributes,
				})
				e.must(err)
				if diff := cmp.Diff(attributes, out.Object.Attributes); diff != "" {
					t.Errorf("attributes (-want +got):\n%s", diff)
				}
				e.holds("k", data)
				e.Summary()
			}
			e.copyTo("also", "k") // back onto the source it came from
			e.remove("also")
			e.holds("k", data)
			e.remove("k")
		})
	}
}

func TestCopyOverwrites(t *testing.T) {
	e := open(t)
	for from, produce := range makers() {
		for _, size := range []int{0, 50, 20_000} {
			data := produce(e, "source")
			e.put("target", bytesOf(9, size))
			e.copyTo("source", "target")
			e.holds("target", data)
			e.put("source", bytesOf(8, size))
			e.holds("target", data)
			if t.Failed() {
				t.Fatalf("copy of %s over %d bytes", from, size)
			}
		}
	}
}

func TestCopyRefusals(t *testing.T) {
	e := open(t)
	put := e.put("k", []byte("x"))
	failed := s3.NewError(s3.PreconditionFailed)
	for _, tc := range []struct {
		name string
		edit func(*objects.CopyObjectInput)
		want s3.Code
	}{
		{"no source bucket", func(in *objects.CopyObjectInput) { in.Source.Bucket = "nowhere" }, s3.NoSuchBucket},
		{"no target bucket", func(in *objects.CopyObjectInput) { in.Bucket = "nowhere" }, s3.NoSuchBucket},
		{"no source", func(in *objects.CopyObjectInput) { in.Source.Key = "nothing" }, s3.NoSuchKey},
		{"no version", func(in *objects.CopyObjectInput) { in.Source.VersionID = "00000000000000000000000000" }, s3.NoSuchVersion},
		{"no key", func(in *objects.CopyObjectInput) { in.Key = "" }, s3.InvalidRequest},
		{"source condition", func(in *objects.CopyObjectInput) {
			c := s3.Conditions{IfNoneMatch: `"` + string(put.ETag) + `"`}
			in.Source.Precondition = c.CheckCopySource
		}, s3.PreconditionFailed},
		{"source time", func(in *objects.CopyObjectInput) {
			c := s3.Conditions{IfUnmodifiedSince: put.Modified.Add(-time.Hour)}
			in.Source.Precondition = c.CheckCopySource
		}, s3.PreconditionFailed},
		{"target condition", func(in *objects.CopyObjectInput) {
			in.Precondition = func(*objects.Object) error { return failed }
		}, s3.PreconditionFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := objects.CopyObjectInput{
				Source: objects.CopySource{Bucket: bucket, Key: "k"}, Bucket: bucket, Key: "target", Owner: owner,
			}
			tc.edit(&in)
			for _, sum := range []checksum.Algorithm{0, checksum.SHA256} {
				in.Checksum = sum
				_, err := e.CopyObject(e.ctx, in)
				e.refuse(err, tc.want)
			}
			e.absent("target")
		})
	}
}

func TestCopyComputesChecksums(t *testing.T) {
	for name, produce := range makers() {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			data := produce(e, "source")
			for _, a := range []checksum.Algorithm{checksum.SHA256, checksum.CRC32C, checksum.CRC64NVME} {
				out, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
					Source: objects.CopySource{Bucket: bucket, Key: "source"}, Bucket: bucket, Key: "copy", Owner: owner, Checksum: a,
				})
				e.must(err)
				want := []objects.Checksum{{Algorithm: a.String(), Type: "FULL_OBJECT", Value: sumOf(a, data)}}
				if diff := cmp.Diff(want, out.Object.Checksums); diff != "" {
					t.Errorf("checksums (-want +got):\n%s", diff)
				}
				e.holds("copy", data)
			}
		})
	}
}

// TestCopyOfChangingSource: a copy with a checksum is of one version, however
// the source changes meanwhile.
func TestCopyOfChangingSource(t *testing.T) {
	e := open(t)
	contents := [][]byte{bytesOf(1, 50_000), bytesOf(2, 40), nil}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	e.put("source", contents[0])
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
				_, err = e.tryPut("source", bodyOf(contents[i%3]))
			}
		}
		stopped <- err
	}()
	for range 40 {
		out, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
			Source: objects.CopySource{Bucket: bucket, Key: "source"}, Bucket: bucket, Key: "copy", Owner: owner, Checksum: checksum.SHA1,
		})
		if errors.Is(err, s3.NewError(s3.SlowDown)) {
			continue
		}
		e.must(err)
		got := e.get("copy")
		if want := sumOf(checksum.SHA1, got); out.Object.Checksums[0].Value != want || out.Object.ETag != etagOf(got) {
			t.Fatalf("the copy says %q and %q of what is %q and %q", out.Object.Checksums[0].Value, out.Object.ETag, want, etagOf(got))
		}
	}
	close(stop)
	e.must(<-stopped)
}
