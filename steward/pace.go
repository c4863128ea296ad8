package steward

import (
	"context"
	"time"
)

// pace bounds the bytes of a job. It is used by one goroutine at a time.
type pace struct {
	perSecond int64 // 0: no bound
	next      time.Time
}

// wait returns when n more bytes may be handled, or the context's error.
func (p *pace) wait(ctx context.Context, n int64) error {
	if p.perSecond <= 0 {
		return ctx.Err()
	}
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	rest := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.perSecond) * float64(time.Second)))
	if rest <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
