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
		members, voters, changed := s.electoral()
		if slices.ContainsFunc(members, func(n *node) bool { return n.unreachable.Load() }) {
			return s.fail(fmt.Errorf("%w: the last member does not take the record", ErrLost))
		}
		next := s.rec.clone()
		next.Epoch++
		next.Members, next.Voters = dirsOf(members), dirsOf(voters)
		next.Previous, next.Retired = s.rec.electorates(), s.retiredDirs()
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
		if count(next.Voters, told) < len(voters) {
			continue
		}
		s.recorded.Store(changed)
		if changed == s.changed.Load() {
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
	errs := s.fanOut(nodes, func(i int) error {
		if err != nil {
			return err
		}
		n := nodes[i]
		if !n.record.TryLock() {
			return ErrStalled // a write of before would come after this one
		}
		defer n.record.Unlock()
		if err := s.verify(n); err != nil {
			return err // rather than a record below a mount point
		}
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
	return slices.DeleteFunc(slices.Clone(s.nodes), func(n *node) bool { return n.unreachable.Load() || n.gone() })
}

// electoral is who is a member and who is to be told, and the count of changes
// that this takes in.
func (s *Set) electoral() (members, voters []*node, changed uint64) {
	voters = s.reachable()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members(), voters, s.changed.Load()
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

// retiredDirs are the directories that the record says to do without.
func (s *Set) retiredDirs() (out []Dir) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.rec.Retired {
		if s.indexLocked(d) < 0 {
			out = append(out, d) // not here, or removed for good
		}
	}
	for _, n := range s.nodes {
		if n.gone() {
			out = append(out, n.Dir)
		}
	}
	return out
}

// admit gives a directory a node.
func (s *Set) admit(d Dir) (*node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.indexLocked(d)
	if i < 0 {
		i = len(s.nodes)
		s.nodes = append(s.nodes, s.newNode(d))
		s.nodes[i].unreachable.Store(true) // until it is locked
	}
	n := s.nodes[i]
	switch {
	case n.Path == d.Path:
		return n, nil
	case n.role.Load() != outside:
		return nil, fmt.Errorf("mirror: %s holds the files of disk %s, which is at %s now", n.Path, n.Disk, d.Path)
	}
	moved := s.newNode(d)
	moved.unreachable.Store(true)
	s.nodes[i] = moved
	if !s.closing.Load() {
		s.jobs.Go(func() { _ = s.release(n) }) // it is not there any more
	}
	return moved, nil
}

// Add makes a directory known, which is new, had failed or had retired: it gets
// the record, and may become a member. One that is known by another path is at
// this one from now on; it must not be a member there.
func (s *Set) Add(d Dir) error {
	s.entry.Lock() // not while it is being forgotten
	defer s.entry.Unlock()
	n, err := s.admit(d)
	if err == nil {
		err = s.guard(n)
	}
	if err != nil {
		return err
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	n.retired.Store(false)
	n.unreachable.Store(false)
	n.problem.Store(nil)
	err = s.publishLocked((*Record).half)
	s.poke()
	return err
}
