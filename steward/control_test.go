package steward

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// steady is a job that never runs out of work, a unit in each step.
type steady struct {
	script
	asks int
}

func newSteady(name string) *steady {
	return &steady{script: script{name: name, begun: time.Now(), do: func(int) (Progress, error) {
		return Progress{Done: 1, More: true}, nil
	}}}
}

func (s *steady) RunNow() { s.asks++ }

func only(t *testing.T, s *Steward) JobStatus {
	t.Helper()
	all := s.Status()
	if len(all) != 1 {
		t.Fatalf("%d jobs, want 1", len(all))
	}
	return all[0]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// idleFor fails the test if a job steps in the next while.
func idleFor(t *testing.T, d time.Duration, job *steady) {
	t.Helper()
	synctest.Wait()
	before := job.steps()
	<-time.After(d)
	synctest.Wait()
	if n := job.steps() - before; n > 0 {
		t.Errorf("%d steps in %s of a job that must not run", n, d)
	}
}

func busyFor(t *testing.T, d time.Duration, job *steady) {
	t.Helper()
	synctest.Wait()
	before := job.steps()
	<-time.After(d)
	synctest.Wait()
	if n := job.steps() - before; n == 0 {
		t.Errorf("no step in %s of a job with work", d)
	}
}

func TestPauseIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newFixture(t).db
		o := Options{Interval: time.Second, Sole: true}
		job := newSteady("repair")
		s := stewardOn(db, o, job)
		if st := only(t, s); st.State != JobStopped {
			t.Errorf("before the start the job is %s", st.State)
		}
		s.Start(t.Context())
		busyFor(t, 5*time.Second, job)
		if st := only(t, s); st.State != JobRunning || st.Done == 0 || st.Steps != st.Done {
			t.Errorf("while it runs: %+v", st)
		}
		must(t, s.Pause(t.Context(), "repair"))
		must(t, s.Pause(t.Context(), "repair"))
		idleFor(t, time.Hour, job)
		if st := only(t, s); st.State != JobPaused || !st.Paused || st.AllPaused {
			t.Errorf("paused: %+v", st)
		}
		s.Close()

		job = newSteady("repair")
		s = stewardOn(db, o, job)
		s.Start(t.Context())
		idleFor(t, time.Hour, job)
		must(t, s.Resume(t.Context(), "repair"))
		busyFor(t, time.Second, job)
		must(t, s.Pause(t.Context(), AllJobs))
		idleFor(t, time.Hour, job)
		must(t, s.Resume(t.Context(), "repair"))
		idleFor(t, time.Minute, job)
		if st := only(t, s); st.State != JobPaused || st.Paused || !st.AllPaused {
			t.Errorf("with all jobs paused: %+v", st)
		}
		must(t, s.Resume(t.Context(), AllJobs))
		busyFor(t, time.Second, job)
		s.Close()
	})
}

func TestPauseIsSeenByOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.start("a")
		<-time.After(time.Second)
		p.start("b")
		<-time.After(5 * time.Second)
		for name := range p.shifts {
			must(t, p.run["b"].Pause(t.Context(), name))
		}
		<-time.After(15 * time.Second)
		p.works("", time.Hour)
		must(t, p.run["b"].Resume(t.Context(), "one"))
		must(t, p.run["b"].Resume(t.Context(), "two"))
		must(t, p.run["b"].Resume(t.Context(), "three"))
		<-time.After(15 * time.Second)
		p.works("a", time.Minute)
		p.close()
	})
}

// TestPauseEndsAWaitForBandwidth pauses a job whose step has hours to go.
func TestPauseEndsAWaitForBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &waiter{pace: pace{perSecond: 1}}
		s := stewardOf(t, Options{Interval: time.Second}, w)
		s.Start(t.Context())
		<-time.After(time.Hour)
		if w.steps != 1 {
			t.Fatalf("%d steps, want the one that waits", w.steps)
		}
		must(t, s.Pause(t.Context(), "waiter"))
		synctest.Wait()
		if st := only(t, s); st.State != JobPaused || st.Errors != 0 || st.Error != "" || w.ended != 1 {
			t.Errorf("right after the pause: %+v", st)
		}
		must(t, s.Resume(t.Context(), "waiter"))
		synctest.Wait()
		if st := only(t, s); st.State != JobRunning || w.steps != 2 {
			t.Errorf("right after it was resumed: %+v, %d steps", st, w.steps)
		}
		s.Close()
	})
}

// waiter is a job whose step has a day of work for its pace.
type waiter struct {
	pace         pace
	steps, ended int
}

func (*waiter) Name() string { return "waiter" }

func (w *waiter) Step(ctx context.Context) (Progress, error) {
	w.steps++
	for range 1000 {
		if err := w.pace.wait(ctx, 100); err != nil {
			w.ended++
			return Progress{}, err
		}
	}
	return Progress{}, nil
}

