package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

const (
	rare s3.StorageClass = "STANDARD_IA" // 1+2
	cold s3.StorageClass = "GLACIER_IR"  // 4+2
)

// withClasses is a store of 2+1 with two other storage classes.
func withClasses(o *single.Options) {
	o.Scheme = partition.Scheme{K: 2, M: 1}
	o.Classes = map[string]partition.Scheme{string(rare): {K: 1, M: 2}, string(cold): {K: 4, M: 2}}
}

// move moves the current version of a key.
func (e *env) move(key s3.Key, class s3.StorageClass) objects.Object {
	e.t.Helper()
	o, err := e.Transition(e.ctx, objects.TransitionInput{Bucket: bucket, Key: key, Class: class})
	e.must(err)
	return o
}

// liveBytes are those in the partitions of each storage class, and the schemes of these.
func (e *env) liveBytes() (live map[string]int64, schemes map[string]string) {
	e.t.Helper()
	live, schemes = map[string]int64{}, map[string]string{}
	e.must(e.DB.View(e.ctx, "test", func(r *metadata.Reader) error {
		rows, err := r.Partitions(0, 0)
		for _, row := range rows {
			n, err := r.LiveBytes(row.ID)
			if err != nil {
				return err
			}
			if n > 0 {
				live[row.Class] += n
				schemes[row.Class] = fmt.Sprintf("%d+%d", row.K, row.M)
			}
		}
		return err
	}))
	return live, schemes
}

// keptIn holds that all bytes are in one class.
func (e *env) keptIn(class string, bytes int64, scheme string) {
	e.t.Helper()
	e.RunSteward()
	live, schemes := e.liveBytes()
	if diff := cmp.Diff(map[string]int64{class: bytes}, live); diff != "" {
		e.t.Errorf("live bytes by class (-want +got):\n%s", diff)
	}
	if schemes[class] != scheme {
		e.t.Errorf("class %q is kept as %s, want %s", class, schemes[class], scheme)
	}
	e.noIntents()
}

// fill writes one object of each way to keep data and returns what they are.
func (e *env) oneOfEach() map[s3.Key][]byte {
	e.t.Helper()
	out := map[s3.Key][]byte{
		"inline": bytesOf(1, 100), "empty": nil, "batched": bytesOf(2, 20*kib), "large": bytesOf(3, 9*mib+1),
	}
	for key, data := range out {
		e.put(key, data)
	}
	parts := [][]byte{bytesOf(4, 5*mib), bytesOf(5, 5*mib+9), bytesOf(6, 11)}
	u := e.upload("parts")
	var done []objects.CompletedPart
	for i, p := range parts {
		done = append(done, e.part(u, i+1, p))
	}
	e.complete(u, done...)
	out["parts"] = slices.Concat(parts...)
	u = e.upload("copied parts")
	source := objects.CopySource{Bucket: bucket, Key: "parts"}
	p, err := e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{
		Source: source, Range: &s3.ByteRange{First: 5*mib - 7, Last: 10*mib + 12}, Bucket: bucket, Key: u.Key, Upload: u.ID, Number: 1,
	})
	e.must(err)
	e.complete(u, objects.CompletedPart{Number: 1, ETag: p.Part.ETag})
	out["copied parts"] = out["parts"][5*mib-7 : 10*mib+13]
	return out
}

// TestTransitionKeepsTheVersion: of each kind of data, there and back.
func TestTransitionKeepsTheVersion(t *testing.T) {
	heavy(t)
	e := open(t, withClasses)
	all := e.oneOfEach()
	for key, data := range all {
		before, err := e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: key})
		e.must(err)
		token := e.row(key).Token
		for _, class := range []s3.StorageClass{cold, cold, rare, "STANDARD"} {
			after := e.move(key, class)
			want := before.Object
			want.StorageClass = string(class)
			if class != "STANDARD" {
				want.Attributes.StorageClass = string(class)
			}
			if diff := cmp.Diff(want, after, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%q in %s (-want +got):\n%s", key, class, diff)
			}
			e.holds(key, data)
			if row := e.row(key); row.Token != token || row.Data.Shared {
				t.Errorf("%q in %s has the row %+v", key, class, row)
			}
		}
	}
	page, err := e.ListObjects(e.ctx, objects.ListObjectsInput{Bucket: bucket, Max: 1000})
	e.must(err)
	for _, o := range page.Objects {
		if o.StorageClass != "STANDARD" {
			t.Errorf("listed %s in %s", o.Key, o.StorageClass)
		}
	}
	out, data, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: "parts", PartNumber: 2})
	e.must(err)
	if out.Object.PartCount != 3 || !bytes.Equal(data, all["parts"][5*mib:10*mib+9]) {
		t.Errorf("part 2 of %d reads back as %d other bytes", out.Object.PartCount, len(data))
	}
}

