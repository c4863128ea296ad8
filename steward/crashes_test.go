package steward_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// crash is what a power loss before a change leaves.
type crash struct {
	op      faultfs.Op
	percent int // of the unsynced kept
	fs      *vfs.MemFS
}

// sample is some of many crashes: each is a whole store in memory.
type sample struct {
	all         []crash
	every, seen int
}

// crashes collects what power losses at changes leave: of all of them, and apart of
// those that matter most.
type crashes struct {
	e   *env
	rng *rand.Rand

	mu           sync.Mutex // guards what follows
	some, chosen sample
	most         int // of each
	changes      int
}

// crashing begins to collect, of those that matter and of every so many others.
// UNDERCROFT_TEST_LONG=1 collects all.
func (e *env) crashing(every int, matters func(faultfs.Op) bool) *crashes {
	c := &crashes{e: e, rng: rand.New(rand.NewPCG(1, 1)), some: sample{every: every}, chosen: sample{every: 1}, most: 5}
	switch {
	case os.Getenv("UNDERCROFT_TEST_LONG") != "":
		c.some.every, c.most = 1, 1<<20
	case testing.Short():
		c.some.every, c.most = 4*every, 3
	}
	e.Faults.Hook(func(op faultfs.Op) {
		if op.Kind&faultfs.Changes == 0 {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changes++
		if matters(op) {
			c.take(&c.chosen, op)
		} else {
			c.take(&c.some, op)
		}
	})
	return c
}

// take takes one of every so many, and of those only half when they become too
// many. The caller holds mu.
func (c *crashes) take(s *sample, op faultfs.Op) {
	if s.seen++; s.seen%s.every != 0 {
		return
	}
	if len(s.all) == c.most {
		kept := s.all[:0]
		for i, old := range s.all {
			if i%2 == 1 {
				kept = append(kept, old)
			}
		}
		clear(s.all[len(kept):])
		s.all, s.every = kept, 2*s.every
		if s.seen%s.every != 0 {
			return
		}
	}
	percent := []int{0, 50, 100}[c.changes%3]
	s.all = append(s.all, crash{op, percent, c.e.Mem().CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: c.rng})})
}

// each stops collecting and runs fn on each crash as a test of its own, whose
// memory goes with it. It answers how many there were, and of them those that matter.
func (c *crashes) each(fn func(t *testing.T, i int, left crash)) (all, chosen int) {
	t := c.e.t
	t.Helper()
	c.e.Faults.Hook(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	left := append(c.chosen.all, c.some.all...)
	chosen = len(c.chosen.all)
	c.chosen.all, c.some.all = nil, nil
	for i := range left {
		one := left[i]
		left[i].fs = nil
		if !t.Run(fmt.Sprint("crash", i), func(t *testing.T) { fn(t, i, one) }) {
			t.Fatalf("crash %d of %d before %+v, %d%% of the unsynced kept", i, len(left), one.op, one.percent)
		}
	}
	t.Logf("%d crashes at %d changes, %d of them chosen", len(left), c.changes, chosen)
	return len(left), chosen
}
