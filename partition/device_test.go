package partition

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/memory"
	"github.com/undercroft/undercroft/metadata"
)

// device is a disk all of whose reads wait for it, contexts or not: it has
// nothing in memory.
type device struct {
	blobd.Disk

	mu    sync.Mutex // guards what follows
	delay time.Duration
	stuck chan struct{} // reads return when it is closed; nil: not stuck
	err   error

	reads, under, most atomic.Int64 // begun; that have not returned; the most at a time
}

func (d *device) ReadAt(ctx context.Context, id blobd.ShardID, p []byte, offset int64) (int, error) {
	d.reads.Add(1)
	for n, most := d.under.Add(1), d.most.Load(); n > most && !d.most.CompareAndSwap(most, n); most = d.most.Load() {
	}
	defer d.under.Add(-1)
	d.mu.Lock()
	delay, stuck, err := d.delay, d.stuck, d.err
	d.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	if delay > 0 {
		<-time.After(delay)
	}
	if err != nil {
		return 0, err
	}
	return d.Disk.ReadAt(context.WithoutCancel(ctx), id, p, offset)
}

func (d *device) set(delay time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delay, d.err = delay, err
}

func (d *device) hang() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stuck = make(chan struct{})
}

func (d *device) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stuck != nil {
		close(d.stuck)
		d.stuck = nil
	}
}

// rig is a store on devices, with one stripe of data on all data shards.
type rig struct {
	*world
	s       *Store
	devices []*device
	row     *metadata.Partition
	extent  metadata.Extent
	data    []byte
}

func newRig(t *testing.T, sc Scheme, size int) *rig {
	t.Helper()
	b := &rig{world: newWorld(t, sc.K+sc.M), data: pattern(size, 1)}
	var disks []blobd.Disk
	for _, d := range b.disks {
		b.devices = append(b.devices, &device{Disk: d, delay: time.Millisecond})
		disks = append(disks, b.devices[len(b.devices)-1])
	}
	b.s = b.open(t, Options{Disks: disks, Scheme: sc})
	b.extent = put(t, b.s, b.data).Extent
	b.row = b.world.row(t, b.extent.Partition)
	return b
}

// on is the device that holds a column of the stripe.
func (b *rig) on(column int) *device {
	id := b.row.Shards[shardOf(column, b.extent.Stripe, int(b.row.K))]
	return b.devices[slices.IndexFunc(b.devices, func(d *device) bool { return metadata.DiskID(d.ID()) == id })]
}

func (b *rig) reads(column int) *diskReads {
	return &b.s.disks.get(metadata.DiskID(b.on(column).ID())).reads
}

// try reads all of the data and returns how long it took.
func (b *rig) try(t *testing.T) (time.Duration, error) {
	t.Helper()
	start := time.Now()
	got, err := read(t, b.s, whole1(b.extent))
	if err == nil && !bytes.Equal(got, b.data) {
		t.Error("wrong bytes")
	}
	return time.Since(start), err
}

func (b *rig) must(t *testing.T, within time.Duration) {
	t.Helper()
	took, err := b.try(t)
	if err != nil || took > within {
		t.Errorf("read in %s: %v", took, err)
	}
}

func (b *rig) end(t *testing.T) {
	t.Helper()
	for _, d := range b.devices {
		d.wake()
	}
	<-time.After(readTimeout)
	if n := b.s.Status().ReadMemory; n != 0 {
		t.Errorf("%d bytes of read memory in use", n)
	}
	if n := b.s.reads.rebuilding.used(); n != 0 {
		t.Errorf("%d bytes in use to rebuild", n)
	}
	for _, d := range b.devices {
		if n := d.under.Load(); n != 0 {
			t.Errorf("%d reads have not returned", n)
		}
	}
	closeStore(t, b.s)
}

// fault makes a device misbehave in one way or another.
func (b *rig) fault(t *testing.T, rng *rand.Rand, i int) {
	t.Helper()
	d := b.devices[i]
	shard := slices.Index(b.row.Shards, metadata.DiskID(d.ID()))
	id := shardID(b.row.ID, shard)
	switch rng.IntN(5) {
	case 0:
		d.hang()
	case 1:
		d.set(time.Duration(rng.IntN(3000))*time.Millisecond, nil)
	case 2:
		d.set(0, syscall.EIO)
	case 3:
		if m, ok := d.Disk.(*memory.Disk); ok {
			m.Lose(id)
		}
	case 4:
		if m, ok := d.Disk.(*memory.Disk); ok {
			size := blobd.FrameSize(b.extent.Height)
			for range 1 + rng.IntN(3) {
				_ = m.Corrupt(id, b.extent.Stripe+rng.Int64N(size), uint(rng.IntN(8))) // the stripe may have no frame there
			}
		}
	}
}
