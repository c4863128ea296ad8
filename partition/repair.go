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

// Repaired is what a repair did.
type Repaired struct {
	Done    bool  // the row counts on the shard again
	Revived bool  // it was found whole where it was
	Bytes   int64 // of frames written
	// Unreadable is how many referenced stripes lack too much to rebuild the
	// shard's frame of them. The shard then counts as damaged. That is done only
	// where nothing can come back: otherwise the repair fails.
	Unreadable int
}

// Pace is called with the size of each frame before it is read and written; it
// returns when that may be done, or the context's error. nil is no limit.
type Pace func(ctx context.Context, bytes int64) error

// Serves reports whether a disk is attached and has not failed.
func (s *Store) Serves(id metadata.DiskID) bool { return s.disks.serves(id) }

// Repair makes a shard of a sealed partition whole: one that its row says is
// lost or damaged, or one whose disk does not serve. A lost shard that is found
// whole on its disk is taken back. Otherwise the shard is written anew, on its
// own disk if that serves, else on the active one with the most room that holds
// none of the partition, every frame from survivors that verify, and the row is
// changed last. The epoch is raised before and after, so of several repairs of a
// partition one counts, and what a crash leaves is taken away as superseded.
//
// The errors are [ErrBusy], [ErrNoTarget], [ErrUnreadable], those of disks and of the
// metadata; the partition is then as it was, but for its epoch.
func (s *Store) Repair(ctx context.Context, id metadata.PartitionID, shard uint8, pace Pace) (Repaired, error) {
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
	if ok, err := r.prepare(ctx, id); err != nil || !ok {
		return Repaired{}, err
	}
	if err := r.start(ctx); err != nil {
		return Repaired{}, ignoreMoved(err)
	}
	if r.revive(ctx) || r.adopt(ctx) {
		r.done.Revived = true
		err := r.finish(ctx)
		if err == nil {
			s.stats.revived.Add(1)
			r.discardOld(ctx)
		}
		return r.done, ignoreMoved(err)
	}
	done, err := r.replace(ctx)
	if done.Done {
		s.stats.repaired.Add(1)
		s.stats.repairedBytes.Add(done.Bytes)
	}
	if err != nil {
		return done, fmt.Errorf("repair of %s: %w", r.id(), err)
	}
	return done, nil
}

// ignoreMoved makes nothing of a partition that somebody else has changed: it
// is met again if it needs to be.
func ignoreMoved(err error) error {
	if errors.Is(err, errMoved) {
		return nil
	}
	return err
}

// repair is one shard on its way.
type repair struct {
	store  *Store
	row    metadata.Partition // as read, then as the repair began
	shard  uint8
	pace   Pace
	own    *disk // where the shard is said to be; nil when that does not serve
	target *disk
	copies []*disk // serve and hold a shard of this name, though the row does not place it there
	place  *disk   // where the shard is in the end
	final  bool    // the old shard is gone for good and all others are within reach
	moving bool    // the old shard is whole, and is to be on another disk
	done   Repaired
}

func newRepair(s *Store, shard uint8, pace Pace) *repair {
	if pace == nil {
		pace = func(ctx context.Context, _ int64) error { return ctx.Err() }
	}
	return &repair{store: s, shard: shard, pace: pace}
}

func (r *repair) id() blobd.ShardID { return shardID(r.row.ID, int(r.shard)) }

// prepare reads the row and chooses a target. It returns false where there is
// nothing to repair.
func (r *repair) prepare(ctx context.Context, id metadata.PartitionID) (bool, error) {
	row, disks, err := r.read(ctx, id)
	if err != nil || row == nil {
		return false, err
	}
	r.row = *row
	now := r.store.opts.Now()
	if d := r.store.disks.get(row.Shards[r.shard]); d != nil && d.Failed() == nil && !d.hangs(now) {
		r.own = d
	}
	short := slices.Contains(row.Lost, r.shard) || slices.Contains(row.Damaged, r.shard)
	if !short && r.store.disks.serves(row.Shards[r.shard]) {
		return false, nil
	}
	r.final = r.own == nil && r.isFinal(disks)
	r.target, err = r.choose(ctx, disks)
	r.copies = r.findCopies(ctx, disks)
	if errors.Is(err, ErrNoTarget) && (r.own != nil && slices.Contains(row.Lost, r.shard) || len(r.copies) > 0) {
		return true, nil // it may be whole where it is
	}
	return err == nil, err
}

// read reads the row of a sealed partition that has the shard, nil where there
// is none, and the inventory.
func (r *repair) read(ctx context.Context, id metadata.PartitionID) (row *metadata.Partition, disks []metadata.Disk, err error) {
	err = r.store.db.View(ctx, class, func(t *metadata.Reader) (err error) {
		if row, err = t.Partition(id); err == nil {
			disks, err = t.Disks()
		}
		return err
	})
	if err != nil || row == nil || row.State != metadata.PartitionSealed || int(r.shard) >= len(row.Shards) {
		return nil, nil, err
	}
	return row, disks, nil
}

// isFinal reports whether no disk that is away may come back with something
// that a stripe could be rebuilt from.
func (r *repair) isFinal(disks []metadata.Disk) bool {
	for i, id := range r.row.Shards {
		if i != int(r.shard) && !r.store.disks.serves(id) {
			return false
		}
	}
	own := r.row.Shards[r.shard]
	return r.store.disks.get(own) == nil && !slices.ContainsFunc(disks, func(d metadata.Disk) bool {
		return d.ID == own && d.State != metadata.DiskRemoved
	})
}

