package disk_test

import (
	"math/rand/v2"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// A process was killed after it had made the directory of a group of shards and
// before it had made that durable. What the next one writes there is durable.
func TestDirectoriesThatAKilledProcessMadeAreMadeDurable(t *testing.T) {
	fsys := faultfs.NewMem(vfs.NewCrashableMem())
	format(t, fsys, "/disk")
	d := open(t, fsys, "/disk", small)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	id := blobd.ShardID{Partition: 1}
	if err := fsys.MkdirAll("/disk/shards/00", 0o750); err != nil {
		t.Fatal(err)
	}
	d = open(t, fsys, "/disk", small)
	create(t, d, id)
	put(t, d, frame(id, 0))
	clone := fsys.CrashClone(pebblevfs.CrashCloneCfg{RNG: rand.New(rand.NewPCG(1, 2))})
	after, err := disk.Open(clone, "/disk", small)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = after.Close() }()
	if _, err := after.Stat(t.Context(), id); err != nil {
		t.Errorf("an acknowledged append is gone with its shard: %v", err)
	}
}
