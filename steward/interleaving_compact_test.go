package steward_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

// compactAll moves everything out of the sealed partitions, and returns what
// was moved. meanwhile, unless it is nil, runs once while a blob of the size is on
// its way.
func (e *env) compactAll(size int, meanwhile func()) (out partition.Compacted) {
	e.t.Helper()
	pace := func(ctx context.Context, n int64) error {
		if fn := meanwhile; fn != nil && n == int64(size) {
			meanwhile = nil
			fn()
		}
		return ctx.Err()
	}
	for _, row := range e.rows() {
		for next := int64(0); row.State == metadata.PartitionSealed && next >= 0; {
			c, err := e.Store.Compact(e.t.Context(), row.ID, partition.CompactOptions{From: next, All: true, Pace: pace})
			e.must(err)
			next = c.Next
			out.Blobs, out.Lost, out.Failed = out.Blobs+c.Blobs, out.Lost+c.Lost, out.Failed+c.Failed
		}
	}
	return out
}

// fillAndSeal writes enough for the partitions of what was written before to be
// full and sealed.
func (e *env) fillAndSeal() {
	e.t.Helper()
	for i := range 3 {
		e.put(fmt.Sprint("filler", i), content(uint64(900+i), 5*mib))
	}
	for i := range 220 {
		e.put(fmt.Sprint("small filler", i), content(uint64(1000+i), 40_000))
	}
	e.run("seal")
}

// slowly is a writer that lets something happen once it has got some bytes.
type slowly struct {
	bytes.Buffer
	after     int
	meanwhile func()
}

func (w *slowly) Write(p []byte) (int, error) {
	if fn := w.meanwhile; fn != nil && w.Len() >= w.after {
		w.meanwhile = nil
		fn()
	}
	return w.Buffer.Write(p)
}

// TestSlowReadersFollow is interleaving 13: what a reader is at moves, the old
// place is freed, and moves again; it gets every byte.
func TestSlowReadersFollow(t *testing.T) {
	big := content(7, 11*mib)
	for _, from := range []string{"plain", "copy", "multipart", "noncurrent"} {
		t.Run(from, func(t *testing.T) {
			e := newEnv(t, compacting(quick(2)))
			in := objects.GetObjectInput{Bucket: bucket, Key: "key"}
			switch from {
			case "plain":
				e.put("key", big)
			case "copy":
				e.put("home", big)
				e.must(e.copy("home", "key"))
				e.remove("home")
			case "multipart":
				u := e.upload("key")
				e.complete(u, e.part(u, 1, big[:6*mib]), e.part(u, 2, big[6*mib:]))
			case "noncurrent":
				e.must(e.Objects.PutBucketVersioning(t.Context(), bucket, s3.VersioningEnabled))
				out, err := e.Objects.PutObject(t.Context(), objects.PutObjectInput{Bucket: bucket, Key: "key", Owner: owner, Body: body(big)})
				e.must(err)
				in.VersionID = out.VersionID
				e.put("key", content(1, 9000))
			}
			e.fillAndSeal()
			moved := 0
			move := func() {
				moved += e.compactAll(0, nil).Blobs
				e.run("reclaim", "seal")
			}
			for i, after := range []int{0, 1, 3 * mib} {
				out, err := e.Objects.GetObject(t.Context(), in)
				e.must(err)
				w := &slowly{after: after, meanwhile: func() { move(); e.fillAndSeal(); move() }}
				_, err = out.Body.WriteTo(w)
				e.must(out.Body.Close())
				if err != nil || !bytes.Equal(w.Bytes(), big) {
					t.Errorf("read %d: %d bytes of %d, %v", i, w.Len(), len(big), err)
				}
				e.MustCheck()
			}
			if c := e.Steward.Counters(); moved < 6 || c.Dropped == 0 {
				t.Errorf("%d blobs were moved, %d partitions dropped: nothing went from under the readers", moved, c.Dropped)
			}
		})
	}
}

