package faultfs

import (
	"math/rand/v2"
	"sync"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs"
)

// Crash is one simulated power loss.
type Crash struct {
	// Number counts the operations that change something; the crash is just
	// before this one, Op.
	Number int
	Op     Op
	// Percent of what was not synced that survived.
	Percent int
	// FS is what is left. It can be used, and crashed, like any other.
	FS *vfs.MemFS
}

// Crashes runs work on a fresh file system in memory and simulates a power
// loss before each of its operations of [Changes], and after the last one,
// with 0, 50 and 100 percent of the unsynced data surviving.
//
// promised is called just before each clone is made and answers what must hold
// in it: what work had been told until then. verify gets that and the clone.
// Both are called on the goroutine of the operation, one crash at a time,
// while other goroutines of work go on.
func Crashes[P any](seed uint64, work func(fsys *FS), promised func() P, verify func(c Crash, p P)) {
	mem := NewMem(vfs.NewCrashableMem())
	fsys := New(mem)
	var mu sync.Mutex // one crash at a time; guards number and rng
	number := 0
	rng := rand.New(rand.NewPCG(seed, 0))
	crash := func(op Op) {
		if op.Kind&Changes == 0 {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, percent := range []int{0, 50, 100} {
			p := promised() // before the clone: it may only grow meanwhile
			clone := mem.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
			verify(Crash{Number: number, Op: op, Percent: percent, FS: clone}, p)
		}
		number++
	}
	fsys.Hook(crash)
	work(fsys)
	fsys.Hook(nil)
	crash(Op{Kind: Sync, Name: "(end)"})
}