// TestAStepEndsByItselfWhenPaused pauses a job that asks no pace.
func TestAStepEndsByItselfWhenPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan struct{})
		job := &script{name: "slow", begun: time.Now(), do: func(int) (Progress, error) {
			<-finish
			return Progress{Done: 1, More: true}, nil
		}}
		s := stewardOf(t, Options{Interval: time.Second}, job)
		s.Start(t.Context())
		<-time.After(time.Minute)
		must(t, s.Pause(t.Context(), "slow"))
		if st := only(t, s); st.State != JobPausing {
			t.Errorf("while its step goes on: %+v", st)
		}
		close(finish)
		<-time.After(time.Hour)
		if st := only(t, s); st.State != JobPaused || st.Done != 1 || job.steps() != 1 {
			t.Errorf("after its step: %+v", st)
		}
		s.Close()
	})
}

func TestRunNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newFixture(t).db
		o := Options{Interval: 24 * time.Hour, Sole: true}
		job := newSteady("scrub")
		more := 3
		job.do = func(int) (Progress, error) {
			more--
			return Progress{Done: 1, More: more > 0}, nil
		}
		s := stewardOn(db, o, job)
		s.Start(t.Context())
		synctest.Wait()
		wish, err := s.RunNow(t.Context(), "scrub")
		must(t, err)
		<-time.After(time.Second)
		st := only(t, s)
		if wish != 1 || job.asks != 1 || job.steps() != 3 || st.Asked != 1 || st.Granted != 1 || st.Did != 3 || st.State != JobResting {
			t.Errorf("a run by wish %d: told %d times, %d steps, %+v", wish, job.asks, job.steps(), st)
		}
		must(t, s.Pause(t.Context(), "scrub"))
		wish, err = s.RunNow(t.Context(), "scrub")
		must(t, err)
		idleFor(t, 100*time.Hour, job)
		s.Close()

		// The wish is kept, and granted once it may be.
		job = newSteady("scrub")
		job.do = func(int) (Progress, error) { return Progress{}, nil }
		s = stewardOn(db, o, job)
		s.Start(t.Context())
		idleFor(t, 100*time.Hour, job)
		must(t, s.Resume(t.Context(), "scrub"))
		<-time.After(time.Second)
		if st := only(t, s); job.asks != 1 || st.Granted != wish || st.Asked != wish {
			t.Errorf("after the restart: told %d times, %+v", job.asks, st)
		}
		idleFor(t, time.Hour, job)
		s.Close()
	})
}

// TestRunNowIsGrantedWhenItWentWell lets the first steps of a run fail.
func TestRunNowIsGrantedWhenItWentWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := newSteady("scrub")
		job.do = func(n int) (Progress, error) {
			if n <= 3 {
				return Progress{}, errors.New("no\nluck")
			}
			return Progress{}, nil
		}
		s := stewardOf(t, Options{Interval: 24 * time.Hour}, job)
		s.Start(t.Context())
		_, err := s.RunNow(t.Context(), "scrub")
		must(t, err)
		synctest.Wait()
		if st := only(t, s); st.State != JobFailed || st.Error != "no luck" || st.Granted != 0 || st.Next.IsZero() {
			t.Errorf("after a failure: %+v", st)
		}
		<-time.After(time.Minute)
		if st := only(t, s); st.State != JobResting || st.Error != "" || st.Granted != 1 || st.Errors != 3 || job.asks != 1 {
			t.Errorf("after it went well: %+v, told %d times", st, job.asks)
		}
		s.Close()
	})
}

func TestWishesForNoJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stewardOf(t, Options{}, newSteady("repair"))
		_, runErr := s.RunNow(t.Context(), "dance")
		_, allErr := s.RunNow(t.Context(), AllJobs)
		for _, err := range []error{s.Pause(t.Context(), "dance"), s.Resume(t.Context(), ""), runErr, allErr} {
			if !errors.Is(err, ErrNoJob) {
				t.Errorf("error %v, want ErrNoJob", err)
			}
		}
		s.Close()
	})
}

func TestResultsAreWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{Engine: newFixture(t).engine}
		db, err := metadata.Open(w, metadata.Options{Now: time.Now})
		must(t, err)
		before := w.updates.Load()
		job := newSteady("collect")
		var broken atomic.Bool
		job.do = func(int) (Progress, error) {
			if broken.Load() {
				return Progress{}, errors.New(strings.Repeat("€", 10_000))
			}
			return Progress{Done: 2}, nil
		}
		s := stewardOn(db, Options{Interval: time.Second, Sole: true}, job)
		s.Start(t.Context())
		<-time.After(time.Hour)
		if n := w.updates.Load() - before; n < 30 || n > 60 {
			t.Errorf("%d transactions in an hour of work, want about one a minute", n)
		}
		broken.Store(true)
		<-time.After(time.Hour)
		s.Close()
		var row *metadata.Job
		must(t, db.View(t.Context(), "test", func(r *metadata.Reader) (err error) {
			row, err = r.Job("collect")
			return err
		}))
		if row == nil || len(row.Last.Error) < 1000 || !strings.HasSuffix(row.Last.Error, "€...") || time.Since(row.Last.Ended) > 15*time.Minute {
			t.Errorf("the row is %+v", row)
		}
		next := stewardOn(db, Options{Interval: time.Hour, Sole: true}, newSteady("collect"))
		next.Start(t.Context())
		synctest.Wait()
		if st := only(t, next); st.Error != row.Last.Error || !st.Last.Equal(row.Last.Ended) {
			t.Errorf("another process shows %+v", st)
		}
		next.Close()
	})
}

