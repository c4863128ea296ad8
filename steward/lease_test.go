package steward

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// wire is the way of one process to the metadata; it can be cut.
type wire struct {
	kv.Engine
	cut     atomic.Bool
	updates atomic.Int64
	classes sync.Map // of its transactions
}

func (w *wire) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	if w.cut.Load() {
		return kv.ErrUnavailable
	}
	w.classes.Store(o.Class, true)
	return w.Engine.View(ctx, o, fn)
}

func (w *wire) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	if w.cut.Load() {
		return kv.Commit{}, kv.ErrUnavailable
	}
	w.updates.Add(1)
	w.classes.Store(o.Class, true)
	return w.Engine.Update(ctx, o, fn)
}

// shift is a job that several processes have, and notes who works on it.
type shift struct {
	mu      sync.Mutex
	working string // whose step is under way
	last    string
	steps   map[string]int
	clashes int
}

// member is the job of one process. Its steps last until their context ends where
// long is set.
type member struct {
	*shift
	who  string
	name string
	long bool
}

func (m *member) Name() string { return m.name }

func (m *member) Step(ctx context.Context) (Progress, error) {
	m.mu.Lock()
	if m.working != "" {
		m.clashes++
	}
	m.working, m.last = m.who, m.who
	m.steps[m.who]++
	m.mu.Unlock()
	if m.long {
		<-ctx.Done()
	} else {
		<-time.After(100 * time.Millisecond)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.working = ""
	return Progress{}, ctx.Err()
}

func (s *shift) of(who string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.steps[who]
}

// pair is two processes with the same jobs over one metadata engine.
type pair struct {
	t      *testing.T
	engine *mem.Engine
	wires  map[string]*wire
	run    map[string]*Steward
	shifts map[string]*shift // by job
	opts   Options
	long   bool
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{
		t: t, engine: mem.New(mem.Options{}), wires: map[string]*wire{}, run: map[string]*Steward{}, shifts: map[string]*shift{},
		opts: Options{Interval: time.Second},
	}
	for _, name := range []string{"one", "two", "three"} {
		p.shifts[name] = &shift{steps: map[string]int{}}
	}
	return p
}

// start starts a process.
func (p *pair) start(who string) {
	p.t.Helper()
	p.wires[who] = &wire{Engine: p.engine}
	db, err := metadata.Open(p.wires[who], metadata.Options{Now: time.Now})
	if err != nil {
		p.t.Fatal(err)
	}
	var jobs []Job
	for name, s := range p.shifts {
		jobs = append(jobs, &member{shift: s, who: who, name: name, long: p.long})
	}
	p.run[who] = stewardOn(db, p.opts, jobs...)
	p.run[who].Start(p.t.Context())
}

// close ends the test.
func (p *pair) close() {
	p.t.Helper()
	for _, s := range p.run {
		s.Close()
	}
	for name, s := range p.shifts {
		if s.clashes > 0 {
			p.t.Errorf("job %s ran in two processes at a time, %d times", name, s.clashes)
		}
	}
	if err := p.engine.Close(); err != nil {
		p.t.Error(err)
	}
}

// works fails the test unless this process has all jobs in the next while.
func (p *pair) works(who string, d time.Duration) {
	p.t.Helper()
	before := map[string]int{}
	for name, s := range p.shifts {
		for other := range p.run {
			before[name+other] = s.of(other)
		}
	}
	<-time.After(d)
	for name, s := range p.shifts {
		for other := range p.run {
			if did := s.of(other) - before[name+other]; (did > 0) != (other == who) {
				p.t.Errorf("process %s made %d steps of job %s in %s; it is the turn of %q", other, did, name, d, who)
			}
		}
	}
}

func TestEachJobRunsInOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.start("a")
		<-time.After(time.Second)
		p.start("b")
		p.works("a", 30*time.Minute)
		for _, s := range p.run["b"].Status() {
			if s.State != JobElsewhere {
				t.Errorf("job %s is %s in the process that has no lease", s.Name, s.State)
			}
		}
		p.run["a"].Close() // gives its leases back
		<-time.After(15 * time.Second)
		p.works("b", 10*time.Minute)
		p.start("a")
		p.works("b", 10*time.Minute)
		p.close()
	})
}

// TestJobsOfADeadProcessAreTakenOver cuts a process off for good: nobody hears of
// its end.
func TestJobsOfADeadProcessAreTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.start("a")
		<-time.After(time.Second)
		p.start("b")
		p.works("a", 5*time.Minute)
		p.wires["a"].cut.Store(true)
		p.run["a"].Close()
		p.works("", 20*time.Second) // too soon to tell
		<-time.After(time.Minute)
		p.works("b", 5*time.Minute)
		p.close()
	})
}

