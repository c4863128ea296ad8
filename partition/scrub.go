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

// ScrubStep is what a piece of a scrub met.
type ScrubStep struct {
	metadata.ScrubTally
	Next     int64 // where the next piece begins; -1 at the end
	Read     int64 // bytes that the disks were asked for
	Recorded int   // shards that the piece made known as lost or damaged
}

// Scrub reads the frames of a partition's referenced stripes from an offset on,
// header and payload, data and parity, until it has read limit bytes, and holds
// the parity against the data. At the offset 0 it looks at the files as well: that
// they are there under their names and say what they are.
//
// A frame that does not verify while its stripe is still referenced makes its shard
// lost or damaged in the row, for repair; the rest of that shard is passed over from
// then on, and so are shards that the row names already and those on disks that do
// not serve. A partition that is not sealed is given up for new stripes, so that it
// is sealed and repaired. Nothing else is changed. One that is not there, or is being
// made or dropped, is at its end; one that another job is at work on is left
// alone: [ErrBusy].
func (s *Store) Scrub(ctx context.Context, id metadata.PartitionID, from, limit int64) (ScrubStep, error) {
	out := ScrubStep{Next: from}
	if !s.begin() {
		return out, ErrClosed
	}
	defer s.work.Done()
	release, ok := s.claim(id)
	if !ok {
		return out, ErrBusy
	}
	defer release()
	var row *metadata.Partition
	var refs []metadata.Ref
	err := s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		if row, err = r.Partition(id); err == nil && row != nil {
			refs, err = r.Refs(id, from, refPage)
		}
		return err
	})
	if err != nil {
		return out, fmt.Errorf("scrub of %s: %w", pid(id), err)
	}
	if row == nil || row.State == metadata.PartitionCreating || row.State == metadata.PartitionDropped {
		out.Next = -1
		return out, nil
	}
	w := &scrub{store: s, row: row, view: s.readView(row), out: &out, passed: map[int]bool{}}
	if err := w.walk(ctx, refs, limit); err != nil && !errors.Is(err, errMoved) {
		return out, fmt.Errorf("scrub of %s: %w", pid(id), err)
	}
	return out, nil
}

// scrub is one walk over a few stripes.
type scrub struct {
	store  *Store
	row    *metadata.Partition
	view   *view
	out    *ScrubStep
	passed map[int]bool // shards that are not read any more
	warm   int64        // from here on pages may be left of what was read
	cold   int64        // up to here the next reads are of the medium
}

// walk reads the stripes of refs. Where the partition has changed hands it
// ends with errMoved, and goes on from there with the next call.
func (w *scrub) walk(ctx context.Context, refs []metadata.Ref, limit int64) error {
	known := slices.Concat(w.view.short, w.spoiled())
	for i, d := range w.view.disks {
		// A disk that was not held against the rows yet may have an old copy.
		if d == nil || d.Failed() != nil || !d.isKnown() || slices.Contains(known, uint8(i)) {
			w.passed[i] = true
		}
	}
	w.warm, w.cold = w.out.Next, w.out.Next
	defer func() { w.cool(ctx, w.warm, w.cold) }()
	if w.out.Next == 0 {
		if err := w.audit(ctx); err != nil {
			return err
		}
	}
	full := len(refs) >= refPage
	refs = slices.CompactFunc(refs, func(a, b metadata.Ref) bool { return a.Stripe == b.Stripe })
	for i, ref := range refs {
		if w.out.Read >= limit {
			return nil
		}
		end := w.row.Capacity
		if i+1 < len(refs) {
			end = refs[i+1].Stripe
		}
		if err := w.stripe(ctx, ref.Stripe, end); err != nil {
			return err
		}
		w.out.Next = ref.Stripe + blobd.Align
	}
	if !full {
		w.out.Next = -1
	}
	return nil
}

