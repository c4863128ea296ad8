package testcluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/objects"
)

// long says that UNDERCROFT_TEST_LONG is set: every point of every sweep is
// taken, with each share of unsynced data. It takes many minutes.
func long() bool { return os.Getenv("UNDERCROFT_TEST_LONG") != "" }

// crash is a power loss before an operation on the disks.
type crash struct {
	number  int64
	op      faultfs.Op
	percent int
	fs      *vfs.MemFS
	at      progress
	lost    []string // directories that are gone too
}

func (c *crash) String() string {
	return fmt.Sprintf("crash %d before %+v, %d%% of the unsynced kept, %q lost", c.number, c.op, c.percent, c.lost)
}

// without is the same crash with as many disks lost as the scheme allows, any
// of them.
func (c *crash) without(t *testing.T) *crash {
	t.Helper()
	out := *c
	out.fs = c.fs.CrashClone(pebblevfs.CrashCloneCfg{})
	dirs := []string{"/d1", "/d2", "/d3", "/d4", "/d5"}
	first := int(c.number / 5 % 5)
	out.lost = []string{dirs[first], dirs[(first+1+int(c.number/25%4))%5]}
	for _, dir := range out.lost {
		if err := out.fs.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}
	return &out
}

// crasher takes clones at chosen operations, and keeps them: what is done with
// them must not hold up the operations, which have timeouts.
type crasher struct {
	scripts []*script
	wanted  func(number int64, op faultfs.Op) []int // percents
	number  atomic.Int64

	mu    sync.Mutex // guards what follows
	rng   *rand.Rand
	taken []*crash
}

// install hooks a crasher into a file system.
func (c *crasher) install(fs *faultfs.FS, mem *faultfs.Mem) {
	fs.Hook(func(op faultfs.Op) {
		if op.Kind&faultfs.Changes == 0 {
			return
		}
		n := c.number.Add(1)
		for _, percent := range c.wanted(n, op) {
			c.take(mem, n, op, percent)
		}
	})
}

func (c *crasher) take(mem *faultfs.Mem, n int64, op faultfs.Op, percent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := begun(c.scripts)
	clone := mem.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: c.rng})
	at.until(c.scripts)
	c.taken = append(c.taken, &crash{number: n, op: op, percent: percent, fs: clone, at: at})
}

// sweep chooses the points of one pass of so many. All passes together have
// every sync and every n-th other change, each with one share of what was not
// synced in turn; the long run has every change with all shares.
func sweep(pass, passes, every int64) func(number int64, op faultfs.Op) []int {
	percents := []int{0, 50, 100}
	return func(number int64, op faultfs.Op) []int {
		switch {
		case number%passes != pass:
			return nil
		case long():
			return percents
		case op.Kind == faultfs.Sync || number/passes%every == 0:
			return percents[number/passes%3:][:1]
		}
		return nil
	}
}

// reopened opens what a crash left, verifies it and writes on.
func reopened(t *testing.T, c *crash, scripts []*script) {
	t.Helper()
	n, err := testcluster.Reopen(t, c.fs)
	if err != nil {
		t.Errorf("%v: open: %v", c, err)
		return
	}
	ctx := t.Context()
	err = c.at.verify(ctx, n.Objects, scripts)
	if missing := n.Missing(); len(missing) != len(c.lost) {
		err = errors.Join(err, fmt.Errorf("disks are missing: %v", missing))
	}
	if err == nil && c.number%4 == 0 && len(c.lost) == 0 {
		// What a power loss left over is freed, and nothing else.
		_, drained := n.Steward.Drain(ctx)
		err = errors.Join(drained, c.at.verify(ctx, n.Objects, scripts), goOn(ctx, n.Objects))
	}
	var report strings.Builder
	err = errors.Join(err, n.Check(ctx, &report))
	if err != nil {
		t.Errorf("%v: %v\n%s", c, err, report.String())
	}
	if err := n.Close(context.WithoutCancel(ctx)); err != nil {
		t.Errorf("%v: close: %v", c, err)
	}
}

