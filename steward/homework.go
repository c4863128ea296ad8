package steward

import (
	"context"
	"fmt"
)

// Homework is what a [Job] implements of which every process has a part to do for itself,
// with what it wrote, or has seen, or with clocks of its own: while another process has the
// job's lease, Own is called in place of Step. Pauses hold for both.
type Homework interface {
	Own(ctx context.Context) (Progress, error)
}

// own makes a step of this process's part of the job.
func (l *loop) own(ctx context.Context) (Progress, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, ok := l.job.(Homework)
	if !ok {
		return Progress{}, nil
	}
	l.steward.stats.steps.Add(1)
	p, err := h.Own(ctx)
	var failures int64
	if err != nil && ctx.Err() == nil {
		failures = 1
		err = fmt.Errorf("own part of the job: %w", err)
	}
	l.steward.stats.errors.Add(failures)
	l.desk.count(p, failures)
	return p, err
}

// Own implements [Homework]: who wrote a partition seals it.
func (j *seal) Own(ctx context.Context) (Progress, error) { return j.Step(ctx) }

// Own implements [Homework]: what reads of this process met, what its disks hold, and what it
// took over.
func (j *repair) Own(ctx context.Context) (Progress, error) {
	_, p, err := j.attend(ctx)
	return p, err
}

// Own implements [Homework]: open partitions of this process on disks that are to be drained.
func (j *drain) Own(context.Context) (Progress, error) {
	return Progress{Done: j.store.RetireLeaving()}, nil
}

// Own implements [Homework]: open partitions of this process that nobody writes to.
func (j *compact) Own(ctx context.Context) (Progress, error) {
	now := j.opts.Now()
	if now.Before(j.look) {
		return Progress{}, nil
	}
	j.look = now.Add(j.opts.CompactEvery)
	n, err := j.retireIdle(ctx, now)
	return Progress{Done: n}, err
}
