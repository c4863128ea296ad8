package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// sealRetry is how long a partition with a stripe that cannot be read is left
// alone: a disk may come back, or the object may be deleted.
const sealRetry = 10 * time.Minute

// sealable reports whether nothing can be published in the partition any more
// that was not before.
func (p *openPartition) sealable(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.retired && p.closing && !p.fenced && p.held == 0 && !now.Before(p.after)
}

// postpone leaves a partition alone until a moment.
func (p *openPartition) postpone(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = until
}

// spoil notes a shard of which a read found a frame missing or corrupt.
func (p *openPartition) spoil(shard uint8) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.spoiled, shard) {
		p.spoiled = append(p.spoiled, shard)
	}
}

// SealIdle seals the closing partitions of which every blob was published or
// given up. k of its shards suffice: the others are recorded as lost in the same
// transaction, for repair. One that an earlier process wrote is sealed only if
// each stripe that is referenced can be read from the shards that are fenced;
// those that lack a frame of one are recorded as damaged. Otherwise it stays
// closing, and is looked at again later, after a start or [Store.AddDisk]. It
// returns how many were sealed.
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
	retired, fenced := p.retired, p.fenced
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
	if !p.sealable(s.opts.Now()) {
		return false, nil
	}
	found, err := s.findings(ctx, p)
	if err != nil && ctx.Err() == nil {
		p.postpone(s.opts.Now().Add(sealRetry))
		s.opts.Logger.WarnContext(ctx, "partition cannot be sealed", slog.String("partition", pid(p.row.ID)), slog.Any("error", err))
	}
	if err != nil {
		return false, ctx.Err()
	}
	if found == nil {
		return false, nil
	}
	row, err := s.sealRow(ctx, p, found)
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
	s.doubtReplaced(&row, found.disks)
	return true, s.sealShards(ctx, &row, found.disks)
}

// doubtReplaced has those disks of a partition looked at again that are not the
// ones that its row was written for: they were attached meanwhile, and may
// have been looked at before the row said what they should hold.
func (s *Store) doubtReplaced(row *metadata.Partition, disks []*disk) {
	for i, id := range row.Shards {
		if d := s.disks.get(id); d != nil && disks[i] != nil && d != disks[i] {
			d.doubt()
		}
	}
}

// findings is what there is to say of a partition when it is sealed.
type findings struct {
	end     int64
	disks   []*disk // that were looked at
	lost    []uint8 // shards that are not within reach
	damaged []uint8 // shards that are, but lack frames
}

// findings looks at the shards of a partition that is to be sealed. It returns
// nil when that must wait for a disk, and an error when a stripe cannot be read.
func (s *Store) findings(ctx context.Context, p *openPartition) (*findings, error) {
	p.mu.Lock()
	f := &findings{end: p.next, damaged: slices.Clone(p.spoiled)}
	verify := p.inherited || p.doubted
	p.mu.Unlock()
	disks := s.disks.resolve(&p.row)
	f.disks = disks
	for i, d := range disks { // one may have been attached just now
		verify = verify || d != nil && d != p.disks[i]
	}
	if !verify {
		// What this process wrote was durable on every shard.
		if s.anyHangs(disks) {
			return nil, nil //nolint:nilnil // nil is the answer: wait
		}
		for i, d := range disks {
			if d == nil || d.Failed() != nil {
				f.lost = append(f.lost, uint8(i))
			}
		}
	} else {
		// Again, since a disk may have come later.
		fenced := s.fenceShards(ctx, &p.row, disks)
		f.end, f.lost = max(f.end, fenced.end), fenced.lost
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.changed()
	p.setAbsent(f.lost)
	if len(f.lost) > p.m {
		return nil, nil //nolint:nilnil // nil is the answer: wait
	}
	if verify {
		bad, err := s.verifyReferenced(ctx, p, f)
		p.setUnreadable(errors.Is(err, ErrUnreadable))
		s.changed()
		if err != nil {
			return nil, err
		}
		f.damaged = append(f.damaged, bad...)
	}
	slices.Sort(f.damaged)
	f.damaged = slices.DeleteFunc(slices.Compact(f.damaged), func(i uint8) bool { return slices.Contains(f.lost, i) })
	return f, nil
}

// setAbsent notes which shards are not within reach.
func (p *openPartition) setAbsent(shards []uint8) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.absent = shards
}

// setUnreadable notes whether a stripe cannot be read.
func (p *openPartition) setUnreadable(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unreadable = is
}

// anyHangs reports whether a disk does not answer at the moment.
func (s *Store) anyHangs(disks []*disk) bool {
	now := s.opts.Now()
	return slices.ContainsFunc(disks, func(d *disk) bool { return d != nil && d.hangs(now) })
}

// sealRow records the seal: state, end, the shards that are not whole, and a
// new epoch. After that nothing written in the partition is published any more.
func (s *Store) sealRow(ctx context.Context, p *openPartition, f *findings) (metadata.Partition, error) {
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
		row.State, row.End = metadata.PartitionSealed, f.end
		row.Lost, row.Damaged = f.lost, f.damaged
		row.Writer = metadata.HolderID{}
		row.Epoch++
		out = *row
		return tx.PutPartition(row)
	})
	return out, err
}

// sealShards closes the files of a sealed partition for good. The metadata
// decide; a shard that fails here takes no append either, since nobody has
// its epoch. disks are those that were looked at: what another one holds is not
// known. A sealed partition may be dropped while this runs: its files are
// gone then, and nothing is missing.
func (s *Store) sealShards(ctx context.Context, row *metadata.Partition, disks []*disk) error {
	var g errgroup.Group
	for i, d := range disks {
		if d == nil || slices.Contains(row.Lost, uint8(i)) {
			continue
		}
		g.Go(func() error { return s.sealShard(ctx, row, i, d) })
	}
	err := g.Wait()
	if errors.Is(err, blobd.ErrShardNotFound) && s.isDropped(ctx, row.ID) {
		return nil
	}
	return err
}

func (s *Store) sealShard(ctx context.Context, row *metadata.Partition, i int, d *disk) error {
	err := s.attend(d, func() error {
		_, err := d.Seal(ctx, shardID(row.ID, i), blobd.Epoch(row.Epoch))
		return err
	})
	if err == nil || errors.Is(err, blobd.ErrStaleEpoch) {
		return nil // repair has taken it further
	}
	if errors.Is(err, blobd.ErrShardNotFound) || errors.Is(err, blobd.ErrCorrupt) {
		if noted, e := s.recordShort(ctx, row, uint8(i), true); e != nil || noted {
			return e
		}
	}
	return fmt.Errorf("seal shard %d of %s on disk %s: %w", i, pid(row.ID), d.ID(), err)
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
