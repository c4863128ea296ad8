package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// sealable reports whether nothing can be published in the partition any more
// that was not before.
func (p *openPartition) sealable() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.retired && p.closing && !p.fenced && !p.damaged && p.held == 0
}

// setDamaged notes that a verification failed, so that it is not repeated for
// nothing.
func (p *openPartition) setDamaged(damaged bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.damaged = damaged
}

// SealIdle seals the closing partitions of which every blob was published or
// given up and every shard is within reach. One that an earlier process wrote
// is sealed only if each stripe that is referenced verifies on every frame;
// otherwise it stays closing, for repair, and is looked at again after a start
// or [Store.AddDisk]. It returns how many were sealed.
func (s *Store) SealIdle(ctx context.Context) (int, error) {
	if !s.begin() {
		return 0, ErrClosed
	}
	defer s.work.Done()
	sealed := 0
	var errs []error
	for _, p := range s.tracked() {
		done, err := s.sealOne(ctx, p)
		if err != nil {
			errs = append(errs, err)
		}
		if done {
			sealed++
		}
		if ctx.Err() != nil {
			break
		}
	}
	return sealed, errors.Join(errs...)
}

func (s *Store) sealOne(ctx context.Context, p *openPartition) (bool, error) {
	p.mu.Lock()
	retired, fenced, end := p.retired, p.fenced, p.next
	p.mu.Unlock()
	if fenced {
		s.forget(p)
		return false, nil
	}
	if !retired {
		return false, nil
	}
	if err := s.close(ctx, p); err != nil {
		return false, err
	}
	disks := s.disks.resolve(&p.row)
	if !p.sealable() || !s.whole(disks) {
		return false, nil
	}
	if p.inherited {
		f, err := s.inspect(ctx, p, disks)
		if err != nil && ctx.Err() == nil {
			p.setDamaged(true)
			s.opts.Logger.WarnContext(ctx, "partition cannot be sealed", slog.String("partition", pid(p.row.ID)), slog.Any("error", err))
		}
		if err != nil {
			return false, ctx.Err()
		}
		end = max(end, f.end)
	}
	row, err := s.sealRow(ctx, p, end)
	if errors.Is(err, errMoved) {
		s.forget(p)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("seal partition %s: %w", pid(p.row.ID), err)
	}
	s.forget(p)
	s.stats.sealed.Add(1)
	s.views.forget(p.row.ID)
	return true, s.sealShards(ctx, &row, disks)
}

// inspect fences the shards again, since a disk may have come later, and
// verifies every stripe that is referenced.
func (s *Store) inspect(ctx context.Context, p *openPartition, disks []*disk) (fenced, error) {
	f, err := s.fenceShards(ctx, &p.row, disks)
	if err != nil {
		return f, err
	}
	return f, s.verifyReferenced(ctx, p)
}

// whole reports whether every shard's disk serves.
func (s *Store) whole(disks []*disk) bool {
	now := s.opts.Now()
	for _, d := range disks {
		if d == nil || d.Failed() != nil || d.hangs(now) {
			return false
		}
	}
	return true
}

// sealRow records the seal: state, end and a new epoch. After that nothing
// written in the partition is published any more.
func (s *Store) sealRow(ctx context.Context, p *openPartition, end int64) (metadata.Partition, error) {
	var out metadata.Partition
	err := s.settled(ctx, func(tx *metadata.Tx) error {
		row, err := tx.Partition(p.row.ID)
		if err != nil {
			return err
		}
		if row != nil && row.State == metadata.PartitionSealed && row.Epoch == p.row.Epoch+1 {
			out = *row // an ambiguous commit of ours
			return nil
		}
		if row == nil || row.Epoch != p.row.Epoch || row.State != metadata.PartitionClosing {
			return errMoved
		}
		row.State, row.End = metadata.PartitionSealed, end
		row.Epoch++
		out = *row
		return tx.PutPartition(row)
	})
	return out, err
}

// sealShards closes the files of a sealed partition for good. The metadata
// decide; a shard that fails here takes no append either, since nobody has
// its epoch. A sealed partition may be dropped while this runs: its files are
// gone then, and nothing is missing.
func (s *Store) sealShards(ctx context.Context, row *metadata.Partition, disks []*disk) error {
	var g errgroup.Group
	for i, d := range disks {
		g.Go(func() error {
			err := s.attend(d, func() error {
				_, err := d.Seal(ctx, shardID(row.ID, i), blobd.Epoch(row.Epoch))
				return err
			})
			if err != nil {
				return fmt.Errorf("seal shard %d of %s on disk %s: %w", i, pid(row.ID), d.ID(), err)
			}
			return nil
		})
	}
	err := g.Wait()
	if errors.Is(err, blobd.ErrShardNotFound) && s.isDropped(ctx, row.ID) {
		return nil
	}
	return err
}

// isDropped reports whether a partition is known to be dropped.
func (s *Store) isDropped(ctx context.Context, id metadata.PartitionID) bool {
	gone := false
	err := s.db.View(ctx, class, func(r *metadata.Reader) error {
		row, err := r.Partition(id)
		gone = err == nil && (row == nil || row.State == metadata.PartitionDropped)
		return err
	})
	return err == nil && gone
}
