package steward_test

import (
	"fmt"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/partition"
)

// TestCompactionOfFullDisks fills disks with objects that take more than they need
// until no new partition has room. Compaction writes before it frees, and has some
// of what is kept free for that.
func TestCompactionOfFullDisks(t *testing.T) {
	const size, each = 200 * mib, 100_000
	o := scheme(3, partition.Scheme{K: 2, M: 1})
	o.FS = &smallFS{FS: vfs.NewMem(), size: size}
	o.Edit = func(o *single.Options) {
		o.Scheme = partition.Scheme{K: 2, M: 1}
		o.Disk.Reserve, o.Disk.UsageTTL = mib, 1
	}
	e := newEnv(t, compacting(o))
	stored := 0
	for e.tryPut(fmt.Sprint(stored), content(uint64(stored), each)) == nil {
		if stored++; stored > 3*size/each {
			t.Fatal("it does not get full")
		}
	}
	for range 5 {
		e.RunSteward()
	}
	if c := e.Steward.Counters(); c.CompactedBlobs == 0 || c.Dropped == 0 {
		t.Errorf("%d of %d blobs were moved, %d partitions dropped", c.CompactedBlobs, stored, c.Dropped)
	}
	for i := range 10 {
		e.put(fmt.Sprint("more", i), content(uint64(stored+i), each))
	}
	for i := range stored {
		e.holds(fmt.Sprint(i), content(uint64(i), each))
	}
	e.MustCheck()
}
