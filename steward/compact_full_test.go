package steward_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/partition"
)

// open are the partitions that take stripes.
func open(e *env) []partition.WriteStatus {
	return slices.DeleteFunc(e.Store.Status().Partitions, func(p partition.WriteStatus) bool { return !p.Open })
}

// TestCompactionOfFullDisks has disks without room for a new partition, and on them
// objects that take more than they need. Compaction writes before it frees, and
// has some of what is kept free for that.
func TestCompactionOfFullDisks(t *testing.T) {
	const each = 100_000
	o := scheme(3, partition.Scheme{K: 2, M: 1})
	fs := &smallFS{FS: vfs.NewMem(), size: 1 << 40}
	o.FS = fs
	o.Edit = func(o *single.Options) {
		o.Scheme = partition.Scheme{K: 2, M: 1}
		o.Disk.Reserve, o.Disk.UsageTTL = 64<<10, 50*time.Millisecond
	}
	e := newEnv(t, compacting(o))
	count := 0
	// At the end one partition is open, too full to be written on after a start.
	for count < 1100 || len(open(e)) != 1 || open(e)[0].Used < open(e)[0].Capacity*5/8 {
		e.put(fmt.Sprint(count), content(uint64(count), each))
		count++
	}
	e.Stop()
	var used uint64
	for _, dir := range e.Dirs() {
		u, err := fs.GetDiskUsage(dir)
		e.must(err)
		used = max(used, u.UsedBytes)
	}
	fs.size = used * 1000 / 952 // 4.8 % are free, and 5 % kept free
	e.Start()
	if err := e.tryPut("large", content(1, 9*mib)); err == nil {
		t.Fatal("the disks are not full")
	}
	for range 100 { // what was moved is freed by another job: until then it may be too full again
		n, err := e.Steward.Drain(t.Context())
		if err != nil && !errors.Is(err, partition.ErrNoSpace) {
			t.Fatal(err)
		}
		if n == 0 && err == nil {
			break
		}
		e.Advance(time.Minute)
	}
	if c := e.Steward.Counters(); c.CompactedBlobs == 0 || c.Dropped == 0 {
		t.Errorf("%d of %d blobs were moved, %d partitions dropped", c.CompactedBlobs, count, c.Dropped)
	}
	e.put("large", content(1, 9*mib))
	for i := range count {
		e.holds(fmt.Sprint(i), content(uint64(i), each))
	}
	e.MustCheck()
}
