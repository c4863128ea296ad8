package steward_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/steward"
)

// scheme makes a cluster's partitions k+m.
func scheme(disks int, sc partition.Scheme) testcluster.Options {
	return testcluster.Options{Disks: disks, Edit: func(o *single.Options) { o.Scheme = sc }}
}

// shelf is what a cluster holds, by key.
type shelf map[string][]byte

// fillShelf writes objects of every shape, enough to fill partitions.
func (e *env) fillShelf(count int) shelf {
	e.t.Helper()
	out := shelf{}
	for i := range count {
		for j, size := range []int{100, 20_000, 300_000, 2 * mib} {
			key := fmt.Sprint(i, "-", j)
			out[key] = content(uint64(100*i+j), size)
			e.put(key, out[key])
		}
	}
	return out
}

func (e *env) holdsShelf(s shelf) {
	e.t.Helper()
	for _, key := range slices.Sorted(maps.Keys(s)) {
		e.holds(key, s[key])
	}
}

func (e *env) redundancy() metadata.Redundancy {
	e.t.Helper()
	x, err := e.Store.Redundancy(context.WithoutCancel(e.t.Context()))
	e.must(err)
	return x
}

// mustBeWhole fails the test unless every shard of every partition is there,
// no disk has a shard that it should not have, and the checker is content.
func (e *env) mustBeWhole() {
	e.t.Helper()
	if x := e.redundancy(); !x.Whole() {
		e.t.Errorf("redundancy %+v", x)
	}
	e.MustCheck()
	var files, want []string
	st, err := e.Status(context.WithoutCancel(e.t.Context()))
	e.must(err)
	for _, d := range st.Disks {
		for _, name := range shardFiles(e, d.Path) {
			files = append(files, d.ID+"/"+e.FS.PathBase(name))
		}
	}
	for _, row := range e.rows() {
		for i, id := range row.Shards {
			want = append(want, fmt.Sprintf("%x/%016x.%02d", id[:], uint64(row.ID), i))
		}
	}
	slices.Sort(files)
	slices.Sort(want)
	if !slices.Equal(files, want) {
		e.t.Errorf("files of shards\n%s, the rows name\n%s", strings.Join(files, "\n"), strings.Join(want, "\n"))
	}
}

// shardFiles are the files of shards on a disk.
func shardFiles(e *env, dir string) (files []string) {
	e.t.Helper()
	groups, err := e.FS.List(e.FS.PathJoin(dir, "shards"))
	e.must(err)
	for _, g := range groups {
		names, err := e.FS.List(e.FS.PathJoin(dir, "shards", g))
		e.must(err)
		for _, name := range names {
			files = append(files, e.FS.PathJoin(dir, "shards", g, name))
		}
	}
	return files
}

// busiest is the directory with the most shards, of all but the first one, which
// has the metadata: a disk that holds nothing would prove nothing.
func (e *env) busiest() (dir string) {
	e.t.Helper()
	most := 0
	for _, other := range e.Dirs()[1:] {
		if n := len(shardFiles(e, other)); n > most {
			dir, most = other, n
		}
	}
	return dir
}

// unmount takes a directory away from a stopped cluster.
func (e *env) unmount(dir string) (mount func()) {
	e.t.Helper()
	e.must(e.FS.Rename(dir, dir+".away"))
	return func() {
		e.t.Helper()
		e.must(e.FS.Rename(dir+".away", dir))
	}
}

