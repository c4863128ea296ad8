//go:build fdb

package sim

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/internal/fdbcluster"
	"github.com/undercroft/undercroft/internal/fdbcluster/fdbengine"
	"github.com/undercroft/undercroft/metadata/kv"
)

// operator does outside of a bubble what must not be done inside: it waits for
// processes, whose time is the real one.
type operator struct {
	todo chan func() error
	done chan error
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	o := &operator{todo: make(chan func() error), done: make(chan error)}
	go func() {
		for fn := range o.todo {
			o.done <- fn()
		}
	}()
	t.Cleanup(func() { close(o.todo) })
	return o
}

func (o *operator) do(fn func() error) error {
	o.todo <- fn
	return <-o.done
}

// onFoundationDB is metadata under a prefix. t and the operator are not of a bubble. u
// may be nil.
func onFoundationDB(t *testing.T, c *fdbcluster.Cluster, op *operator, u *unrest) (*outside, error) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	open := fdbengine.On(t, c)
	own, err := open() // for fences, and so that the client library is there before the bubble
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	return &outside{
		restless: true, // it may recover whenever processes wait too long for each other
		open: func() (kv.Engine, error) {
			e, err := open()
			if err != nil || u == nil {
				return e, err
			}
			return &unquiet{e, u}, nil
		},
		fence: func() error {
			return op.do(func() error { return untilDone(func() error { return fence(ctx, own) }) })
		},
		copied: func() (out *outside, err error) {
			err = op.do(func() error {
				if out, err = onFoundationDB(t, c, op, u); err != nil { //nolint:contextcheck // the test's
					return err
				}
				to, err := out.open()
				if err != nil {
					return err
				}
				return errors.Join(untilDone(func() error { return copyAll(ctx, own, to) }), to.Close())
			})
			return out, err
		},
	}, nil
}

// untilDone does what may be done twice, however often the database goes away meanwhile.
func untilDone(fn func() error) error {
	const attempts = 50 // each waits as long as a transaction may take
	var err error
	for range attempts {
		if err = fn(); err == nil {
			return nil
		}
	}
	return err
}

// unrest lets the database recover again and again, whatever goes on: not by the clock,
// but each time that so many transactions were begun.
type unrest struct {
	events int64 // transactions between two
	begun  atomic.Int64
	wanted chan struct{}
	done   chan error
	times  int // how often
}

func newUnrest(c *fdbcluster.Cluster, events int64) *unrest {
	u := &unrest{events: events, wanted: make(chan struct{}, 1), done: make(chan error, 1)}
	go func() {
		var err error
		for range u.wanted {
			u.times++
			err = errors.Join(err, c.Insist(context.Background(), fmt.Sprintf("configure commit_proxies=%d", 1+u.times%2)))
		}
		u.done <- err
	}()
	return u
}

// end returns how often the database recovered.
func (u *unrest) end() (int, error) {
	close(u.wanted)
	err := <-u.done
	return u.times, err
}

// unquiet is an engine whose transactions are counted.
type unquiet struct {
	kv.Engine
	u *unrest
}

// Update implements [kv.Engine].
func (q *unquiet) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	if q.u.begun.Add(1)%q.u.events == 0 {
		select {
		case q.u.wanted <- struct{}{}:
		default: // the last one is not over
		}
	}
	return q.Engine.Update(ctx, o, fn)
}

// Unwrap is how optional interfaces of the engine are found.
func (q *unquiet) Unwrap() kv.Engine { return q.Engine }

// foundationFaults are what happens to the processes of FoundationDB beside the
// operations of a batch.
func foundationFaults(c *fdbcluster.Cluster, op *operator) []fault {
	// beside runs a batch between two events, of the second of which the database
	// recovers.
	beside := func(name string, begin, end func(i int) error) fault {
		return fault{name: name, weight: 3, fire: func(m *machine) {
			m.t.Helper()
			i := m.rng.IntN(c.Processes)
			m.did(name, "process %d", i)
			err := op.do(func() error { return begin(i) })
			calls := m.calls(2 + m.rng.IntN(6))
			h := m.beside(func() history { return m.batch(calls) })
			err = errors.Join(err, op.do(func() error { return errors.Join(end(i), c.Await(context.Background())) }))
			if err != nil {
				m.t.Fatalf("%s: %v", name, err)
			}
			m.settle(h)
		}}
	}
	all := func(one func(i int) error) func(int) error {
		return func(int) error {
			var errs []error
			for i := range c.Processes {
				errs = append(errs, one(i))
			}
			return errors.Join(errs...)
		}
	}
	kill := func(i int) error { c.Kill(i); return nil }
	configure := func(what string) func(int) error {
		return func(int) error { return c.Insist(context.Background(), what) }
	}
	move := func(i int) error { return configure("coordinators " + c.Address(i))(i) }
	return []fault{
		beside("fdb-kill", kill, c.Restart),
		beside("fdb-kill-all", all(kill), all(c.Restart)),
		beside("fdb-pause", c.Pause, c.Resume),
		beside("fdb-pause-all", all(c.Pause), all(c.Resume)),
		beside("fdb-configure", configure("configure commit_proxies=2 resolvers=2"), configure("configure commit_proxies=1 resolvers=1")),
		beside("fdb-coordinators", move, configure("coordinators auto")),
	}
}

// TestSimulationOnFoundationDB is the simulation with metadata on a FoundationDB
// whose processes end, stop and are given other roles. Each of its faults happens in
// each seed; with odd seeds the database recovers all the time as well.
func TestSimulationOnFoundationDB(t *testing.T) {
	c := fdbcluster.Shared(t, fdbcluster.Three(fdbcluster.Redwood))
	op := newOperator(t)
	own := foundationFaults(c, op)
	list := outsideSeeds()
	seen := map[string]int{}
	for _, s := range list { // one after the other: they share the processes
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			var u *unrest
			if s%2 == 1 {
				u = newUnrest(c, 50)
				defer func() {
					n, err := u.end()
					if seen["fdb-recovery"] += n; err != nil {
						t.Error(err)
					}
				}()
			}
			o, err := onFoundationDB(t, c, op, u)
			if err != nil {
				t.Fatal(err)
			}
			for event, n := range runOn(t, s, *steps, func(m *machine) {
				m.outside, m.faults = o, outsideFaults(append(own, own...)...) // and often
				m.due = own
			}) {
				seen[event] += n
			}
		})
	}
	report(t, seen)
	for _, f := range own {
		if seen[f.name] < len(list) && !t.Failed() {
			t.Errorf("%q happened %d times with %d seeds", f.name, seen[f.name], len(list))
		}
	}
}
