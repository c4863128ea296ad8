package blobdtest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/blobd"
)

func fenceRules() []rule {
	return []rule{
		{"a fence shuts out lower epochs", fenceShutsOut},
		{"an epoch never falls", epochNeverFalls},
		{"the same fence again is no error", sameFence},
		{"a sealed shard takes no appends but reads", sealedShard},
		{"a sealed shard can be fenced and stays sealed", sealedStays},
		{"nothing of a lower epoch appears after a fence", fenceIsFinal},
		{"rival fences: one epoch wins", rivalFences},
	}
}

func fence(t *testing.T, d blobd.Disk, id blobd.ShardID, epoch blobd.Epoch) blobd.ShardStat {
	t.Helper()
	st, err := d.Fence(t.Context(), id, epoch)
	if err != nil {
		t.Fatalf("fence %s at %d: %v", id, epoch, err)
	}
	return st
}

func fenceShutsOut(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	end := put(t, d, Frame(id, 1, 0, Payload(1, 5000)))
	st := fence(t, d, id, 4)
	if st.Epoch != 4 || st.Sealed || st.End != end || st.ID != id || st.Capacity != Capacity {
		t.Errorf("%+v", st)
	}
	for _, epoch := range []blobd.Epoch{1, 3, 5} {
		wantErr(t, "append", d.Append(t.Context(), Frame(id, epoch, end, nil)), blobd.ErrStaleEpoch)
	}
	put(t, d, Frame(id, 4, end, Payload(2, 100)))
	wantFrame(t, d, id, 0, Payload(1, 5000))
	wantFrame(t, d, id, end, Payload(2, 100))
}

func epochNeverFalls(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 3)
	fence(t, d, id, 10)
	for _, epoch := range []blobd.Epoch{0, 3, 9} {
		_, err := d.Fence(t.Context(), id, epoch)
		wantErr(t, "fence", err, blobd.ErrStaleEpoch)
		_, err = d.Seal(t.Context(), id, epoch)
		wantErr(t, "seal", err, blobd.ErrStaleEpoch)
	}
	if st := stat(t, d, id); st.Epoch != 10 || st.Sealed {
		t.Errorf("%+v", st)
	}
}

func sameFence(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 3)
	for range 5 {
		if st := fence(t, d, id, 3); st.Epoch != 3 {
			t.Errorf("%+v", st)
		}
	}
	put(t, d, Frame(id, 3, 0, Payload(1, 10)))
}

func sealedShard(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	end := put(t, d, Frame(id, 1, 0, Payload(1, 5000)))
	for range 2 {
		st, err := d.Seal(t.Context(), id, 2)
		if err != nil || !st.Sealed || st.Epoch != 2 || st.End != end {
			t.Fatalf("%+v, %v", st, err)
		}
	}
	wantErr(t, "append", d.Append(t.Context(), Frame(id, 2, end, nil)), blobd.ErrSealed)
	wantErr(t, "late append", d.Append(t.Context(), Frame(id, 1, end, nil)), blobd.ErrStaleEpoch)
	wantFrame(t, d, id, 0, Payload(1, 5000))
	if got := offsets(t, d, id, 0); len(got) != 1 {
		t.Errorf("%v", got)
	}
	if err := d.Punch(t.Context(), id, 0, end); err != nil {
		t.Error(err)
	}
	if got := offsets(t, d, id, 0); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func sealedStays(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	if _, err := d.Seal(t.Context(), id, 1); err != nil {
		t.Fatal(err)
	}
	if st := fence(t, d, id, 5); !st.Sealed || st.Epoch != 5 {
		t.Errorf("%+v", st)
	}
	wantErr(t, "append", d.Append(t.Context(), Frame(id, 5, 0, nil)), blobd.ErrSealed)
}

// fenceIsFinal lets a writer append as fast as it can while others fence: what
// a fence did not see must never appear.
func fenceIsFinal(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	var acked atomic.Int64 // end of the last frame that was promised
	var wg sync.WaitGroup
	started := make(chan struct{})
	for w := range int64(4) {
		wg.Go(func() {
			for offset := w * 4096; offset < Capacity; offset += 4 * 4096 {
				err := d.Append(t.Context(), Frame(id, 1, offset, Payload(1, 100)))
				if errors.Is(err, blobd.ErrStaleEpoch) {
					return
				}
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				if acked.Add(1) == 10 {
					close(started)
				}
			}
		})
	}
	<-started
	st := fence(t, d, id, 2)
	seen := len(offsets(t, d, id, 0))
	wg.Wait()
	if after := len(offsets(t, d, id, 0)); after != seen || int64(after) < acked.Load() {
		t.Errorf("%d frames at the fence, %d later, %d acknowledged", seen, after, acked.Load())
	}
	if later := stat(t, d, id); later.End != st.End {
		t.Errorf("end %d at the fence, %d later", st.End, later.End)
	}
}

func rivalFences(t *testing.T, d blobd.Disk) {
	id := Shard(1, 0)
	create(t, d, id, 1)
	var wg sync.WaitGroup
	for i := range blobd.Epoch(8) {
		wg.Go(func() {
			st, err := d.Fence(t.Context(), id, 2+i)
			if err == nil && st.Epoch < 2+i {
				t.Errorf("fence at %d answered %d", 2+i, st.Epoch)
			}
			if err != nil && !errors.Is(err, blobd.ErrStaleEpoch) {
				t.Errorf("fence at %d: %v", 2+i, err)
			}
		})
	}
	wg.Wait()
	if st := stat(t, d, id); st.Epoch != 9 {
		t.Errorf("epoch %d", st.Epoch)
	}
	put(t, d, Frame(id, 9, 0, Payload(1, 10)))
}
