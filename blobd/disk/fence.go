package disk

import (
	"context"
	"fmt"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

// Fence implements [blobd.Fencer].
func (d *Disk) Fence(ctx context.Context, id blobd.ShardID, epoch blobd.Epoch) (blobd.ShardStat, error) {
	return d.raise(ctx, id, func(s *shard) error { return s.fence(ctx, epoch) })
}

// Seal implements [blobd.Fencer].
func (d *Disk) Seal(ctx context.Context, id blobd.ShardID, epoch blobd.Epoch) (blobd.ShardStat, error) {
	return d.raise(ctx, id, func(s *shard) error { return s.seal(ctx, epoch) })
}

func (d *Disk) raise(ctx context.Context, id blobd.ShardID, change func(*shard) error) (blobd.ShardStat, error) {
	if err := d.ready(ctx); err != nil {
		return blobd.ShardStat{}, err
	}
	s, err := d.open(ctx, id)
	if err != nil {
		return blobd.ShardStat{}, err
	}
	defer d.release(s)
	if err := change(s); err != nil {
		return blobd.ShardStat{}, err
	}
	return s.stat(ctx)
}

func (s *shard) fence(ctx context.Context, epoch blobd.Epoch) error {
	s.mu.Lock()
	if err := s.raiseFloorLocked(epoch); err != nil {
		s.mu.Unlock()
		return err
	}
	// Appends of this very epoch, which its owner may have under way while he
	// fences again, need not be waited for.
	var drained <-chan struct{}
	if epoch > s.super.Epoch {
		drained = s.drainLocked()
	}
	s.mu.Unlock()
	if err := wait(ctx, drained); err != nil {
		return err
	}
	return s.persist(ctx, func(next *superblock) error { return raiseEpoch(next, epoch) })
}

func (s *shard) seal(ctx context.Context, epoch blobd.Epoch) error {
	s.mu.Lock()
	if err := s.raiseFloorLocked(epoch); err != nil {
		s.mu.Unlock()
		return err
	}
	s.sealing = true
	drained := s.drainLocked()
	s.mu.Unlock()
	if err := wait(ctx, drained); err != nil {
		return err
	}
	err := s.persist(ctx, func(next *superblock) error {
		next.Sealed = true
		return raiseEpoch(next, epoch)
	})
	if err != nil {
		return err
	}
	return s.trim(ctx)
}

// raiseFloorLocked stops the appends of lower epochs at once, in memory.
func (s *shard) raiseFloorLocked(epoch blobd.Epoch) error {
	if s.deleted.Load() {
		return fmt.Errorf("%w: %s", blobd.ErrShardNotFound, s.id)
	}
	if epoch < s.floor {
		return fmt.Errorf("%w: %s is at %d, not %d", blobd.ErrStaleEpoch, s.id, s.floor, epoch)
	}
	s.floor = epoch
	return nil
}

func wait(ctx context.Context, ch <-chan struct{}) error {
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

func raiseEpoch(next *superblock, epoch blobd.Epoch) error {
	if epoch < next.Epoch {
		return fmt.Errorf("%w: %s is at %d, not %d", blobd.ErrStaleEpoch, next.ID, next.Epoch, epoch)
	}
	next.Epoch = epoch
	return nil
}

// persist writes the next superblock, with the end as it is now and as changed
// by change, and makes it durable together with everything written before.
func (s *shard) persist(ctx context.Context, change func(next *superblock) error) error {
	select {
	case s.raising <- struct{}{}:
		defer func() { <-s.raising }()
	case <-ctx.Done():
		return ctx.Err()
	}
	end, err := s.findEnd(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	next := s.super
	next.End = min(max(next.End, end, s.appended), s.capacity)
	s.mu.Unlock()
	next.Sequence++
	if err := change(&next); err != nil {
		return err
	}
	w, err := s.openWriter()
	if err != nil {
		return err
	}
	// The other slot: until this one is durable, the last one stands.
	if err := vfs.WritevAt(w, [][]byte{next.encode()}, next.slot()); err != nil {
		return s.disk.writeError(fmt.Errorf("superblock of %s: %w", s.id, err))
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.super = next
	return nil
}

// trim gives back the space that a sealed shard will not use.
func (s *shard) trim(ctx context.Context) error {
	select {
	case s.extends <- struct{}{}:
		defer func() { <-s.extends }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	from, to := s.super.End, s.size
	s.mu.Unlock()
	w, err := s.openWriter()
	if err != nil {
		return err
	}
	if err := vfs.PunchHole(w, dataStart+from, to-from); err != nil {
		return s.disk.writeError(fmt.Errorf("trim %s: %w", s.id, err))
	}
	return nil
}

// Punch implements [blobd.Fencer]. What it frees may come back after a power
// loss.
func (d *Disk) Punch(ctx context.Context, id blobd.ShardID, offset, length int64) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	s, err := d.open(ctx, id)
	if err != nil {
		return err
	}
	defer d.release(s)
	if offset < 0 || length < 0 || offset > s.capacity || length > s.capacity-offset {
		return fmt.Errorf("%w: punch of %d bytes at %d of %s", blobd.ErrBadOffset, length, offset, s.id)
	}
	end, err := s.findEnd(ctx)
	if err != nil {
		return err
	}
	from, to := roundUp(offset), min(roundDown(offset+length), end)
	if from >= to {
		return nil
	}
	// Zeros look like space never written: remember that it was.
	s.mu.Lock()
	known := s.super.End
	s.mu.Unlock()
	if to > known {
		if err := s.persist(ctx, func(*superblock) error { return nil }); err != nil {
			return err
		}
	}
	w, err := s.openWriter()
	if err != nil {
		return err
	}
	if err := vfs.PunchHole(w, dataStart+from, to-from); err != nil {
		return d.writeError(fmt.Errorf("punch %s: %w", s.id, err))
	}
	return nil
}
