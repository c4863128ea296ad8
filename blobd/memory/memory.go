// Package memory is a disk in memory: a full implementation of package blobd
// for the tests of everything above it, with switches that make it fail.
//
// It keeps the whole contract but durability: nothing outlives the value. The
// faults are set by the methods of [Disk] that blobd.Disk has not; they take
// effect for the calls that begin after them. Tests only.
package memory

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/undercroft/undercroft/blobd"
)

// Size is the size of a disk unless [Disk.SetFree] says otherwise.
const Size = 1 << 40

// Disk is a disk in memory.
type Disk struct {
	id blobd.DiskID

	mu     sync.RWMutex // guards everything
	shards map[blobd.ShardID]*shard
	// disowned shards take space and nothing else.
	disowned []*shard
	closed   bool
	faults   faults
	usage    blobd.DiskUsage
	syncs    int64
}

type shard struct {
	spec    blobd.ShardSpec
	data    []byte // as far as it was ever written
	punched map[int64]bool
	end     int64
	sealed  bool
	closed  error // a sync failed
}

var (
	_ blobd.Disk         = (*Disk)(nil)
	_ blobd.CachedReader = (*Disk)(nil)
)

// New returns an empty disk.
func New(id blobd.DiskID) *Disk {
	return &Disk{
		id:     id,
		shards: map[blobd.ShardID]*shard{},
		usage:  blobd.DiskUsage{Total: Size, Free: Size},
	}
}

// ID implements [blobd.Inventory].
func (d *Disk) ID() blobd.DiskID { return d.id }

func (d *Disk) checkLocked(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.closed {
		return blobd.ErrClosed
	}
	return nil
}

// writableLocked is what every change asks first.
func (d *Disk) writableLocked(ctx context.Context) error {
	if err := d.checkLocked(ctx); err != nil {
		return err
	}
	return d.faults.failed
}

func (d *Disk) shardLocked(id blobd.ShardID) (*shard, error) {
	s := d.shards[id]
	if s == nil {
		return nil, fmt.Errorf("%w: %s", blobd.ErrShardNotFound, id)
	}
	return s, nil
}

// Create implements [blobd.Inventory].
func (d *Disk) Create(ctx context.Context, spec blobd.ShardSpec) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.writableLocked(ctx); err != nil {
		return err
	}
	if spec.Capacity <= 0 || spec.Capacity%blobd.Align != 0 {
		return fmt.Errorf("%w: capacity %d", blobd.ErrBadOffset, spec.Capacity)
	}
	if d.shards[spec.ID] != nil {
		return fmt.Errorf("%w: %s", blobd.ErrShardExists, spec.ID)
	}
	if d.usage.Free == 0 {
		return blobd.ErrNoSpace
	}
	d.shards[spec.ID] = &shard{spec: spec, punched: map[int64]bool{}}
	return nil
}

// Delete implements [blobd.Inventory].
func (d *Disk) Delete(ctx context.Context, id blobd.ShardID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.writableLocked(ctx); err != nil {
		return err
	}
	if s := d.shards[id]; s != nil {
		d.usage.Free += uint64(s.allocated())
		delete(d.shards, id)
	}
	return nil
}

// Stat implements [blobd.Inventory].
func (d *Disk) Stat(ctx context.Context, id blobd.ShardID) (blobd.ShardStat, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.checkLocked(ctx); err != nil {
		return blobd.ShardStat{}, err
	}
	s, err := d.shardLocked(id)
	if err != nil {
		return blobd.ShardStat{}, err
	}
	return s.stat(), nil
}

func (s *shard) stat() blobd.ShardStat {
	return blobd.ShardStat{
		ID: s.spec.ID, Epoch: s.spec.Epoch, Sealed: s.sealed || s.closed != nil,
		Capacity: s.spec.Capacity, Allocated: s.allocated(), End: s.end,
	}
}

