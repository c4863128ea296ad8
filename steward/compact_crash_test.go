package steward_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// TestPowerLossDuringCompaction cuts the power at the changes that compaction,
// punching and dropping make. Whatever is left, every object is there, and the
// next steward brings all of it within the bound. Each change:
// UNDERCROFT_TEST_LONG=1.
func TestPowerLossDuringCompaction(t *testing.T) {
	e := newEnv(t, compacting(testcluster.Options{Disks: 3}))
	s := e.fillShelf(4)
	for i := range 600 {
		key := fmt.Sprint("lone", i)
		s[key] = content(uint64(5000+i), 60_000)
		e.put(key, s[key])
	}
	for i := range 400 {
		delete(s, fmt.Sprint("lone", i))
		e.remove(fmt.Sprint("lone", i))
	}
	e.run("collect", "seal")
	crashes := e.crashing(4, func(faultfs.Op) bool { return false })
	if c := e.RunSteward(); c.CompactedBlobs == 0 || c.Dropped == 0 {
		t.Errorf("nothing was compacted: %+v", c)
	}
	n, _ := crashes.each(func(t *testing.T, _ int, left crash) {
		t.Helper()
		o := compacting(testcluster.Options{Disks: 3, FS: left.fs})
		after := &env{testcluster.New(t, o), t}
		after.MustCheck()
		after.holdsShelf(s)
		after.RunSteward()
		after.holdsShelf(s)
		after.mustBeWithin(130)
	})
	e.holdsShelf(s)
	if n < 2 {
		t.Errorf("only %d crashes", n)
	}
}

// slowly reads a range while jobs go on.
func (w *worker) slowly() {
	key := w.key()
	data, ok := w.has[key]
	if !ok {
		return
	}
	first := w.rng.IntN(len(data))
	last := first + w.rng.IntN(len(data)-first)
	from, to := int64(first), int64(last)
	out, err := w.e.Objects.GetObject(w.e.t.Context(), objects.GetObjectInput{Bucket: bucket, Key: s3.Key(key), Range: &s3.ByteRange{First: from, Last: to}})
	if err != nil {
		w.e.t.Errorf("open %s: %v", key, err)
		return
	}
	got := &slowly{meanwhile: func() { _, _ = w.e.Steward.Drain(w.e.t.Context()) }}
	_, err = out.Body.WriteTo(got)
	if e := out.Body.Close(); err == nil {
		err = e
	}
	if err != nil || !bytes.Equal(got.Bytes(), data[first:last+1]) {
		w.e.t.Errorf("%s reads back as %d bytes (%v), want %d", key, got.Len(), err, last+1-first)
	}
}

// partCopies completes an object of ranges of another.
func (w *worker) partCopies() {
	from, key := w.key(), w.key()
	data, ok := w.has[from]
	if !ok || len(data) < 5*mib {
		return
	}
	u := w.e.upload(key)
	p, err := w.e.Objects.UploadPartCopy(w.e.t.Context(), objects.UploadPartCopyInput{
		Source: objects.CopySource{Bucket: bucket, Key: s3.Key(from)}, Bucket: bucket, Key: s3.Key(key), Upload: u.ID, Number: 1,
	})
	if err != nil {
		if !busy(err) {
			w.e.t.Errorf("copy a part of %s: %v", from, err)
		}
		return
	}
	w.e.complete(u, objects.CompletedPart{Number: 1, ETag: p.Part.ETag})
	w.has[key] = data
}

// TestCompactionBesideAWorkload lets objects come, go, be copied, uploaded in parts
// and read slowly while stewards compact as fast as they can, and compares
// with what must be there.
func TestCompactionBesideAWorkload(t *testing.T) {
	o := compacting(quick(3))
	edit := o.Edit
	o.Edit = func(o *single.Options) { edit(o); o.Steward.Interval = time.Millisecond }
	e := newEnv(t, o)
	workers := []*worker{newWorker(e, 1), newWorker(e, 2), newWorker(e, 3)}
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		var wg sync.WaitGroup
		for _, w := range workers {
			wg.Go(func() {
				for range 25 {
					switch w.rng.IntN(5) {
					case 0:
						w.slowly()
					case 1:
						w.partCopies()
					default:
						w.step()
					}
				}
			})
		}
		wg.Wait()
		for _, w := range workers {
			w.verify()
		}
		e.MustCheck()
	}
	e.rest(func() string { return e.excess(130) })
	for _, w := range workers {
		w.verify()
		for key := range w.has {
			e.remove(key)
		}
	}
	e.rest(e.left)
	c := e.Steward.Counters()
	t.Logf("%d blobs moved, %d in vain", c.CompactedBlobs, c.CompactLost)
	if c.Errors != 0 {
		t.Errorf("the steward failed: %+v", c)
	}
}

// TestCompactionStepByStep mixes operations with single steps of compaction,
// in one order for each seed, and the checker after every few.
func TestCompactionStepByStep(t *testing.T) {
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	moved := 0
	for seed := range seeds {
		e := newEnv(t, compacting(quick(2)))
		w := newWorker(e, 100+seed)
		for i := range 60 {
			switch w.rng.IntN(6) {
			case 0:
				moved += e.compactAll(0, nil).Blobs
			case 1:
				for _, j := range e.Steward.Jobs() {
					if w.rng.IntN(3) == 0 {
						_, err := j.Step(t.Context())
						e.must(err)
					}
				}
			case 2:
				w.slowly()
			case 3:
				w.partCopies()
			default:
				w.step()
			}
			if i%10 == 9 {
				w.verify()
				e.MustCheck()
			}
		}
	}
	if moved == 0 {
		t.Error("nothing was moved")
	}
}
