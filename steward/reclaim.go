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
	rows, more, err := j.scan(ctx)
	if err != nil {
		return Progress{}, err
	}
	for i := range rows {
		j.after = rows[i].ID
		p, err := j.visit(ctx, &rows[i])
		if err != nil || p.More || p.Done > 0 {
			p.More = err == nil // there is the rest of the walk, at least
			return p, err
		}
	}
	if !more {
		j.after = 0
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
	if !ok || last.epoch != c.Epoch {
		return true
	}
	if c.live >= last.live {
		return false
	}
	return last.live-c.live >= c.Capacity*int64(c.K)/sweepDivisor || j.opts.Now().Sub(last.at) >= j.opts.SweepAfter
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
