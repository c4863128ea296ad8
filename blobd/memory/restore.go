package memory

import (
	"context"
	"fmt"

	"github.com/undercroft/undercroft/blobd"
)

// restoration is a shard that the disk does not show yet.
type restoration struct {
	disk  *Disk
	shard *shard
	over  bool
}

var _ blobd.Restoration = (*restoration)(nil)

// Restore implements [blobd.Restorer].
func (d *Disk) Restore(ctx context.Context, spec blobd.ShardSpec, end int64) (blobd.Restoration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.writableLocked(ctx); err != nil {
		return nil, err
	}
	if spec.Capacity <= 0 || spec.Capacity%blobd.Align != 0 || end < 0 || end > spec.Capacity || end%blobd.Align != 0 {
		return nil, fmt.Errorf("%w: end %d of capacity %d", blobd.ErrBadOffset, end, spec.Capacity)
	}
	return &restoration{disk: d, shard: &shard{spec: spec, end: end, sealed: true, punched: map[int64]bool{}}}, nil
}

// Write implements [blobd.Restoration]. The fault of appends is its, too.
func (r *restoration) Write(ctx context.Context, offset int64, data [][]byte) error {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if err := r.disk.writableLocked(ctx); err != nil {
		return err
	}
	var length int64
	for _, p := range data {
		length += int64(len(p))
	}
	if c := r.shard.spec.Capacity; offset < 0 || offset%blobd.Align != 0 || offset > c || length > c-offset {
		return fmt.Errorf("%w: frame of %d bytes at %d", blobd.ErrBadOffset, length, offset)
	}
	if err := r.disk.faults.appends.take(); err != nil {
		return err
	}
	if uint64(max(0, roundUp(offset+length)-r.shard.allocated())) > r.disk.usage.Free {
		return fmt.Errorf("%w: restoration of %d bytes", blobd.ErrNoSpace, length)
	}
	end := r.shard.end
	r.shard.write(blobd.Append{Offset: offset, Data: data}, length)
	r.shard.end = end
	return nil
}

// Commit implements [blobd.Restoration]. The fault of syncs is its, too.
func (r *restoration) Commit(ctx context.Context) error {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if r.over {
		return blobd.ErrClosed
	}
	r.over = true
	if err := r.disk.writableLocked(ctx); err != nil {
		return err
	}
	if err := r.disk.faults.syncs.take(); err != nil {
		return err
	}
	id := r.shard.spec.ID
	if old := r.disk.shards[id]; old != nil {
		if old.spec.Epoch > r.shard.spec.Epoch {
			return fmt.Errorf("%w: %s is at %d, not %d", blobd.ErrStaleEpoch, id, old.spec.Epoch, r.shard.spec.Epoch)
		}
		r.disk.usage.Free += uint64(old.allocated())
	}
	r.disk.usage.Free -= uint64(r.shard.allocated())
	r.disk.shards[id] = r.shard
	r.disk.syncs++
	return nil
}

// Abort implements [blobd.Restoration].
func (r *restoration) Abort() error {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	r.over = true
	return nil
}

// Discard implements [blobd.Restorer].
func (d *Disk) Discard(ctx context.Context, id blobd.ShardID, epoch blobd.Epoch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.writableLocked(ctx); err != nil {
		return err
	}
	s := d.shards[id]
	if s == nil {
		return nil
	}
	if s.spec.Epoch >= epoch {
		return fmt.Errorf("%w: %s is at %d", blobd.ErrStaleEpoch, id, s.spec.Epoch)
	}
	d.usage.Free += uint64(s.allocated())
	delete(d.shards, id)
	return nil
}

// Disown implements [blobd.Restorer].
func (d *Disk) Disown(ctx context.Context, id blobd.ShardID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.writableLocked(ctx); err != nil {
		return err
	}
	if s := d.shards[id]; s != nil {
		d.disowned = append(d.disowned, s)
		delete(d.shards, id)
	}
	return nil
}

// Disowned names the shards that were disowned.
func (d *Disk) Disowned() (ids []blobd.ShardID) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, s := range d.disowned {
		ids = append(ids, s.spec.ID)
	}
	return ids
}
