package objects_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// racers is how many writers meet on one key.
func racers() int {
	if raceEnabled {
		return 60
	}
	return 300
}

// together runs n functions at once and joins their errors.
func together(n int, run func(i int) error) error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = run(i)
		})
	}
	close(start)
	wg.Wait()
	return errors.Join(errs...)
}

func ifAbsent(current *objects.Object) error {
	if current != nil {
		return s3.NewError(s3.PreconditionFailed)
	}
	return nil
}

func ifMatch(tag s3.ETag) objects.WritePrecondition {
	return func(current *objects.Object) error {
		if current == nil || current.ETag != tag {
			return s3.NewError(s3.PreconditionFailed)
		}
		return nil
	}
}

// statuses are the states of a bucket in which races are run.
func statuses() []s3.VersioningStatus {
	return []s3.VersioningStatus{"", s3.VersioningEnabled, s3.VersioningSuspended}
}

func (e *env) keepIf(status s3.VersioningStatus) {
	if status != "" {
		e.keep(status)
	}
}

// TestOneCreatorWins: of many If-None-Match: * at once, by PutObject, CopyObject and
// CompleteMultipartUpload, one succeeds, and the key holds what that one wrote.
func TestOneCreatorWins(t *testing.T) {
	for _, status := range statuses() {
		t.Run("versioning "+string(status), func(t *testing.T) {
			e := open(t, func(o *single.Options) { o.Now = time.Now })
			e.keepIf(status)
			e.put("source", []byte("copied"))
			for round := range 3 {
				key := s3.Key(fmt.Sprint("k", round))
				if round > 0 { // a delete marker is nothing
					e.put(key, []byte("before"))
					e.remove(key)
				}
				won := make(chan s3.ETag, racers())
				err := together(racers(), func(i int) error {
					o, err := e.create(key, i)
					if s3.CodeOf(err) == s3.PreconditionFailed {
						return nil
					}
					won <- o.ETag
					return err
				})
				e.must(err)
				if len(won) != 1 {
					t.Fatalf("%d creators won", len(won))
				}
				if tag := <-won; e.head(key).ETag != tag {
					t.Errorf("the key has entity tag %q, the winner wrote %q", e.head(key).ETag, tag)
				}
			}
			uploads, err := e.ListMultipartUploads(e.ctx, objects.ListUploadsInput{Bucket: bucket, Max: 1000})
			e.must(err)
			for _, u := range uploads.Uploads { // those that lost can still be completed
				e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: bucket, Key: u.Key, Upload: u.ID}))
			}
		})
	}
}

// create makes a key that must not be there, one way or another.
func (e *env) create(key s3.Key, i int) (objects.Object, error) {
	switch i % 10 {
	case 0:
		out, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
			Source: objects.CopySource{Bucket: bucket, Key: "source"}, Bucket: bucket, Key: key, Precondition: ifAbsent,
		})
		return out.Object, err
	case 1:
		u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: key})
		if err != nil {
			return objects.Object{}, err
		}
		p, err := e.tryPart(u, 1, bodyOf([]byte(strconv.Itoa(i))))
		if err != nil {
			return objects.Object{}, err
		}
		return e.CompleteMultipartUpload(e.ctx, objects.CompleteUploadInput{
			Bucket: bucket, Key: key, Upload: u.ID, Size: -1, Precondition: ifAbsent,
			Parts: []objects.CompletedPart{{Number: 1, ETag: p.ETag}},
		})
	}
	return e.PutObject(e.ctx, objects.PutObjectInput{Bucket: bucket, Key: key, Body: bodyOf([]byte(strconv.Itoa(i))), Precondition: ifAbsent})
}

// TestCountersLoseNoUpdate: many writers add one to a number by If-Match, and
// begin again when they are told that it changed.
func TestCountersLoseNoUpdate(t *testing.T) {
	for _, status := range statuses() {
		t.Run("versioning "+string(status), func(t *testing.T) {
			e := open(t, func(o *single.Options) { o.Now = time.Now })
			e.keepIf(status)
			e.put("n", []byte("0"))
			writers := racers() / 6
			err := together(writers, func(int) error {
				for {
					if err := e.addOne("n"); s3.CodeOf(err) != s3.PreconditionFailed {
						return err
					}
				}
			})
			e.must(err)
			e.holds("n", []byte(strconv.Itoa(writers)))
			if status == s3.VersioningEnabled {
				if got := len(e.versions()); got != writers+1 {
					t.Errorf("%d versions of %d writes", got, writers+1)
				}
			}
		})
	}
}

