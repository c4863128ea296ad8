package steward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

const (
	// compactRest is how long a partition rests of which nothing could be moved.
	compactRest = 10 * time.Minute
	// compactSettled is how long one rests that is as small as it gets: until then
	// only what dies in it changes that.
	compactSettled = 24 * time.Hour
	// compactIdle is how long nothing must have been written to an open
	// partition for its garbage to be reason enough to end it.
	compactIdle = 10 * time.Minute
)

// compact moves blobs together that take much more space than they need:
// neighbours of the dead, and those that are alone in a stripe. What it
// keeps is a hint; the rows say what is where.
type compact struct {
	base
	pace  *pace
	known map[metadata.PartitionID]measured
	rests map[metadata.PartitionID]resting
	whole map[metadata.PartitionID]bool // of which dead stripes give nothing back: all of it must move
	used  map[metadata.PartitionID]filled
	queue []compacting
	open  *compacting
	look  time.Time // not before
	note  string    // what the last look found that stays so

	measures int // partitions that the look under way may still measure

	mu   sync.Mutex // guards work
	work Work
}

// measured is what a partition took on the disks when it was looked at.
type measured struct {
	space partition.Space
	live  int64
	epoch metadata.Epoch
	at    time.Time
}

// resting is a partition that is left alone for a while, or until more of it
// has died.
type resting struct {
	until time.Time
	live  int64
	all   bool // it was to move as a whole
}

// filled is how far an open partition was written, and since when.
type filled struct {
	used  int64
	since time.Time
}

// phase is what is next for a partition.
type phase uint8

const (
	freeing  phase = iota // dead stripes: that may be enough
	moving                // blobs
	settling              // what that has freed
)

// compacting is a partition that is being compacted, or will be.
type compacting struct {
	candidate
	space partition.Space
	all   bool // every blob moves
	phase phase
	next  int64
	total partition.Compacted
}

func newCompact(b base) *compact {
	return &compact{
		base: b, pace: &pace{perSecond: b.opts.CompactBandwidth},
		known: map[metadata.PartitionID]measured{}, rests: map[metadata.PartitionID]resting{},
		whole: map[metadata.PartitionID]bool{}, used: map[metadata.PartitionID]filled{},
		look: b.opts.Now().Add(b.opts.CompactEvery), // not in the rush of a start
	}
}

// Name implements [Job].
func (*compact) Name() string { return "compact" }

// Work implements [Meter].
func (j *compact) Work() Work {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.work
}

// RunNow makes the next step look at all partitions.
func (j *compact) RunNow() {
	j.look = time.Time{}
	clear(j.rests)
}

// Step does a piece of the partition under way, or looks for the next ones.
func (j *compact) Step(ctx context.Context) (Progress, error) {
	if j.open != nil {
		return j.goOn(ctx)
	}
	retired := 0
	if now := j.opts.Now(); len(j.queue) == 0 && !now.Before(j.look) {
		var err error
		if retired, err = j.retireIdle(ctx, now); err != nil {
			return Progress{}, err
		}
		if err := j.choose(ctx, now); err != nil {
			return Progress{}, err
		}
		j.look = j.opts.Now().Add(j.opts.CompactEvery)
	}
	if len(j.queue) == 0 {
		return Progress{Done: retired}, nil
	}
	next := j.queue[0]
	j.queue = j.queue[1:]
	j.open = &next
	p, err := j.goOn(ctx)
	p.Done += retired
	return p, err
}

// goOn does the next piece of the partition under way. One that fails rests,
// and does not stop the others.
func (j *compact) goOn(ctx context.Context) (Progress, error) {
	c := j.open
	var done int
	var err error
	switch c.phase {
	case freeing, settling:
		done, err = j.free(ctx, c)
	case moving:
		done, err = j.move(ctx, c)
	}
	if err == nil {
		if j.open == nil && len(j.queue) == 0 {
			j.report(nil, j.note)
		}
		return Progress{Done: done, More: true}, nil
	}
	if ctx.Err() != nil {
		return Progress{}, ctx.Err()
	}
	j.open = nil
	if errors.Is(err, partition.ErrBusy) {
		return Progress{More: len(j.queue) > 0}, nil // met again by a later look
	}
	j.rest(c, minRest)
	if errors.Is(err, partition.ErrOverloaded) {
		return Progress{More: len(j.queue) > 0}, nil // requests go first
	}
	return Progress{}, err
}

