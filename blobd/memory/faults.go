package memory

import (
	"context"
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/blobd"
)

// faults is what was ordered to go wrong.
type faults struct {
	appends, reads, syncs fault
	delay                 <-chan struct{}
	failed                error
}

// fault is an error for the next calls.
type fault struct {
	err  error
	left int // how many; negative means all
}

func (f *fault) take() error {
	if f.err == nil || f.left == 0 {
		return nil
	}
	if f.left > 0 {
		f.left--
	}
	return f.err
}

// FailAppends makes the next n appends fail with err, before they write
// anything; a negative n means all. A nil err ends it.
func (d *Disk) FailAppends(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults.appends = fault{err, n}
}

// FailReads makes the next n reads, steps of Frames included, fail with err; a
// negative n means all. A nil err ends it.
func (d *Disk) FailReads(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults.reads = fault{err, n}
}

// FailSyncs makes the next n appends write their frame and then fail with err
// and [blobd.ErrSealed], which closes their shards for good; a negative n means
// all. A nil err ends it.
func (d *Disk) FailSyncs(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults.syncs = fault{err, n}
}

// Delay holds appends and reads back until ch is closed or their context ends;
// nil ends it for calls to come.
func (d *Disk) Delay(ch <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults.delay = ch
}

func (d *Disk) wait(ctx context.Context) error {
	d.mu.RLock()
	ch := d.faults.delay
	d.mu.RUnlock()
	if ch == nil {
		return nil
	}
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Fail puts the disk out of service because of cause, as a directory that went
// away does: everything that changes or lists answers [blobd.ErrDiskFailed],
// and so do reads.
func (d *Disk) Fail(cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults.failed = fmt.Errorf("%w: %w", blobd.ErrDiskFailed, cause)
	d.faults.reads = fault{d.faults.failed, -1}
}

// Recover puts the disk back into service, with all that it held.
func (d *Disk) Recover() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = faults{}
}

// Lose forgets a shard, as if its file had been removed.
func (d *Disk) Lose(id blobd.ShardID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.shards, id)
}

// SetFree sets what is left of the disk's space, in bytes.
func (d *Disk) SetFree(n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.usage.Free = n
	d.usage.Total = max(d.usage.Total, n)
}

// Syncs is how many appends were made durable.
func (d *Disk) Syncs() int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.syncs
}

// errNothingThere is what [Disk.Corrupt] answers for a place never written.
var errNothingThere = errors.New("memory: nothing was written there")

// Corrupt inverts bit (0..7) of the byte at offset of a shard, for good.
func (d *Disk) Corrupt(id blobd.ShardID, offset int64, bit uint) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.shardLocked(id)
	if err != nil {
		return err
	}
	if offset < 0 || offset >= int64(len(s.data)) {
		return errNothingThere
	}
	s.data[offset] ^= 1 << (bit % 8)
	return nil
}
