package steward

import (
	"context"
	"sync"
	"time"
)

// pace bounds the bytes of a job. It is used by one goroutine at a time.
type pace struct {
	perSecond int64 // 0: no bound
	next      time.Time
}

// wait returns when n more bytes may be handled, or the context's error. While
// requests are served it waits longer, see [share]; when the job is paused it
// ends the step.
func (p *pace) wait(ctx context.Context, n int64) error {
	s := shareOf(ctx)
	if err := s.yield(ctx); err != nil {
		return err
	}
	defer s.resume()
	if p.perSecond <= 0 {
		return ctx.Err()
	}
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	rest := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.perSecond) * float64(time.Second)))
	return s.sleep(ctx, rest)
}

const (
	// quiet is how long no request must have moved for the disks to count as
	// idle.
	quiet = 20 * time.Millisecond
	// defaultShare is the percentage of the time that a job works under load.
	defaultShare = 25
	// maxYield bounds one wait for requests.
	maxYield = 2 * time.Second
)

// share is what a step may take of the machine. While requests move, a job gets
// a fixed part of the time: after it has worked for a while it rests in proportion,
// or until no request has moved for a moment. So the work goes on under any load,
// and at full speed without. Work is what lies between two calls of a pace.
type share struct {
	stop     <-chan struct{} // closed when the job is paused
	cancel   context.CancelCauseFunc
	percent  int          // of the time, under load
	activity func() int64 // rises when a request moves; nil: not known

	mu    sync.Mutex // guards what follows
	begun time.Time  // of the work under way
	seen  int64      // activity then
}

type shareKey struct{}

// withShare returns the context of a step.
func withShare(ctx context.Context, s *share) context.Context {
	s.resume()
	return context.WithValue(ctx, shareKey{}, s)
}

// shareOf is the share of the step of ctx, nil outside of loops.
func shareOf(ctx context.Context) *share {
	s, _ := ctx.Value(shareKey{}).(*share)
	return s
}

// resume notes that work begins.
func (s *share) resume() {
	if s == nil || s.activity == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun, s.seen = time.Now(), s.activity()
}

// yield rests for requests that moved since work began.
func (s *share) yield(ctx context.Context) error {
	if s == nil || s.activity == nil || s.percent <= 0 || s.percent >= 100 {
		return s.sleep(ctx, 0)
	}
	s.mu.Lock()
	worked, seen := time.Since(s.begun), s.seen
	s.mu.Unlock()
	left := min(worked*time.Duration(100-s.percent)/time.Duration(s.percent), maxYield)
	for now := s.activity(); now != seen && left > 0; now = s.activity() {
		seen = now
		nap := min(quiet, left)
		left -= nap
		if err := s.sleep(ctx, nap); err != nil {
			return err
		}
	}
	return s.sleep(ctx, 0)
}

// sleep waits for d, or until the job is paused: the step ends then.
func (s *share) sleep(ctx context.Context, d time.Duration) error {
	var stop <-chan struct{}
	if s != nil {
		stop = s.stop
	}
	select {
	case <-stop:
		return s.end(ctx)
	default:
	}
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-stop:
		return s.end(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *share) end(ctx context.Context) error {
	s.cancel(errNotNow)
	if err := ctx.Err(); err != nil {
		return err
	}
	return errNotNow
}