// choose picks the disk for the new shard.
func (r *repair) choose(ctx context.Context, rows []metadata.Disk) (*disk, error) {
	now := r.store.opts.Now()
	var best *disk
	var most uint64
	var causes []error
	for i := range rows {
		d := r.store.disks.get(rows[i].ID)
		if d == nil || rows[i].State != metadata.DiskActive || (r.moving || d != r.own) && slices.Contains(r.row.Shards, d.id) {
			continue
		}
		room, err := d.room(ctx, now)
		if err == nil && room < uint64(r.row.End) {
			err = fmt.Errorf("disk %s: %w", d.ID(), blobd.ErrNoSpace)
		}
		switch {
		case err != nil:
			causes = append(causes, err)
		case d == r.own:
			return d, nil
		case best == nil || room > most:
			best, most = d, room
		}
	}
	if best == nil && len(causes) == 0 {
		return nil, fmt.Errorf("%w %s: each has another shard of its partition, or is not in service", ErrNoTarget, r.id())
	}
	if best == nil {
		return nil, fmt.Errorf("%w %s: %w", ErrNoTarget, r.id(), errors.Join(causes...))
	}
	return best, nil
}

// start raises the epoch: earlier repairs of the partition do not count from
// now on. It ends above what the files of the shard say, which is more than what the row
// says where the metadata were restored from a copy.
func (r *repair) start(ctx context.Context) error {
	floor := r.floor(ctx)
	return r.change(ctx, func(_ *metadata.Tx, row *metadata.Partition) error {
		row.Epoch = max(row.Epoch, floor)
		return nil
	})
}

// finish makes the row count on the shard again.
func (r *repair) finish(ctx context.Context) error {
	err := r.change(ctx, func(tx *metadata.Tx, row *metadata.Partition) error {
		is := func(i uint8) bool { return i == r.shard }
		row.Lost = slices.DeleteFunc(row.Lost, is)
		row.Damaged = slices.DeleteFunc(row.Damaged, is)
		if r.done.Unreadable > 0 {
			row.Damaged = append(row.Damaged, r.shard)
		}
		if row.Shards[r.shard] == r.place.id {
			return nil
		}
		row.Shards[r.shard] = r.place.id
		return mayHold(tx, r.place.id) // or it is to be drained since
	})
	r.done.Done = err == nil
	r.store.views.forget(r.row.ID)
	if now := r.store.disks.get(r.place.id); err == nil && now != nil && now != r.place {
		now.doubt() // it came in place of the one that was written to, and may be older
	}
	return err
}

// change edits the row and raises its epoch, provided that nobody else did. A
// commit whose outcome is unknown looks like somebody else's afterwards: then
// nothing is done, and the row says what is so.
func (r *repair) change(ctx context.Context, edit func(*metadata.Tx, *metadata.Partition) error) error {
	var out metadata.Partition
	err := r.store.settled(ctx, func(tx *metadata.Tx) error {
		row, err := tx.Partition(r.row.ID)
		if err != nil {
			return err
		}
		if row == nil || row.State != metadata.PartitionSealed || row.Epoch != r.row.Epoch {
			return errMoved
		}
		if err := edit(tx, row); err != nil {
			return err
		}
		row.Epoch++
		out = *row
		return tx.PutPartition(row)
	})
	if err == nil {
		r.row = out
	}
	return err
}

// revive reports whether a shard that the row says is lost is on its disk, with
// every frame that it should have. It is sealed before it is looked at.
func (r *repair) revive(ctx context.Context) bool {
	s := r.store
	if r.own == nil || !slices.Contains(r.row.Lost, r.shard) {
		return false
	}
	err := s.attend(r.own, func() error {
		_, err := r.own.Seal(ctx, r.id(), blobd.Epoch(r.row.Epoch))
		return err
	})
	if err != nil {
		return false
	}
	r.place = r.own
	return r.isWhole(ctx, r.own)
}

// unreferenced reports whether a stripe that could not be read is garbage by now.
func (r *repair) unreferenced(ctx context.Context, stripe int64) (bool, error) {
	_, referenced, err := r.store.stripeRow(ctx, r.row.ID, stripe)
	return !referenced, errors.Join(err, ctx.Err())
}

// cleanUp takes away what a repair wrote that does not count.
func (r *repair) cleanUp(ctx context.Context) {
	var row *metadata.Partition
	err := r.store.db.View(ctx, class, func(t *metadata.Reader) (err error) {
		row, err = t.Partition(r.row.ID)
		return err
	})
	dropped := row == nil || row.State == metadata.PartitionDropped
	if err != nil || !dropped && row.Shards[r.shard] == r.target.id {
		return
	}
	r.discard(ctx, r.target)
}

// discardOld takes superseded shards off the disks that serve. One that comes
// back later is met by [Store.Reconcile].
func (r *repair) discardOld(ctx context.Context) {
	for _, d := range r.store.disks.all() {
		if r.place.Failed() != nil {
			return // what is left may be needed
		}
		if d.id != r.place.id && d.Failed() == nil {
			r.discard(ctx, d)
		}
	}
}

// discard removes the shard from a disk, unless a later repair has put it there.
func (r *repair) discard(ctx context.Context, d *disk) {
	err := r.store.attend(d, func() error { return d.Discard(ctx, r.id(), blobd.Epoch(r.row.Epoch)+1) })
	if err != nil && !errors.Is(err, blobd.ErrStaleEpoch) {
		r.store.opts.Logger.WarnContext(ctx, "superseded shard stays for now", slog.String("shard", r.id().String()),
			slog.String("disk", d.ID().String()), slog.Any("error", err))
	}
}