// TestRepairWaitsForADiskThatMayComeBack: a reboot starts nothing; a disk that
// stays away is rebuilt; what is stale on it when it returns is removed.
func TestRepairWaitsForADiskThatMayComeBack(t *testing.T) {
	e := newEnv(t, scheme(5, partition.Scheme{K: 2, M: 2}))
	s := e.fillShelf(6)
	dir := e.busiest()
	e.Stop()
	mount := e.unmount(dir)
	e.Start()
	if c := e.RunSteward(); c.Repaired != 0 {
		t.Errorf("%d shards were rebuilt at once", c.Repaired)
	}
	h := e.Steward.Health()
	if h == nil || h.Waiting == 0 || h.Queued != 0 || h.Redundancy.Whole() {
		t.Errorf("health %+v", h)
	}
	e.Stop()
	mount()
	e.Start()
	if c := e.RunSteward(); c.Repaired != 0 || c.Revived == 0 {
		t.Errorf("a disk that came back soon: %+v", c)
	}
	e.holdsShelf(s)
	e.mustBeWhole()

	e.Stop()
	mount = e.unmount(dir)
	e.Start()
	e.RunSteward()
	e.Advance(14 * time.Minute)
	if c := e.RunSteward(); c.Repaired != 0 {
		t.Errorf("%d shards were rebuilt after 14 minutes", c.Repaired)
	}
	e.Advance(time.Minute)
	c := e.RunSteward()
	if c.Repaired == 0 || c.RepairedBytes == 0 || c.RepairFailures != 0 {
		t.Errorf("after 15 minutes: %+v", c)
	}
	if h := e.Steward.Health(); !h.Redundancy.Whole() || h.Waiting+h.Queued+h.Resting != 0 {
		t.Errorf("health %+v", h)
	}
	e.holdsShelf(s)
	e.Stop()
	mount()
	e.Start()
	if c := e.RunSteward(); c.Superseded == 0 || c.Unknown != 0 {
		t.Errorf("the disk came back: %+v", c)
	}
	e.holdsShelf(s)
	e.mustBeWhole()
}

// TestEveryCombinationOfLostDisks loses up to m disks, rebuilds, and then loses as
// many others.
func TestEveryCombinationOfLostDisks(t *testing.T) {
	for _, sc := range []partition.Scheme{{K: 2, M: 1}, {K: 2, M: 2}, {K: 4, M: 2}} {
		if testing.Short() && sc.K == 4 {
			continue
		}
		n := sc.K + 2*sc.M
		first := newEnv(t, scheme(n, sc))
		s := first.fillShelf(2)
		first.Stop()
		for set := range 1 << (n - 1) { // not the first disk: it has the metadata
			var lost, kept []string
			for i, dir := range first.Dirs()[1:] {
				if set>>i&1 == 1 {
					lost = append(lost, dir)
				} else {
					kept = append(kept, dir)
				}
			}
			if len(lost) != sc.M {
				continue
			}
			t.Run(fmt.Sprint(sc, lost), func(t *testing.T) {
				clone := first.Mem().CrashClone(pebblevfs.CrashCloneCfg{})
				for _, dir := range lost {
					if err := clone.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
				}
				o := scheme(n, sc)
				o.FS, o.Dirs = clone, first.Dirs()
				o.Edit = func(o *single.Options) { o.Scheme, o.Steward.RepairDelay = sc, -1 }
				e := &env{testcluster.New(t, o), t}
				e.holdsShelf(s)
				e.RunSteward()
				e.holdsShelf(s)
				e.mustBeWhole()
				e.Stop()
				rng := rand.New(rand.NewPCG(uint64(set), 1))
				rng.Shuffle(len(kept), func(i, j int) { kept[i], kept[j] = kept[j], kept[i] })
				for _, dir := range kept[:sc.M] {
					e.unmount(dir)
				}
				e.Accept(true) // of those that are left it may be half
				e.Start()
				e.holdsShelf(s)
			})
		}
	}
}