// TestTransitionMovesTheBytes: and frees the old ones, of a copy only its own.
func TestTransitionMovesTheBytes(t *testing.T) {
	heavy(t)
	e := open(t, withClasses)
	all := e.oneOfEach()
	var total int64
	for key, data := range all {
		e.move(key, cold)
		if len(data) > 8*kib {
			total += int64(len(data))
		}
	}
	e.keptIn(string(cold), total, "4+2")
	e.copyTo("large", "copy") // to STANDARD: its own bytes
	out, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
		Source: objects.CopySource{Bucket: bucket, Key: "large"}, Bucket: bucket, Key: "cold copy", Owner: owner, StorageClass: string(cold),
	})
	e.must(err)
	if row := e.row("cold copy"); !row.Data.Shared || out.Object.StorageClass != string(cold) {
		t.Errorf("a copy within the class has bytes of its own: %+v", row.Data)
	}
	live, _ := e.liveBytes()
	if want := map[string]int64{string(cold): total, "": 9*mib + 1}; !cmp.Equal(want, live) {
		t.Errorf("live bytes by class %v, want %v", live, want)
	}
	e.remove("copy")
	e.move("cold copy", rare)
	e.RunSteward()
	live, _ = e.liveBytes()
	if want := map[string]int64{string(cold): total, string(rare): 9*mib + 1}; !cmp.Equal(want, live) {
		t.Errorf("live bytes by class %v, want %v: only the copy moved", live, want)
	}
	e.holds("large", all["large"])
	e.holds("cold copy", all["large"])
}

// TestWritesGoToTheirClass: PutObject, UploadPart, UploadPartCopy and CopyObject.
func TestWritesGoToTheirClass(t *testing.T) {
	e := open(t, withClasses)
	data := bytesOf(1, 300*kib)
	in := objects.Attributes{StorageClass: string(cold)}
	_, err := e.PutObject(e.ctx, objects.PutObjectInput{Bucket: bucket, Key: "put", Owner: owner, Body: bodyOf(data), Attributes: in})
	e.must(err)
	u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: "upload", Owner: owner, Attributes: in})
	e.must(err)
	e.complete(u, e.part(u, 1, data))
	e.keptIn(string(cold), 600*kib, "4+2")

	e.put("plain", data)
	u, err = e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: "copied", Owner: owner, Attributes: in})
	e.must(err)
	p, err := e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{
		Source: objects.CopySource{Bucket: bucket, Key: "plain"}, Bucket: bucket, Key: u.Key, Upload: u.ID, Number: 1,
	})
	e.must(err)
	e.complete(u, objects.CompletedPart{Number: 1, ETag: p.Part.ETag})
	for _, key := range []s3.Key{"copy", "plain"} { // the second onto itself
		_, err = e.CopyObject(e.ctx, objects.CopyObjectInput{
			Source: objects.CopySource{Bucket: bucket, Key: "plain"}, Bucket: bucket, Key: key, Owner: owner, StorageClass: string(cold),
		})
		e.must(err)
		e.holds(key, data)
	}
	e.keptIn(string(cold), 1500*kib, "4+2")
	for _, key := range []s3.Key{"put", "upload", "copied", "copy", "plain"} {
		head, err := e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: key})
		e.must(err)
		if head.Object.StorageClass != string(cold) {
			t.Errorf("%q is shown in %s", key, head.Object.StorageClass)
		}
		e.holds(key, data)
	}
}

