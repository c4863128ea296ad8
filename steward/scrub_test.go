package steward_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/steward"
)

// scrubbed makes a cluster's partitions k+m and its scrubs unbounded.
func scrubbed(disks int, sc partition.Scheme) testcluster.Options {
	return testcluster.Options{Disks: disks, Edit: func(o *single.Options) { o.Scheme, o.Steward.ScrubBandwidth = sc, -1 }}
}

// scrub runs a whole round, and the other jobs before and after it.
func (e *env) scrub() (round metadata.ScrubTally, c steward.Counters) {
	e.t.Helper()
	e.Steward.ScrubNow()
	c = e.RunSteward()
	for range 3 { // on a slow machine a repair may fail, and rest
		if x := e.redundancy(); !x.Whole() {
			e.Advance(2 * time.Hour)
			c = e.RunSteward()
		}
	}
	st := e.Steward.Scrub()
	if st == nil || st.UnderWay || st.Round.Ended.IsZero() {
		e.t.Fatalf("the round is not at its end: %+v", st)
	}
	return st.Round.Tally, c
}

// TestScrubOfFilesThatCannotBeRead: input errors of one file are damage of its shard, of
// a whole disk they are not.
func TestScrubOfFilesThatCannotBeRead(t *testing.T) {
	e := newEnv(t, scrubbed(5, partition.Scheme{K: 2, M: 2}))
	s := e.fillShelf(12)
	e.RunSteward()
	row := e.specimenRow()
	name := blobd.ShardID{Partition: blobd.PartitionID(row.ID), Index: 1}.String()
	remove := e.Faults.Add(faultfs.Rule{Kinds: faultfs.Read, Path: name, Err: syscall.EIO})
	e.round()
	remove()
	if c := e.RunSteward(); c.Damaged != 1 || c.Repaired != 1 {
		t.Errorf("one file: %+v", c)
	}
	dir := e.busiest()
	remove = e.Faults.Add(faultfs.Rule{Kinds: faultfs.Read, Path: dir + "/shards/", Err: syscall.EIO})
	e.round()
	remove()
	round := e.Steward.Scrub().Round.Tally
	if c := e.Steward.Counters(); round.Passed == 0 || c.Damaged != 1 || c.ScrubUnreadable != 0 {
		t.Errorf("a whole disk: %+v, %+v", round, c)
	}
	if round, _ := e.scrub(); !round.Whole() {
		t.Errorf("when all is well: %+v", round)
	}
	e.holdsShelf(s)
	e.mustBeWhole()
}

// round runs a whole round and no other job.
func (e *env) round() {
	e.t.Helper()
	e.Steward.ScrubNow()
	for more := true; more; {
		p, err := e.job("scrub").Step(e.t.Context())
		e.must(err)
		more = p.More
	}
}

// specimenRow is a sealed partition.
func (e *env) specimenRow() metadata.Partition {
	e.t.Helper()
	for _, row := range e.rows() {
		if row.State == metadata.PartitionSealed {
			return row
		}
	}
	e.t.Fatalf("none is sealed: %v", e.states())
	return metadata.Partition{}
}

// TestScrubRoundsFollowTheInterval: the first round begins when the oldest partition is as old as
// the interval, the next an interval later, and none where it is off.
func TestScrubRoundsFollowTheInterval(t *testing.T) {
	e := newEnv(t, scrubbed(4, partition.Scheme{K: 2, M: 2}))
	e.fillShelf(3)
	rounds := func() int64 { return e.RunSteward().ScrubRounds }
	if n := rounds(); n != 0 {
		t.Errorf("%d rounds of what is new", n)
	}
	e.Advance(13 * 24 * time.Hour)
	if n := rounds(); n != 0 {
		t.Errorf("%d rounds after 13 days", n)
	}
	e.Advance(25 * time.Hour)
	if n := rounds(); n != 1 {
		t.Errorf("%d rounds after 14 days", n)
	}
	st := e.Steward.Scrub()
	if st.Oldest.Before(st.Round.Started) || st.Partitions != int64(len(e.rows())) || !st.Next.Equal(st.Round.Started.Add(14*24*time.Hour)) || st.Off {
		t.Errorf("status %+v", st)
	}
	e.Restart()
	if n := rounds(); n != 0 {
		t.Errorf("%d rounds after a restart", n)
	}
	e.Advance(14 * 24 * time.Hour)
	if n := rounds(); n != 1 || e.Steward.Scrub().Round.Number != 2 {
		t.Errorf("%d rounds after 28 days, %+v", n, e.Steward.Scrub())
	}

	o := scrubbed(4, partition.Scheme{K: 2, M: 2})
	edit := o.Edit
	o.Edit = func(o *single.Options) {
		edit(o)
		o.Steward.ScrubInterval = -1
	}
	off := newEnv(t, o)
	off.fillShelf(1)
	off.Advance(1000 * 24 * time.Hour)
	if c, st := off.RunSteward(), off.Steward.Scrub(); c.ScrubRounds != 0 || !st.Off || !st.Next.IsZero() || st.Oldest.IsZero() {
		t.Errorf("off: %+v", st)
	}
	if round, _ := off.scrub(); !round.Whole() || round.Partitions == 0 {
		t.Errorf("asked for while it is off: %+v", round)
	}
}