// TestCompactionAgainstOthers is interleavings 9 and 24: while blobs are being
// written anew their objects are overwritten, deleted, copied and freed. The
// others win, and nothing is lost or leaked.
func TestCompactionAgainstOthers(t *testing.T) {
	data, other := content(1, 3*mib+5), content(2, 300_000)
	for name, act := range map[string]struct {
		do   func(*env)
		want map[string][]byte
		lost bool
	}{
		"overwritten":                 {func(e *env) { e.put("key", other); e.run("collect") }, map[string][]byte{"key": other}, true},
		"deleted":                     {func(e *env) { e.remove("key") }, nil, false},
		"deleted and freed":           {func(e *env) { e.remove("key"); e.run("collect") }, nil, true},
		"copied":                      {func(e *env) { e.must(e.copy("key", "copy")) }, map[string][]byte{"key": data, "copy": data}, false},
		"copied and deleted":          {func(e *env) { e.must(e.copy("key", "copy")); e.remove("key"); e.run("collect") }, map[string][]byte{"copy": data}, false},
		"copied, deleted, copy freed": {func(e *env) { e.must(e.copy("key", "copy")); e.remove("key"); e.remove("copy"); e.run("collect") }, nil, true},
		"part of another": {func(e *env) {
			u := e.upload("parts")
			p, err := e.Objects.UploadPartCopy(e.t.Context(), objects.UploadPartCopyInput{
				Source: objects.CopySource{Bucket: bucket, Key: "key"}, Bucket: bucket, Key: "parts", Upload: u.ID, Number: 1,
			})
			e.must(err)
			e.remove("key")
			e.complete(u, objects.CompletedPart{Number: 1, ETag: p.Part.ETag})
			e.run("collect")
		}, map[string][]byte{"parts": data}, false},
		"tagged": {func(e *env) {
			_, err := e.Objects.PutObjectTagging(e.t.Context(), objects.PutObjectTaggingInput{Bucket: bucket, Key: "key", Tags: []objects.Pair{{Name: "a", Value: "b"}}})
			e.must(err)
		}, map[string][]byte{"key": data}, false},
		"versioned": {func(e *env) {
			e.must(e.Objects.PutBucketVersioning(e.t.Context(), bucket, s3.VersioningEnabled))
			e.put("key", other)
		}, map[string][]byte{"key": other}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, compacting(quick(2)))
			e.put("key", data)
			e.fillAndSeal()
			c := e.compactAll(len(data), func() { act.do(e) })
			if c.Failed != 0 || act.lost != (c.Lost > 0) {
				t.Errorf("%+v, want lost races: %v", c, act.lost)
			}
			for key, want := range act.want {
				e.holds(key, want)
			}
			e.MustCheck()
			e.compactAll(0, nil)
			e.RunSteward()
			for key, want := range act.want {
				e.holds(key, want)
			}
			e.MustCheck()
			if name == "versioned" {
				return
			}
			for _, key := range []string{"key", "copy", "parts"} {
				if _, err := e.tryGet(key); (err == nil) != (act.want[key] != nil) {
					t.Errorf("%s: %v", key, err)
				}
				e.remove(key)
			}
			for i := range 3 {
				e.remove(fmt.Sprint("filler", i))
			}
			for i := range 220 {
				e.remove(fmt.Sprint("small filler", i))
			}
			e.RunSteward()
			e.mustBeEmpty()
		})
	}
}

// TestCompactionJudgesByAllocatedSpace is interleaving 49: partitions without a dead
// byte, most of which is padding and the parity of stripes of one column.
func TestCompactionJudgesByAllocatedSpace(t *testing.T) {
	e := newEnv(t, compacting(testcluster.Options{FS: quick(6).FS, Disks: 6}))
	e.fillAndSeal()
	before, _ := e.space()
	c := e.RunSteward()
	after, _ := e.space()
	if c.CompactedBlobs == 0 || after >= before {
		t.Errorf("%d blobs moved; %d bytes before, %d after", c.CompactedBlobs, before, after)
	}
	e.mustBeWithin(130)
}
