package mirror

import (
	"fmt"
	"log/slog"
	"slices"
)

// publishLocked makes a new record of the members that there are, and makes it
// durable on every directory that can be reached: first unconfirmed, then,
// when all have it, confirmed. A directory that fails is no voter and no
// member, and the record is made anew. enough says which directories suffice,
// by the record before. Called with publishing held.
func (s *Set) publishLocked(enough func(*Record, func(string) bool) bool) error {
	for s.Err() == nil {
		s.dirty.Store(false) // before the members are read: a later failure sets it again
		voters := s.reachable()
		if slices.ContainsFunc(s.members(), func(n *node) bool { return n.unreachable.Load() }) {
			return s.fail(fmt.Errorf("%w: the last member does not take the record", ErrLost))
		}
		next := s.rec.clone()
		next.Epoch++
		next.Members, next.Voters = dirsOf(s.members()), dirsOf(voters)
		next.Previous = s.rec.electorates()
		if want := s.wanted(); len(next.Members) >= want {
			next.Wanted = max(next.Wanted, want)
		}
		next.Base, next.Confirmed = s.rec.Base, false
		if s.rec.Confirmed {
			next.Base = s.rec.number()
		}
		told := s.tell(voters, next)
		if !enough(s.rec, told) || len(next.Members) == 0 {
			return s.fail(fmt.Errorf("%w: epoch %d", ErrLost, next.Epoch))
		}
		s.know(next)
		if count(next.Voters, told) < len(voters) {
			continue
		}
		confirmed := next.clone()
		confirmed.Previous, confirmed.Confirmed = nil, true
		told = s.tell(voters, confirmed)
		if count(next.Voters, told) == 0 {
			return s.fail(fmt.Errorf("%w: epoch %d", ErrLost, next.Epoch))
		}
		s.know(confirmed)
		if count(next.Voters, told) == len(voters) && !s.dirty.Load() {
			s.opts.Logger.Info("metadata membership", slog.Uint64("epoch", confirmed.Epoch),
				slog.Int("members", len(confirmed.Members)), slog.Int("voters", len(confirmed.Voters)))
			return nil
		}
	}
	return s.Err()
}

// know makes a record the one that counts here. Called with publishing held.
func (s *Set) know(r *Record) {
	s.rec = r
	s.shown.Store(r)
}

// tell writes a record to the nodes and answers who has it. One that fails is
// unreachable from now on, and no member.
func (s *Set) tell(nodes []*node, r *Record) (told func(disk string) bool) {
	data, err := r.encode()
	errs := s.fan(len(nodes), func(i int) error {
		if err != nil {
			return err
		}
		n := nodes[i]
		if !n.record.TryLock() {
			return ErrStalled // a write of before would come after this one
		}
		defer n.record.Unlock()
		return writeRecord(s.base, n.Path, data)
	})
	ok := map[string]bool{}
	for i, n := range nodes {
		if errs[i] == nil {
			ok[n.Disk] = true
			continue
		}
		n.unreachable.Store(true)
		n.problem.Store(&errs[i])
		s.eject(n, errs[i])
	}
	return func(disk string) bool { return ok[disk] }
}

func (s *Set) reachable() []*node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.nodes), func(n *node) bool { return n.unreachable.Load() })
}

func (s *Set) wanted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want
}

func dirsOf(nodes []*node) []Dir {
	out := make([]Dir, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, n.Dir)
	}
	return out
}

// Initialised reports whether there has been a state.
func (s *Set) Initialised() bool {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	return s.rec.Initialised
}

// SetInitialised records that there is a state from now on.
func (s *Set) SetInitialised() error {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if s.rec.Initialised {
		return nil
	}
	r := s.rec.clone()
	r.Initialised = true
	s.know(r)
	return s.publishLocked((*Record).half)
}

// Add makes a new directory known: it gets the record, and may become a member.
func (s *Set) Add(d Dir) error {
	s.mu.Lock()
	known := slices.ContainsFunc(s.nodes, func(n *node) bool { return n.Disk == d.Disk })
	if !known {
		s.nodes = append(s.nodes, s.newNode(d))
	}
	s.mu.Unlock()
	if known {
		return nil
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	err := s.publishLocked((*Record).half)
	s.poke()
	return err
}
