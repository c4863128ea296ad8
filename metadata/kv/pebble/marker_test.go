package pebble_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// TestMarkerNeverOutlivesItsManifest loses power before each sync of the
// directory while an engine opens, with any part of the new names kept.
func TestMarkerNeverOutlivesItsManifest(t *testing.T) {
	mem := vfs.NewCrashableMem()
	e := openEngine(t, mem)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	shared := faultfs.NewMem(mem)
	fs := faultfs.New(shared)
	var mu sync.Mutex // guards clones: a compaction syncs too
	var clones []*vfs.MemFS
	fs.Hook(func(op faultfs.Op) {
		if op.Kind != faultfs.Sync {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for seed := range uint64(6) {
			clones = append(clones, shared.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, uint64(len(clones)))),
			}))
		}
	})
	e = openEngine(t, fs)
	fs.Hook(nil)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(clones) < 20 {
		t.Fatalf("%d clones", len(clones))
	}
	for i, clone := range clones {
		e, err := pebble.Open("db", pebble.Options{FS: clone})
		if err != nil {
			t.Errorf("crash %d: %v", i, err)
			continue
		}
		if err := e.Close(); err != nil {
			t.Errorf("crash %d: %v", i, err)
		}
	}
}

func openEngine(t *testing.T, fs vfs.FS) *pebble.Engine {
	t.Helper()
	e, err := pebble.Open("db", pebble.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return e
}
