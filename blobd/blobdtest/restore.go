package blobdtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
)

func restoreRules() []rule {
	return []rule{
		{"RestoreShowsNothingBeforeItsCommit", restoreShowsNothingBeforeItsCommit},
		{"RestoreReplacesAShard", restoreReplacesAShard},
		{"RestoredShardsAreSealed", restoredShardsAreSealed},
		{"RestoreYieldsToAHigherEpoch", restoreYieldsToAHigherEpoch},
		{"AbortLeavesNothing", abortLeavesNothing},
		{"RestoreRefusesBadPlaces", restoreRefusesBadPlaces},
		{"DiscardKeepsTheEpoch", discardKeepsTheEpoch},
		{"DisownHidesAShard", disownHidesAShard},
	}
}

// restore begins a restoration with one frame at offset Align.
func restore(t *testing.T, d blobd.Disk, id blobd.ShardID, epoch blobd.Epoch, payload []byte) blobd.Restoration {
	t.Helper()
	r, err := d.Restore(t.Context(), spec(id, epoch), Capacity/2)
	if err != nil {
		t.Fatalf("restore %s: %v", id, err)
	}
	a := Frame(id, epoch, blobd.Align, payload)
	if err := r.Write(t.Context(), a.Offset, a.Data); err != nil {
		t.Fatalf("write of a restoration: %v", err)
	}
	return r
}

func commit(t *testing.T, r blobd.Restoration) {
	t.Helper()
	if err := r.Commit(t.Context()); err != nil {
		t.Fatalf("commit: %v", err)
	}
	if err := r.Abort(); err != nil {
		t.Errorf("abort after a commit: %v", err)
	}
}

func listed(t *testing.T, d blobd.Disk, id blobd.ShardID) bool {
	t.Helper()
	ids, err := d.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(ids, id)
}

func restoreShowsNothingBeforeItsCommit(t *testing.T, d blobd.Disk) {
	id := Shard(1, 2)
	r := restore(t, d, id, 3, Payload(1, 5000))
	if listed(t, d, id) {
		t.Error("a shard is listed before its commit")
	}
	_, err := d.Stat(t.Context(), id)
	wantErr(t, "stat before the commit", err, blobd.ErrShardNotFound)
	commit(t, r)
	if !listed(t, d, id) {
		t.Error("the shard is not listed after its commit")
	}
	wantFrame(t, d, id, blobd.Align, Payload(1, 5000))
}

func restoreReplacesAShard(t *testing.T, d blobd.Disk) {
	id := Shard(1, 2)
	create(t, d, id, 1)
	old := Payload(7, 9000)
	put(t, d, Frame(id, 1, 0, old))
	if _, err := d.Seal(t.Context(), id, 2); err != nil {
		t.Fatal(err)
	}
	r := restore(t, d, id, 3, Payload(1, 70_000))
	wantFrame(t, d, id, 0, old)
	commit(t, r)
	wantFrame(t, d, id, blobd.Align, Payload(1, 70_000))
	if _, err := ReadFrame(t.Context(), d, id, 0); err == nil {
		t.Error("a frame of the replaced shard is still there")
	}
	found := 0
	for h, err := range d.Frames(t.Context(), id, 0) {
		if err != nil || h.Offset != blobd.Align {
			t.Errorf("frame at %d, %v", h.Offset, err)
		}
		found++
	}
	if found != 1 {
		t.Errorf("%d frames, want the one restored", found)
	}
	if err := d.Punch(t.Context(), id, 0, Capacity); err != nil {
		t.Errorf("punch of a restored shard: %v", err)
	}
}

func restoredShardsAreSealed(t *testing.T, d blobd.Disk) {
	id := Shard(1, 2)
	commit(t, restore(t, d, id, 3, Payload(1, 5000)))
	st := stat(t, d, id)
	if !st.Sealed || st.Epoch != 3 || st.End != Capacity/2 || st.Capacity != Capacity {
		t.Errorf("restored: %+v", st)
	}
	err := d.Append(t.Context(), Frame(id, 3, Capacity/2, Payload(2, 100)))
	wantErr(t, "append to a restored shard", err, blobd.ErrSealed)
	if _, err := d.Seal(t.Context(), id, 4); err != nil {
		t.Errorf("seal of a restored shard: %v", err)
	}
}

func restoreYieldsToAHigherEpoch(t *testing.T, d blobd.Disk) {
	id := Shard(1, 2)
	late := restore(t, d, id, 3, Payload(1, 5000))
	same := restore(t, d, id, 5, Payload(2, 5000))
	commit(t, restore(t, d, id, 5, Payload(3, 5000)))
	wantErr(t, "commit of a lower epoch", late.Commit(t.Context()), blobd.ErrStaleEpoch)
	wantFrame(t, d, id, blobd.Align, Payload(3, 5000))
	if err := same.Abort(); err != nil {
		t.Error(err)
	}
	wantFrame(t, d, id, blobd.Align, Payload(3, 5000))
}

