package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// minRetireDivisor: an open partition that is filled to less than this
// fraction is not worth giving up for its space.
const minRetireDivisor = 16

// Short reports whether a disk in service has no room for another partition.
func (s *Store) Short(ctx context.Context) bool {
	now := s.opts.Now()
	return slices.ContainsFunc(s.disks.all(), func(d *disk) bool {
		_, err := d.room(ctx, now)
		return errors.Is(err, blobd.ErrNoSpace)
	})
}

// RetireDead ends the stripes of the open partitions that hold little but
// garbage, so that they can be sealed and their space freed. It is meant for
// disks that are short of space. It returns how many were retired.
func (s *Store) RetireDead(ctx context.Context) (int, error) {
	return s.RetireIdle(ctx, func(WriteStatus) bool { return true })
}

// RetireIdle is RetireDead for those of the partitions that idle accepts: one
// that is written to comes to its end by itself.
func (s *Store) RetireIdle(ctx context.Context, idle func(WriteStatus) bool) (int, error) {
	if !s.begin() {
		return 0, ErrClosed
	}
	defer s.work.Done()
	s.retireSpare(ctx)
	retired := 0
	for _, p := range s.tracked() {
		st := p.status()
		if !st.Open || st.Held > 0 || st.Used < st.Capacity/minRetireDivisor || !idle(st) {
			continue
		}
		var live int64
		err := s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
			live, err = r.LiveBytes(st.ID)
			return err
		})
		if err != nil {
			return retired, fmt.Errorf("live bytes of %s: %w", pid(st.ID), err)
		}
		// Stripes may have one column only: Used counts that one.
		if live < st.Used/4 {
			s.retire(p)
			retired++
		}
	}
	return retired, nil
}

// retireSpare ends the stripes of what compaction wrote on full disks, once they are
// not any more.
func (s *Store) retireSpare(ctx context.Context) {
	for _, c := range s.classes.all {
		if open := c.spare.open(); len(open) > 0 && !s.Short(ctx) {
			for _, p := range open {
				s.retire(p)
			}
		}
	}
}

// Drop removes a sealed partition to which nothing refers any more: state
// dropped, which is decided with its references read serializably, then its
// files, then its row. It goes on with one that an earlier call left in state
// dropped. It reports whether the partition is gone; it is not while something
// refers to it, nor while a disk of it is away or another job is at work on it.
func (s *Store) Drop(ctx context.Context, id metadata.PartitionID) (bool, error) {
	if !s.begin() {
		return false, ErrClosed
	}
	defer s.work.Done()
	release, ok := s.claim(id)
	if !ok {
		return false, nil
	}
	defer release()
	row, err := s.markDropped(ctx, id)
	if err != nil || row == nil {
		return false, err
	}
	s.views.forget(id)
	err = s.removeFiles(ctx, row)
	if errors.Is(err, errAway) {
		return false, nil // a later call, or the next start, finds it in state dropped
	}
	if err == nil {
		err = s.removeRow(ctx, row)
	}
	if err != nil {
		return false, fmt.Errorf("drop partition %s: %w", pid(id), err)
	}
	s.stats.dropped.Add(1)
	return true, nil
}

// markDropped returns the row of a partition in state dropped, nil where it
// cannot be.
func (s *Store) markDropped(ctx context.Context, id metadata.PartitionID) (out *metadata.Partition, err error) {
	err = s.settled(ctx, func(tx *metadata.Tx) error {
		out = nil
		row, err := tx.Partition(id)
		if err != nil || row == nil {
			return err
		}
		switch row.State {
		case metadata.PartitionDropped:
			out = row
			return nil
		case metadata.PartitionSealed:
		case metadata.PartitionCreating, metadata.PartitionOpen, metadata.PartitionClosing:
			return nil // somebody may still publish in it
		}
		refs, err := tx.Refs(id, 0, 1)
		if err != nil || len(refs) > 0 {
			return err
		}
		row.State, out = metadata.PartitionDropped, row
		return tx.PutPartition(row)
	})
	return out, err
}

