package steward_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

// compacting is a cluster whose steward looks for something to compact
// whenever it runs.
func compacting(o testcluster.Options) testcluster.Options {
	edit := o.Edit
	o.Edit = func(s *single.Options) {
		if edit != nil {
			edit(s)
		}
		s.Steward.CompactEvery = -1
	}
	return o
}

// onDisks is a cluster on directories of a file system that punches holes.
func onDisks(t *testing.T, disks int) testcluster.Options {
	t.Helper()
	o := testcluster.Options{FS: vfs.Default()}
	for range disks {
		o.Dirs = append(o.Dirs, t.TempDir())
	}
	return compacting(o)
}

// space is what the partitions take on all disks, those that are sealed and the others.
func (e *env) space() (sealed, open int64) {
	e.t.Helper()
	for _, row := range e.rows() {
		n := e.Store.Space(e.t.Context(), &row).Allocated
		if row.State == metadata.PartitionSealed || row.State == metadata.PartitionDropped {
			sealed += n
		} else {
			open += n
		}
	}
	return sealed, open
}

// run runs jobs until each finds nothing to do.
func (e *env) run(names ...string) {
	e.t.Helper()
	for _, name := range names {
		for _, j := range e.Steward.Jobs() {
			for more := j.Name() == name; more; {
				p, err := j.Step(e.t.Context())
				e.must(err)
				more = p.More
			}
		}
	}
}

// excess says whether the sealed partitions take more than so many percent of what
// their live bytes need, or the others more than they may; "" where they do not.
func (e *env) excess(percent int64) string {
	e.t.Helper()
	var need int64
	sealed, open := e.space()
	most := int64(0)
	for _, row := range e.rows() {
		var live int64
		e.must(e.DB.View(e.t.Context(), "test", func(r *metadata.Reader) (err error) {
			live, err = r.LiveBytes(row.ID)
			return err
		}))
		if row.State == metadata.PartitionSealed {
			need += live * int64(row.K+row.M) / int64(row.K)
		} else {
			most += (row.Capacity + 64<<10) * int64(row.K+row.M)
		}
	}
	if sealed*100 > need*percent {
		return fmt.Sprintf("%d bytes are taken for live bytes that need %d: %d percent, at most %d are allowed",
			sealed, need, sealed*100/max(need, 1), percent)
	}
	if open > most {
		return fmt.Sprintf("open partitions take %d bytes of at most %d", open, most)
	}
	return ""
}

// mustBeWithin holds that excess is nothing.
func (e *env) mustBeWithin(percent int64) {
	e.t.Helper()
	if why := e.excess(percent); why != "" {
		e.t.Error(why)
	}
}

// TestLoneSmallBlobsAreBatchedTogether writes objects of 20 KiB one after the other, each
// a stripe of its own of one column and all the parity: three times its size at
// 4+2, and twice what it needs (interleaving 49).
func TestLoneSmallBlobsAreBatchedTogether(t *testing.T) {
	e := newEnv(t, compacting(quick(6)))
	const count = 800
	for i := range count {
		e.put(fmt.Sprint(i), content(uint64(i), 20_000+i%1000))
	}
	e.RunSteward()
	c := e.Steward.Counters()
	if c.CompactedBlobs < count/2 || c.Dropped == 0 {
		t.Errorf("%d blobs were moved, %d partitions dropped", c.CompactedBlobs, c.Dropped)
	}
	e.mustBeWithin(130)
	for i := range count {
		e.holds(fmt.Sprint(i), content(uint64(i), 20_000+i%1000))
	}
	e.MustCheck()
	if n, err := e.Steward.Drain(t.Context()); n != 0 || err != nil {
		t.Errorf("a second run did %d things: %v", n, err)
	}
}