func (e *env) addOne(key s3.Key) error {
	out, data, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(data))
	if err != nil {
		return err
	}
	_, err = e.PutObject(e.ctx, objects.PutObjectInput{
		Bucket: bucket, Key: key, Body: bodyOf([]byte(strconv.Itoa(n + 1))), Precondition: ifMatch(out.Object.ETag),
	})
	return err
}

// TestOverwritesKeepEveryVersion: nothing that was acknowledged is missing, and
// the order of the versions is one of the acknowledgements.
func TestOverwritesKeepEveryVersion(t *testing.T) {
	e := open(t, func(o *single.Options) { o.Now = time.Now })
	e.keep(s3.VersioningEnabled)
	ids := make([]s3.VersionID, racers())
	markers := 0
	err := together(racers(), func(i int) error {
		if i%10 == 0 {
			out, err := e.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: bucket, Key: "k"})
			ids[i] = out.VersionID
			return err
		}
		o, err := e.tryPut("k", bodyOf(bytesOf(uint64(i), 10+i%3*9000)))
		ids[i] = o.VersionID
		return err
	})
	e.must(err)
	out, err := e.ListObjectVersions(e.ctx, objects.ListVersionsInput{Bucket: bucket, Max: 1000})
	e.must(err)
	listed := make(map[s3.VersionID]objects.ListedVersion)
	for i, v := range out.Versions {
		listed[v.VersionID] = v
		if v.DeleteMarker {
			markers++
		}
		if v.Latest != (i == 0) || i > 0 && v.VersionID >= out.Versions[i-1].VersionID {
			t.Fatalf("version %d is %+v", i, v)
		}
	}
	if len(listed) != racers() || markers != (racers()+9)/10 {
		t.Fatalf("%d versions, %d markers", len(listed), markers)
	}
	for i, id := range ids {
		v, ok := listed[id]
		if !ok || v.DeleteMarker != (i%10 == 0) {
			t.Fatalf("write %d answered %q, which is listed as %+v", i, id, v)
		}
		if !v.DeleteMarker {
			if d := difference(e.getVersion("k", id), bytesOf(uint64(i), 10+i%3*9000)); d != "" {
				t.Fatalf("version %q: %s", id, d)
			}
		}
	}
	e.RunSteward()
	// All go at once, by their ids: the bucket is empty then.
	e.must(together(racers(), func(i int) error {
		_, err := e.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: bucket, Key: "k", VersionID: ids[i]})
		return err
	}))
	e.shows()
}

// TestVersioningChangesUnderWriters: while the state changes, every write follows
// one of the states that were in force while it ran.
func TestVersioningChangesUnderWriters(t *testing.T) {
	e := open(t, func(o *single.Options) { o.Now = time.Now })
	e.must(together(40, func(i int) error {
		if i == 0 {
			return e.PutBucketVersioning(e.ctx, bucket, s3.VersioningEnabled)
		}
		_, err := e.tryPut("k", bodyOf([]byte(strconv.Itoa(i))))
		return err
	}))
	before := e.versions()
	e.must(together(20, func(i int) error {
		if i == 0 {
			return e.PutBucketVersioning(e.ctx, bucket, s3.VersioningSuspended)
		}
		_, err := e.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: bucket, Key: "k"})
		return err
	}))
	e.put("k", []byte("last"))
	after := e.versions()
	if len(after) < len(before) || after[0] != "k:last null *" {
		t.Errorf("versions %q, then %q", before, after)
	}
}

// TestLinearizableWithVersions: what is current follows one order of all
// operations, also where deletions leave markers.
func TestLinearizableWithVersions(t *testing.T) {
	for _, status := range statuses()[1:] {
		e := open(t, func(o *single.Options) { o.Now = time.Now })
		e.keep(status)
		for seed := range rounds(3, 60) {
			if !linear(t, e.Service, 200+seed, 25) {
				t.Errorf("seed %d: not decided", seed)
			}
		}
	}
	total, decided := rounds(4, 80), uint64(0)
	for seed := range total {
		s := newShaky(t, mem.Faults{
			Seed: seed, CommitConflict: 0.1, CommitTooOld: 0.05, CommitUnavailable: 0.02,
			CommitUnknownApplied: 0.1, CommitUnknownLost: 0.1, ReadTooOld: 0.01, ReadUnavailable: 0.001,
		})
		if err := s.PutBucketVersioning(mem.Quiet(t.Context()), bucket, s3.VersioningEnabled); err != nil {
			t.Fatal(err)
		}
		if linear(t, s.Service, 300+seed, 12) {
			decided++
		}
	}
	if decided*4 < total*3 {
		t.Errorf("only %d of %d histories were decided", decided, total)
	}
}
