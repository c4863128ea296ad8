package mirror

import (
	"fmt"
	"slices"
)

// Eject takes a directory out of which its owner found that it is not what it
// was: that another one is mounted in its place, say. Nothing is written to it any
// more when it returns nil, and the record says so. It does not come back by
// itself before it is what it was, see [Options].Verify, or is added again.
func (s *Set) Eject(d Dir, cause error) error {
	s.mu.Lock()
	i := s.indexLocked(d)
	if i < 0 {
		s.mu.Unlock()
		return nil
	}
	n := s.nodes[i]
	s.mu.Unlock()
	if !s.eject(n, cause) {
		return fmt.Errorf("%w: %s is the last member: %w", ErrLost, n.Path, cause)
	}
	n.problem.CompareAndSwap(nil, &cause)
	return s.settled()
}

// Holds reports whether a directory is a member, and which path it has; none where the
// set does not know it or is to do without it.
func (s *Set) Holds(disk string) (path string, member bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.nodes, func(n *node) bool { return n.Disk == disk })
	if i < 0 || s.nodes[i].gone() {
		return "", false
	}
	return s.nodes[i].Path, s.nodes[i].role.Load() == active
}
