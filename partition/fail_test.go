package partition

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/blobd"
)

// An append that fails on some disks: the blob is acknowledged from a partition
// without them, complete on every frame.
func TestAppendFailureMovesToAnotherPartition(t *testing.T) {
	for name, fail := range map[string]func(*world, int){
		"append error": func(w *world, i int) { w.disks[i].FailAppends(1, errors.New("EIO")) },
		"sync error":   func(w *world, i int) { w.disks[i].FailSyncs(1, errors.New("EIO")) },
		"disk gone":    func(w *world, i int) { w.disks[i].Fail(errors.New("rm -rf")) },
		"disk full":    func(w *world, i int) { w.disks[i].SetFree(0) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 7)
			s := w.open(t, Options{})
			defer closeStore(t, s)
			for _, size := range []int{5000, 3 << 20} {
				data := pattern(size, 1)
				before := put(t, s, data).Extent
				row := w.row(t, before.Partition)
				victim := int(row.Shards[row.K][0]) - 1 // a parity shard: every stripe has it
				fail(w, victim)
				after := put(t, s, data).Extent
				if after.Partition == before.Partition {
					t.Fatal("still in the partition that failed")
				}
				if _, frames := stripeColumns(t, s, after); frames == 0 {
					t.Fatal("no frames")
				}
				for _, d := range w.row(t, after.Partition).Shards {
					if d == row.Shards[row.K] {
						t.Error("new partition is on the disk that failed")
					}
				}
				mustRead(t, s, before, data)
				mustRead(t, s, after, data)
				w.disks[victim].Recover()
				w.disks[victim].SetFree(1 << 40)
				s.disks.get(row.Shards[row.K]).restore()
			}
		})
	}
}

func TestTooFewDisks(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	data := pattern(600_000, 1) // on every data shard
	e := put(t, s, data).Extent
	for i := range 3 {
		w.disks[i].Fail(errors.New("gone"))
	}
	p := put(t, s, data)
	if row := w.row(t, p.Extent.Partition); row.K != 1 || row.M != 2 {
		t.Errorf("partition on three disks is %d+%d", row.K, row.M)
	}
	w.disks[3].Fail(errors.New("gone"))
	pending := submit(t, s, data)
	if _, err := pending.Wait(t.Context()); !errors.Is(err, ErrNoDisks) {
		t.Errorf("two disks for m=2: %v", err)
	}
	pending.Done()
	for i := range 4 {
		w.disks[i].Recover()
		s.disks.get(idOf(w, i)).restore()
	}
	mustRead(t, s, e, data)
	mustRead(t, s, put(t, s, data).Extent, data)
}

func TestNoSpaceAndRecovery(t *testing.T) {
	w := newWorld(t, 3)
	var clock atomic.Int64
	s := w.open(t, Options{Now: func() time.Time { return time.Unix(clock.Load(), 0) }})
	defer closeStore(t, s)
	data := pattern(5000, 1)
	e := put(t, s, data).Extent
	for _, d := range w.disks {
		d.SetFree(0)
	}
	pending := submit(t, s, data)
	_, err := pending.Wait(t.Context())
	if !errors.Is(err, ErrNoSpace) {
		t.Errorf("all disks full: %v", err)
	}
	pending.Done()
	mustRead(t, s, e, data)
	for _, d := range w.disks {
		d.SetFree(1 << 40)
	}
	clock.Add(int64(fullAside / time.Second))
	mustRead(t, s, put(t, s, data).Extent, data)
}

// TestAppendsWithoutRoomAreNoSpace: disks that report room and refuse every
// append for want of it.
func TestAppendsWithoutRoomAreNoSpace(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	for _, d := range w.disks {
		d.FailAppends(1000, blobd.ErrNoSpace)
	}
	pending := submit(t, s, pattern(5000, 1))
	if _, err := pending.Wait(t.Context()); !errors.Is(err, ErrNoSpace) {
		t.Errorf("no append finds room: %v", err)
	}
	pending.Done()
}