// TestDamageFoundByReadsIsRepaired rots shards, reads, and repairs in place: the next
// reads meet no damage.
func TestDamageFoundByReadsIsRepaired(t *testing.T) {
	e := newEnv(t, scheme(4, partition.Scheme{K: 2, M: 2}))
	s := e.fillShelf(16)
	e.Restart()
	e.RunSteward() // seals
	rng := rand.New(rand.NewPCG(3, 3))
	rotten := 0
	for _, row := range e.rows() {
		for _, dir := range e.Dirs() {
			for _, name := range shardFiles(e, dir) { // reads do not look at parity
				if row.State == metadata.PartitionSealed && e.FS.PathBase(name) == fmt.Sprintf("%016x.00", uint64(row.ID)) {
					e.rot(name, rng)
					rotten++
				}
			}
		}
	}
	if rotten == 0 {
		t.Fatal("no partition is sealed")
	}
	for round := 0; ; round++ {
		e.holdsShelf(s)
		before := e.Steward.Counters()
		c := e.RunSteward()
		if c.Repaired == before.Repaired {
			break
		}
		if round > 5 {
			t.Fatalf("no end of repairs: %+v", c)
		}
	}
	if c := e.Steward.Counters(); c.Damaged < int64(rotten) || c.Repaired < int64(rotten) || c.RepairFailures != 0 {
		t.Errorf("%+v", c)
	}
	corrupt := e.Store.Status().Counters.Corrupt
	e.holdsShelf(s)
	if n := e.Store.Status().Counters.Corrupt; n != corrupt {
		t.Errorf("%d corrupt frames were met after the repair", n-corrupt)
	}
	e.MustCheck()
}

// TestEmptiedDiskIsRepairedAtOnce removes the files of a disk, and
// gives it an old copy of itself.
func TestEmptiedDiskIsRepairedAtOnce(t *testing.T) {
	for name, spoil := range map[string]func(e *env, old *vfs.MemFS){
		"emptied": func(e *env, _ *vfs.MemFS) { e.must(e.FS.RemoveAll("/d3/shards")) },
		"an old copy": func(e *env, old *vfs.MemFS) {
			e.must(e.FS.RemoveAll("/d3"))
			_, err := pebblevfs.Clone(old, e.FS, "/d3", "/d3", pebblevfs.CloneSync)
			e.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, scheme(4, partition.Scheme{K: 2, M: 2}))
			s := e.fillShelf(2)
			old := e.Mem().CrashClone(pebblevfs.CrashCloneCfg{})
			maps.Copy(s, func() shelf { // and more, over the same keys and new ones
				return e.fillShelf(6)
			}())
			e.RunSteward()
			e.Stop()
			spoil(e, old)
			e.Start()
			e.holdsShelf(s)
			e.RunSteward()
			if c := e.Steward.Counters(); c.RepairFailures != 0 {
				t.Errorf("%+v", c)
			}
			e.holdsShelf(s)
			if x := e.redundancy(); !x.Whole() {
				t.Errorf("redundancy %+v", x)
			}
			e.Stop()
			e.unmount("/d2")
			e.unmount("/d4")
			e.Accept(true) // half of four
			e.Start()
			for key, data := range s {
				if got, err := e.tryGet(key); err != nil || !slices.Equal(got, data) {
					t.Errorf("%s without two other disks: %d bytes, %v", key, len(got), err)
				}
			}
		})
	}
}