// TestSteadyOverwriteTakesLittleMoreThanItNeeds overwrites objects at random
// and wants the space of the sealed partitions within the bound all the time.
func TestSteadyOverwriteTakesLittleMoreThanItNeeds(t *testing.T) {
	for name, o := range map[string]testcluster.Options{"punching": onDisks(t, 3), "without holes": compacting(quick(3))} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, o)
			rng := rand.New(rand.NewPCG(4, 9))
			const keys, rounds, puts = 60, 12, 25
			has := map[int]uint64{}
			put := func(i int) {
				has[i] = rng.Uint64()
				e.put(fmt.Sprint(i), content(has[i], 64<<10+int(has[i]%(2<<20-64<<10))))
			}
			for i := range keys {
				put(i)
			}
			for range rounds {
				for range puts {
					put(rng.IntN(keys))
				}
				e.RunSteward()
				e.mustBeWithin(130)
				e.MustCheck()
			}
			for i, seed := range has {
				e.holds(fmt.Sprint(i), content(seed, 64<<10+int(seed%(2<<20-64<<10))))
			}
			c := e.Steward.Counters()
			t.Logf("%d MiB written, %d MiB moved in %d compactions, %d partitions dropped, %d MiB punched",
				e.Store.Status().Counters.Bytes>>20, c.CompactedBytes>>20, c.Compactions, c.Dropped, c.Punched>>20)
		})
	}
}

// TestIdleOpenPartitionsGiveBackGarbage leaves garbage in open partitions to
// which nobody writes any more.
func TestIdleOpenPartitionsGiveBackGarbage(t *testing.T) {
	e := newEnv(t, compacting(quick(2)))
	e.put("stays", content(1, 30_000))
	for i := range 3 {
		e.put("key", content(uint64(i), 2*mib))
	}
	e.remove("key")
	e.RunSteward()
	if n := e.Steward.Counters().Retired; n != 0 {
		t.Errorf("%d partitions were given up at once", n)
	}
	e.Advance(15 * time.Minute)
	c := e.RunSteward()
	if c.Retired == 0 || c.Dropped == 0 {
		t.Errorf("%d partitions were given up, %d dropped: %v", c.Retired, c.Dropped, e.states())
	}
	e.holds("stays", content(1, 30_000))
}

// TestNarrower loses a disk that nothing can take the place of: what it held is
// written anew on those that are left, with as much parity, while there is room
// (interleaving 42). Without room the job says what to do.
func TestNarrower(t *testing.T) {
	for name, size := range map[string]uint64{"room": 1 << 30, "no room": 9 * mib} {
		t.Run(name, func(t *testing.T) {
			o := scheme(3, partition.Scheme{K: 2, M: 1})
			fs := &smallFS{FS: vfs.NewMem(), size: size}
			o.FS = fs
			o.Edit = func(o *single.Options) { o.Scheme, o.Disk.UsageTTL = partition.Scheme{K: 2, M: 1}, 1 }
			e := newEnv(t, compacting(o))
			s := e.fillShelf(3)
			e.Stop()
			e.must(e.FS.RemoveAll("/d3"))
			e.Start()
			e.removeDisk("/d3")
			c := e.RunSteward()
			e.holdsShelf(s)
			e.MustCheck()
			if name == "no room" {
				note := ""
				for _, j := range e.Steward.Status() {
					note += j.Work.Note
				}
				if !strings.Contains(note, "add a disk") {
					t.Errorf("%d blobs were moved; the jobs say %q", c.CompactedBlobs, note)
				}
				return
			}
			if x := e.redundancy(); !x.Whole() {
				t.Errorf("redundancy %+v", x)
			}
			for _, row := range e.rows() {
				if row.State != metadata.PartitionDropped && len(row.Shards) != 2 {
					t.Errorf("partition of %d shards in state %d", len(row.Shards), row.State)
				}
			}
			if c.CompactedBlobs == 0 {
				t.Error("nothing was moved")
			}
		})
	}
}

// removeDisk takes a disk that is away out of the inventory.
func (e *env) removeDisk(path string) {
	e.t.Helper()
	e.must(e.DB.Update(e.t.Context(), "test", func(tx *metadata.Tx) error {
		rows, err := tx.Disks()
		for i := range rows {
			if err == nil && rows[i].Path == path {
				rows[i].State = metadata.DiskRemoved
				err = tx.PutDisk(&rows[i])
			}
		}
		return err
	}))
}
