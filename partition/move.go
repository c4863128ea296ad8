package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// Move takes a shard of a sealed partition from a disk that serves to the active one
// with the most room that holds none of the partition. It is [Store.Repair] of
// a shard that is there: every frame is read from it, verified, and rebuilt
// from the others where it does not verify; the row is changed last, and then
// the old file goes. Reads under way find the bytes at either place.
//
// A shard that is lost or damaged is not moved, but repaired: nothing is done,
// as where the partition is not sealed. The errors are those of Repair.
func (s *Store) Move(ctx context.Context, id metadata.PartitionID, shard uint8, pace Pace) (Repaired, error) {
	if !s.begin() {
		return Repaired{}, ErrClosed
	}
	defer s.work.Done()
	release, ok := s.claim(id)
	if !ok {
		return Repaired{}, ErrBusy
	}
	defer release()
	r := newRepair(s, shard, pace)
	r.moving = true
	if ok, err := r.prepareMove(ctx, id); err != nil || !ok {
		return Repaired{}, err
	}
	if err := r.start(ctx); err != nil {
		return Repaired{}, ignoreMoved(err)
	}
	done, err := r.replace(ctx)
	if done.Done {
		s.stats.moved.Add(1)
		s.stats.movedBytes.Add(done.Bytes)
	}
	if err != nil {
		return done, fmt.Errorf("move of %s: %w", r.id(), err)
	}
	return done, nil
}

// prepareMove is prepare for a shard that is whole where it is.
func (r *repair) prepareMove(ctx context.Context, id metadata.PartitionID) (bool, error) {
	row, disks, err := r.read(ctx, id)
	if err != nil || row == nil || slices.Contains(slices.Concat(row.Lost, row.Damaged), r.shard) {
		return false, err
	}
	r.row = *row
	r.own = r.store.disks.get(row.Shards[r.shard])
	if r.own == nil || !r.store.disks.serves(r.own.id) {
		return false, nil // repair will
	}
	if r.own.hangs(r.store.opts.Now()) {
		return false, fmt.Errorf("move of %s: %w", r.id(), errSlow)
	}
	r.target, err = r.choose(ctx, disks)
	return err == nil, err
}

// replace writes the shard to its target and makes the row count on that.
func (r *repair) replace(ctx context.Context) (Repaired, error) {
	err := r.rebuild(ctx)
	if errors.Is(err, blobd.ErrStaleEpoch) {
		return Repaired{}, nil // a later repair was faster
	}
	if err != nil {
		return Repaired{}, err
	}
	if err := r.finish(ctx); err != nil {
		if errors.Is(err, errMoved) {
			r.cleanUp(ctx)
		}
		return Repaired{}, ignoreMoved(err)
	}
	r.discardOld(ctx)
	return r.done, nil
}
