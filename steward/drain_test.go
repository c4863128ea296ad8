package steward_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/steward"
)

// drained fails the test unless nothing refers to the disk in a directory.
func (e *env) drained(dir string) {
	e.t.Helper()
	list, err := e.Disks(e.t.Context())
	e.must(err)
	for _, d := range list {
		if d.Path == dir && !d.Drained {
			e.t.Errorf("%s is not drained: %+v", dir, d)
		}
	}
}

func (e *env) drain(dir string) {
	e.t.Helper()
	_, err := e.DrainDisk(e.t.Context(), dir)
	e.must(err)
}

// work is how far the job drain says that it is.
func (e *env) work() steward.Work {
	e.t.Helper()
	for _, j := range e.Steward.Status() {
		if j.Name == "drain" {
			return j.Work
		}
	}
	e.t.Fatal("there is no job drain")
	return steward.Work{}
}

// TestDrainMovesEverything off each disk in turn, and says how far it is.
func TestDrainMovesEverything(t *testing.T) {
	e := newEnv(t, scheme(6, partition.Scheme{K: 2, M: 2}))
	s := e.fillShelf(8)
	for _, dir := range e.Dirs() {
		e.drain(dir)
		e.put("beside"+dir, content(1, 300_000))
		before := e.Steward.Counters()
		c := e.RunSteward()
		if c.MoveFailures+c.RepairFailures != 0 || c.Repaired != 0 {
			t.Errorf("%s: %+v", dir, c)
		}
		e.must(e.AwaitMirrors(t.Context()))
		e.drained(dir)
		if files := shardFiles(e, dir); len(files) > 0 {
			t.Errorf("%s still has %q", dir, files)
		}
		if w := e.work(); w.Unit != "shards" || w.Total != 0 || w.Note != "" {
			t.Errorf("%s: %+v after %+v", dir, w, before)
		}
		e.holdsShelf(s)
		e.mustBeWhole()
		_, err := e.CancelDrain(t.Context(), dir)
		e.must(err)
	}
	if c := e.Steward.Counters(); c.Moved < 6 || c.MovedBytes == 0 {
		t.Errorf("%+v", c)
	}
}

// TestDrainMeetsDamage: what is rotten on the disk arrives whole.
func TestDrainMeetsDamage(t *testing.T) {
	e := newEnv(t, scheme(5, partition.Scheme{K: 2, M: 2}))
	s := e.fillShelf(10)
	e.Restart()
	e.RunSteward() // seals
	dir := e.busiest()
	rng := rand.New(rand.NewPCG(5, 5))
	sealed := map[string]bool{}
	for _, row := range e.rows() {
		sealed[fmt.Sprintf("%016x", uint64(row.ID))] = row.State == metadata.PartitionSealed
	}
	rotten := 0
	for _, name := range shardFiles(e, dir) {
		if id, _, _ := strings.Cut(e.FS.PathBase(name), "."); sealed[id] {
			e.rot(name, rng)
			rotten++
		}
	}
	if rotten == 0 {
		t.Fatal("no shard on the disk is sealed")
	}
	e.drain(dir)
	if c := e.RunSteward(); c.MoveFailures != 0 || c.Moved+c.Repaired < int64(rotten) {
		t.Errorf("%+v", c)
	}
	e.must(e.AwaitMirrors(t.Context()))
	e.drained(dir)
	corrupt := e.Store.Status().Counters.Corrupt
	e.holdsShelf(s)
	if n := e.Store.Status().Counters.Corrupt; n != corrupt {
		t.Errorf("%d corrupt frames were met after the move", n-corrupt)
	}
	e.mustBeWhole()
}

// TestPowerLossDuringDrain cuts the power at the changes that a drain makes. Whatever is left,
// with the disk or without, everything is there, and the next start goes on. Each
// change: UNDERCROFT_TEST_LONG=1.
func TestPowerLossDuringDrain(t *testing.T) {
	sc := partition.Scheme{K: 2, M: 1}
	e := newEnv(t, scheme(4, sc))
	s := e.fillShelf(10)
	dir := e.busiest()
	crashes := e.crashing(6, func(op faultfs.Op) bool {
		return op.Kind&(faultfs.Rename|faultfs.Remove|faultfs.Sync) != 0 && strings.Contains(op.Name, "/tmp/")
	})
	e.drain(dir)
	if c := e.RunSteward(); c.Moved == 0 {
		t.Errorf("nothing was moved: %+v", c)
	}
	e.must(e.AwaitMirrors(t.Context()))
	n, moves := crashes.each(func(t *testing.T, i int, left crash) {
		t.Helper()
		if i%3 == 0 {
			e.must(left.fs.RemoveAll(dir)) // and the disk is gone for good
		}
		o := scheme(4, sc)
		o.FS, o.Dirs = left.fs, e.Dirs()
		o.Edit = func(o *single.Options) { o.Scheme, o.Steward.RepairDelay = sc, -1 }
		after := &env{testcluster.New(t, o), t}
		after.holdsShelf(s)
		after.RunSteward()
		after.holdsShelf(s)
		if i%3 != 0 {
			after.mustBeWhole()
		}
	})
	e.drained(dir)
	e.holdsShelf(s)
	e.mustBeWhole()
	if n < 4 || moves == 0 {
		t.Errorf("%d crashes, %d of them in temporary files: too few", n, moves)
	}
}

// TestDrainBesideAWorkload drains two disks, one after the other, while objects come and go,
// with two stewards.
func TestDrainBesideAWorkload(t *testing.T) {
	o := scheme(6, partition.Scheme{K: 2, M: 2})
	o.FS = vfs.NewMem()
	e := newEnv(t, o)
	s := e.fillShelf(3)
	workers := []*worker{newWorker(e, 1), newWorker(e, 2)}
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			for range 15 {
				w.step()
			}
		})
	}
	for _, dir := range []string{"/d2", "/d5"} {
		e.drain(dir)
		for range 3 {
			e.RunSteward()
		}
	}
	wg.Wait()
	e.RunSteward()
	e.must(e.AwaitMirrors(t.Context()))
	e.drained("/d2")
	e.drained("/d5")
	for _, w := range workers {
		w.verify()
	}
	e.holdsShelf(s)
	e.mustBeWhole()
}
