package steward

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// breath is how long a job with more to do leaves the disks to others.
	breath = 10 * time.Millisecond
	// minBackoff and maxBackoff bound the rest after an error; each one that
	// follows doubles it.
	minBackoff = time.Second
	maxBackoff = 5 * time.Minute
)

// loop runs one job at its pace.
type loop struct {
	steward *Steward
	wake    chan struct{} // another job made work

	mu  sync.Mutex // held during a step
	job Job
}

func newLoop(s *Steward, job Job) *loop {
	return &loop{steward: s, job: job, wake: make(chan struct{}, 1)}
}

// Name implements [Job].
func (l *loop) Name() string { return l.job.Name() }

// Step implements [Job], beside the loop.
func (l *loop) Step(ctx context.Context) (Progress, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.job.Step(ctx)
	l.steward.stats.steps.Add(1)
	if err != nil && ctx.Err() == nil {
		l.steward.stats.errors.Add(1)
	}
	return p, err
}

// run steps until ctx ends.
func (l *loop) run(ctx context.Context) {
	timer := time.NewTimer(jitter(l.steward.opts.Interval))
	defer timer.Stop()
	wake, worked := l.wake, false
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-wake:
		}
		p, err := l.Step(ctx)
		if ctx.Err() != nil {
			return
		}
		if worked = worked || p.Done > 0; worked && !p.More {
			l.steward.wakeOthers(l)
			worked = false
		}
		wake = l.wake
		switch {
		case err != nil:
			rest := min(minBackoff<<min(failures, 10), maxBackoff)
			failures++
			wake = nil // work that others make does not cut it short
			timer.Reset(jitter(rest))
			l.steward.opts.Logger.WarnContext(ctx, "background job failed and rests",
				slog.String("job", l.Name()), slog.Duration("rest", rest), slog.Any("error", err))
		case p.More:
			failures = 0
			timer.Reset(breath)
		default:
			failures = 0
			timer.Reset(jitter(l.steward.opts.Interval))
		}
	}
}

// wakeOthers lets the other jobs look at what one left for them.
func (s *Steward) wakeOthers(l *loop) {
	for _, other := range s.loops {
		if other == l {
			continue
		}
		select {
		case other.wake <- struct{}{}:
		default:
		}
	}
}

// drain steps until there is nothing more to do at once.
func (l *loop) drain(ctx context.Context) (done int, err error) {
	for {
		p, err := l.Step(ctx)
		done += p.Done
		if err != nil || !p.More {
			return done, err
		}
	}
}

// jitter is a duration of three to five quarters of d, so that processes do not
// fall into step.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Int64N(int64(d/2)+1)) //nolint:gosec // nothing depends on its being secret
}
