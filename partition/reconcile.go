package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// Reconciled is what was found on a disk.
type Reconciled struct {
	Disk       metadata.DiskID
	Missing    int // shards that the metadata place there and that are not
	Superseded int // shards that are elsewhere by now: removed
	Unknown    int // shards of partitions that the metadata do not know: set aside
}

// Reconcile holds what one disk holds against the metadata: one that was
// attached since, or at the start. It returns false when there is none left.
// Shards that are not there are recorded as lost. Shards that were superseded
// while their disk was away are removed. Shards of no known partition are
// moved out of the way and kept, for metadata may have been restored
// from a copy that is too old.
func (s *Store) Reconcile(ctx context.Context) (Reconciled, bool, error) {
	if !s.begin() {
		return Reconciled{}, false, ErrClosed
	}
	defer s.work.Done()
	for _, d := range s.disks.all() {
		if d.isKnown() || d.usable(s.opts.Now()) != nil {
			continue
		}
		out, err := s.reconcile(ctx, d)
		if err != nil {
			return out, false, fmt.Errorf("reconcile disk %s: %w", d.ID(), err)
		}
		d.setKnown()
		return out, true, nil
	}
	return Reconciled{}, false, nil
}

func (d *disk) isKnown() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known
}

func (d *disk) setKnown() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known = true
}

func (s *Store) reconcile(ctx context.Context, d *disk) (Reconciled, error) {
	out := Reconciled{Disk: d.id}
	// The rows twice: what was sealed before the list must be in it, and what
	// is in it had a row by then.
	expected, err := s.sealedOn(ctx, d)
	if err != nil {
		return out, err
	}
	var ids []blobd.ShardID
	err = s.attend(d, func() error {
		list, err := d.List(ctx)
		if err == nil {
			ids = list
		}
		return err
	})
	if err != nil {
		return out, err
	}
	there := make(map[blobd.ShardID]bool, len(ids))
	for _, id := range ids {
		there[id] = true
	}
	for i := range expected {
		row := &expected[i]
		shard := uint8(slices.Index(row.Shards, d.id))
		if there[shardID(row.ID, int(shard))] {
			continue
		}
		noted, err := s.recordShort(ctx, row, shard, true)
		if err != nil {
			return out, err
		}
		if noted {
			out.Missing++
		}
	}
	return out, s.tidy(ctx, d, there, &out)
}

// sealedOn lists the sealed partitions of which a disk should have a shard.
func (s *Store) sealedOn(ctx context.Context, d *disk) (rows []metadata.Partition, err error) {
	err = s.db.EachPartition(ctx, class, func(row *metadata.Partition) error {
		i := slices.Index(row.Shards, d.id)
		if i >= 0 && row.State == metadata.PartitionSealed && !slices.Contains(row.Lost, uint8(i)) {
			rows = append(rows, *row)
		}
		return nil
	})
	return rows, err
}

// tidy takes away what was listed on a disk and does not belong there.
func (s *Store) tidy(ctx context.Context, d *disk, there map[blobd.ShardID]bool, out *Reconciled) error {
	superseded := map[blobd.ShardID]blobd.Epoch{}
	err := s.db.EachPartition(ctx, class, func(row *metadata.Partition) error {
		for i, on := range row.Shards {
			id := shardID(row.ID, i)
			if there[id] && on != d.id {
				superseded[id] = blobd.Epoch(row.Epoch)
			}
			delete(there, id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id, epoch := range superseded {
		// A repair under way has the row's epoch, and stays.
		err := s.attend(d, func() error { return d.Discard(ctx, id, epoch) })
		if err != nil && !errors.Is(err, blobd.ErrStaleEpoch) {
			return err
		}
		if err == nil {
			out.Superseded++
		}
	}
	for id := range there {
		if err := s.attend(d, func() error { return d.Disown(ctx, id) }); err != nil {
			return err
		}
		out.Unknown++
		s.opts.Logger.WarnContext(ctx, "shard of no known partition is set aside", slog.String("shard", id.String()), slog.String("disk", d.ID().String()))
	}
	return nil
}

// Redundancy counts the partitions by how many of their shards are lost, damaged or
// on disks that do not serve. It reads all rows.
func (s *Store) Redundancy(ctx context.Context) (out metadata.Redundancy, err error) {
	err = s.db.EachPartition(ctx, class, func(row *metadata.Partition) error {
		out.Count(row, func(id metadata.DiskID) bool { return !s.disks.serves(id) })
		return nil
	})
	return out, err
}
