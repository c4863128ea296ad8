package disk_test

import (
	"bytes"
	"context"
	"fmt"
	"syscall"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/blobdtest"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

// change is something that is done to a shard with a frame, at epoch 1.
type change struct {
	do func(ctx context.Context, d *disk.Disk) error
	// done is what the shard is like once do has returned nil and the power went.
	done func(t *testing.T, d *disk.Disk) error
}

func changes() map[string]change {
	is := func(t *testing.T, d *disk.Disk, epoch blobd.Epoch, sealed bool) error {
		t.Helper()
		st, err := d.Stat(t.Context(), shardA)
		if err == nil && (st.Epoch != epoch || st.Sealed != sealed) {
			err = fmt.Errorf("%+v", st)
		}
		return err
	}
	absent := func(t *testing.T, d *disk.Disk) error {
		t.Helper()
		ids, err := d.List(t.Context())
		if err == nil && len(ids) > 0 {
			err = fmt.Errorf("there is %v", ids)
		}
		return err
	}
	return map[string]change{
		"fence": {func(ctx context.Context, d *disk.Disk) error {
			_, err := d.Fence(ctx, shardA, 4)
			return err
		}, func(t *testing.T, d *disk.Disk) error { t.Helper(); return is(t, d, 4, false) }},
		"seal": {func(ctx context.Context, d *disk.Disk) error {
			_, err := d.Seal(ctx, shardA, 4)
			return err
		}, func(t *testing.T, d *disk.Disk) error { t.Helper(); return is(t, d, 4, true) }},
		"restore": {restoreA, func(t *testing.T, d *disk.Disk) error { t.Helper(); return is(t, d, 4, true) }},
		"discard": {func(ctx context.Context, d *disk.Disk) error { return d.Discard(ctx, shardA, 2) }, absent},
		"disown":  {func(ctx context.Context, d *disk.Disk) error { return d.Disown(ctx, shardA) }, absent},
		"delete":  {func(ctx context.Context, d *disk.Disk) error { return d.Delete(ctx, shardA) }, absent},
	}
}

// restoreA writes the shard anew. It goes on after a write that failed, as
// nobody should: the commit must fail then.
func restoreA(ctx context.Context, d *disk.Disk) error {
	r, err := d.Restore(ctx, blobd.ShardSpec{ID: shardA, Epoch: 4, Secret: blobdtest.Secret, Capacity: blobdtest.Capacity}, 0)
	if err != nil {
		return err
	}
	_ = r.Write(ctx, 0, frame(shardA, 0).Data)
	return r.Commit(ctx)
}

// Each operation of each durable step fails once, and then the power goes. What
// was answered with nil is so, and whatever was answered, the frame is there,
// or its shard is gone because that was asked for (interleavings 15 and 16).
func TestInterleaving16EveryDurableStepFailsOnce(t *testing.T) {
	for name, c := range changes() {
		for _, cause := range []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
			n := 0
			for ; failsOnce(t, name, c, n, cause); n++ {
				if t.Failed() {
					t.Fatalf("%s, operation %d, %v", name, n, cause)
				}
			}
			if n < 2 {
				t.Errorf("%s: only %d operations failed", name, n)
			}
		}
	}
}

// failsOnce reports whether there was an operation after n others to fail.
func failsOnce(t *testing.T, name string, c change, n int, cause error) bool {
	t.Helper()
	mem := faultfs.NewMem(vfs.NewCrashableMem())
	fsys := faultfs.New(mem)
	format(t, fsys, "/disk")
	d := open(t, fsys, "/disk", small)
	create(t, d, shardA)
	put(t, d, frame(shardA, 0))
	failed := fsys.Count(faultfs.Changes)
	fsys.Add(faultfs.Rule{Kinds: faultfs.Changes, Skip: n, Times: 1, Torn: true, Err: cause})
	err := c.do(t.Context(), d)
	failed = fsys.Count(faultfs.Changes) - failed
	after := open(t, faultfs.New(mem.CrashClone(pebblevfs.CrashCloneCfg{})), "/disk", small)
	if err == nil {
		err := c.done(t, after)
		if err != nil {
			t.Errorf("%s was answered with nil, and after a power loss: %v", name, err)
		}
	}
	got, readErr := blobdtest.ReadFrame(t.Context(), after, shardA, 0)
	ids, listErr := after.List(t.Context())
	if listErr != nil {
		t.Error(listErr)
	}
	if gone := c.gone(t, after); !gone && (readErr != nil || !bytes.Equal(got, blobdtest.Payload(0, 3000))) {
		t.Errorf("%s answered %v, and after a power loss the frame is %d bytes, %v; %v", name, err, len(got), readErr, ids)
	}
	return failed > int64(n)
}

// gone reports whether the shard is not there and need not be.
func (c change) gone(t *testing.T, d *disk.Disk) bool {
	t.Helper()
	ids, err := d.List(t.Context())
	return err == nil && len(ids) == 0 && c.done(t, d) == nil
}
