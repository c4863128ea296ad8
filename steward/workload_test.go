package steward_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// sizes are those of inline, batched, single-piece and long objects.
var sizes = []int{100, 20_000, 90_000, 400_000, mib + 5, 5 * mib}

// worker changes keys that only it writes, so that it knows what they hold.
type worker struct {
	e    *env
	name string
	rng  *rand.Rand
	has  map[string][]byte
	seed uint64
}

func newWorker(e *env, n int) *worker {
	return &worker{e: e, name: fmt.Sprint("w", n, "-"), rng: rand.New(rand.NewPCG(uint64(n), 7)), has: map[string][]byte{}, seed: uint64(n) << 32}
}

func (w *worker) key() string { return w.name + fmt.Sprint(w.rng.IntN(5)) }

func (w *worker) fresh() []byte {
	w.seed++
	return content(w.seed, sizes[w.rng.IntN(len(sizes))])
}

// busy says that the store refused for a reason that passes.
func busy(err error) bool {
	e, ok := errors.AsType[*s3.Error](err)
	return ok && (e.Code == s3.SlowDown || e.Code == s3.ServiceUnavailable || e.Code == s3.StorageFull) && !errors.Is(err, kv.ErrUnknownCommit)
}

func (w *worker) step() {
	key := w.key()
	switch w.rng.IntN(8) {
	case 0, 1, 2:
		data := w.fresh()
		w.did(key, data, w.e.tryPut(key, data))
	case 3, 4:
		if _, ok := w.has[key]; ok {
			w.e.remove(key)
			delete(w.has, key)
		}
	case 5:
		from := w.key()
		if data, ok := w.has[from]; ok {
			w.did(key, data, w.e.copy(from, key))
		}
	case 6:
		w.multipart(key)
	default:
		if data, ok := w.has[key]; ok {
			got, err := w.e.tryGet(key)
			if err != nil || !bytes.Equal(got, data) {
				w.e.t.Errorf("%s reads back as %d bytes (%v), want %d", key, len(got), err, len(data))
			}
		}
	}
}

func (w *worker) did(key string, data []byte, err error) {
	if err == nil {
		w.has[key] = data
	} else if !busy(err) {
		w.e.t.Errorf("write of %s: %v", key, err)
	}
}

// multipart uploads two parts, then completes or aborts.
func (w *worker) multipart(key string) {
	u := w.e.upload(key)
	w.seed++
	one, two := content(w.seed, 5*mib), w.fresh()
	p1, err1 := w.e.tryPart(u, 1, one)
	p2, err2 := w.e.tryPart(u, 2, two)
	for _, err := range []error{err1, err2} {
		if err != nil && !busy(err) {
			w.e.t.Errorf("part of %s: %v", key, err)
		}
	}
	if w.rng.IntN(3) == 0 || err1 != nil || err2 != nil { // on a machine that stands still disks are too slow
		w.e.must(w.e.Objects.AbortMultipartUpload(w.e.t.Context(), objects.AbortUploadInput{Bucket: bucket, Key: u.Key, Upload: u.ID}))
		return
	}
	w.e.complete(u, p1, p2)
	w.has[key] = append(one, two...)
}

func (w *worker) verify() {
	w.e.t.Helper()
	for key, data := range w.has {
		w.e.holds(key, data)
	}
}

// TestStewardBesideAWorkload runs the jobs as fast as they go while objects
// come and go.
func TestStewardBesideAWorkload(t *testing.T) {
	o := quick(2)
	o.Edit = func(o *single.Options) { o.Steward.Interval = 2 * time.Millisecond }
	e := newEnv(t, o)
	workers := []*worker{newWorker(e, 1), newWorker(e, 2), newWorker(e, 3)}
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			for range 20 {
				w.step()
			}
		})
	}
	wg.Wait()
	for _, w := range workers {
		w.verify()
	}
	e.MustCheck()
	for _, w := range workers {
		for key := range w.has {
			e.remove(key)
		}
	}
	e.rest(e.left)
	c := e.Steward.Counters()
	if c.Collected < 15 || c.Dropped == 0 || c.Errors != 0 {
		t.Errorf("the steward had too little to do, or failed: %+v", c)
	}
}

// TestPowerLossBetweenSteps cuts the power after each step of the jobs. What
// is left then must be consistent, hold every object, and let a new steward
// finish.
func TestPowerLossBetweenSteps(t *testing.T) {
	e := newEnv(t, testcluster.Options{Disks: 2})
	w := newWorker(e, 1)
	for range 15 {
		w.step()
	}
	// Several partitions become dead as a whole.
	for i := range 3 {
		e.put(fmt.Sprint("dead", i), content(uint64(i), 6*mib))
	}
	for i := range 3 {
		e.remove(fmt.Sprint("dead", i))
	}
	crashes := 0
	for again := true; again; {
		again = false
		for _, job := range e.Steward.Jobs() {
			p, err := job.Step(t.Context())
			e.must(err)
			if p.Done == 0 {
				continue
			}
			again = true
			crashes++
			after := &env{e.Crash(50, uint64(crashes)), t}
			after.MustCheck()
			(&worker{e: after, has: w.has}).verify()
			after.RunSteward()
			after.MustCheck()
			(&worker{e: after, has: w.has}).verify()
			after.Stop()
		}
	}
	if crashes < 5 {
		t.Errorf("only %d steps did anything", crashes)
	}
}

// TestPowerLossDuringADrop cuts the power after a drop that one disk failed: the
// partition goes with the next start or step.
func TestPowerLossDuringADrop(t *testing.T) {
	for n := range 3 {
		e := newEnv(t, testcluster.Options{Disks: 2})
		for i := range 3 {
			e.put(fmt.Sprint(i), content(uint64(i), 5*mib))
		}
		for i := range 3 {
			e.remove(fmt.Sprint(i))
		}
		for _, job := range e.Steward.Jobs()[:4] { // all but reclaim
			for more := true; more; {
				p, err := job.Step(t.Context())
				e.must(err)
				more = p.More
			}
		}
		// The files on one disk do not go.
		comeBack := e.Faults.Vanish(e.Dirs()[1])
		_, err := e.Steward.Drain(t.Context())
		if err != nil || e.states()[metadata.PartitionDropped] == 0 {
			t.Errorf("a drop with a disk that fails left no partition to finish: %v, %v", err, e.states())
		}
		comeBack()
		after := &env{e.Crash(50*(n%3), uint64(n)), t}
		after.RunSteward()
		after.mustBeEmpty()
		after.Stop()
	}
}

// TestRestartFinishesDrops leaves a partition in state dropped, with its files.
func TestRestartFinishesDrops(t *testing.T) {
	e := newEnv(t, testcluster.Options{FS: vfs.NewMem(), Disks: 2})
	for i := range 3 {
		e.put(fmt.Sprint(i), content(uint64(i), 5*mib))
	}
	for i := range 3 {
		e.remove(fmt.Sprint(i))
	}
	for _, job := range e.Steward.Jobs()[:4] {
		for more := true; more; {
			p, err := job.Step(t.Context())
			e.must(err)
			more = p.More
		}
	}
	marked := 0
	e.must(e.DB.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		marked = 0
		rows, err := tx.Partitions(0, 0)
		if err != nil {
			return err
		}
		for i := range rows {
			if rows[i].State == metadata.PartitionSealed {
				rows[i].State = metadata.PartitionDropped
				marked++
				if err := tx.PutPartition(&rows[i]); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	e.Restart()
	if marked == 0 || e.states()[metadata.PartitionDropped] != 0 {
		t.Errorf("%d partitions were left dropped; after the start: %v", marked, e.states())
	}
}