// TestLeasesWaitForNoJobs: metadata that is busy holds back the transactions of jobs, and must
// not hold back their leases, nor the administrator's word.
func TestLeasesWaitForNoJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.start("a")
		<-time.After(time.Second)
		p.start("b")
		p.works("a", time.Minute)
		p.wires["a"].cut.Store(true)
		p.run["a"].Close()
		p.wires["b"].classes.Clear() // those of the store that was opened
		<-time.After(2 * time.Minute)
		p.works("b", time.Minute)
		for _, change := range []func(context.Context, string) error{p.run["b"].Pause, p.run["b"].Resume} {
			if err := change(t.Context(), "one"); err != nil {
				t.Error(err)
			}
		}
		p.close()
		classes := 0
		p.wires["b"].classes.Range(func(class, _ any) bool {
			classes++
			if class != LeaseClass {
				t.Errorf("a transaction of class %s", class)
			}
			return true
		})
		if classes != 1 {
			t.Errorf("transactions of %d classes", classes)
		}
	})
}

// TestALostLeaseEndsTheStep cuts a process off in the midst of steps: they end
// before another process begins, and it stays away when it is back.
func TestALostLeaseEndsTheStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.long = true
		p.start("a")
		<-time.After(10 * time.Second)
		p.start("b")
		<-time.After(5 * time.Minute)
		if n := p.shifts["one"].of("a"); n != 1 {
			t.Fatalf("%d steps of the process that has the lease, want the one that lasts", n)
		}
		p.wires["a"].cut.Store(true)
		<-time.After(90 * time.Second)
		p.wires["a"].cut.Store(false)
		<-time.After(10 * time.Minute)
		for name, s := range p.shifts {
			if s.of("a") != 1 || s.of("b") != 1 {
				t.Errorf("job %s: steps %v, want one of each", name, s.steps)
			}
		}
		p.close()
	})
}

// TestInterleaving22LeasesAfterMetadataWasAway: all leases look dead after metadata
// was away for a minute.
func TestInterleaving22LeasesAfterMetadataWasAway(t *testing.T) {
	for _, outage := range []time.Duration{20 * time.Second, time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t)
			p.start("a")
			<-time.After(time.Second)
			p.start("b")
			p.works("a", 5*time.Minute)
			id := p.run["a"].keeper.id
			p.wires["a"].cut.Store(true)
			p.wires["b"].cut.Store(true)
			<-time.After(outage)
			p.wires["b"].cut.Store(false) // the one that waits is back first
			<-time.After(2 * time.Second)
			p.wires["a"].cut.Store(false)
			<-time.After(15 * time.Second)
			p.works("a", 10*time.Minute)
			p.run["a"].Close()
			if p.run["a"].keeper.id != id {
				t.Errorf("after %s without metadata the leases had to be obtained anew", outage)
			}
			p.close()
		})
	}
}

// TestClocksDecideNoLease lets the clocks stand still, and jump.
func TestClocksDecideNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		var hours atomic.Int64
		p.opts.Now = func() time.Time { return time.UnixMilli(0).Add(time.Duration(hours.Load()) * time.Hour) }
		p.start("a")
		<-time.After(time.Second)
		p.start("b")
		p.works("a", 10*time.Minute)
		for _, to := range []int64{10, -10, 100_000} {
			hours.Store(to)
			p.works("a", 10*time.Minute)
		}
		p.close()
	})
}

// TestIdleStewardsWriteLittle counts transactions.
func TestIdleStewardsWriteLittle(t *testing.T) {
	for name, most := range map[string]int64{"sole": 0, "with leases": 8*60 + 5} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t)
			p.opts.Sole = name == "sole"
			p.start("a")
			<-time.After(10 * time.Second)
			before := p.wires["a"].updates.Load()
			p.works("a", time.Hour)
			if n := p.wires["a"].updates.Load() - before; n > most {
				t.Errorf("%s: %d transactions in an hour without work, at most %d are allowed", name, n, most)
			}
			p.close()
		})
	}
}

// TestASoleProcessNeedsNoLease starts on rows that a dead process has left.
func TestASoleProcessNeedsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.start("a")
		<-time.After(5 * time.Second)
		p.wires["a"].cut.Store(true)
		p.run["a"].Close()
		p.opts.Sole = true
		p.start("b")
		p.works("b", 5*time.Second)
		p.close()
	})
}
