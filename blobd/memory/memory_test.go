package memory_test

import (
	"context"
	"errors"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/blobdtest"
	"github.com/undercroft/undercroft/blobd/memory"
)

func TestConformance(t *testing.T) {
	blobdtest.Run(t, func(t *testing.T) blobd.Disk {
		t.Helper()
		return memory.New(blobd.DiskID{1})
	})
}

func setup(t *testing.T) (*memory.Disk, blobd.ShardID) {
	t.Helper()
	d, id := memory.New(blobd.DiskID{1}), blobdtest.Shard(1, 0)
	err := d.Create(t.Context(), blobd.ShardSpec{ID: id, Epoch: 1, Secret: blobdtest.Secret, Capacity: blobdtest.Capacity})
	if err != nil {
		t.Fatal(err)
	}
	return d, id
}

func frame(id blobd.ShardID, offset int64) blobd.Append {
	return blobdtest.Frame(id, 1, offset, blobdtest.Payload(1, 100))
}

var errTest = errors.New("test")

func TestFailedAppendsAndReads(t *testing.T) {
	d, id := setup(t)
	d.FailAppends(1, errTest)
	if err := d.Append(t.Context(), frame(id, 0)); !errors.Is(err, errTest) {
		t.Fatal(err)
	}
	if err := d.Append(t.Context(), frame(id, 4096)); err != nil {
		t.Fatal(err)
	}
	d.FailReads(-1, errTest)
	for range 3 {
		if _, err := blobdtest.ReadFrame(t.Context(), d, id, 4096); !errors.Is(err, errTest) {
			t.Fatal(err)
		}
	}
	d.FailReads(0, nil)
	if _, err := blobdtest.ReadFrame(t.Context(), d, id, 4096); err != nil {
		t.Fatal(err)
	}
}

func TestAFailedSyncClosesTheShardForGood(t *testing.T) {
	d, id := setup(t)
	d.FailSyncs(1, errTest)
	if err := d.Append(t.Context(), frame(id, 0)); !errors.Is(err, errTest) || !errors.Is(err, blobd.ErrSealed) {
		t.Fatal(err)
	}
	if err := d.Append(t.Context(), frame(id, 4096)); !errors.Is(err, blobd.ErrSealed) {
		t.Fatal(err)
	}
	if st, err := d.Stat(t.Context(), id); err != nil || !st.Sealed {
		t.Fatalf("%+v, %v", st, err)
	}
}

func TestAFailedDiskAndItsReturn(t *testing.T) {
	d, id := setup(t)
	if err := d.Append(t.Context(), frame(id, 0)); err != nil {
		t.Fatal(err)
	}
	d.Fail(errTest)
	_, readErr := blobdtest.ReadFrame(t.Context(), d, id, 0)
	_, listErr := d.List(t.Context())
	for i, err := range []error{d.Failed(), readErr, listErr, d.Append(t.Context(), frame(id, 4096))} {
		if !errors.Is(err, blobd.ErrDiskFailed) || !errors.Is(err, errTest) {
			t.Errorf("%d: %v", i, err)
		}
	}
	d.Recover()
	if _, err := blobdtest.ReadFrame(t.Context(), d, id, 0); err != nil {
		t.Fatal(err)
	}
}

func TestCorruptBitsAreFoundByTheReader(t *testing.T) {
	d, id := setup(t)
	if err := d.Append(t.Context(), frame(id, 0)); err != nil {
		t.Fatal(err)
	}
	if err := d.Corrupt(id, 100, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := blobdtest.ReadFrame(t.Context(), d, id, 0); !errors.Is(err, blobd.ErrCorrupt) {
		t.Fatal(err)
	}
	if err := d.Corrupt(id, 1<<19, 3); err == nil {
		t.Fatal("corrupted what is not there")
	}
}

func TestDelayEndsWithTheContext(t *testing.T) {
	d, id := setup(t)
	hold := make(chan struct{})
	d.Delay(hold)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 2)
	go func() { result <- d.Append(ctx, frame(id, 0)) }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	go func() { result <- d.Append(t.Context(), frame(id, 4096)) }()
	close(hold)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

func TestAFullDisk(t *testing.T) {
	d, id := setup(t)
	d.SetFree(4096)
	if err := d.Append(t.Context(), frame(id, 0)); err != nil {
		t.Fatal(err)
	}
	if err := d.Append(t.Context(), frame(id, 4096)); !errors.Is(err, blobd.ErrNoSpace) {
		t.Fatal(err)
	}
	if err := d.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if u, err := d.Usage(t.Context()); err != nil || u.Free != 4096 {
		t.Fatalf("%+v, %v", u, err)
	}
}
