package steward

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

const (
	// scrubStep is how many bytes are read of a partition before others may have it.
	scrubStep = 8 << 20
	// scrubSave is how many are read before it is written down how far that is: what a
	// crash has read again, at most.
	scrubSave = 1 << 30
	// scrubTries is how often one that cannot be scrubbed is tried in a round.
	scrubTries = 5
	// scrubSurvey is how old what is known of all partitions may be.
	scrubSurvey = 10 * time.Minute

	// scrubFloor and scrubDisk bound the bytes in a second that follow from the interval:
	// from below for all disks together, so that little data is read soon, and from
	// above for each disk, so that requests do not suffer.
	scrubFloor = 8 << 20
	scrubDisk  = 32 << 20
)

// scrub reads every frame of every partition in rounds, the longest unread first, and
// makes known what is damaged.
type scrub struct {
	base
	pace     *pace
	round    metadata.ScrubRound // as its row; Number is 0 before the first
	asked    bool
	planned  bool              // queue and disks are those of the round
	disks    []metadata.DiskID // that were not listed yet
	queue    []*ward
	begun    map[*ward]struct{} // of queue, those with a row
	busy     int                // at the head of queue: those that other jobs had
	waiting  int64
	sweeping *sweeping
	known    survey
	shown    atomic.Pointer[ScrubStatus]
}

// ward is a partition that is to be scrubbed.
type ward struct {
	id                        metadata.PartitionID
	created, looked, verified time.Time
	holds                     bool               // it is not being made or dropped
	size                      int64              // about what is to be read
	unsaved                   int64              // bytes read since the row was written
	failures                  int                // of tries that followed each other
	row                       *metadata.Scrubbed // nil until it is begun
}

func newScrub(b base) *scrub { return &scrub{base: b, pace: &pace{}} }

// Name implements [Job].
func (*scrub) Name() string { return "scrub" }

// RunNow implements [Runner]: the next round begins now, and goes as fast as it may. One
// that somebody waits for already is that round.
func (j *scrub) RunNow() { j.asked = true }

// Step begins a round when one is due, and goes on with it: a disk, or a piece of a partition.
func (j *scrub) Step(ctx context.Context) (Progress, error) {
	p, err := j.step(ctx)
	j.show(j.opts.Now())
	return p, err
}

func (j *scrub) step(ctx context.Context) (Progress, error) {
	now := j.opts.Now()
	if err := j.load(ctx); err != nil {
		return Progress{}, err
	}
	if err := j.look(ctx, now); err != nil {
		return Progress{}, err
	}
	if j.isDue(now) {
		if err := j.begin(ctx, now); err != nil {
			return Progress{}, err
		}
	}
	if !j.underWay() {
		return Progress{}, nil
	}
	if !j.planned {
		if err := j.plan(ctx); err != nil {
			return Progress{}, err
		}
	}
	switch {
	case j.sweeping != nil:
		return j.sweep(ctx)
	case len(j.disks) > 0:
		return j.tidy(ctx)
	case len(j.queue) > 0:
		return j.goOn(ctx)
	}
	return Progress{}, j.end(ctx)
}

// plan queues the partitions that were not scrubbed in this round, the longest unread first. What
// is made from now on is left to the next one.
func (j *scrub) plan(ctx context.Context) error {
	j.queue, j.begun, j.disks, j.busy, j.waiting = nil, map[*ward]struct{}{}, nil, 0, 0
	err := j.survey(ctx, func(w *ward, round uint64) {
		if round != j.round.Number {
			j.queue = append(j.queue, w)
			j.waiting += w.size
		}
	})
	if err != nil {
		return err
	}
	slices.SortFunc(j.queue, func(a, b *ward) int {
		return cmp.Or(a.looked.Compare(b.looked), a.created.Compare(b.created), cmp.Compare(a.id, b.id))
	})
	for _, d := range j.store.Status().Disks {
		j.disks = append(j.disks, d.ID)
	}
	j.planned = true
	return nil
}

// tidy looks for what should not be on a disk.
func (j *scrub) tidy(ctx context.Context) (Progress, error) {
	id := j.disks[0]
	j.disks = j.disks[1:]
	found, err := j.store.ScrubDisk(ctx, id)
	if ctx.Err() != nil {
		return Progress{}, ctx.Err()
	}
	if err != nil {
		j.opts.Logger.WarnContext(ctx, "disk is not tidied", slog.Any("error", err))
	}
	j.stats.superseded.Add(int64(found.Superseded))
	j.stats.unknown.Add(int64(found.Unknown))
	return Progress{Done: found.Superseded + found.Unknown, More: true}, nil
}