// crampedDisk says that it has room and has none for a shard.
type crampedDisk struct{ blobd.Disk }

func (crampedDisk) Create(context.Context, blobd.ShardSpec) error { return blobd.ErrNoSpace }

func TestDisksWithTooLittleRoomAreFull(t *testing.T) {
	w := newWorld(t, 3)
	var o Options
	for _, d := range w.disks {
		o.Disks = append(o.Disks, crampedDisk{d})
	}
	s := w.open(t, o)
	defer closeStore(t, s)
	pending := submit(t, s, pattern(5000, 1))
	if _, err := pending.Wait(t.Context()); !errors.Is(err, ErrNoSpace) {
		t.Errorf("no room for a shard: %v", err)
	}
	pending.Done()
}

func TestSlowDiskIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 7)
		s := w.open(t, Options{})
		defer closeStore(t, s)
		data := pattern(600_000, 1)
		before := put(t, s, data).Extent
		row := w.row(t, before.Partition)
		slow := w.disk(row.Shards[row.K])
		slow.Delay(make(chan struct{}))
		start := time.Now()
		after := put(t, s, data).Extent
		if took := time.Since(start); took != defaultAppendTimeout {
			t.Errorf("waited %s for the slow disk", took)
		}
		if after.Partition == before.Partition {
			t.Error("still in the partition with the slow disk")
		}
		slow.Delay(nil)
		mustRead(t, s, after, data)
		if st := s.Status(); st.Counters.Retries != 1 || st.InUse.K+st.InUse.M != 6 {
			t.Errorf("status %+v", st)
		}
	})
}

// When all disks are slow no one disk is to blame: the writer waits.
func TestSlowMachineIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		s := w.open(t, Options{})
		defer closeStore(t, s)
		data := pattern(600_000, 1)
		before := put(t, s, data).Extent
		hold := make(chan struct{})
		for _, d := range w.disks {
			d.Delay(hold)
		}
		p := submit(t, s, data)
		// Between two looks of the writer, which would else see some disks done and others not.
		time.AfterFunc(7*defaultAppendTimeout/2, func() { close(hold) })
		placed, err := p.Wait(t.Context())
		p.Done()
		if err != nil || placed.Extent.Partition != before.Partition {
			t.Errorf("placed %+v, %v", placed, err)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	w := newWorld(t, 2)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	data := pattern(5000, 1)
	part := put(t, s, data).Extent.Partition
	hold := make(chan struct{})
	for _, d := range w.disks {
		d.Delay(hold)
	}
	p := submit(t, s, data)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	p.Done() // before the write has ended
	close(hold)
	placed, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustRead(t, s, placed.Extent, data)
	for _, st := range s.Status().Partitions {
		if st.ID == part && st.Held != 0 {
			t.Errorf("%d blobs held", st.Held)
		}
	}
}