// TestPowerLossDuringRepair cuts the power at the changes that a takeover, seals and
// repairs without a disk make. Whatever is left, with the disk or without, everything is
// there, and the next start makes it whole. Each change: UNDERCROFT_TEST_LONG=1.
func TestPowerLossDuringRepair(t *testing.T) {
	sc := partition.Scheme{K: 2, M: 1}
	e := newEnv(t, scheme(4, sc))
	s := e.fillShelf(14)
	dir := e.busiest()
	e.Stop()
	e.must(e.FS.RemoveAll(dir))
	crashes := e.crashing(4, func(op faultfs.Op) bool {
		return op.Kind&(faultfs.Rename|faultfs.Remove|faultfs.Sync) != 0 && strings.Contains(op.Name, "/tmp/")
	})
	e.Start()
	e.RunSteward() // seals without the disk
	e.Advance(15 * time.Minute)
	if c := e.RunSteward(); c.Repaired == 0 {
		t.Errorf("nothing was repaired: %+v", c)
	}
	n, renames := crashes.each(func(t *testing.T, i int, left crash) {
		t.Helper()
		if i%2 == 0 { // where it is there, the loss of the directory was not durable: the disk is back
			e.must(left.fs.RemoveAll(dir))
		}
		o := scheme(4, sc)
		o.FS, o.Dirs = left.fs, e.Dirs()
		o.Edit = func(o *single.Options) { o.Scheme, o.Steward.RepairDelay = sc, -1 }
		after := &env{testcluster.New(t, o), t}
		after.holdsShelf(s)
		after.RunSteward()
		after.holdsShelf(s)
		after.mustBeWhole()
	})
	e.holdsShelf(s)
	e.mustBeWhole()
	if n < 4 || renames == 0 {
		t.Errorf("%d crashes, %d of them in temporary files: too few", n, renames)
	}
}

// TestTwoStewardsRepairBesideAWorkload runs all jobs twice while objects come and go and a
// disk is away.
func TestTwoStewardsRepairBesideAWorkload(t *testing.T) {
	o := scheme(5, partition.Scheme{K: 2, M: 2})
	o.FS = vfs.NewMem()
	e := newEnv(t, o)
	s := e.fillShelf(3)
	dir := e.busiest()
	e.Stop()
	e.unmount(dir)
	e.Start()
	fast := steward.Options{Interval: time.Millisecond, Grace: -1, SweepAfter: -1, RepairDelay: -1}
	var stewards []*steward.Steward
	for range 2 {
		st := steward.New(e.DB, e.Store, fast)
		st.Start(t.Context())
		stewards = append(stewards, st)
	}
	workers := []*worker{newWorker(e, 1), newWorker(e, 2)}
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			for range 15 {
				w.step()
			}
		})
	}
	wg.Wait()
	e.holdsShelf(s)
	var repaired, failed int64
	for _, st := range stewards {
		_, err := st.Drain(t.Context())
		e.must(err)
		st.Close()
		c := st.Counters()
		repaired, failed = repaired+c.Repaired, failed+c.RepairFailures+c.Errors
	}
	if repaired == 0 || failed != 0 {
		t.Errorf("%d repaired, %d failed", repaired, failed)
	}
	for _, w := range workers {
		w.verify()
	}
	e.holdsShelf(s)
	if x := e.redundancy(); !x.Whole() {
		t.Errorf("redundancy %+v", x)
	}
	e.MustCheck()
}

// TestNoDiskForAShard: as many disks as shards and one gone (interleaving 42). The health
// says what is missing; a disk that is added makes it whole.
func TestNoDiskForAShard(t *testing.T) {
	e := newEnv(t, scheme(3, partition.Scheme{K: 2, M: 1}))
	s := e.fillShelf(3)
	e.Stop()
	e.must(e.FS.RemoveAll("/d3"))
	e.Start()
	e.must(e.DB.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		rows, err := tx.Disks()
		e.must(err)
		for i := range rows {
			if rows[i].Path == "/d3" {
				rows[i].State = metadata.DiskRemoved
				return tx.PutDisk(&rows[i])
			}
		}
		return fmt.Errorf("no disk at /d3 in %v", rows)
	}))
	e.run("seal", "repair", "repair")
	h := e.Steward.Health()
	if h.NoTarget == 0 || h.Redundancy.Critical == 0 || h.Redundancy.Beyond != 0 {
		t.Errorf("health %+v", h)
	}
	e.holdsShelf(s)
	e.Stop()
	e.SetDirs("/d1", "/d2", "/d5")
	e.Start() // a removed disk is not missed: the new directory becomes a disk
	if c := e.RunSteward(); c.Repaired == 0 || c.RepairFailures != 0 {
		t.Errorf("%+v", c)
	}
	e.holdsShelf(s)
	e.mustBeWhole()
}