// TestTransitionOfNoncurrentVersions: each version has a class of its own.
func TestTransitionOfNoncurrentVersions(t *testing.T) {
	e := open(t, withClasses)
	e.must(e.PutBucketVersioning(e.ctx, bucket, s3.VersioningEnabled))
	var ids []s3.VersionID
	for n := range 3 {
		ids = append(ids, e.put("k", bytesOf(uint64(n), []int{100, 20 * kib, 300 * kib}[n])).VersionID)
	}
	e.remove("k")
	for n, id := range ids {
		_, err := e.Transition(e.ctx, objects.TransitionInput{Bucket: bucket, Key: "k", VersionID: id, Class: cold})
		e.must(err)
		out, data, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: "k", VersionID: id})
		e.must(err)
		if out.Object.StorageClass != string(cold) || !bytes.Equal(data, bytesOf(uint64(n), len(data))) {
			t.Errorf("version %s: %+v", id, out.Object)
		}
	}
	e.keptIn(string(cold), 320*kib, "4+2")
	_, err := e.Transition(e.ctx, objects.TransitionInput{Bucket: bucket, Key: "k", Class: cold})
	e.refuse(err, s3.NoSuchKey)
	last := "0"
	if ids[0][len(ids[0])-1:] == "0" {
		last = "1"
	}
	_, err = e.Transition(e.ctx, objects.TransitionInput{Bucket: bucket, Key: "k", VersionID: ids[0][:len(ids[0])-1] + s3.VersionID(last), Class: cold})
	if s3.CodeOf(err) != s3.NoSuchVersion && s3.CodeOf(err) != s3.InvalidArgument {
		t.Errorf("a version that is not there: %v", err)
	}
}

// pausing is a writer that runs something once it has seen some bytes.
type pausing struct {
	bytes.Buffer
	after int
	once  func()
}

func (w *pausing) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if w.once != nil && w.Len() >= w.after {
		run := w.once
		w.once = nil
		run()
	}
	return n, err
}

// readWhileMoving reads what out is, moves the object to one class after the other
// once so many bytes were seen, and collects what it leaves.
func (e *env) readWhileMoving(out *objects.GetObjectOutput, key s3.Key, after int, want []byte) {
	e.t.Helper()
	w := &pausing{after: after, once: func() {
		for _, class := range []s3.StorageClass{cold, rare} {
			e.move(key, class)
			_, err := e.Store.RetireIdle(e.ctx, func(partition.WriteStatus) bool { return true })
			e.must(err)
			e.RunSteward()
		}
	}}
	_, err := out.Body.WriteTo(w)
	if err := errors.Join(err, out.Body.Close()); err != nil {
		e.t.Errorf("%q: %v", key, err)
	}
	if d := difference(w.Bytes(), want); d != "" {
		e.t.Errorf("%q: %s", key, d)
	}
}

// TestReadersFollowATransition: a read under way goes on where the bytes are.
func TestReadersFollowATransition(t *testing.T) {
	heavy(t)
	e := open(t, withClasses)
	all := e.oneOfEach()
	for _, key := range []s3.Key{"large", "parts"} {
		out, err := e.GetObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: key})
		e.must(err)
		e.readWhileMoving(out, key, 1, all[key])
	}
}

// TestTransitionLosesToOthers: what was written for it is given up, and what others
// did is as they left it.
func TestTransitionLosesToOthers(t *testing.T) {
	e := open(t, withClasses)
	errNo := errors.New("no")
	for name, rival := range map[string]func() error{
		"an overwrite": func() error { _, err := e.tryPut("k", bodyOf(bytesOf(9, 30*kib))); return err },
		"a deletion": func() error {
			_, err := e.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: bucket, Key: "k"})
			return err
		},
		"another move": func() error {
			_, err := e.Transition(e.ctx, objects.TransitionInput{Bucket: bucket, Key: "k", Class: rare})
			return err
		},
		"the condition": func() error { return errNo },
	} {
		e.put("k", bytesOf(8, 20*kib))
		var failed error
		_, err := e.Transition(e.ctx, objects.TransitionInput{
			Bucket: bucket, Key: "k", Class: cold,
			Precondition: func(*objects.Object) error {
				if rival != nil {
					failed, rival = rival(), nil
				}
				if errors.Is(failed, errNo) {
					return errNo
				}
				return nil
			},
		})
		if name == "the condition" {
			if !errors.Is(err, errNo) {
				t.Errorf("%s: %v", name, err)
			}
		} else if e.must(failed); !errors.Is(err, objects.ErrVersionChanged) {
			t.Errorf("%s: %v", name, err)
		}
		e.RunSteward()
		if live, _ := e.liveBytes(); live[string(cold)] != 0 {
			t.Errorf("%s: %d bytes are left", name, live[string(cold)])
		}
		e.noIntents()
	}
}

