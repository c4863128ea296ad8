// Package testcluster is a whole store in one process on a file system in
// memory that can lose power and fail: for tests of every layer above blobd.
//
// A cluster is checked when its test ends: rows, references and counters must
// agree. It may be imported by tests only.
package testcluster

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/steward"
)

// Options shape a cluster. The zero value is six disks on a crashable file
// system in memory.
type Options struct {
	Disks int
	// Dirs are the data directories; nil is /d1 and so on.
	Dirs []string
	// FS replaces the file system. Cluster.Crash and Cluster.Faults are of the default one.
	FS vfs.FS
	// Edit changes what the store is opened with.
	Edit func(*single.Options)
	// Unchecked leaves out the check at the end of the test.
	Unchecked bool
}

// Cluster is an open store.
type Cluster struct {
	*single.System
	FS vfs.FS
	// Faults is FS, to make it fail; nil where Options.FS replaced it.
	Faults *faultfs.FS

	mem  *faultfs.Mem
	t    testing.TB
	opts Options
	tick *clock
	log  *slog.Logger
	down bool

	accept  bool
	outside outside // nil: the metadata is on the disks, or was not asked for yet
}

// epoch is when the clocks of clusters start.
const epoch = 1_790_000_000_000_000

// New opens a new store.
func New(tb testing.TB, o Options) *Cluster {
	tb.Helper()
	c := &Cluster{FS: o.FS, t: tb, opts: o, tick: &clock{}, log: newLogger(tb)}
	if c.FS == nil {
		c.use(vfs.NewCrashableMem())
	}
	c.Start()
	return c
}

func (c *Cluster) use(mem *vfs.MemFS) {
	c.mem = faultfs.NewMem(mem)
	c.Faults = faultfs.New(c.mem)
	c.FS = c.Faults
}

// Start opens the store that Stop closed.
func (c *Cluster) Start() {
	c.t.Helper()
	c.down = false
	s, err := c.Open(c.t.Context())
	if err != nil {
		c.down = true
		c.t.Fatalf("open the store: %v", err)
	}
	c.System = s
	c.t.Cleanup(c.Stop)
	if err := s.AwaitMirrors(c.t.Context()); err != nil {
		c.t.Fatalf("mirror the metadata: %v", err)
	}
}

// Reopen opens the store that the directories of a cluster with default
// options hold on another file system. The caller closes it.
func Reopen(tb testing.TB, fs vfs.FS) (*single.System, error) {
	tb.Helper()
	onDisksOnly(tb)
	dirs, err := fs.List("/")
	if err != nil {
		return nil, err
	}
	slices.Sort(dirs)
	for i := range dirs {
		dirs[i] = "/" + dirs[i]
	}
	c := &Cluster{FS: fs, t: tb, opts: Options{Dirs: dirs}, tick: &clock{}, log: newLogger(tb)}
	c.tick.ticks.Store(reopenTick)
	return c.Open(context.WithoutCancel(tb.Context()))
}

// reopenTick is past what the clock of a cluster has reached when it crashes.
const reopenTick = 100_000_000

// Mem is the file system in memory, to clone it as a power loss leaves it.
func (c *Cluster) Mem() *faultfs.Mem { return c.mem }

// Open opens a store on the cluster's directories without making it the
// cluster's own; for tests of what an open refuses.
func (c *Cluster) Open(ctx context.Context) (*single.System, error) {
	o := single.Options{
		FS: c.FS, Dirs: c.Dirs(), Now: c.Now, Region: "us-east-1",
		Capacity: 8 << 20, BufferMemory: 32 << 20,
		Disk:    disk.Options{Reserve: -1, Preallocate: 256 << 10},
		Engine:  pebble.Options{Now: c.engineNow, ReserveBytes: -1, BallastBytes: -1, MemTableBytes: 1 << 20, CacheBytes: 4 << 20},
		Steward: steward.Options{Interval: -1, Grace: -1, SweepAfter: -1}, // see RunSteward
		Logger:  c.log,
	}
	o.AcceptLoss, o.DiskInterval = c.accept, -1 // see LookAtDisks
	if c.opts.Edit != nil {
		c.opts.Edit(&o)
	}
	if o.External == nil {
		o.External = c.external() //nolint:contextcheck // what it starts outlives the call
	}
	return single.Open(ctx, o)
}

// Dirs are the data directories.
func (c *Cluster) Dirs() []string {
	if c.opts.Dirs != nil {
		return c.opts.Dirs
	}
	n := c.opts.Disks
	if n == 0 {
		n = 6
	}
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("/d%d", i+1)
	}
	return out
}