// goOn reads a piece of the first partition of the queue. One that another job has, that is to
// be repaired, or that cannot be read goes to the end of it.
func (j *scrub) goOn(ctx context.Context) (Progress, error) {
	w := j.queue[0]
	if err := j.open(ctx, w); err != nil {
		return Progress{}, err
	}
	if w.row.Round == j.round.Number { // another process has done it
		j.drop(w)
		return Progress{More: true}, nil
	}
	if w.row.Next < 0 { // it was read, and that could not be written down
		return Progress{More: true}, j.done(ctx, w)
	}
	out, err := j.store.Scrub(ctx, w.id, w.row.Next, scrubStep)
	if ctx.Err() != nil {
		return Progress{}, ctx.Err()
	}
	if errors.Is(err, partition.ErrBusy) {
		j.later(w)
		j.busy++
		return Progress{More: j.busy < len(j.queue)}, nil
	}
	if err != nil {
		return j.failed(ctx, w, err)
	}
	j.busy, w.failures = 0, 0
	j.count(&out)
	w.unsaved += out.Bytes
	w.row.Current.Add(&out.ScrubTally)
	w.row.Next = out.Next
	switch {
	case out.Next < 0:
		err = j.done(ctx, w)
	case out.Recorded > 0:
		j.later(w)
	case w.unsaved >= scrubSave:
		w.unsaved = 0
		err = j.put(ctx, &j.round, w.row)
	}
	if err == nil {
		j.pace.perSecond = j.rate(j.opts.Now())
		err = j.pace.wait(ctx, out.Read)
	}
	return Progress{Done: out.Recorded, More: true}, err
}

// open begins the walk over a partition, or goes on with that of this round.
func (j *scrub) open(ctx context.Context, w *ward) error {
	if w.row != nil {
		return nil
	}
	var row *metadata.Scrubbed
	err := j.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		row, err = r.Scrubbed(w.id)
		return err
	})
	if err != nil {
		return fmt.Errorf("read how far scrub is: %w", err)
	}
	if row == nil {
		row = &metadata.Scrubbed{ID: w.id}
	}
	if row.Began.IsZero() || row.Walk != j.round.Number {
		row.Began, row.Walk = j.opts.Now().Truncate(time.Millisecond), j.round.Number
		row.Next, row.Current = 0, metadata.ScrubTally{}
	}
	w.row, j.begun[w] = row, struct{}{}
	return nil
}

// failed leaves the first of the queue for later, and in the end to the next round: what
// cannot be read keeps no other from being verified again.
func (j *scrub) failed(ctx context.Context, w *ward, cause error) (Progress, error) {
	if w.failures++; w.failures < scrubTries {
		j.later(w)
		return Progress{}, cause
	}
	round := j.round
	round.Tally.Add(&w.row.Current)
	round.Tally.Passed++
	if err := j.put(ctx, &round, nil); err != nil {
		return Progress{}, err
	}
	j.round = round
	j.drop(w)
	j.opts.Logger.ErrorContext(ctx, "partition cannot be scrubbed and is left to the next round", slog.Any("error", cause))
	return Progress{More: true}, nil
}

// later puts the first of the queue to its end.
func (j *scrub) later(w *ward) { j.queue = append(j.queue[1:], w) }

// drop takes the first from the queue.
func (j *scrub) drop(w *ward) {
	j.queue = j.queue[1:]
	j.waiting -= w.size
	delete(j.begun, w)
}

func (j *scrub) count(out *partition.ScrubStep) {
	j.stats.scrubFrames.Add(out.Frames)
	j.stats.scrubBytes.Add(out.Bytes)
	j.stats.scrubDamaged.Add(out.Damaged)
	j.stats.scrubMismatched.Add(out.Mismatched)
	j.stats.scrubUnreadable.Add(out.Unreadable)
	j.stats.damaged.Add(int64(out.Recorded))
}

// done ends the walk over a partition.
func (j *scrub) done(ctx context.Context, w *ward) error {
	row, round := *w.row, j.round
	row.Looked, row.Found, row.Round = row.Began, row.Current, round.Number
	if row.Found.Whole() {
		row.Verified = row.Began
	}
	round.Tally.Add(&row.Found)
	round.Tally.Partitions++
	row.Began, row.Walk, row.Next, row.Current = time.Time{}, 0, 0, metadata.ScrubTally{}
	if err := j.put(ctx, &round, &row); err != nil {
		return err
	}
	j.round = round
	j.drop(w)
	j.sweeping = &sweeping{id: row.ID}
	return nil
}

// sweep gives back what is dead in the partition that was read: reclaim looks where enough has
// died, this is for what it does not know of. One that another job has is left alone.
func (j *scrub) sweep(ctx context.Context) (Progress, error) {
	w := j.sweeping
	next, freed, err := j.store.Sweep(ctx, w.id, w.from, sweepRefs)
	if ctx.Err() != nil {
		return Progress{}, ctx.Err()
	}
	j.stats.punched.Add(freed)
	if w.from = next; err != nil || next < 0 {
		j.sweeping = nil
	}
	if err != nil && !errors.Is(err, partition.ErrBusy) {
		j.opts.Logger.WarnContext(ctx, "partition is not swept", slog.Any("error", err))
	}
	return Progress{More: true}, nil
}