// job is the job of a name.
func (e *env) job(name string) steward.Job {
	e.t.Helper()
	for _, j := range e.Steward.Jobs() {
		if j.Name() == name {
			return j
		}
	}
	e.t.Fatalf("there is no job %s", name)
	return nil
}

// TestScrubGoesOnAfterARestart cuts a round short between partitions, and in the
// middle of one.
func TestScrubGoesOnAfterARestart(t *testing.T) {
	e := newEnv(t, scrubbed(4, partition.Scheme{K: 2, M: 2}))
	s := e.fillShelf(16)
	e.RunSteward()
	whole, _ := e.scrub()
	e.Steward.ScrubNow()
	for e.Steward.Scrub().Round.Number < 2 || e.Steward.Scrub().Round.Tally.Partitions < 2 {
		_, err := e.job("scrub").Step(t.Context())
		e.must(err)
	}
	half := e.Steward.Scrub().Round
	e = &env{e.Crash(50, 1), t}
	round := func() metadata.ScrubTally {
		e.RunSteward()
		st := e.Steward.Scrub()
		if st.UnderWay || st.Round.Number != half.Number || !st.Round.Started.Equal(half.Started) {
			t.Fatalf("another round: %+v", st)
		}
		return st.Round.Tally
	}
	got := round()
	read := e.Steward.Counters().ScrubBytes
	if got.Bytes != whole.Bytes || got.Partitions != whole.Partitions || !got.Whole() || read >= whole.Bytes {
		t.Errorf("the round read %+v, %d bytes of it after the restart; the one before %+v", got, read, whole)
	}

	row := e.specimenRow()
	e.must(e.DB.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		round, err := tx.ScrubRound()
		if err != nil {
			return err
		}
		round.Ended = time.Time{}
		refs, err := tx.Refs(row.ID, 0, 0)
		if err != nil {
			return err
		}
		walk := &metadata.Scrubbed{
			ID: row.ID, Began: round.Started, Walk: round.Number, Next: refs[len(refs)-1].Stripe, Current: metadata.ScrubTally{Frames: 1000, Damaged: 7},
		}
		if _, err := tx.PutScrubbed(walk); err != nil {
			return err
		}
		return tx.PutScrubRound(round)
	}))
	e.Restart()
	round()
	if n := e.Steward.Counters().ScrubFrames; n == 0 || n > 8 {
		t.Errorf("%d frames were read of the last stripe", n)
	}
	e.must(e.DB.View(t.Context(), "test", func(r *metadata.Reader) error {
		x, err := r.Scrubbed(row.ID)
		if err == nil && (x.Found.Damaged != 7 || x.Found.Frames <= 1000 || !x.Verified.IsZero() || x.Looked.IsZero() || !x.Began.IsZero()) {
			t.Errorf("%+v", x)
		}
		return err
	}))
	e.holdsShelf(s)
}

// TestScrubSetsAsideWhatNobodyKnows puts files on the disks of a running store.
func TestScrubSetsAsideWhatNobodyKnows(t *testing.T) {
	e := newEnv(t, scrubbed(4, partition.Scheme{K: 2, M: 2}))
	s := e.fillShelf(12)
	e.RunSteward()
	dir := e.Dirs()[1]
	known := shardFiles(e, dir)[0]
	name := blobd.ShardID{Partition: 0xabababababababab, Index: 1}.String()
	stray := e.FS.PathJoin(dir, "shards", "ab", name)
	e.must(e.FS.MkdirAll(e.FS.PathDir(stray), 0o750))
	e.must(pebblevfs.Copy(e.FS, known, stray))
	_, c := e.scrub()
	if c.Unknown != 1 || c.Damaged != 0 {
		t.Errorf("%+v", c)
	}
	names, err := e.FS.List(e.FS.PathJoin(dir, "lost"))
	e.must(err)
	if len(names) != 1 || !strings.HasPrefix(names[0], name) {
		t.Errorf("set aside: %v", names)
	}
	e.holdsShelf(s)
	e.mustBeWhole()
}