// clock counts milliseconds.
type clock struct{ ticks, moved, engine atomic.Int64 }

// Now is a clock that moves a millisecond whenever it is asked.
func (c *Cluster) Now() time.Time {
	return time.UnixMicro(epoch + 1000*(c.tick.ticks.Add(1)+c.tick.moved.Load())).UTC()
}

// engineNow moves with AdvanceEngine only: it counts the age of transactions, and
// those of background jobs must not grow too old because a test moved the clock
// beside them.
func (c *Cluster) engineNow() time.Time {
	return time.UnixMicro(epoch + 1000*c.tick.engine.Load()).UTC()
}

// SetDirs changes the data directories of the next Start.
func (c *Cluster) SetDirs(dirs ...string) { c.opts.Dirs = dirs }

// Accept says whether the next Start takes what metadata there is.
func (c *Cluster) Accept(loss bool) { c.accept = loss }

// Advance moves the clock on, but not that of the metadata engine.
func (c *Cluster) Advance(d time.Duration) { c.tick.moved.Add(d.Milliseconds()) }

// AdvanceEngine moves the clock on, and that of the metadata engine with it: a
// transaction under way grows too old.
func (c *Cluster) AdvanceEngine(d time.Duration) {
	c.Advance(d)
	c.tick.engine.Add(d.Milliseconds())
}

// Stop checks and closes the store; it does nothing when that was done.
func (c *Cluster) Stop() {
	if c.down {
		return
	}
	c.down = true
	ctx := context.WithoutCancel(c.t.Context())
	if !c.opts.Unchecked && c.Err() == nil {
		c.MustCheck()
	}
	store := c.Store
	err := c.Close(ctx)
	if c.opts.Unchecked {
		return
	}
	if err != nil {
		c.t.Errorf("close the store: %v", err)
	}
	c.mustBeIdle(store.Status())
}

// mustBeIdle fails the test when a request that ended has kept something.
func (c *Cluster) mustBeIdle(st partition.Status) {
	c.t.Helper()
	if st.BufferMemory != 0 || st.ReadMemory != 0 {
		c.t.Errorf("after the end %d bytes of bodies and %d of reads are in use", st.BufferMemory, st.ReadMemory)
	}
	for _, p := range st.Partitions {
		if p.Held != 0 {
			c.t.Errorf("partition %x is held by %d blobs", p.ID, p.Held)
		}
	}
}

// MustCheck fails the test when the checker finds a problem.
func (c *Cluster) MustCheck() {
	c.t.Helper()
	var out strings.Builder
	if err := c.Check(context.WithoutCancel(c.t.Context()), &out); err != nil {
		c.t.Errorf("check: %v\n%s", err, out.String())
	}
}

// RunSteward runs the background jobs until none finds anything to do. A
// cluster's own steward rests unless Options.Edit says otherwise.
func (c *Cluster) RunSteward() steward.Counters {
	c.t.Helper()
	if _, err := c.Steward.Drain(context.WithoutCancel(c.t.Context())); err != nil {
		c.t.Errorf("steward: %v", err)
	}
	return c.Steward.Counters()
}

// Restart stops the store cleanly and opens it again.
func (c *Cluster) Restart() {
	c.t.Helper()
	c.Stop()
	c.Start()
}

// Crash returns a cluster on what the disks hold after a power loss right now: all that was
// synced, and of the rest each block with the given probability. The crashed
// cluster goes on beside it, and is not checked any more.
func (c *Cluster) Crash(unsyncedPercent int, seed uint64) *Cluster {
	c.t.Helper()
	onDisksOnly(c.t)
	mem := c.mem.CrashClone(pebblevfs.CrashCloneCfg{
		UnsyncedDataPercent: unsyncedPercent, RNG: rand.New(rand.NewPCG(seed, 1)),
	})
	c.opts.Unchecked = true
	next := &Cluster{t: c.t, opts: c.opts, tick: c.tick, log: c.log}
	next.opts.Unchecked = false
	next.use(mem)
	next.Start()
	return next
}

// Summary checks the store like MustCheck and returns what was counted.
func (c *Cluster) Summary() metadata.Summary {
	c.t.Helper()
	sum, err := metadata.Check(context.WithoutCancel(c.t.Context()), c.DB, func(p metadata.Problem) {
		c.t.Errorf("check: %+v", p)
	})
	if err != nil {
		c.t.Errorf("check: %v", err)
	}
	return sum
}
