package steward

import (
	"context"
	"sync"
	"time"

	"github.com/undercroft/undercroft/partition"
)

// pace bounds the bytes of a job. It is safe for concurrent use.
type pace struct {
	perSecond int64 // 0: no bound

	mu   sync.Mutex // guards what follows
	next time.Time
}

// wait returns when n more bytes may be handled, or the context's error. While
// requests are served it waits longer, see [share]; when the job is paused it
// ends the step.
func (p *pace) wait(ctx context.Context, n int64) error {
	s := shareOf(ctx)
	if err := s.yield(ctx); err != nil {
		return err
	}
	if p.perSecond <= 0 {
		return ctx.Err()
	}
	rest := p.take(n)
	defer s.slept(rest)
	return s.sleep(ctx, rest)
}

// take books n bytes, and returns how long to wait before they are handled.
func (p *pace) take(n int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	rest := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.perSecond) * float64(time.Second)))
	return rest
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
	begun time.Time  // of the work that is not rested for
	seen  int64      // activity when that was last looked at
	until time.Time  // when the rest ends, of all goroutines of the step

	breathes bool      // the work is cut into pieces, each of which is rested for
	noticed  int64     // activity when that was last looked at for these
	moved    time.Time // when it was seen to rise
	next     time.Time // when a piece may begin
}

type shareKey struct{}

// withShare returns the context of a step.
func withShare(ctx context.Context, s *share) context.Context {
	s.begin()
	return partition.WithBreather(context.WithValue(ctx, shareKey{}, s), s)
}

// shareOf is the share of the step of ctx, nil outside of loops.
func shareOf(ctx context.Context) *share {
	s, _ := ctx.Value(shareKey{}).(*share)
	return s
}

// begin notes that work begins.
func (s *share) begin() {
	if s.activity == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun, s.seen = time.Now(), s.activity()
	s.noticed = s.seen
}

// slept takes time off the work that was slept for another reason.
func (s *share) slept(d time.Duration) {
	if s == nil || d <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.begun.Add(d).Before(now) {
		s.begun = s.begun.Add(d)
	} else {
		s.begun = now
	}
}

// yield rests for requests that moved since work began.
func (s *share) yield(ctx context.Context) error {
	if s == nil || s.activity == nil || s.percent <= 0 || s.percent >= 100 {
		return s.sleep(ctx, 0)
	}
	seen, rests := s.owes()
	if !rests {
		return s.sleep(ctx, 0)
	}
	for left := s.left(); left > 0; left = s.left() {
		if err := s.sleep(ctx, min(quiet, left)); err != nil {
			return err
		}
		now := s.activity()
		if now == seen && left > quiet {
			s.mu.Lock()
			s.until = time.Now()
			s.mu.Unlock()
		}
		seen = now
	}
	s.begin()
	return s.sleep(ctx, 0)
}

// owes reports whether there is a rest to take, and begins one. Work that no request
// moved beside is not rested for.
func (s *share) owes() (seen int64, rests bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, before := time.Now(), s.seen
	s.seen = s.activity()
	switch {
	case s.breathes:
		return s.seen, false
	case now.Before(s.until): // that of another goroutine
	case s.seen == before:
		s.begun = now
		return s.seen, false
	default:
		s.until = now.Add(min(now.Sub(s.begun)*time.Duration(100-s.percent)/time.Duration(s.percent), maxYield))
	}
	return s.seen, true
}

// bound reports whether requests are heeded.
func (s *share) bound() bool { return s.activity != nil && s.percent > 0 && s.percent < 100 }

// Busy implements [partition.Breather].
func (s *share) Busy() bool {
	if !s.bound() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busyLocked(time.Now())
}

func (s *share) busyLocked(now time.Time) bool {
	if a := s.activity(); a != s.noticed {
		s.noticed, s.moved = a, now
	}
	return now.Sub(s.moved) < quiet
}

// Breathe implements [partition.Breather]. While requests move, pieces of all goroutines
// of a step follow each other, and the rest after each is in proportion to it: what
// waits for the processor finds no more than one of them before it.
func (s *share) Breathe(ctx context.Context, took time.Duration) error {
	if !s.bound() {
		return s.sleep(ctx, 0)
	}
	s.mu.Lock()
	s.breathes = true
	now := time.Now()
	if !s.busyLocked(now) {
		s.next = now
		s.mu.Unlock()
		return s.sleep(ctx, 0)
	}
	if s.next.Before(now) {
		s.next = now
	}
	s.next = s.next.Add(min(took*time.Duration(100-s.percent)/time.Duration(s.percent), maxYield))
	until := s.next
	s.mu.Unlock()
	for left := time.Until(until); left > 0; left = time.Until(until) {
		if err := s.sleep(ctx, min(quiet, left)); err != nil {
			return err
		}
		if !s.Busy() {
			break
		}
	}
	return s.sleep(ctx, 0)
}

func (s *share) left() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.until)
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
