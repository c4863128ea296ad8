package steward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

const (
	// reclaimScan is how many partitions a step looks at.
	reclaimScan = 256
	// sweepRefs is how many references one piece of a sweep passes.
	sweepRefs = 4096
	// sweepDivisor: dead bytes of this fraction of a partition are worth a
	// sweep of their own.
	sweepDivisor = 32
	// A partition that this process has not swept costs a read for each of its stripes.
	// After a start there may be a hundred thousand: firstSweeps of them are swept in
	// Options.SweepAfter, firstBurst at once.
	firstSweeps = 3600
	firstBurst  = 16
	// A walk over more than walkFree partitions is not begun again before
	// walkRest has passed for each.
	walkFree = 4096
	walkRest = time.Millisecond
)

// reclaim gives the space of sealed partitions back: of whole ones, and of
// dead stripes.
type reclaim struct {
	base
	after metadata.PartitionID
	// swept is what this process knows of sweeps; a partition that is not in
	// it is swept once, for what an earlier process left.
	swept map[metadata.PartitionID]swept
	open  *sweeping

	first  time.Time // when the next partition is swept that was not before
	walked int       // partitions of the walk under way
	idle   bool      // nothing was found in it
	rest   time.Time // no walk begins before
}

// swept is the state of a partition at its last sweep.
type swept struct {
	live  int64
	epoch metadata.Epoch // repair may have brought back a shard, or garbage in one
	at    time.Time
}

// sweeping is a sweep that takes several steps.
type sweeping struct {
	id   metadata.PartitionID
	from int64
	swept
}

// candidate is a partition that may have space to give back.
type candidate struct {
	metadata.Partition
	live int64
}

// Name implements [Job].
func (*reclaim) Name() string { return "reclaim" }

// Step goes on with a sweep, or looks at the next partitions until one of them
// was work.
func (j *reclaim) Step(ctx context.Context) (Progress, error) {
	if j.open != nil {
		return j.sweep(ctx)
	}
	now, short := j.opts.Now(), j.store.Short(ctx)
	if j.after == 0 {
		if now.Before(j.rest) && !short {
			return Progress{}, nil
		}
		j.walked, j.idle = 0, true
	}
	rows, more, err := j.scan(ctx)
	if err != nil {
		return Progress{}, err
	}
	if short {
		j.first = time.Time{}
	}
	for i := range rows {
		j.after = rows[i].ID
		j.walked++
		p, err := j.visit(ctx, &rows[i])
		if err != nil || p.More || p.Done > 0 {
			j.idle = false
			p.More = err == nil // there is the rest of the walk, at least
			return p, err
		}
	}
	if !more {
		j.after = 0
		if j.idle && j.walked > walkFree {
			j.rest = now.Add(time.Duration(j.walked) * walkRest)
		}
	}
	return Progress{More: more}, nil
}

// scan reads the next partitions with their live bytes.
func (j *reclaim) scan(ctx context.Context) (out []candidate, more bool, err error) {
	err = j.db.View(ctx, class, func(r *metadata.Reader) error {
		out, err = livePage(r, j.after)
		more = len(out) == reclaimScan
		return err
	})
	if err != nil {
		err = fmt.Errorf("list partitions: %w", err)
	}
	return out, more, err
}

// visit drops a partition or begins to sweep it, where there is need.
func (j *reclaim) visit(ctx context.Context, c *candidate) (Progress, error) {
	switch {
	case c.State == metadata.PartitionDropped, c.State == metadata.PartitionSealed && c.live == 0:
		return j.drop(ctx, c)
	case c.State == metadata.PartitionSealed && j.worthSweeping(c):
		j.open = &sweeping{id: c.ID, swept: swept{live: c.live, epoch: c.Epoch, at: j.opts.Now()}}
		return j.sweep(ctx)
	}
	return Progress{}, nil
}

func (j *reclaim) drop(ctx context.Context, c *candidate) (Progress, error) {
	gone, err := j.store.Drop(ctx, c.ID)
	if err != nil || !gone {
		return Progress{}, err
	}
	delete(j.swept, c.ID)
	j.stats.dropped.Add(1)
	return Progress{Done: 1}, nil
}

// worthSweeping reports whether enough has died in a partition since its last
// sweep. It decides when to look, nothing else.
func (j *reclaim) worthSweeping(c *candidate) bool {
	last, ok := j.swept[c.ID]
	if !ok {
		return j.isFirstDue()
	}
	if last.epoch != c.Epoch {
		return true
	}
	if c.live >= last.live {
		return false
	}
	return last.live-c.live >= c.Capacity*int64(c.K)/sweepDivisor || j.opts.Now().Sub(last.at) >= j.opts.SweepAfter
}

// isFirstDue spreads the sweeps of partitions that this process has not swept.
func (j *reclaim) isFirstDue() bool {
	now, gap := j.opts.Now(), j.opts.SweepAfter/firstSweeps
	if j.first.IsZero() {
		j.first = now.Add(-firstBurst * gap)
	}
	if now.Before(j.first) {
		return false
	}
	if earliest := now.Add(-firstBurst * gap); j.first.Before(earliest) {
		j.first = earliest
	}
	j.first = j.first.Add(gap)
	return true
}

// sweep punches a piece of the partition under way. One that cannot be swept
// is left alone until more of it has died.
func (j *reclaim) sweep(ctx context.Context) (Progress, error) {
	w := j.open
	next, freed, err := j.store.Sweep(ctx, w.id, w.from, sweepRefs)
	j.stats.punched.Add(freed)
	if w.from = next; err == nil && next >= 0 {
		return Progress{More: true}, nil
	}
	j.open = nil
	if ctx.Err() != nil {
		return Progress{}, ctx.Err()
	}
	if errors.Is(err, partition.ErrBusy) {
		return Progress{}, nil // met again by a later walk
	}
	j.swept[w.id] = w.swept
	if err != nil {
		return Progress{}, fmt.Errorf("sweep: %w", err)
	}
	j.stats.sweeps.Add(1)
	return Progress{Done: 1, More: true}, nil
}
