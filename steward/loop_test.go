package steward

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

// script is a job that does what a test says and notes when.
type script struct {
	name  string // empty: script
	do    func(n int) (Progress, error)
	begun time.Time
	mu    sync.Mutex // guards at while the job runs
	at    []time.Duration
}

func (s *script) Name() string { return cmp.Or(s.name, "script") }

func (s *script) Step(context.Context) (Progress, error) {
	s.mu.Lock()
	s.at = append(s.at, time.Since(s.begun))
	n := len(s.at)
	s.mu.Unlock()
	return s.do(n)
}

// steps is how often it has stepped.
func (s *script) steps() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at)
}

// stewardOf is a Steward that is alone, with jobs of a test over metadata in memory.
func stewardOf(t *testing.T, o Options, jobs ...Job) *Steward {
	t.Helper()
	o.Sole = true
	return stewardOn(newFixture(t).db, o, jobs...)
}

func stewardOn(db *metadata.DB, o Options, jobs ...Job) *Steward {
	s := newSteward(db, o)
	for _, job := range jobs {
		s.add(job)
	}
	return s
}

// play runs a job for a time and returns when it stepped.
func play(t *testing.T, o Options, d time.Duration, do func(n int) (Progress, error)) (at []time.Duration, c Counters) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		job := &script{do: do, begun: time.Now()}
		s := stewardOf(t, o, job)
		s.Start(t.Context())
		s.Start(t.Context()) // changes nothing
		<-time.After(d)
		s.Close()
		s.Close()
		at, c = job.at, s.Counters()
	})
	return at, c
}

func TestIdleJobsRest(t *testing.T) {
	at, _ := play(t, Options{Interval: 10 * time.Second}, time.Hour, func(int) (Progress, error) { return Progress{}, nil })
	if len(at) < 300 || len(at) > 430 {
		t.Errorf("%d steps in an hour with an interval of 10 s", len(at))
	}
	for i := 1; i < len(at); i++ {
		if gap := at[i] - at[i-1]; gap < 7500*time.Millisecond || gap > 12500*time.Millisecond {
			t.Fatalf("%v between two steps", gap)
		}
	}
}

func TestBusyJobsGoOn(t *testing.T) {
	at, _ := play(t, Options{Interval: time.Hour}, 3*time.Hour, func(n int) (Progress, error) {
		return Progress{Done: 1, More: n < 100}, nil
	})
	if len(at) < 100 || at[99]-at[0] != 99*breath {
		t.Errorf("%d steps, the first hundred in %v", len(at), at[min(99, len(at)-1)]-at[0])
	}
}

func TestFailingJobsBackOff(t *testing.T) {
	at, c := play(t, Options{Interval: time.Second}, time.Hour, func(int) (Progress, error) {
		return Progress{More: true}, errors.New("no luck")
	})
	if len(at) < 15 || len(at) > 40 {
		t.Errorf("%d steps in an hour of failures", len(at))
	}
	if last := at[len(at)-1] - at[len(at)-2]; last < maxBackoff*3/4 || last > maxBackoff*5/4 {
		t.Errorf("the last rest was %v", last)
	}
	if c.Errors != int64(len(at)) || c.Steps != int64(len(at)) {
		t.Errorf("%d errors of %d steps were counted, of %d", c.Errors, c.Steps, len(at))
	}
}

func TestJobsWakeEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		maker := &script{begun: time.Now(), do: func(n int) (Progress, error) { return Progress{Done: 1, More: n < 5}, nil }}
		other := &script{begun: time.Now(), name: "other", do: func(int) (Progress, error) { return Progress{}, nil }}
		s := stewardOf(t, Options{Interval: time.Hour}, maker, other)
		s.Start(t.Context())
		<-time.After(80 * time.Minute) // both have had their turn, not a second one by the clock
		s.Close()
		end := maker.at[4]
		woken := false
		for _, at := range other.at {
			woken = woken || at == end
		}
		if !woken {
			t.Errorf("work was made until %v, the other job looked at %v", end, other.at)
		}
	})
}

func TestCloseEndsAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := &blocked{begun: make(chan struct{})}
		s := stewardOf(t, Options{Interval: time.Second}, job)
		s.Start(t.Context())
		<-job.begun
		s.Close()
		if !job.ended {
			t.Error("Close returned before the step had ended")
		}
		if c := s.Counters(); c.Errors != 0 {
			t.Errorf("the end of a step by Close counts as %d errors", c.Errors)
		}
		s.Start(t.Context()) // closed: nothing starts
	})
}

// blocked is a job whose step lasts until it is told to end.
type blocked struct {
	begun chan struct{}
	ended bool
}

func (*blocked) Name() string { return "blocked" }

func (b *blocked) Step(ctx context.Context) (Progress, error) {
	close(b.begun)
	<-ctx.Done()
	b.ended = true
	return Progress{}, ctx.Err()
}
