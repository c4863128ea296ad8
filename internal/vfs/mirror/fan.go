package mirror

import (
	"slices"
	"sync"
	"time"

	"github.com/undercroft/undercroft/internal/awake"
)

// fan is one change on several nodes at once. Who waits for it is woken once,
// when all are done or one has taken too long: with many small commits it is the
// waking that costs.
type fan struct {
	op   func(i int) error
	done chan struct{}

	mu    sync.Mutex // guards what follows
	errs  []error
	next  int // of those that workers take
	left  int
	first time.Time // when one had succeeded
}

func newFan(n int, op func(i int) error) *fan {
	f := &fan{op: op, done: make(chan struct{}), errs: make([]error, n), left: n}
	for i := range f.errs {
		f.errs[i] = ErrStalled
	}
	return f
}

// work does what nobody else does yet.
func (f *fan) work() {
	for {
		f.mu.Lock()
		i := f.next
		f.next++
		f.mu.Unlock()
		if i >= len(f.errs) {
			return
		}
		err := f.op(i)
		f.mu.Lock()
		f.errs[i] = err
		if err == nil && f.first.IsZero() {
			f.first = time.Now()
		}
		f.left--
		last := f.left == 0
		f.mu.Unlock()
		if last {
			close(f.done)
		}
	}
}

// wait answers the errors when all are done, or so long after one had
// succeeded.
func (f *fan) wait(stall time.Duration) []error {
	timer := awake.NewTimer(stall)
	defer timer.Stop()
	for {
		select {
		case <-f.done:
			return f.errs
		case <-timer.C:
		}
		f.mu.Lock()
		rest := stall
		if !f.first.IsZero() {
			rest = stall - time.Since(f.first)
		}
		errs := slices.Clone(f.errs) // those that are late still change theirs
		f.mu.Unlock()
		if rest <= 0 {
			return errs
		}
		timer.Reset(rest)
	}
}

// fan runs op for 0 to n-1 at once and returns their errors. It waits for each
// only until Stall after one succeeded: op must not touch what the caller
// reuses.
func (s *Set) fan(n int, op func(i int) error) []error {
	if n == 1 {
		return []error{op(0)}
	}
	f := newFan(n, op)
	for range n {
		go f.work()
	}
	return f.wait(s.opts.Stall)
}

// hurry is how long one after the other may take before it is all at once.
const hurry = 5 * time.Millisecond

// chain is fan for what hardly ever waits for a device: one goroutine does all,
// one after the other, unless that takes longer than such things do.
func (s *Set) chain(n int, op func(i int) error) []error {
	if n == 1 {
		return []error{op(0)}
	}
	f := newFan(n, op)
	go f.work()
	timer := time.NewTimer(hurry)
	defer timer.Stop()
	select {
	case <-f.done:
		return f.errs
	case <-timer.C:
	}
	for range n - 1 {
		go f.work()
	}
	return f.wait(s.opts.Stall)
}

// fanOut runs a change on nodes. One that was given up is still under way.
func (s *Set) fanOut(nodes []*node, op func(i int) error) []error {
	return s.fan(len(nodes), busily(nodes, op))
}

func busily(nodes []*node, op func(i int) error) func(i int) error {
	for _, n := range nodes {
		n.busy.Add(1)
	}
	return func(i int) error {
		defer nodes[i].busy.Add(-1)
		return op(i)
	}
}