// goOn holds that a store takes new data.
func goOn(ctx context.Context, svc *objects.Service) error {
	s := &script{prefix: "after/"}
	s.put("inline", content(1, 100))
	s.put("batched", content(2, 10_000))
	s.put("large", content(3, 300<<10))
	if err := s.run(ctx, svc); err != nil {
		return err
	}
	got, err := s.found(ctx, svc)
	if err == nil && !s.explains(got, span{3, 3}) {
		err = fmt.Errorf("after the crash the store does not keep what is written: %v", got)
	}
	return err
}

// TestPowerLoss loses the power before every sync, and before some of the
// other changes, of a workload, and at some of them again while the store
// recovers. Everything, before each change: UNDERCROFT_TEST_LONG=1.
func TestPowerLoss(t *testing.T) {
	// Each pass runs the workload anew and keeps few clones at a time.
	const passes = 8
	every, again := int64(2), int64(40)
	switch {
	case long():
		again = 10
	case raceEnabled:
		every, again = 8, 200
	}
	var total, more int64
	for pass := range int64(passes) {
		scripts := []*script{newScript(1), newScript(2)}
		k := &crasher{scripts: scripts, wanted: sweep(pass, passes, every), rng: rand.New(rand.NewPCG(1, uint64(pass)))}
		k.workload(t)
		total += int64(len(k.taken))
		more += verifyAll(t, k.taken, scripts, again)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d crashes, %d crashes while recovering", total, more)
	if total < 100 || more < 5 {
		t.Errorf("%d crashes and %d while recovering: the sweep sees too little", total, more)
	}
}

// workload runs the scripts on a new cluster and takes clones meanwhile.
func (c *crasher) workload(t *testing.T) {
	t.Helper()
	cluster := testcluster.New(t, testcluster.Options{Disks: 5})
	if _, err := cluster.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: bucket}); err != nil {
		t.Fatal(err)
	}
	c.install(cluster.Faults, cluster.Mem())
	acked, rested := make(chan struct{}, 1), make(chan struct{})
	for _, s := range c.scripts {
		s.after = func() {
			select {
			case acked <- struct{}{}:
			default:
			}
		}
	}
	go func() { // frees what the scripts delete
		defer close(rested)
		for range acked {
			cluster.RunSteward()
		}
	}()
	runAll(t, cluster.Objects, c.scripts)
	close(acked)
	<-rested
	cluster.RunSteward()
	cluster.Faults.Hook(nil)
	c.take(cluster.Mem(), c.number.Load()+1, faultfs.Op{Name: "(end)"}, 0)
	cluster.Stop()
}

// verifyAll verifies what crashes left, two at a time. After every so many
// changes it crashes while opening, too; it returns how often.
func verifyAll(t *testing.T, taken []*crash, scripts []*script, again int64) int64 {
	t.Helper()
	queue := make(chan *crash, len(taken))
	for _, c := range taken {
		queue <- c
	}
	close(queue)
	var wg sync.WaitGroup
	var more atomic.Int64
	for range 2 {
		wg.Go(func() {
			for c := range queue {
				if c.number%again < 2 {
					more.Add(crashWhileOpening(t, c, scripts))
				}
				if c.number%5 == 0 || long() {
					reopened(t, c.without(t), scripts)
				}
				reopened(t, c, scripts)
			}
		})
	}
	wg.Wait()
	return more.Load()
}

// crashWhileOpening opens what a crash left and crashes again meanwhile; it
// returns how often.
func crashWhileOpening(t *testing.T, first *crash, scripts []*script) int64 {
	t.Helper()
	mem := faultfs.NewMem(first.fs.CrashClone(pebblevfs.CrashCloneCfg{}))
	fs := faultfs.New(mem)
	k := &crasher{wanted: sweep(0, 1, 6), rng: rand.New(rand.NewPCG(2, uint64(first.number)))}
	k.install(fs, mem)
	n, err := testcluster.Reopen(t, fs)
	fs.Hook(nil)
	if err != nil {
		t.Errorf("%v: open: %v", first, err)
		return 0
	}
	if err := n.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("%v: close: %v", first, err)
	}
	for _, c := range k.taken {
		c.at = first.at
		reopened(t, c, scripts)
	}
	return int64(len(k.taken))
}