func abortLeavesNothing(t *testing.T, d blobd.Disk) {
	id := Shard(1, 2)
	r := restore(t, d, id, 3, Payload(1, 5000))
	for range 2 {
		if err := r.Abort(); err != nil {
			t.Error(err)
		}
	}
	if listed(t, d, id) {
		t.Error("an aborted shard is listed")
	}
	create(t, d, id, 1)
}

func restoreRefusesBadPlaces(t *testing.T, d blobd.Disk) {
	id := Shard(1, 2)
	for _, end := range []int64{-blobd.Align, 1, Capacity + blobd.Align} {
		_, err := d.Restore(t.Context(), spec(id, 1), end)
		wantErr(t, "restore to a bad end", err, blobd.ErrBadOffset)
	}
	r := restore(t, d, id, 1, Payload(1, 100))
	for _, at := range []int64{-blobd.Align, 1, Capacity} {
		wantErr(t, "write at a bad offset", r.Write(t.Context(), at, [][]byte{make([]byte, 10)}), blobd.ErrBadOffset)
	}
	if err := r.Abort(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Restore(ctx, spec(id, 1), 0)
	wantErr(t, "restore with an ended context", err, context.Canceled)
}

func discardKeepsTheEpoch(t *testing.T, d blobd.Disk) {
	id := Shard(1, 2)
	if err := d.Discard(t.Context(), id, 9); err != nil {
		t.Errorf("discard of nothing: %v", err)
	}
	create(t, d, id, 1)
	if _, err := d.Fence(t.Context(), id, 4); err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []blobd.Epoch{1, 4} {
		wantErr(t, "discard of a newer shard", d.Discard(t.Context(), id, epoch), blobd.ErrStaleEpoch)
	}
	if err := d.Discard(t.Context(), id, 5); err != nil || listed(t, d, id) {
		t.Errorf("discard: %v", err)
	}
	create(t, d, id, 7)
	wantErr(t, "discard of one made since", d.Discard(t.Context(), id, 5), blobd.ErrStaleEpoch)
}

func disownHidesAShard(t *testing.T, d blobd.Disk) {
	id := Shard(1, 2)
	if err := d.Disown(t.Context(), id); err != nil {
		t.Errorf("disown of nothing: %v", err)
	}
	for range 2 {
		create(t, d, id, 1)
		put(t, d, Frame(id, 1, 0, Payload(1, 100)))
		if err := d.Disown(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if listed(t, d, id) {
			t.Error("a disowned shard is listed")
		}
		_, err := d.ReadAt(t.Context(), id, make([]byte, 10), 0)
		wantErr(t, "read of a disowned shard", err, blobd.ErrShardNotFound)
	}
	create(t, d, id, 1)
}

// The stages of restoredOrNot, in order: what is promised of the shard.
const (
	nothingYet int32 = iota
	oldShard         // the one that is replaced is there
	either           // it, or the one restored
	newShard         // the one restored
)

// restoredOrNot replaces a shard and loses power at every change meanwhile.
func restoredOrNot(t *testing.T, e Engine) {
	id := Shard(1, 2)
	was, is := Payload(1, 9000), Payload(2, 70_000)
	var stage atomic.Int32
	crashes := 0
	faultfs.Crashes(1, func(fsys *faultfs.FS) {
		if err := e.Format(fsys, durableDir); err != nil {
			t.Fatal(err)
		}
		d, err := e.Open(fsys, durableDir)
		if err != nil {
			t.Fatal(err)
		}
		create(t, d, id, 1)
		put(t, d, Frame(id, 1, blobd.Align, was))
		stage.Store(oldShard)
		r := restore(t, d, id, 3, is)
		stage.Store(either)
		commit(t, r)
		stage.Store(newShard)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}, stage.Load, func(c faultfs.Crash, promised int32) {
		if promised == nothingYet {
			return
		}
		crashes++
		// What happened between the promise and the clone is unknown.
		payloads := map[blobd.Epoch][]byte{1: was, 3: is}
		if promised == newShard {
			delete(payloads, 1)
		}
		if err := e.replaced(t, c, id, payloads); err != nil {
			t.Errorf("crash %d before %+v, %d%% survive: %v", c.Number, c.Op, c.Percent, err)
		}
	})
	if crashes < 10 {
		t.Errorf("only %d crashes", crashes)
	}
}

// replaced checks that a disk holds one of the shards as a whole.
func (e Engine) replaced(t *testing.T, c faultfs.Crash, id blobd.ShardID, payloads map[blobd.Epoch][]byte) error {
	t.Helper()
	d, err := e.Open(c.FS, durableDir)
	if err != nil {
		return err
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx := context.WithoutCancel(t.Context())
	st, err := d.Stat(ctx, id)
	if err != nil {
		return err
	}
	got, err := ReadFrame(ctx, d, id, blobd.Align)
	if err != nil || !bytes.Equal(got, payloads[st.Epoch]) {
		return fmt.Errorf("at epoch %d: %d bytes, %w", st.Epoch, len(got), err)
	}
	return nil
}
