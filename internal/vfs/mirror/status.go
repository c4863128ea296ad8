package mirror

// Status describes a set to an administrator.
type Status struct {
	Epoch    uint64
	Members  []Dir
	Voters   int // directories that have the record
	Wanted   int
	Reached  int  // as many were wanted and there at some time; zero: that was not recorded
	Degraded bool // fewer members than wanted, or the record is on fewer directories than there are
	Outside  []Outside
	Witness  *Witness // nil: there is to be none
	Resync   *Resync  // under way; nil: none

	Ejected, Joined, Healed, OtherReads uint64
	// ScrubbedBytes were verified by scrubs, which found BadCopies, and
	// Undecided files whose copies nothing could verify.
	ScrubbedBytes, BadCopies, Undecided uint64
}

// Outside is a directory that failed.
type Outside struct {
	Dir
	Problem string
}

// Status reports how the set is.
func (s *Set) Status() Status {
	rec := s.shown.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		Epoch: rec.Epoch, Members: dirsOf(s.members()), Voters: len(rec.Voters), Wanted: s.want, Reached: rec.Wanted,
		Ejected: s.count.ejected.Load(), Joined: s.count.joined.Load(),
		Healed: s.count.healed.Load(), OtherReads: s.count.otherReads.Load(),
		ScrubbedBytes: s.count.scrubbed.Load(), BadCopies: s.count.scrubBad.Load(), Undecided: s.count.undecided.Load(),
	}
	for _, n := range s.nodes {
		if p := n.problem.Load(); p != nil && n.role.Load() == outside {
			st.Outside = append(st.Outside, Outside{n.Dir, (*p).Error()})
		}
	}
	known := 0
	for _, n := range s.nodes {
		known += flag(!n.gone())
	}
	st.Degraded = len(st.Members) < st.Wanted || st.Voters < known || s.Err() != nil
	st.Witness = s.witnessStatusLocked(rec)
	st.Degraded = st.Degraded || st.Witness != nil && st.Witness.Problem != ""
	if s.resync.Directory != "" {
		r := s.resync
		st.Resync = &r
	}
	return st
}