// TestScrubBesideEverything runs rounds without a pause beside all other jobs, while
// objects come and go: nothing that they do looks like damage.
func TestScrubBesideEverything(t *testing.T) {
	o := scrubbed(5, partition.Scheme{K: 2, M: 2})
	o.FS = vfs.NewMem()
	e := newEnv(t, o)
	s := e.fillShelf(2)
	st := steward.New(e.DB, e.Store, steward.Options{Interval: time.Millisecond, Grace: -1, SweepAfter: -1, RepairDelay: -1, ScrubBandwidth: -1, Sole: true})
	st.Start(t.Context())
	steps := 20
	if testing.Short() {
		steps = 8
	}
	workers := []*worker{newWorker(e, 1), newWorker(e, 2), newWorker(e, 3)}
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			for range steps {
				w.step()
				st.ScrubNow()
			}
		})
	}
	wg.Wait()
	_, err := st.Drain(t.Context())
	e.must(err)
	st.Close()
	c := st.Counters()
	if c.ScrubFrames == 0 || c.ScrubDamaged+c.ScrubMismatched+c.ScrubUnreadable+c.Damaged+c.Unknown+c.Errors != 0 {
		t.Errorf("%+v", c)
	}
	for _, w := range workers {
		w.verify()
	}
	e.holdsShelf(s)
	if round, _ := e.scrub(); !round.Whole() {
		t.Errorf("at the end: %+v", round)
	}
	e.mustBeWhole()
}

// TestScrubOfRandomDamage spoils random shards again and again, never more of a partition than
// it can lose, while objects come and go.
func TestScrubOfRandomDamage(t *testing.T) {
	o := scrubbed(5, partition.Scheme{K: 2, M: 2})
	o.FS = vfs.NewMem()
	e := newEnv(t, o)
	w := newWorker(e, 1)
	s := e.fillShelf(8)
	rng := rand.New(rand.NewPCG(5, 5))
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		e.RunSteward()
		spoiled := map[string]int{}
		// One is sure to be read: what is spoiled by chance may all be what nobody refers to.
		sure := blobd.ShardID{Partition: blobd.PartitionID(e.specimen().row.ID), Index: 3}.String()
		for _, dir := range e.Dirs() {
			for _, name := range shardFiles(e, dir) {
				id, _, _ := strings.Cut(e.FS.PathBase(name), ".")
				if (rng.IntN(3) == 0 || e.FS.PathBase(name) == sure) && spoiled[id] < 2 {
					spoiled[id]++
					e.rot(name, rng)
				}
			}
		}
		for range 3 {
			w.step()
		}
		if round, c := e.scrub(); round.Damaged == 0 || c.ScrubMismatched+c.ScrubUnreadable != 0 {
			t.Fatalf("%+v, %+v", round, c)
		}
		if round, _ := e.scrub(); !round.Whole() {
			t.Fatalf("after the repairs: %+v", round)
		}
	}
	e.holdsShelf(s)
	w.verify()
	e.mustBeWhole()
}

// TestScrubKeepsToItsBandwidth: what is read in a second follows from the interval, within bounds.
func TestScrubKeepsToItsBandwidth(t *testing.T) {
	for name, c := range map[string]struct {
		bandwidth int64
		hurry     bool
		want      int64
	}{
		"that was set":          {5 << 20, false, 5 << 20},
		"of little data":        {0, false, 8 << 20},
		"that somebody awaits":  {0, true, 4 * 32 << 20},
		"that is not bounded":   {-1, true, 0},
		"set, somebody awaits":  {5 << 20, true, 5 << 20},
		"unbounded and nobody ": {-1, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := scrubbed(4, partition.Scheme{K: 2, M: 2})
			o.Edit = func(o *single.Options) { o.Steward.ScrubBandwidth = c.bandwidth }
			e := newEnv(t, o)
			e.fillShelf(1)
			if c.hurry {
				e.Steward.ScrubNow()
			} else {
				e.Advance(15 * 24 * time.Hour)
			}
			_, err := e.job("scrub").Step(t.Context())
			e.must(err)
			st := e.Steward.Scrub()
			if !st.UnderWay || st.Rate != c.want || st.Left == 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestScrubPunchesWhatReclaimLeft: too little has died for a sweep of its own; a round gives
// it back.
func TestScrubPunchesWhatReclaimLeft(t *testing.T) {
	o := testcluster.Options{FS: vfs.Default(), Dirs: []string{t.TempDir(), t.TempDir(), t.TempDir()}}
	o.Edit = func(o *single.Options) { o.Steward.SweepAfter, o.Steward.ScrubBandwidth = 1000*time.Hour, -1 }
	e := newEnv(t, o)
	const count, size = 80, 300_000
	for i := range count {
		e.put(fmt.Sprint(i), content(uint64(i), size))
	}
	e.RunSteward()
	before := e.RunSteward().Punched
	e.remove("3")
	if c := e.RunSteward(); c.Punched != before || c.Extents == 0 {
		t.Fatalf("reclaim has swept it: %+v", c)
	}
	if _, c := e.scrub(); c.Punched-before < size {
		t.Errorf("%d bytes were punched", c.Punched-before)
	}
	for i := range count {
		if i != 3 {
			e.holds(fmt.Sprint(i), content(uint64(i), size))
		}
	}
}