// TestTransitionThatFailsToWrite: nothing of it is left, neither of one data id nor
// of a manifest.
func TestTransitionThatFailsToWrite(t *testing.T) {
	for _, fault := range []mem.Fault{mem.Unavailable, mem.UnknownApplied, mem.UnknownLost} {
		for _, class := range []string{"transition", "relocate"} {
			t.Run(fmt.Sprint(fault, class), func(t *testing.T) {
				o := &once{class: class, fault: fault}
				s := newShaky(t, mem.Faults{Hook: o.hook})
				u, err := s.CreateMultipartUpload(t.Context(), objects.CreateUploadInput{Bucket: bucket, Key: "k", Owner: owner})
				if err != nil {
					t.Fatal(err)
				}
				data := bytesOf(1, 30*kib)
				p, err := s.UploadPart(t.Context(), objects.UploadPartInput{Bucket: bucket, Key: "k", Upload: u.ID, Number: 1, Body: bodyOf(data)})
				if err != nil {
					t.Fatal(err)
				}
				_, err = s.CompleteMultipartUpload(t.Context(), objects.CompleteUploadInput{
					Bucket: bucket, Key: "k", Upload: u.ID, Parts: []objects.CompletedPart{{Number: 1, ETag: p.ETag}}, Size: -1,
				})
				if err != nil {
					t.Fatal(err)
				}
				o.armed.Store(true)
				moved, err := s.Transition(t.Context(), objects.TransitionInput{Bucket: bucket, Key: "k", Class: cold})
				if applied := fault == mem.UnknownApplied && class == "transition"; (err == nil) != applied {
					t.Errorf("%+v, %v", moved, err)
				}
				out, err := s.GetObject(t.Context(), objects.GetObjectInput{Bucket: bucket, Key: "k"})
				if err != nil {
					t.Fatal(err)
				}
				got, err := drain(out)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("it reads back as %d bytes: %v", len(got), err)
				}
			})
		}
	}
}

// meddler is an engine that calls a function before the first read of a class.
type meddler struct {
	kv.Engine
	class  string
	before func()
}

func (m *meddler) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	if before := m.before; o.Class == m.class && before != nil {
		m.before = nil
		before()
	}
	return m.Engine.View(ctx, o, fn)
}

// TestTransitionOfWhatGoes: a version that is deleted, or moved, and freed before its bytes
// are read is no error of the disks; and what a copy reads is looked for again.
func TestTransitionOfWhatGoes(t *testing.T) {
	m := &meddler{class: "relocate"}
	e := open(t, withClasses, func(o *single.Options) {
		o.Wrap = func(engine kv.Engine) kv.Engine {
			m.Engine = engine
			return m
		}
	})
	data := bytesOf(1, 20*kib)
	meddle := func(what func()) {
		u := e.upload("k")
		e.complete(u, e.part(u, 1, data))
		m.before = func() {
			what()
			e.RunSteward()
		}
	}
	for name, what := range map[string]func(){
		"deleted": func() { e.remove("k") },
		"moved":   func() { e.move("k", rare) },
	} {
		meddle(what)
		_, err := e.Transition(e.ctx, objects.TransitionInput{Bucket: bucket, Key: "k", Class: cold})
		if !errors.Is(err, objects.ErrVersionChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	meddle(func() { e.move("k", rare) })
	_, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
		Source: objects.CopySource{Bucket: bucket, Key: "k"}, Bucket: bucket, Key: "copy", Owner: owner, StorageClass: string(cold),
	})
	e.must(err)
	e.holds("copy", data)
	e.noIntents()
}

// TestTransitionOfLockedVersions: nobody may remove them, and where they are kept is the store's.
func TestTransitionOfLockedVersions(t *testing.T) {
	e := open(t, withClasses)
	e.must(e.PutBucketVersioning(e.ctx, bucket, s3.VersioningEnabled))
	e.must(e.PutObjectLock(e.ctx, bucket, objects.ObjectLock{}))
	data := bytesOf(1, 20*kib)
	o, err := e.PutObject(e.ctx, objects.PutObjectInput{
		Bucket: bucket, Key: "k", Owner: owner, Body: bodyOf(data), Lock: objects.Lock{LegalHold: metadata.LegalHoldOn},
	})
	e.must(err)
	moved := e.move("k", cold)
	e.holds("k", data)
	if moved.VersionID != o.VersionID || moved.StorageClass != string(cold) || e.row("k").LegalHold != metadata.LegalHoldOn {
		t.Errorf("moved to %+v", moved)
	}
	_, err = e.DeleteObject(e.ctx, objects.DeleteObjectInput{Bucket: bucket, Key: "k", VersionID: o.VersionID})
	e.refuse(err, s3.AccessDenied)
	_, err = e.PutObjectLegalHold(e.ctx, objects.PutObjectLegalHoldInput{Bucket: bucket, Key: "k", LegalHold: metadata.LegalHoldOff})
	e.must(err)
}