func TestSubmitOfAnEndedRequestIsDropped(t *testing.T) {
	w := newWorld(t, 2)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, size := range []int{5000, 1 << 20} {
		buf, err := s.Buffer(t.Context(), int64(size))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Submit(ctx, Blob{}, buf, size).Wait(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if st := s.Status(); st.Counters.Stripes != 0 || st.BufferMemory != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestAsideGrowsAndEnds(t *testing.T) {
	now := time.Unix(1000, 0)
	w := newWorld(t, 1)
	d := newDiskSet(w.attached()).all()[0]
	cause := errors.New("slow")
	last := time.Duration(0)
	for range 12 {
		d.setAside(now, cause)
		if err := d.usable(now); !errors.Is(err, cause) {
			t.Fatalf("aside: %v", err)
		}
		step := d.until.Sub(now)
		if step < last || step > maxAside {
			t.Errorf("aside for %s after %s", step, last)
		}
		last = step
	}
	if err := d.usable(now.Add(maxAside)); err != nil {
		t.Errorf("after the time: %v", err)
	}
	d.restore()
	if err := d.usable(now); err != nil {
		t.Errorf("restored: %v", err)
	}
}

func TestBudgetQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100, 2, time.Second)
		if err := b.acquire(t.Context(), 80); err != nil {
			t.Fatal(err)
		}
		if b.try(30, 0) || !b.try(10, 10) || b.try(5, 6) {
			t.Error("try does not keep to what is free")
		}
		b.release(10)
		order := make(chan int, 2)
		for i, n := range []int64{50, 20} {
			go func() {
				if err := b.acquire(t.Context(), n); err != nil {
					t.Error(err)
				}
				order <- i
			}()
			synctest.Wait()
		}
		if err := b.acquire(t.Context(), 1); !errors.Is(err, ErrOverloaded) {
			t.Errorf("queue of two took a third: %v", err)
		}
		if b.try(1, 0) {
			t.Error("overtook those who wait")
		}
		b.release(80)
		if a, c := <-order, <-order; a+c != 1 {
			t.Errorf("served %d, %d", a, c)
		}
		if b.used() != 70 {
			t.Errorf("%d in use", b.used())
		}
		start := time.Now()
		if err := b.acquire(t.Context(), 31); !errors.Is(err, ErrOverloaded) || time.Since(start) != time.Second {
			t.Errorf("waited %s: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := b.acquire(ctx, 31); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if b.used() != 70 || b.refusals() != 3 {
			t.Errorf("%d in use, %d refused", b.used(), b.refusals())
		}
	})
}

func TestBuffersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const memory = 24 << 20
		p := newBuffers(&slabs{}, memory)
		var held []*Buffer
		total := 0
		for _, want := range []int64{1, smallBuffer, smallBuffer + 1, -1, mediumBuffer, mediumBuffer + 1, 1 << 40} {
			b, err := p.get(t.Context(), want)
			if err != nil {
				t.Fatal(err)
			}
			if min(want, mediumBuffer) > int64(b.Cap()) || len(b.Bytes()) != b.Cap() || cap(b.Bytes()) != b.Cap() {
				t.Errorf("want %d: %d bytes", want, b.Cap())
			}
			held = append(held, b)
			total += b.Cap()
		}
		if held[5].Cap() != largeBuffer || held[6].Cap() != mediumBuffer {
			t.Errorf("large wants got %d, then under pressure %d", held[5].Cap(), held[6].Cap())
		}
		for {
			b, err := p.get(t.Context(), largeBuffer)
			if errors.Is(err, ErrOverloaded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, b)
			total += b.Cap()
		}
		if total > memory {
			t.Errorf("%d bytes from a pool of %d", total, memory)
		}
		small, err := p.get(t.Context(), 100)
		if err != nil {
			t.Errorf("a small buffer waits for large ones: %v", err)
		}
		for _, b := range append(held, small) {
			b.Free()
			b.Free()
		}
		if n := p.small.used() + p.large.used(); n != 0 {
			t.Errorf("%d bytes in use after all were freed", n)
		}
	})
}

func TestStaleEpochIsNoFaultOfTheDisk(t *testing.T) {
	w := newWorld(t, 3)
	s := w.open(t, Options{})
	defer closeStore(t, s)
	data := pattern(5000, 1)
	e := put(t, s, data).Extent
	row := w.row(t, e.Partition)
	if _, err := w.disk(row.Shards[2]).Fence(t.Context(), shardID(row.ID, 2), blobd.Epoch(row.Epoch+1)); err != nil {
		t.Fatal(err)
	}
	if put(t, s, data).Extent.Partition == e.Partition {
		t.Error("still in a partition that is fenced")
	}
	if st := s.Status(); st.Degraded {
		t.Errorf("disks blamed: %+v", st.Disks)
	}
}
