package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

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
// attached since, or at the start. It returns false when there is none left. One
// that fails is left alone for a minute, and does not hold up the others.
// Shards that are not there are recorded as lost. Shards that were superseded
// while their disk was away are removed. Shards of no known partition are
// moved out of the way and kept, for metadata may have been restored
// from a copy that is too old.
func (s *Store) Reconcile(ctx context.Context) (Reconciled, bool, error) {
	if !s.begin() {
		return Reconciled{}, false, ErrClosed
	}
	defer s.work.Done()
	now := s.opts.Now()
	for _, d := range s.disks.all() {
		if !d.isUnknown(now) || d.usable(now) != nil {
			continue
		}
		out, err := s.reconcile(ctx, d)
		if err != nil {
			d.lookAgain(now.Add(reconcileRetry))
			return out, true, fmt.Errorf("reconcile disk %s: %w", d.ID(), err)
		}
		d.setKnown()
		return out, true, nil
	}
	return Reconciled{}, false, nil
}

// reconcileRetry is how long a disk is left alone that could not be reconciled.
const reconcileRetry = time.Minute

// isUnknown reports whether the disk is to be reconciled now.
func (d *disk) isUnknown(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.known && !now.Before(d.look)
}

func (d *disk) lookAgain(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look = at
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
		lost, damaged := !there[shardID(row.ID, int(shard))], false
		if !lost {
			if lost, damaged, err = s.inspectShard(ctx, d, row, int(shard)); err != nil {
				return out, err
			}
		}
		if !lost && !damaged {
			continue
		}
		noted, err := s.recordShort(ctx, row, shard, lost)
		if err != nil {
			return out, err
		}
		if noted {
			out.Missing++
		}
	}
	return out, s.tidy(ctx, d, there, &out)
}

// inspectShard looks at a shard of a sealed partition. One that is not sealed
// itself may be what a seal that was cut short left, or an old copy: each frame
// that is referenced tells.
func (s *Store) inspectShard(ctx context.Context, d *disk, row *metadata.Partition, shard int) (lost, damaged bool, err error) {
	id := shardID(row.ID, shard)
	st, err := d.Stat(ctx, id)
	if ctx.Err() != nil {
		return false, false, ctx.Err()
	}
	if err != nil {
		return ofTheFrame(err), false, nil
	}
	if st.Sealed || slices.Contains(row.Damaged, uint8(shard)) {
		return false, false, nil
	}
	v := s.readView(row)
	err = s.eachStripe(ctx, row.ID, func(stripe int64) error {
		err := s.checkFrame(ctx, v, shard, stripe)
		if err == nil || !ofTheFrame(err) || ctx.Err() != nil {
			return ctx.Err()
		}
		_, referenced, e := s.stripeRow(ctx, row.ID, stripe)
		damaged = damaged || referenced
		return e
	})
	if err != nil || damaged {
		return false, damaged, err
	}
	err = s.attend(d, func() error {
		_, err := d.Seal(ctx, id, blobd.Epoch(row.Epoch))
		return err
	})
	if err != nil {
		s.opts.Logger.WarnContext(ctx, "shard is not sealed yet", slog.String("shard", id.String()), slog.Any("error", err))
	}
	return false, false, ctx.Err()
}

// CheckReopened looks for every frame that is referenced in a partition which an
// earlier process began and this one writes on. Where one is missing, a
// disk came back as it was earlier: the partition takes no more stripes, to be
// sealed and repaired. It reports whether that was so.
func (s *Store) CheckReopened(ctx context.Context) (bool, error) {
	if !s.begin() {
		return false, ErrClosed
	}
	defer s.work.Done()
	for _, p := range s.tracked() {
		if !p.toCheck() {
			continue
		}
		bad := map[int]bool{}
		v := s.viewOf(&p.row)
		err := s.eachStripe(ctx, p.row.ID, func(stripe int64) error { return s.checkHeaders(ctx, v, stripe, bad) })
		if err != nil && !errors.Is(err, ErrUnreadable) {
			return false, err
		}
		p.setChecked()
		if err != nil || len(bad) > 0 {
			s.opts.Logger.WarnContext(ctx, "partition lacks frames and takes no more", slog.String("partition", pid(p.row.ID)),
				slog.Int("shards", len(bad)), slog.Any("error", err))
			s.retire(p)
			return true, nil
		}
	}
	return false, nil
}

// toCheck reports whether an earlier process wrote to the partition and this one
// may, and nobody has looked at it.
func (p *openPartition) toCheck() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inherited && !p.retired && !p.fenced && !p.checked
}

func (p *openPartition) setChecked() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checked = true
}

// checkHeaders notes the shards that lack a frame of a stripe.
func (s *Store) checkHeaders(ctx context.Context, v *view, stripe int64, bad map[int]bool) error {
	f, err := s.survivors(ctx, v, stripe)
	if err != nil {
		return err
	}
	for _, column := range f.expected() {
		if !slices.Contains(f.present, column) {
			bad[shardOf(column, stripe, v.k)] = true
		}
	}
	return nil
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
		gone, err := s.discardSuperseded(ctx, d, id, epoch)
		if err != nil {
			return err
		}
		if gone {
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

// discardSuperseded removes a shard from a disk where the row, at this epoch, does not
// place it. One that has the row's epoch was left by a repair that did not end,
// or belongs to one under way: that ends it, by raising the epoch first.
func (s *Store) discardSuperseded(ctx context.Context, d *disk, id blobd.ShardID, epoch blobd.Epoch) (bool, error) {
	err := s.attend(d, func() error { return d.Discard(ctx, id, epoch) })
	if !errors.Is(err, blobd.ErrStaleEpoch) {
		return err == nil, err
	}
	err = s.settled(ctx, func(tx *metadata.Tx) error {
		row, err := tx.Partition(metadata.PartitionID(id.Partition))
		if err != nil {
			return err
		}
		if row == nil || row.State != metadata.PartitionSealed || row.Shards[id.Index] == d.id {
			return errMoved
		}
		row.Epoch++
		epoch = blobd.Epoch(row.Epoch)
		return tx.PutPartition(row)
	})
	if errors.Is(err, errMoved) {
		return false, nil
	}
	if err == nil {
		err = s.attend(d, func() error { return d.Discard(ctx, id, epoch) })
	}
	if errors.Is(err, blobd.ErrStaleEpoch) {
		return false, nil // of a repair that has begun since
	}
	return err == nil, err
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
