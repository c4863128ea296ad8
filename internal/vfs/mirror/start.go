package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/undercroft/undercroft/internal/vfs"
)

// Create writes the first record: the files are to be on the first so many of
// the directories. It changes nothing else.
func Create(o Options, members int) error {
	r := &Record{
		Epoch: 1, Confirmed: true, Wanted: members, Voters: slices.Clone(o.Dirs),
		Members: slices.Clone(o.Dirs[:min(max(members, 1), len(o.Dirs))]),
	}
	data, err := r.encode()
	if err != nil {
		return err
	}
	for _, d := range o.Dirs { // the members are first: a start without them has no files
		if err := writeRecord(o.FS, d.Path, data); err != nil {
			return err
		}
	}
	return nil
}

// Find reads the newest record that is in the directories: [ErrNoRecord] when
// there is none.
func Find(o Options) (*Record, error) {
	newest, _, err := find(o.withDefaults())
	return newest, err
}

// find reads the records. One that cannot be read is as good as away.
func find(o Options) (newest *Record, own map[string]*Record, err error) {
	own = map[string]*Record{}
	var damaged error
	records, errs := readRecords(o)
	for i, d := range o.Dirs {
		r, err := records[i], errs[i]
		if err != nil {
			o.Logger.Error("membership record cannot be read", slog.String("directory", d.Path), slog.Any("error", err))
			damaged = err
			continue
		}
		own[d.Disk] = r
		if r != nil && (newest == nil || r.compare(newest) > 0) {
			newest = r
		}
	}
	switch {
	case newest != nil:
		return newest, own, nil
	case damaged != nil:
		return nil, nil, damaged
	}
	return nil, nil, ErrNoRecord
}

// readRecords reads the records of all directories at once, so that those that
// do not answer are waited for together.
func readRecords(o Options) ([]*Record, []error) {
	records, errs := make([]*Record, len(o.Dirs)), make([]error, len(o.Dirs))
	var all sync.WaitGroup
	for i, d := range o.Dirs {
		all.Go(func() {
			records[i], errs[i] = within(&node{}, o.Stall, func() (*Record, error) { return readRecord(o.FS, d.Path) }, nil)
		})
	}
	all.Wait()
	return records, errs
}

// Open decides who holds the files and makes all current members equal. It
// fails with a [QuorumError] when a newer state than what is here cannot be
// ruled out, with [ErrNoMember] when no current member is here, and with
// [vfs.ErrLocked] when another process uses one.
func Open(o Options) (*Set, error) {
	o = o.withDefaults()
	if _, _, err := find(o); err != nil {
		return nil, err
	}
	s := newSet(o)
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Set) start() error {
	if err := s.openWitness(); err != nil {
		return err
	}
	if err := s.guardAll(); err != nil {
		return err
	}
	// Only now nobody else changes the records.
	o := s.opts
	o.Dirs = dirsOf(s.all())
	newest, own, err := find(o)
	if err != nil {
		return err
	}
	proven := newest.majority(newest.witnesses(own))
	if proven != nil && !s.opts.AcceptLoss {
		return proven
	}
	for _, n := range s.nodes {
		if _, ok := own[n.Disk]; !ok {
			n.unreachable.Store(true)
		}
		n.retired.Store(has(newest.Retired, n.Disk))
	}
	chosen, forced := s.current(newest, own), proven != nil
	if len(chosen) == 0 && s.opts.AcceptLoss {
		chosen, forced = s.latest(own), true
	}
	chosen, err = s.lockAll(chosen)
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		return noMember(newest)
	}
	s.keepLost(newest, own)
	s.mu.Lock()
	for _, n := range chosen {
		n.role.Store(active)
	}
	s.refreshLocked()
	s.mu.Unlock()
	return s.take(s.ballot(newest, forced))
}

// ballot is the record that makes this start the one that may change it.
func (s *Set) ballot(newest *Record, forced bool) *Record { //nolint:revive // says what the administrator said
	ballot := newest.clone()
	ballot.Starts++
	ballot.Confirmed = false
	if newest.Confirmed {
		ballot.Base = newest.number()
	}
	if forced {
		// What is away and may be newer is of an older lineage from now on.
		ballot.Lineage++
		ballot.Base = Number{}
		ballot.Members, ballot.Voters, ballot.Previous = dirsOf(s.members()), dirsOf(s.reachable()), nil
	}
	return ballot
}

