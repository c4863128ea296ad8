package steward

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &pace{perSecond: 1 << 20}
		for range 41 {
			if err := p.wait(t.Context(), 256<<10); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("10 MiB at 1 MiB a second took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := p.wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait that was ended: %v", err)
		}
		<-time.After(time.Hour) // what was not used is not saved up
		start = time.Now()
		for range 5 {
			if err := p.wait(t.Context(), 256<<10); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("1 MiB at 1 MiB a second took %s after a rest", took)
		}
		free := &pace{}
		if err := errors.Join(free.wait(t.Context(), 1<<40), free.wait(t.Context(), 1<<40)); err != nil || time.Since(start) != time.Second {
			t.Errorf("no bound: %v", err)
		}
	})
}

// moveEvery counts a request every so often, until done is closed.
func moveEvery(every time.Duration, moved *atomic.Int64, done <-chan struct{}) {
	for tick := time.NewTicker(every); ; moved.Add(1) {
		select {
		case <-tick.C:
		case <-done:
			tick.Stop()
			return
		}
	}
}

// underLoad runs a step whose goroutines work for 100 ms between calls of their
// pace, while requests move every so often, and returns how long ten of those take.
func underLoad(t *testing.T, percent, goroutines int, requests time.Duration) (took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var moved atomic.Int64
		done := make(chan struct{})
		if requests > 0 {
			go moveEvery(requests, &moved, done)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		ctx = withShare(ctx, &share{cancel: cancel, percent: percent, activity: moved.Load})
		start, p := time.Now(), &pace{}
		var work sync.WaitGroup
		for range goroutines {
			work.Go(func() {
				for range 10 {
					<-time.After(100 * time.Millisecond)
					if err := p.wait(ctx, 1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		work.Wait()
		took = time.Since(start)
		cancel(nil)
		close(done)
	})
	return took
}

func TestRequestsComeFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		percent  int
		requests time.Duration
		min, max time.Duration
	}{
		"idle":          {25, 0, time.Second, time.Second},
		"under load":    {25, time.Millisecond, 4 * time.Second, 4 * time.Second},
		"a tenth":       {10, time.Millisecond, 10 * time.Second, 10 * time.Second},
		"no bound":      {100, time.Millisecond, time.Second, time.Second},
		"now and then":  {25, 500 * time.Millisecond, time.Second, 1100 * time.Millisecond},
		"every 30 ms":   {25, 30 * time.Millisecond, 1100 * time.Millisecond, 2 * time.Second},
		"not heeded":    {0, time.Millisecond, time.Second, time.Second},
		"never starved": {1, time.Millisecond, 21 * time.Second, 21 * time.Second},
	} {
		for _, goroutines := range []int{1, 4} {
			if took := underLoad(t, tt.percent, goroutines, tt.requests); took < tt.min || took > tt.max {
				t.Errorf("%s: a second of work of %d goroutines took %s, want %s to %s", name, goroutines, took, tt.min, tt.max)
			}
		}
	}
}

// pieces runs a step whose goroutines work for a millisecond each between breaths, ten
// times, while requests move or do not. It returns how long that took and how many
// worked at once after the first breath.
func pieces(t *testing.T, goroutines int, requests time.Duration) (took time.Duration, together int64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var moved, at, most atomic.Int64
		done := make(chan struct{})
		if requests > 0 {
			go moveEvery(requests, &moved, done)
		}
		s := &share{cancel: func(error) {}, percent: 25, activity: moved.Load}
		ctx := withShare(t.Context(), s)
		<-time.After(100 * time.Millisecond)
		start := time.Now()
		var work sync.WaitGroup
		for range goroutines {
			work.Go(func() {
				for n := range 10 {
					if now := at.Add(1); n > 1 && now > most.Load() {
						most.Store(now)
					}
					<-time.After(time.Millisecond)
					at.Add(-1)
					if err := s.Breathe(ctx, time.Millisecond); err != nil {
						t.Error(err)
					}
				}
			})
		}
		work.Wait()
		took, together = time.Since(start), most.Load()
		close(done)
	})
	return took, together
}

// While requests move, the pieces of all goroutines follow each other, with rests in
// proportion; else nothing is waited for.
func TestPiecesFollowEachOther(t *testing.T) {
	for _, goroutines := range []int{1, 4} {
		if took, _ := pieces(t, goroutines, 0); took != 10*time.Millisecond {
			t.Errorf("10 pieces of %d goroutines took %s where nothing moves", goroutines, took)
		}
		took, together := pieces(t, goroutines, 500*time.Microsecond)
		least := time.Duration(goroutines) * 10 * 3 * time.Millisecond
		if took < least || took > 2*least || together > 1 {
			t.Errorf("10 pieces of %d goroutines took %s, %d at once, while requests move", goroutines, took, together)
		}
	}
}