// free punches a piece of what is dead, and then sees what is left to do.
func (j *compact) free(ctx context.Context, c *compacting) (int, error) {
	next, freed, err := j.store.Sweep(ctx, c.ID, c.next, sweepRefs)
	j.stats.punched.Add(freed)
	if err != nil && (ctx.Err() != nil || errors.Is(err, partition.ErrBusy)) {
		return 0, err
	}
	if c.next = next; err == nil && next >= 0 {
		return 0, nil
	}
	c.next = 0
	if err != nil { // of one stripe: what is beyond it can be moved all the same
		j.opts.Logger.WarnContext(ctx, "partition is not swept", slog.Any("error", err))
	}
	row, live, err := j.read(ctx, c.ID)
	if err != nil {
		return 0, err
	}
	if row == nil || row.State != metadata.PartitionSealed || live == 0 {
		j.open = nil // reclaim's
		return 0, nil
	}
	c.Partition, c.live = *row, live
	c.space = j.measure(ctx, &c.candidate, true)
	if c.phase == settling {
		j.settle(c)
		return 1, nil
	}
	if !c.all && !worthMoving(j.limits(ctx), j.store, c) || c.all && j.wide.has(c.ID) && !j.isShort(row) {
		j.open = nil
	}
	c.phase = moving
	return 0, nil
}

// move moves a piece.
func (j *compact) move(ctx context.Context, c *compacting) (int, error) {
	out, err := j.store.Compact(ctx, c.ID, partition.CompactOptions{From: c.next, All: c.all, Pace: j.pace.wait})
	j.stats.compactedBlobs.Add(int64(out.Blobs))
	j.stats.compactedBytes.Add(out.Bytes)
	j.stats.compactLost.Add(int64(out.Lost))
	j.stats.compactFailed.Add(int64(out.Failed))
	j.progress(out.Bytes)
	c.total.Blobs += out.Blobs
	c.total.Lost += out.Lost
	c.total.Failed += out.Failed
	c.total.Rest += out.Rest
	if c.next = out.Next; err != nil || out.Next >= 0 {
		return out.Blobs, err
	}
	c.next, c.phase = 0, settling
	return out.Blobs, nil
}

// settle ends the compaction of a partition. Where the file system gives
// nothing back for dead stripes, the partition goes as a whole the next time.
func (j *compact) settle(c *compacting) {
	j.open = nil
	rest := c.total.Rest * int64(c.space.Shards) / int64(c.K+c.M)
	switch {
	case !c.all && c.space.Allocated > rest+rest/20+minGain(&c.Partition):
		j.whole[c.ID] = true
	case c.total.Failed == 0 && c.total.Lost == 0 && c.total.Blobs == 0:
		j.rest(c, compactSettled)
	case c.total.Failed > 0 || c.total.Blobs == 0:
		j.rest(c, compactRest)
	case c.total.Lost > 0:
		j.rest(c, minRest)
	}
	j.stats.compactions.Add(1)
}

// rest leaves a partition alone for a while.
func (j *compact) rest(c *compacting, d time.Duration) {
	j.rests[c.ID] = resting{j.opts.Now().Add(d), c.live, c.all}
}

// read reads a partition's row and live bytes.
func (j *compact) read(ctx context.Context, id metadata.PartitionID) (row *metadata.Partition, live int64, err error) {
	err = j.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		if row, err = r.Partition(id); err == nil {
			live, err = r.LiveBytes(id)
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("read partition: %w", err)
	}
	return row, live, err
}

// retireIdle ends open partitions that hold little but garbage and that nobody
// writes to: they would hold it for ever.
func (j *compact) retireIdle(ctx context.Context, now time.Time) (int, error) {
	seen := map[metadata.PartitionID]filled{}
	for _, p := range j.store.Status().Partitions {
		f, ok := j.used[p.ID]
		if !ok || f.used != p.Used {
			f = filled{p.Used, now}
		}
		seen[p.ID] = f
	}
	j.used = seen
	n, err := j.store.RetireIdle(ctx, func(p partition.WriteStatus) bool {
		f, ok := seen[p.ID]
		return ok && f.used == p.Used && now.Sub(f.since) >= compactIdle
	})
	j.stats.retired.Add(int64(n))
	return n, err
}

// isShort reports whether shards of a partition are lost, damaged or away, or on
// a disk that is to be drained.
func (j *compact) isShort(row *metadata.Partition) bool {
	return j.store.OnLeaving(row) || len(row.Missing(func(id metadata.DiskID) bool { return !j.store.Serves(id) })) > 0
}

// report begins a round of work, or ends it.
func (j *compact) report(queue []compacting, note string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.work = Work{Unit: "bytes", Note: note}
	if len(queue) == 0 {
		return
	}
	j.work.Since = j.opts.Now()
	for i := range queue {
		j.work.Total += queue[i].live
	}
}

func (j *compact) progress(bytes int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.work.Done += bytes
}
