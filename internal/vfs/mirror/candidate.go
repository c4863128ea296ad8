package mirror

import (
	"slices"
	"time"
)

// A directory may be busy for a moment with a record that the others have already:
// busyWait is between two looks at it, of which there are busyLooks at most.
const (
	busyWait  = 10 * time.Millisecond
	busyLooks = 100
)

// fillPatiently is fill, that waits for directories that are busy.
func (s *Set) fillPatiently() {
	s.fill()
	for looks := 0; looks < busyLooks && s.isBusy() && !s.closing.Load(); looks++ {
		timer := time.NewTimer(busyWait)
		select {
		case <-timer.C:
		case <-s.stop:
			timer.Stop()
			return
		}
		s.fill()
	}
}

// isBusy reports whether a member is missing, and a directory could become one if
// it were not busy.
func (s *Set) isBusy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Err() == nil && s.stayingLocked() < s.want && slices.ContainsFunc(s.nodes, func(n *node) bool {
		return n.mayJoin() && n.busy.Load() != 0
	})
}

// rested are the nodes that failed long enough ago, and have nothing under way.
func (s *Set) rested() (out []*node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		switch {
		case n.role.Load() != outside:
			n.rest.served()
		case n.retired.Load(), n.problem.Load() == nil && !n.unreachable.Load():
		case n.rest.over() && n.busy.Load() == 0:
			out = append(out, n)
		}
	}
	return out
}

// candidate is a directory to take in, nil when there are members enough or
// none is left that did not fail.
func (s *Set) candidate() *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stayingLocked() >= s.want {
		return nil
	}
	for _, n := range s.nodes {
		if n.mayJoin() && n.busy.Load() == 0 {
			return n
		}
	}
	return nil
}

// mayJoin reports whether a node is no member, and nothing is known against it.
func (n *node) mayJoin() bool {
	return n.role.Load() == outside && !n.witness && !n.retired.Load() && !n.unreachable.Load() && n.problem.Load() == nil
}