// witnesses are the directories that can tell of the newest record: those with
// one of their own. Before there is a state there is nothing to tell.
func (r *Record) witnesses(own map[string]*Record) func(disk string) bool {
	return func(disk string) bool {
		o, here := own[disk]
		return here && (o != nil || !r.Initialised)
	}
}

// keepLost puts files of another lineage aside: they may hold what an
// administrator gave up, and are in nobody's way.
func (s *Set) keepLost(newest *Record, own map[string]*Record) {
	for _, n := range s.nodes {
		r := own[n.Disk]
		if r == nil || r.Lineage == newest.Lineage || !has(r.Members, n.Disk) {
			continue
		}
		base, lost := s.at(n), fmt.Sprintf("%s-lost-%d", n.files, r.Lineage)
		if _, err := base.Stat(n.files); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		err := base.RemoveAll(lost)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = base.Rename(n.files, lost)
		}
		if err == nil {
			err = vfs.SyncDir(base, n.Path)
		}
		if err != nil {
			n.problem.Store(&err) // and it is no candidate
			s.opts.Logger.Error("metadata that was given up cannot be put aside", slog.String("directory", n.Path), slog.Any("error", err))
			continue
		}
		s.opts.Logger.Warn("metadata that was given up is put aside", slog.String("directory", n.Path), slog.String("files", lost))
	}
}

// current answers the current members that are here.
func (s *Set) current(newest *Record, own map[string]*Record) (chosen []*node) {
	for _, d := range newest.Members { // in the order of the record
		i := slices.IndexFunc(s.nodes, func(n *node) bool { return n.Disk == d.Disk })
		if i < 0 {
			continue
		}
		n := s.nodes[i]
		if newest.current(own[n.Disk]) && s.whole(n, newest) || !newest.Initialised && !n.unreachable.Load() {
			chosen = append(chosen, n)
		}
	}
	return chosen
}

func noMember(newest *Record) error {
	var names []string
	for _, d := range newest.Members {
		names = append(names, fmt.Sprintf("%s (disk %s)", d.Path, d.Disk))
	}
	return fmt.Errorf("%w: it is in %s", ErrNoMember, strings.Join(names, ", "))
}

// whole reports whether a member still has its files.
func (s *Set) whole(n *node, newest *Record) bool {
	if !newest.Initialised {
		return true
	}
	_, err := s.at(n).Stat(n.files)
	if err != nil {
		s.opts.Logger.Error("metadata mirror has lost its files", slog.String("directory", n.Path), slog.Any("error", err))
	}
	return err == nil
}

// latest are the directories that were members by the newest of their own
// records, for a start that accepts losses.
func (s *Set) latest(own map[string]*Record) (out []*node) {
	var best *Record
	for _, n := range s.nodes {
		r := own[n.Disk]
		if r == nil || !has(r.Members, n.Disk) || !s.whole(n, r) {
			continue
		}
		if best == nil || r.compare(best) > 0 {
			best, out = r, nil
		}
		if r.compare(best) == 0 {
			out = append(out, n)
		}
	}
	if best == nil {
		return s.leftBehind()
	}
	return out
}

// leftBehind is the directory with the youngest files of those that are no
// members by their own record: the files' numbers only grow.
func (s *Set) leftBehind() (out []*node) {
	var highest uint64
	for _, n := range s.nodes {
		names, err := s.at(n).List(n.files)
		if err != nil {
			continue
		}
		for _, name := range names {
			digits := strings.TrimLeft(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-")
			end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
			if end < 0 {
				end = len(digits)
			}
			number, err := strconv.ParseUint(digits[:end], 10, 64)
			if err == nil && number > highest {
				highest, out = number, []*node{n}
			}
		}
	}
	return out
}

// take makes this start the one that may change the record, makes the members
// equal, and records who they are.
func (s *Set) take(ballot *Record) error {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	told := s.tell(s.reachable(), ballot)
	if err := ballot.majority(told); err != nil {
		return err
	}
	s.know(ballot)
	if err := s.equalise(); err != nil {
		return err
	}
	return s.publishLocked((*Record).half)
}
