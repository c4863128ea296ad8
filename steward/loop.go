package steward

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

const (
	// breath is how long a job with more to do leaves the disks to others.
	breath = 10 * time.Millisecond
	// minBackoff and maxBackoff bound the rest after an error; each one that
	// follows doubles it.
	minBackoff = time.Second
	maxBackoff = 5 * time.Minute
	// awayBackoff is the longest rest while the metadata store is away, which costs
	// nothing to find.
	awayBackoff = 30 * time.Second
)

// loop runs one job at its pace, while this process has its lease and nobody
// has paused it.
type loop struct {
	steward *Steward
	wake    chan struct{} // another job made work
	nudge   chan struct{} // the row j changed
	desk    desk

	mu  sync.Mutex // held during a step
	job Job
}

func newLoop(s *Steward, job Job) *loop {
	l := &loop{steward: s, job: job, wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1)}
	l.desk.stop = make(chan struct{})
	_, l.desk.homework = job.(Homework)
	return l
}

// Name implements [Job].
func (l *loop) Name() string { return l.job.Name() }

// Step implements [Job], beside the loop.
func (l *loop) Step(ctx context.Context) (Progress, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.job.Step(ctx)
	var failures int64
	if err != nil && ctx.Err() == nil {
		failures = 1
	}
	l.steward.stats.steps.Add(1)
	l.steward.stats.errors.Add(failures)
	l.desk.count(p, failures)
	return p, err
}

// RunNow implements [Runner], beside the loop.
func (l *loop) RunNow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.job.(Runner); ok {
		r.RunNow()
	}
}

// run steps until ctx ends.
func (l *loop) run(ctx context.Context) {
	timer := time.NewTimer(jitter(l.steward.opts.Interval))
	defer timer.Stop()
	wake, worked, due := l.wake, false, false
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			due = true
		case <-wake:
			due = true
		case <-l.nudge:
			due = due || l.desk.asked()
		}
		if !due {
			continue
		}
		p, err := l.turn(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errNotNow) {
			continue // it stays due: what allows it nudges
		}
		due = false
		if worked = worked || p.Done > 0; worked && !p.More {
			l.steward.wakeOthers(l)
			worked = false
		}
		wake = l.wake
		rest := jitter(l.steward.opts.Interval)
		switch {
		case err != nil:
			rest = jitter(backoff(err, failures))
			failures++
			wake = nil // work that others make does not cut it short
			l.steward.opts.Logger.Log(ctx, levelOf(err), "background job failed and rests",
				slog.String("job", l.Name()), slog.Duration("rest", rest), slog.Any("error", err))
		case p.More:
			failures, rest = 0, breath
		default:
			failures = 0
			if p, ok := l.job.(Punctual); ok {
				rest = min(rest, p.Rest())
			}
		}
		timer.Reset(rest)
		l.desk.rests(rest)
		l.keep(ctx)
	}
}

// backoff is how long a job rests after an error that follows so many others.
func backoff(err error, failures int) time.Duration {
	most := maxBackoff
	if isAway(err) {
		most = awayBackoff
	}
	return min(minBackoff<<min(failures, 10), most)
}

// isAway says that the metadata store does not answer or is locked, which whoever
// keeps watch over it has told already.
func isAway(err error) bool { return errors.Is(err, kv.ErrAway) || errors.Is(err, kv.ErrLocked) }

// levelOf is the level of the failure of a job.
func levelOf(err error) slog.Level {
	if isAway(err) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// turn makes one step if the job may run. One that was cut short because it
// may not any more is errNotNow.
func (l *loop) turn(ctx context.Context) (Progress, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begun, ok := l.desk.begin(cancel)
	if !ok {
		return Progress{}, errNotNow
	}
	if begun.asked {
		l.RunNow()
	}
	step := l.Step
	if begun.own {
		step = l.own
	}
	p, err := step(withShare(ctx, &share{
		stop: begun.stop, cancel: cancel, percent: l.steward.opts.Share, activity: l.steward.opts.Activity,
	}))
	interrupted := err != nil && errors.Is(context.Cause(ctx), errNotNow)
	l.desk.end(outcome{
		p: p, err: err, interrupted: interrupted, own: begun.own, at: l.steward.opts.Now(), work: l.work(),
	})
	if interrupted {
		err = errNotNow
	}
	return p, err
}

// work is how far the job is.
func (l *loop) work() Work {
	if m, ok := l.job.(Meter); ok {
		return m.Work()
	}
	return Work{}
}

// wakeOthers lets the other jobs look at what one left for them.
func (s *Steward) wakeOthers(l *loop) {
	for _, other := range s.loops {
		if other != l {
			poke(other.wake)
		}
	}
}

// poke leaves a token where nobody has left one.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
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
