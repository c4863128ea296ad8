package faultfs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// What takes the lock of the memory twice goes on beside clones. Without Mem
// this test hangs.
func TestMemIsClonedWhileItIsUsed(t *testing.T) {
	mem := faultfs.NewMem(vfs.NewCrashableMem())
	var users sync.WaitGroup
	used := make(chan struct{})
	for user := range 4 {
		users.Go(func() {
			for i := range 200 {
				if err := useNames(mem, fmt.Sprintf("%d-%d", user, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() {
		defer close(used)
		users.Wait()
	}()
	clones, rng := 0, rand.New(rand.NewPCG(1, 2))
	for using := true; using; clones++ {
		select {
		case <-used:
			using = false
		default:
		}
		clone := mem.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		if _, err := clone.List(""); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d clones", clones)
}

// useNames makes, links, reuses and locks files.
func useNames(fs vfs.FS, name string) error {
	f, err := fs.OpenReadWrite(name, vfs.Unspecified)
	if err != nil {
		return err
	}
	reused, err := fs.ReuseForWrite(name, name+".reused", vfs.Unspecified)
	if err != nil {
		return err
	}
	lock, err := fs.Lock(name + ".lock")
	if err != nil {
		return err
	}
	return errors.Join(fs.Link(name+".reused", name+".link"), f.Close(), reused.Close(), lock.Close(),
		fs.Remove(name+".reused"), fs.Remove(name+".link"), fs.Remove(name+".lock"))
}