// audit looks at the files of the shards.
func (w *scrub) audit(ctx context.Context) error {
	for shard, d := range w.view.disks {
		if w.passed[shard] {
			continue
		}
		a, ok := d.Disk.(blobd.Auditor)
		if !ok {
			continue
		}
		err := w.store.attend(d, func() error { return a.Audit(ctx, w.view.shard(shard)) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil || w.isDisks(ctx, shard, err) {
			continue
		}
		if err := w.record(ctx, shard, err); err != nil {
			return err
		}
	}
	return nil
}

// isDisks reports whether an error says nothing of a shard, but of its disk as a
// whole, or of nobody: the shard is then passed over.
func (w *scrub) isDisks(ctx context.Context, shard int, err error) bool {
	v := w.view
	ofShard := ofTheFrame(err) && v.disks[shard].Failed() == nil
	if ofShard && !errors.Is(err, blobd.ErrCorrupt) && !errors.Is(err, blobd.ErrShardNotFound) {
		ofShard = w.store.answers(ctx, v.disks[shard], v.shard(shard))
	}
	if !ofShard {
		w.passed[shard] = true
	}
	return !ofShard
}

// answers reports whether a disk that could not read one shard reads another.
// One that has no other is believed to.
func (s *Store) answers(ctx context.Context, d *disk, except blobd.ShardID) bool {
	const tries = 4
	var ids []blobd.ShardID
	err := s.attend(d, func() error {
		list, err := d.List(ctx)
		if err == nil {
			ids = list
		}
		return err
	})
	if err != nil {
		return false
	}
	asked := 0
	for _, id := range ids {
		if id == except || asked == tries {
			continue
		}
		asked++
		err := s.attend(d, func() error {
			_, err := d.ReadAt(ctx, id, make([]byte, blobd.Align), 0)
			return err
		})
		if err == nil {
			return true
		}
	}
	return asked == 0
}

// damage looks again at a frame that did not verify, and records its shard where
// that is still so and still of interest. It reports whether the frame is good after
// all.
func (w *scrub) damage(ctx context.Context, shard int, stripe int64, cause error) (healed bool, err error) {
	s := w.store
	row, referenced, err := s.stripeRow(ctx, w.row.ID, stripe)
	if err != nil || row != nil && !referenced {
		return false, err // freed meanwhile
	}
	if row == nil || row.Epoch != w.row.Epoch || row.State != w.row.State {
		return false, errMoved
	}
	err = s.checkFrame(ctx, w.view, shard, stripe)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err == nil {
		s.opts.Logger.WarnContext(ctx, "frame was bad and is good on a second look", slog.String("shard", w.view.shard(shard).String()),
			slog.Int64("stripe", stripe), slog.Any("error", cause))
		return true, nil
	}
	if _, referenced, err = s.stripeRow(ctx, w.row.ID, stripe); err != nil || !referenced {
		return false, err
	}
	w.out.Damaged++
	s.opts.Damaged(Damage{Shard: w.view.shard(shard), Stripe: stripe, Err: cause})
	return false, w.record(ctx, shard, cause)
}

// record makes a shard known as lost or damaged, unless the partition has changed
// hands, and passes it over from now on.
func (w *scrub) record(ctx context.Context, shard int, cause error) error {
	s := w.store
	w.passed[shard] = true
	if w.row.State == metadata.PartitionSealed {
		noted, err := s.recordShort(ctx, w.row, uint8(shard), errors.Is(cause, blobd.ErrShardNotFound))
		if err == nil && !noted {
			err = errMoved
		}
		if err != nil {
			return err
		}
	} else if p := w.open(); p != nil {
		p.spoil(uint8(shard))
		s.retire(p)
	} else {
		return nil // somebody else's, who seals it
	}
	w.out.Recorded++
	s.opts.Logger.WarnContext(ctx, "scrub found a damaged shard", slog.String("shard", w.view.shard(shard).String()), slog.Any("error", cause))
	return nil
}

// open is the partition while it is not sealed and this process's own.
func (w *scrub) open() *openPartition {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.parts[w.row.ID]
}

// spoiled are the shards that the partition will be sealed without.
func (w *scrub) spoiled() []uint8 {
	p := w.open()
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.spoiled)
}

// away reports whether a shard is passed over that may yet be read: what cannot be
// read without it is not lost.
func (w *scrub) away() bool {
	for shard, d := range w.view.disks {
		if w.passed[shard] && !slices.Contains(w.view.short, uint8(shard)) && (d == nil || d.Failed() != nil || d.hangs(w.view.now())) {
			return true
		}
	}
	return false
}