// errAway says that a disk with a shard of a partition is not attached, or
// does not answer.
var errAway = errors.New("partition: a shard is on a disk that is not attached or does not answer")

// removeFiles deletes the shards of a dropped partition, lost ones too where
// their disk is attached. A disk that is away is waited for unless it left the
// inventory.
func (s *Store) removeFiles(ctx context.Context, row *metadata.Partition) error {
	var away error
	for i, id := range row.Shards {
		d := s.disks.get(id)
		if d == nil {
			expected, err := s.expected(ctx, row, i)
			if err != nil {
				return err
			}
			if expected {
				away = fmt.Errorf("%w: shard %d", errAway, i)
			}
			continue
		}
		err := s.attend(d, func() error { return d.Delete(ctx, shardID(row.ID, i)) })
		if errors.Is(err, errSlow) || errors.Is(err, blobd.ErrDiskFailed) {
			away = fmt.Errorf("%w: shard %d: %w", errAway, i, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("delete shard %d: %w", i, err)
		}
		d.relieve()
	}
	return away
}

// expected reports whether the disk of a shard that is away may come back with
// the shard.
func (s *Store) expected(ctx context.Context, row *metadata.Partition, shard int) (bool, error) {
	if slices.Contains(row.Lost, uint8(shard)) {
		return false, nil
	}
	var d *metadata.Disk
	err := s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		d, err = r.Disk(row.Shards[shard])
		return err
	})
	return d == nil || d.State != metadata.DiskRemoved, err
}

func (s *Store) removeRow(ctx context.Context, row *metadata.Partition) error {
	return s.settled(ctx, func(tx *metadata.Tx) error { return tx.DeletePartition(row.ID) })
}

// relieve says that space was freed: a disk that was set aside only for being
// full is asked again at once.
func (d *disk) relieve() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(d.cause, blobd.ErrNoSpace) {
		d.restoreLocked()
	}
}

// Sweep frees the space of a sealed partition that no referenced stripe lies
// in, from an offset on, past up to limit references. It returns where the next
// call goes on, -1 at the end, and the bytes that disks got back. A partition
// that is not sealed is at its end, one that another job is at work on is left
// alone: [ErrBusy].
//
// A stripe of a sealed partition without a reference never gets one, so what
// was read of the references in any version after the seal can be acted on. What a
// power loss brings back of punched space the next sweep frees again.
func (s *Store) Sweep(ctx context.Context, id metadata.PartitionID, from int64, limit int) (next, freed int64, err error) {
	if !s.begin() {
		return -1, 0, ErrClosed
	}
	defer s.work.Done()
	release, ok := s.claim(id)
	if !ok {
		return from, 0, ErrBusy
	}
	defer release()
	var row *metadata.Partition
	var refs []metadata.Ref
	err = s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		if row, err = r.Partition(id); err == nil && row != nil {
			refs, err = r.Refs(id, from, limit)
		}
		return err
	})
	if err != nil || row == nil || row.State != metadata.PartitionSealed {
		return -1, 0, err
	}
	// To the end of the files: a shard that was away at the seal may be longer.
	w := &sweep{store: s, view: s.viewOf(row), at: from, end: row.Capacity}
	before := w.allocated(ctx)
	if from == 0 {
		s.endSeal(ctx, w.view)
	}
	next, err = w.pass(ctx, refs, len(refs) < limit)
	return next, max(before-w.allocated(ctx), 0), err
}

// endSeal seals the shards of a sealed partition that a process which died, or
// a disk that failed, left open: they keep space that they will not use. What
// fails is left to the next sweep.
func (s *Store) endSeal(ctx context.Context, v *view) {
	for i, d := range v.disks {
		if d == nil || !d.isKnown() { // it may be an old copy: Reconcile looks first
			continue
		}
		if st, err := s.statShard(ctx, d, v.shard(i)); err != nil || st.Sealed {
			continue
		}
		err := s.attend(d, func() error {
			_, err := d.Seal(ctx, v.shard(i), blobd.Epoch(v.epoch))
			return err
		})
		if err != nil {
			s.opts.Logger.WarnContext(ctx, "shard is not sealed yet", slog.String("shard", v.shard(i).String()), slog.Any("error", err))
		}
	}
}

