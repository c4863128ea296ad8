package partition

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// stray is a shard on a disk where its row does not place it.
type stray struct {
	id      blobd.ShardID
	epoch   blobd.Epoch // of the row
	covered bool        // what the row places elsewhere is whole, or needed no more
}

// tidy takes away what is on a disk and does not belong there.
func (s *Store) tidy(ctx context.Context, d *disk) (Reconciled, error) {
	out := Reconciled{Disk: d.id}
	strays, unknown, err := s.strays(ctx, d)
	if err != nil {
		return out, err
	}
	for i := range strays {
		if !strays[i].covered {
			out.Kept++
			continue
		}
		release, ok := s.claim(metadata.PartitionID(strays[i].id.Partition))
		if !ok { // a repair may be about to count on it
			out.Kept++
			continue
		}
		err := s.discardSuperseded(ctx, d, &strays[i], &out)
		release()
		if err != nil {
			return out, err
		}
	}
	for id := range unknown {
		if err := s.disown(ctx, d, id, &out); err != nil {
			return out, err
		}
	}
	if out.Kept > 0 {
		d.lookAgain(s.opts.Now().Add(tidyRetry))
		return out, nil
	}
	d.setTidied()
	return out, nil
}

// strays lists the shards on a disk that the rows do not place there, and those
// that no row knows. The rows are read after the list: what is in it had a row by
// then.
func (s *Store) strays(ctx context.Context, d *disk) (strays []stray, unknown map[blobd.ShardID]bool, err error) {
	var ids []blobd.ShardID
	err = s.attend(d, func() error {
		list, err := d.List(ctx)
		if err == nil {
			ids = list
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	unknown = make(map[blobd.ShardID]bool, len(ids))
	for _, id := range ids {
		unknown[id] = true
	}
	err = s.db.EachPartition(ctx, class, func(row *metadata.Partition) error {
		for i, on := range row.Shards {
			id := shardID(row.ID, i)
			if unknown[id] && on != d.id {
				strays = append(strays, stray{id, blobd.Epoch(row.Epoch), s.isCovered(row, i)})
			}
			delete(unknown, id)
		}
		return nil
	})
	return strays, unknown, err
}

// isCovered reports whether another copy of a shard is of no use to anybody. While the
// row's own is short, away or not looked at, it may be all that there is.
func (s *Store) isCovered(row *metadata.Partition, shard int) bool {
	if row.State == metadata.PartitionDropped {
		return true
	}
	on := s.disks.get(row.Shards[shard])
	return row.State == metadata.PartitionSealed && !slices.Contains(slices.Concat(row.Lost, row.Damaged), uint8(shard)) &&
		on != nil && on.Failed() == nil && on.isKnown()
}

// discardSuperseded removes a shard from a disk where the row does not place it.
// One that has the row's epoch was left by a repair that did not end,
// or belongs to one under way: that ends it, by raising the epoch first. One that has
// a higher epoch than the row is younger than the metadata: it is set aside.
func (s *Store) discardSuperseded(ctx context.Context, d *disk, x *stray, out *Reconciled) error {
	discard := func(epoch blobd.Epoch) (stale bool, err error) {
		err = s.attend(d, func() error { return d.Discard(ctx, x.id, epoch) })
		if errors.Is(err, blobd.ErrStaleEpoch) {
			return true, nil
		}
		if err == nil {
			out.Superseded++
		}
		return false, err
	}
	stale, err := discard(x.epoch)
	if err != nil || !stale {
		return err
	}
	there, err := s.statShard(ctx, d, x.id)
	if errors.Is(err, blobd.ErrShardNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	epoch, younger, err := s.overtake(ctx, d, x.id, there.Epoch)
	switch {
	case errors.Is(err, errMoved):
		return nil
	case err != nil:
		return err
	case younger:
		return s.disown(ctx, d, x.id, out)
	}
	_, err = discard(epoch) // what is stale now is of a repair that has begun since
	return err
}

// overtake raises the epoch of a partition that does not place a shard on a disk,
// so that a repair that has put it there does not count. It reports whether the
// shard, of epoch there, is younger than the row instead: no repair of these metadata made it.
func (s *Store) overtake(ctx context.Context, d *disk, id blobd.ShardID, there blobd.Epoch) (epoch blobd.Epoch, younger bool, err error) {
	err = s.settled(ctx, func(tx *metadata.Tx) error {
		row, err := tx.Partition(metadata.PartitionID(id.Partition))
		if err != nil {
			return err
		}
		if row == nil || row.State != metadata.PartitionSealed || row.Shards[id.Index] == d.id {
			return errMoved
		}
		if younger = there > blobd.Epoch(row.Epoch); younger {
			return nil
		}
		row.Epoch++
		epoch = blobd.Epoch(row.Epoch)
		return tx.PutPartition(row)
	})
	return epoch, younger, err
}

// disown sets a shard aside that the metadata do not know.
func (s *Store) disown(ctx context.Context, d *disk, id blobd.ShardID, out *Reconciled) error {
	if err := s.attend(d, func() error { return d.Disown(ctx, id) }); err != nil {
		return err
	}
	out.Unknown++
	s.opts.Logger.WarnContext(ctx, "shard that the metadata do not know is set aside", slog.String("shard", id.String()), slog.String("disk", d.ID().String()))
	return nil
}