// TestTheTimeLeftIsMeasured pauses and changes the speed.
func TestTheTimeLeftIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &metered{each: 2 * time.Second}
		s := stewardOf(t, Options{Interval: time.Second}, slow)
		s.Start(t.Context())
		<-time.After(100 * time.Second)
		st := only(t, s)
		if st.Rate < 4.5 || st.Rate > 5.1 || st.Left < 30*time.Minute || st.Left > 35*time.Minute {
			t.Errorf("10 of 10000 every two seconds: %+v", st)
		}
		must(t, s.Pause(t.Context(), "metered"))
		<-time.After(10 * time.Hour)
		if st := only(t, s); st.Left != 0 || st.Rate < 4.5 || st.Rate > 5.1 {
			t.Errorf("after hours of pause: %+v", st)
		}
		must(t, s.Resume(t.Context(), "metered"))
		<-time.After(100 * time.Second)
		if st := only(t, s); st.Rate < 4.5 || st.Rate > 5.1 || st.Left < 20*time.Minute || st.Left > 32*time.Minute {
			t.Errorf("resumed: %+v", st)
		}
		s.Close()
	})
}

// metered is a job that does 10 of 10000 units in every step.
type metered struct {
	each time.Duration
	mu   sync.Mutex // guards work
	work Work
}

func (*metered) Name() string { return "metered" }

func (m *metered) Work() Work {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.work
}

func (m *metered) Step(context.Context) (Progress, error) {
	next := m.Work()
	if next.Since.IsZero() {
		next = Work{Unit: "shards", Total: 10_000, Since: time.Now()}
	}
	<-time.After(m.each)
	next.Done += 10
	m.mu.Lock()
	defer m.mu.Unlock()
	m.work = next
	return Progress{Done: 10, More: true}, nil
}

// TestWishesAreGrantedOnce lets a process take over what another had granted.
func TestWishesAreGrantedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		o := Options{Interval: time.Hour, Grace: -1, LeaseInterval: time.Second}
		quiet := func(int) (Progress, error) { return Progress{}, nil }
		first, second := newSteady("scrub"), newSteady("scrub")
		first.do, second.do = quiet, quiet
		a, b := stewardOn(f.db, o, first), stewardOn(f.db, o, second)
		a.Start(t.Context())
		synctest.Wait()
		b.Start(t.Context())
		<-time.After(10 * time.Second)
		for range 3 {
			_, err := b.RunNow(t.Context(), "scrub") // whoever has the job is told
			must(t, err)
			<-time.After(10 * time.Second)
		}
		if st := only(t, b); st.Granted != 3 || st.State != JobElsewhere {
			t.Errorf("where the wish was made: %+v", st)
		}
		a.Close()
		<-time.After(10 * time.Second)
		if st := only(t, b); first.asks != 3 || second.asks != 0 || st.State != JobResting {
			t.Errorf("the first was told %d times, the second %d times: %+v", first.asks, second.asks, st)
		}
		b.Close()
	})
}

// TestAnUnknownCommitIsLookedAt pauses a job while the answers of the metadata get
// lost.
func TestAnUnknownCommitIsLookedAt(t *testing.T) {
	for fault, want := range map[mem.Fault]JobState{mem.UnknownApplied: JobPaused, mem.UnknownLost: JobResting} {
		synctest.Test(t, func(t *testing.T) {
			var lossy atomic.Bool
			e := mem.New(mem.Options{Faults: mem.Faults{Hook: func(p mem.Point) mem.Fault {
				if lossy.Load() && p.Place == mem.AtCommit {
					return fault
				}
				return mem.None
			}}})
			job := newSteady("repair")
			job.do = func(int) (Progress, error) { return Progress{}, nil }
			s := stewardOn(newFixtureOn(t, e).db, Options{Interval: time.Hour, Sole: true}, job)
			s.Start(t.Context())
			lossy.Store(true)
			if err := s.Pause(t.Context(), "repair"); !errors.Is(err, kv.ErrUnknownCommit) {
				t.Errorf("the pause ends with %v", err)
			}
			if st := only(t, s); st.State != want {
				t.Errorf("after fault %d the job is %s, want %s", fault, st.State, want)
			}
			s.Close()
			must(t, e.Close())
		})
	}
}
