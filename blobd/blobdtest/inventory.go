package blobdtest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/blobd"
)

func inventoryRules() []rule {
	return []rule{
		{"a new shard is empty", newShardIsEmpty},
		{"a shard is created once", createdOnce},
		{"a capacity must be positive and aligned", badCapacity},
		{"list names all shards", listNamesAll},
		{"delete removes, and again is no error", deleteRemoves},
		{"a deleted shard can be made anew, empty", createAfterDelete},
		{"shards that are not there", notThere},
		{"usage has room", usageHasRoom},
		{"an ended context does nothing", endedContext},
		{"a closed disk says so", closedDisk},
	}
}

func newShardIsEmpty(t *testing.T, d blobd.Disk) {
	id := Shard(1, 2)
	create(t, d, id, 7)
	got := stat(t, d, id)
	got.Allocated = 0
	want := blobd.ShardStat{ID: id, Epoch: 7, Capacity: Capacity}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for h, err := range d.Frames(t.Context(), id, 0) {
		t.Errorf("frame %+v, %v", h, err)
	}
}

func createdOnce(t *testing.T, d blobd.Disk) {
	id := Shard(1, 2)
	create(t, d, id, 7)
	put(t, d, Frame(id, 7, 0, Payload(1, 100)))
	wantErr(t, "create again", d.Create(t.Context(), spec(id, 9)), blobd.ErrShardExists)
	wantFrame(t, d, id, 0, Payload(1, 100))
	if st := stat(t, d, id); st.Epoch != 7 {
		t.Errorf("epoch %d", st.Epoch)
	}
}

func badCapacity(t *testing.T, d blobd.Disk) {
	for _, n := range []int64{0, -blobd.Align, 100, blobd.Align + 1} {
		s := spec(Shard(1, 0), 1)
		s.Capacity = n
		wantErr(t, "create", d.Create(t.Context(), s), blobd.ErrBadOffset)
	}
	if ids, err := d.List(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("%v, %v", ids, err)
	}
}

func listNamesAll(t *testing.T, d blobd.Disk) {
	var want []blobd.ShardID
	for i := range 20 {
		id := blobd.ShardID{Partition: blobd.PartitionID(uint64(i) * 0x0fff_ffff_ffff_ffff / 2), Index: uint8(i * 13)}
		create(t, d, id, 1)
		want = append(want, id)
	}
	got, err := d.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	order := func(a, b blobd.ShardID) int {
		if a.Partition < b.Partition {
			return -1
		}
		return 1
	}
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func deleteRemoves(t *testing.T, d blobd.Disk) {
	id, other := Shard(1, 0), Shard(1, 1)
	create(t, d, id, 1)
	create(t, d, other, 1)
	put(t, d, Frame(id, 1, 0, Payload(1, 100)))
	put(t, d, Frame(other, 1, 0, Payload(2, 100)))
	for range 2 {
		if err := d.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "append", d.Append(t.Context(), Frame(id, 1, 4096, nil)), blobd.ErrShardNotFound)
	_, err := d.ReadAt(t.Context(), id, make([]byte, 1), 0)
	wantErr(t, "read", err, blobd.ErrShardNotFound)
	wantFrame(t, d, other, 0, Payload(2, 100))
	if ids, err := d.List(t.Context()); err != nil || !slices.Equal(ids, []blobd.ShardID{other}) {
		t.Errorf("%v, %v", ids, err)
	}
	if err := d.Failed(); err != nil {
		t.Error(err)
	}
}

func createAfterDelete(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 5)
	put(t, d, Frame(id, 5, 0, Payload(1, 100)))
	if err := d.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	newShardIsEmpty(t, d) // another shard
	create(t, d, id, 1)
	if st := stat(t, d, id); st.Epoch != 1 || st.End != 0 {
		t.Errorf("%+v", st)
	}
	put(t, d, Frame(id, 1, 0, Payload(2, 100)))
	wantFrame(t, d, id, 0, Payload(2, 100))
}

func notThere(t *testing.T, d blobd.Disk) {
	id, ctx := Shard(9, 9), t.Context()
	_, err := d.Stat(ctx, id)
	wantErr(t, "stat", err, blobd.ErrShardNotFound)
	wantErr(t, "append", d.Append(ctx, Frame(id, 1, 0, nil)), blobd.ErrShardNotFound)
	_, err = d.ReadAt(ctx, id, make([]byte, 1), 0)
	wantErr(t, "read", err, blobd.ErrShardNotFound)
	_, err = d.Fence(ctx, id, 1)
	wantErr(t, "fence", err, blobd.ErrShardNotFound)
	_, err = d.Seal(ctx, id, 1)
	wantErr(t, "seal", err, blobd.ErrShardNotFound)
	wantErr(t, "punch", d.Punch(ctx, id, 0, 4096), blobd.ErrShardNotFound)
	wantErr(t, "delete", d.Delete(ctx, id), nil)
	n := 0
	for _, err := range d.Frames(ctx, id, 0) {
		n++
		wantErr(t, "frames", err, blobd.ErrShardNotFound)
	}
	if n != 1 {
		t.Errorf("%d frames", n)
	}
	// None of this made anything.
	if ids, err := d.List(ctx); err != nil || len(ids) != 0 {
		t.Errorf("%v, %v", ids, err)
	}
}

func usageHasRoom(t *testing.T, d blobd.Disk) {
	u, err := d.Usage(t.Context())
	if err != nil || u.Free == 0 || u.Total < u.Free {
		t.Errorf("%+v, %v", u, err)
	}
}

func endedContext(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "create", d.Create(ctx, spec(Shard(2, 0), 1)), context.Canceled)
	wantErr(t, "append", d.Append(ctx, Frame(id, 1, 0, nil)), context.Canceled)
	_, err := d.ReadAt(ctx, id, make([]byte, 1), 0)
	wantErr(t, "read", err, context.Canceled)
	_, err = d.Fence(ctx, id, 2)
	wantErr(t, "fence", err, context.Canceled)
	_, err = d.List(ctx)
	wantErr(t, "list", err, context.Canceled)
	for _, err := range d.Frames(ctx, id, 0) {
		wantErr(t, "frames", err, context.Canceled)
	}
	wantErr(t, "delete", d.Delete(ctx, id), context.Canceled)
	if st := stat(t, d, id); st.End != 0 || st.Epoch != 1 {
		t.Errorf("%+v", st)
	}
}

func closedDisk(t *testing.T, d blobd.Disk) {
	id, ctx := Shard(1, 0), t.Context()
	create(t, d, id, 1)
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, statErr := d.Stat(ctx, id)
	_, readErr := d.ReadAt(ctx, id, make([]byte, 1), 0)
	_, fenceErr := d.Fence(ctx, id, 2)
	_, sealErr := d.Seal(ctx, id, 2)
	_, listErr := d.List(ctx)
	_, usageErr := d.Usage(ctx)
	var framesErr error
	for _, err := range d.Frames(ctx, id, 0) {
		framesErr = err
	}
	for i, err := range []error{
		statErr, readErr, fenceErr, sealErr, listErr, usageErr, framesErr,
		d.Create(ctx, spec(Shard(2, 0), 1)), d.Append(ctx, Frame(id, 1, 0, nil)), d.Punch(ctx, id, 0, 4096), d.Delete(ctx, id),
	} {
		if !errors.Is(err, blobd.ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}