// viewOf is the view of a row without its lost shards, not remembered.
func (s *Store) viewOf(row *metadata.Partition) *view {
	v := s.readView(row)
	v.disks = s.disks.resolve(row)
	return v
}

// readView is the view of a row for reading, lost shards included.
func (s *Store) readView(row *metadata.Partition) *view {
	return &view{
		scheme: scheme{int(row.K), int(row.M)}, id: row.ID, epoch: row.Epoch,
		secret: blobd.Secret(row.Secret), disks: s.disks.attached(row), short: slices.Concat(row.Lost, row.Damaged),
		read: s.opts.Now(), now: s.opts.Now, store: s, absent: make([]atomic.Int64, len(row.Shards)),
	}
}

// sweep is one walk over the gaps between referenced stripes.
type sweep struct {
	store *Store
	view  *view
	at    int64 // everything referenced below it ends at or below it
	end   int64 // of the partition
}

// pass punches the gaps before the stripes of refs, and behind the last one
// when it is the last of the partition.
func (w *sweep) pass(ctx context.Context, refs []metadata.Ref, last bool) (int64, error) { //nolint:revive // last is a fact about refs
	stripe := int64(-1)
	for _, ref := range refs {
		if ref.Stripe == stripe {
			continue
		}
		stripe = ref.Stripe
		height, err := w.height(ctx, stripe)
		if err != nil {
			return -1, err
		}
		if err := w.punch(ctx, stripe); err != nil {
			return -1, err
		}
		w.at = stripe + blobd.FrameSize(height)
	}
	if !last {
		return w.at, nil
	}
	return -1, w.punch(ctx, w.end)
}

// height is the height of the columns of a referenced stripe, from the headers of the
// frames that every stripe has: of the parity columns and the first data column. The
// greatest counts: a shard may hold what is left of a stripe that failed.
func (w *sweep) height(ctx context.Context, stripe int64) (highest uint32, err error) {
	v := w.view
	heights := make([]uint32, v.m+1)
	errs := parallel(len(heights), func(i int) error {
		h, err := v.header(ctx, shardOf((v.k+i)%(v.k+v.m), stripe, v.k), stripe)
		heights[i] = h.Height
		return err
	})
	for i, err := range errs {
		if err == nil {
			highest = max(highest, heights[i])
		}
	}
	if slices.Contains(errs, nil) {
		return highest, nil
	}
	return 0, fmt.Errorf("stripe at %d of %s has no readable header, so where it ends is not known: %w",
		stripe, pid(v.id), errors.Join(errs...))
}

// punch frees the gap up to an offset on all shards within reach. What a disk keeps that
// fails, or does not answer, is freed by a sweep after the next start or repair, or by scrub.
func (w *sweep) punch(ctx context.Context, to int64) error {
	if w.at >= to {
		return nil
	}
	var g errgroup.Group
	for i, d := range w.view.disks {
		if d == nil || d.Failed() != nil {
			continue
		}
		g.Go(func() error {
			at := w.at
			err := w.store.attend(d, func() error { return d.Punch(ctx, w.view.shard(i), at, to-at) })
			if errors.Is(err, blobd.ErrDiskFailed) || errors.Is(err, errSlow) {
				return nil
			}
			if err != nil && !errors.Is(err, blobd.ErrShardNotFound) && !errors.Is(err, blobd.ErrCorrupt) {
				return fmt.Errorf("punch shard %d of %s: %w", i, pid(w.view.id), err)
			}
			d.relieve()
			return nil
		})
	}
	return g.Wait()
}

// allocated is what the attached shards take on their disks.
func (w *sweep) allocated(ctx context.Context) (n int64) {
	for i, d := range w.view.disks {
		if d == nil {
			continue
		}
		if st, err := w.store.statShard(ctx, d, w.view.shard(i)); err == nil {
			n += st.Allocated
		}
	}
	return n
}
