package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

const (
	// inspectPage is how many rows one call holds against a disk, and
	// inspectConcurrency how many shards at a time: there may be a
	// hundred thousand, and repairs wait for the call.
	inspectPage        = 256
	inspectConcurrency = 8
	// maxLooks is how often a shard is looked at whose row changes meanwhile.
	maxLooks = 8
	// reconcileRetry is how long a disk is left alone that could not be reconciled.
	reconcileRetry = time.Minute
	// tidyRetry is how long shards stay that belong elsewhere and may be needed.
	tidyRetry = 10 * time.Minute
)

// Reconciled is what was found on a disk.
type Reconciled struct {
	Disk       metadata.DiskID
	Missing    int // shards that the metadata place there and that are not, or lack frames
	Superseded int // shards that are elsewhere by now: removed
	Kept       int // shards that should be elsewhere by now, where they are not whole
	Unknown    int // shards of partitions that the metadata do not know so: set aside
}

// Reconcile holds some of what one disk holds against the metadata: of one that
// was attached since, or at the start. It returns false when there is none left. One
// that fails is left alone for a minute, and does not hold up the others.
//
// Shards that are not there are recorded as lost. When that is done for all disks,
// those that were superseded while their disk was away are removed, provided
// that what supersedes them is whole: otherwise they may be all that there is, and
// stay for [Store.Repair]. Shards of no known partition are moved out of the
// way and kept, for metadata may have been restored from a copy that is too old.
func (s *Store) Reconcile(ctx context.Context) (Reconciled, bool, error) {
	if !s.begin() {
		return Reconciled{}, false, ErrClosed
	}
	defer s.work.Done()
	for _, step := range []struct {
		due func(*disk, time.Time) bool
		do  func(context.Context, *disk) (Reconciled, error)
	}{{(*disk).isUnknown, s.inspect}, {(*disk).isUntidy, s.tidy}} {
		now := s.opts.Now()
		for _, d := range s.disks.all() {
			if !step.due(d, now) || d.usable(now) != nil {
				continue
			}
			out, err := step.do(ctx, d)
			if err != nil {
				d.lookAgain(now.Add(reconcileRetry))
				return out, true, fmt.Errorf("reconcile disk %s: %w", d.ID(), err)
			}
			return out, true, nil
		}
	}
	return Reconciled{}, false, nil
}

// isUnknown reports whether what the disk lacks is to be looked for now.
func (d *disk) isUnknown(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.known && !now.Before(d.look)
}

// isUntidy reports whether what the disk has too much is to be looked for now.
func (d *disk) isUntidy(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known && !d.tidied && !now.Before(d.look)
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

// setInspected notes how far the look for missing shards has come; 0 is to the end.
func (d *disk) setInspected(to metadata.PartitionID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inspected = to
	d.known = d.known || to == 0
}

func (d *disk) inspectedTo() metadata.PartitionID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inspected
}

func (d *disk) setTidied() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tidied = true
}

// doubt has the whole disk looked at again.
func (d *disk) doubt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known, d.tidied, d.inspected, d.look = false, false, 0, time.Time{}
}

// inspect looks for the shards that the next rows place on a disk.
func (s *Store) inspect(ctx context.Context, d *disk) (Reconciled, error) {
	out := Reconciled{Disk: d.id}
	var rows []metadata.Partition
	err := s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		rows, err = r.Partitions(d.inspectedTo(), inspectPage)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("list partitions: %w", err)
	}
	var next metadata.PartitionID
	if len(rows) == inspectPage {
		next = rows[len(rows)-1].ID
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inspectConcurrency)
	for i := range rows {
		if row := &rows[i]; isExpectedOn(row, d) {
			g.Go(func() error {
				noted, err := s.inspectRow(ctx, d, row)
				mu.Lock()
				defer mu.Unlock()
				if noted {
					out.Missing++
				}
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return out, err
	}
	d.setInspected(next)
	return out, nil
}

// isExpectedOn reports whether a disk should have a shard of a sealed partition.
func isExpectedOn(row *metadata.Partition, d *disk) bool {
	i := slices.Index(row.Shards, d.id)
	return i >= 0 && row.State == metadata.PartitionSealed && !slices.Contains(row.Lost, uint8(i))
}

// inspectRow looks at the shard of a row on a disk, again while the row changes:
// what was seen holds for the row that it was seen with.
func (s *Store) inspectRow(ctx context.Context, d *disk, row *metadata.Partition) (noted bool, err error) {
	for range maxLooks {
		shard := slices.Index(row.Shards, d.id)
		lost, damaged, err := s.inspectShard(ctx, d, row, shard)
		if err != nil || !lost && !damaged {
			return false, err
		}
		if noted, err := s.recordShort(ctx, row, uint8(shard), lost); err != nil || noted {
			return noted, err
		}
		var now *metadata.Partition
		err = s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
			now, err = r.Partition(row.ID)
			return err
		})
		if err != nil || now == nil || !isExpectedOn(now, d) || now.Epoch == row.Epoch {
			return false, err
		}
		row = now
	}
	return false, fmt.Errorf("%w: %s, again and again", errMoved, pid(row.ID))
}

// inspectShard looks at a shard of a sealed partition. One that is not sealed
// itself may be what a seal that was cut short left, or an old copy: each frame
// that is referenced tells.
func (s *Store) inspectShard(ctx context.Context, d *disk, row *metadata.Partition, shard int) (lost, damaged bool, err error) {
	id := shardID(row.ID, shard)
	st, err := s.statShard(ctx, d, id)
	if ctx.Err() != nil {
		return false, false, ctx.Err()
	}
	if lost = err != nil && ofTheFrame(err); lost {
		return true, false, nil
	}
	if err != nil {
		return false, false, err
	}
	if st.Sealed || slices.Contains(row.Damaged, uint8(shard)) {
		return false, false, nil
	}
	v := s.readView(row)
	v.disks[shard] = d
	err = s.eachStripe(ctx, row.ID, func(stripe int64) error {
		err := s.checkFrame(ctx, v, shard, stripe)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		_, referenced, e := s.stripeRow(ctx, row.ID, stripe)
		if !ofTheFrame(err) && referenced && e == nil {
			return err // nothing is known of it yet
		}
		damaged = damaged || referenced
		return e
	})
	if errors.Is(err, ErrUnreadable) {
		return false, true, nil // with this frame or without: to be looked at by repair
	}
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

// statShard asks a disk about a shard.
func (s *Store) statShard(ctx context.Context, d *disk, id blobd.ShardID) (blobd.ShardStat, error) {
	var st blobd.ShardStat
	err := s.attend(d, func() error {
		now, err := d.Stat(ctx, id)
		if err == nil {
			st = now
		}
		return err
	})
	if err != nil {
		return blobd.ShardStat{}, err
	}
	return st, nil
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
		for shard := range bad {
			p.spoil(uint8(shard))
			s.changed()
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
		err := f.lacks(column)
		if errors.Is(err, errSlow) {
			return err // nothing is known of the shard
		}
		if err != nil {
			bad[shardOf(column, stripe, v.k)] = true
		}
	}
	return nil
}

// Redundancy counts the partitions by how many of their shards are lost, damaged or
// on disks that do not serve. It reads all rows.
func (s *Store) Redundancy(ctx context.Context) (out metadata.Redundancy, err error) {
	err = s.db.EachPartition(ctx, class, func(row *metadata.Partition) error {
		s.Annotate(row)
		out.Count(row, func(id metadata.DiskID) bool { return !s.disks.serves(id) })
		return nil
	})
	return out, err
}