func (s *shard) allocated() int64 {
	return roundUp(int64(len(s.data))) - int64(len(s.punched))*blobd.Align
}

// List implements [blobd.Inventory].
func (d *Disk) List(ctx context.Context) ([]blobd.ShardID, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.writableLocked(ctx); err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(d.shards)), nil
}

// Usage implements [blobd.Inventory].
func (d *Disk) Usage(ctx context.Context) (blobd.DiskUsage, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.usage, d.writableLocked(ctx)
}

// Failed implements [blobd.Inventory].
func (d *Disk) Failed() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.faults.failed
}

// Close implements [blobd.Inventory].
func (d *Disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

// Append implements [blobd.Appender]. A delay set by [Disk.Delay] comes before
// anything is checked.
func (d *Disk) Append(ctx context.Context, a blobd.Append) error {
	if err := d.wait(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.writableLocked(ctx); err != nil {
		return err
	}
	s, err := d.shardLocked(a.Shard)
	if err != nil {
		return err
	}
	var length int64
	for _, p := range a.Data {
		length += int64(len(p))
	}
	if err := s.takes(a, length); err != nil {
		return err
	}
	if err := d.faults.appends.take(); err != nil {
		return err
	}
	before := s.allocated()
	if uint64(max(0, roundUp(a.Offset+length)-before)) > d.usage.Free {
		return fmt.Errorf("%w: append of %d bytes", blobd.ErrNoSpace, length)
	}
	s.write(a, length)
	d.usage.Free -= uint64(s.allocated() - before)
	d.syncs++
	if err := d.faults.syncs.take(); err != nil {
		s.closed = fmt.Errorf("%w: %w", blobd.ErrSealed, err)
		return s.closed
	}
	return nil
}

func (s *shard) takes(a blobd.Append, length int64) error {
	switch {
	case s.closed != nil:
		return s.closed
	case a.Epoch != s.spec.Epoch:
		return fmt.Errorf("%w: append of epoch %d to %s at %d", blobd.ErrStaleEpoch, a.Epoch, a.Shard, s.spec.Epoch)
	case s.sealed:
		return fmt.Errorf("%w: %s", blobd.ErrSealed, a.Shard)
	case a.Offset < 0 || a.Offset%blobd.Align != 0 || a.Offset > s.spec.Capacity || length > s.spec.Capacity-a.Offset:
		return fmt.Errorf("%w: append of %d bytes at %d", blobd.ErrBadOffset, length, a.Offset)
	}
	return nil
}

func (s *shard) write(a blobd.Append, length int64) {
	end := a.Offset + length
	if grow := end - int64(len(s.data)); grow > 0 {
		s.data = append(s.data, make([]byte, grow)...)
	}
	at := a.Offset
	for _, p := range a.Data {
		at += int64(copy(s.data[at:], p))
	}
	s.end = max(s.end, roundUp(end))
}

// ReadCached implements [blobd.CachedReader]: everything is in memory, unless
// reads are held back or fail.
func (d *Disk) ReadCached(id blobd.ShardID, p []byte, offset int64) int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s := d.shards[id]
	if s == nil || d.closed || d.faults.delay != nil || d.faults.reads.err != nil || offset < 0 || offset >= int64(len(s.data)) {
		return 0
	}
	return copy(p, s.data[offset:])
}

// ReadAt implements [blobd.Reader].
func (d *Disk) ReadAt(ctx context.Context, id blobd.ShardID, p []byte, offset int64) (int, error) {
	if err := d.wait(ctx); err != nil {
		return 0, err
	}
	d.mu.Lock() // the faults count
	defer d.mu.Unlock()
	if err := d.checkLocked(ctx); err != nil {
		return 0, err
	}
	s, err := d.shardLocked(id)
	if err != nil {
		return 0, err
	}
	if offset < 0 {
		return 0, blobd.ErrBadOffset
	}
	if err := d.faults.reads.take(); err != nil {
		return 0, err
	}
	if offset >= s.spec.Capacity && len(p) > 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), max(0, s.spec.Capacity-offset)))
	clear(p[:n])
	if offset < int64(len(s.data)) {
		copy(p[:n], s.data[offset:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Frames implements [blobd.Reader].
func (d *Disk) Frames(ctx context.Context, id blobd.ShardID, from int64) iter.Seq2[blobd.FrameHeader, error] {
	return func(yield func(blobd.FrameHeader, error) bool) {
		for offset := roundUp(max(from, 0)); ; {
			h, found, err := d.nextFrame(ctx, id, offset)
			if err != nil {
				yield(blobd.FrameHeader{}, err)
				return
			}
			if !found || !yield(h, nil) {
				return
			}
			offset = h.Offset + h.Size()
		}
	}
}

// nextFrame finds the first frame at or after offset.
func (d *Disk) nextFrame(ctx context.Context, id blobd.ShardID, offset int64) (blobd.FrameHeader, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkLocked(ctx); err != nil {
		return blobd.FrameHeader{}, false, err
	}
	s, err := d.shardLocked(id)
	if err != nil {
		return blobd.FrameHeader{}, false, err
	}
	if err := d.faults.reads.take(); err != nil {
		return blobd.FrameHeader{}, false, err
	}
	for ; offset < int64(len(s.data)); offset += blobd.Align {
		h, err := blobd.ParseFrameHeader(s.data[offset:], s.spec.Secret, id, offset)
		if err == nil && h.Size() <= s.spec.Capacity-offset {
			return h, true, nil
		}
	}
	return blobd.FrameHeader{}, false, nil
}

// Fence implements [blobd.Fencer].
func (d *Disk) Fence(ctx context.Context, id blobd.ShardID, epoch blobd.Epoch) (blobd.ShardStat, error) {
	return d.raise(ctx, id, epoch, func(*shard) {})
}

// Seal implements [blobd.Fencer].
func (d *Disk) Seal(ctx context.Context, id blobd.ShardID, epoch blobd.Epoch) (blobd.ShardStat, error) {
	return d.raise(ctx, id, epoch, func(s *shard) { s.sealed = true })
}

func (d *Disk) raise(ctx context.Context, id blobd.ShardID, epoch blobd.Epoch, change func(*shard)) (blobd.ShardStat, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.writableLocked(ctx); err != nil {
		return blobd.ShardStat{}, err
	}
	s, err := d.shardLocked(id)
	if err != nil {
		return blobd.ShardStat{}, err
	}
	if epoch < s.spec.Epoch {
		return blobd.ShardStat{}, fmt.Errorf("%w: %s is at %d, not %d", blobd.ErrStaleEpoch, id, s.spec.Epoch, epoch)
	}
	if s.closed != nil {
		return blobd.ShardStat{}, s.closed
	}
	s.spec.Epoch = epoch
	change(s)
	return s.stat(), nil
}

// Punch implements [blobd.Fencer].
func (d *Disk) Punch(ctx context.Context, id blobd.ShardID, offset, length int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.writableLocked(ctx); err != nil {
		return err
	}
	s, err := d.shardLocked(id)
	if err != nil {
		return err
	}
	if offset < 0 || length < 0 || offset > s.spec.Capacity || length > s.spec.Capacity-offset {
		return fmt.Errorf("%w: punch of %d bytes at %d", blobd.ErrBadOffset, length, offset)
	}
	before := s.allocated()
	for at := roundUp(offset); at+blobd.Align <= min(offset+length, roundUp(int64(len(s.data)))); at += blobd.Align {
		clear(s.data[at:min(at+blobd.Align, int64(len(s.data)))])
		s.punched[at] = true
	}
	d.usage.Free += uint64(before - s.allocated())
	return nil
}

func roundUp(n int64) int64 { return (n + blobd.Align - 1) &^ (blobd.Align - 1) }
