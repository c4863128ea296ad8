package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
)

// ErrNoSpare says that no other directory can take the place of one that is to retire.
var ErrNoSpare = errors.New("mirror: no other directory can take the metadata's files")

// ErrChanged says that a directory was added or removed while it was to retire.
var ErrChanged = errors.New("mirror: the directory was changed meanwhile")

// Retire makes the set do without a directory: another one takes its place as
// a member first, then a record without it, as member and as voter, is durable,
// and its files are removed. It may be gone for good when Retire returns nil. It is
// no candidate from the call on, in later runs neither, until it is added again.
// [ErrNoSpare] says that there would be fewer members than wanted: it stays what it
// was, and [ErrChanged] that it was added again meanwhile. It may be repeated, and waits as long as
// the copying takes.
func (s *Set) Retire(ctx context.Context, d Dir) error {
	n, active := s.retiring(d)
	if n == nil {
		return nil
	}
	if active && s.wanted() > 0 {
		if err := s.Quiet(ctx); err != nil {
			n.retired.Store(false)
			return err
		}
	}
	s.entry.Lock()
	defer s.entry.Unlock()
	if err := s.retire(n); err != nil {
		return err
	}
	s.forget(n)
	return nil
}

// retiring marks a node as one to do without; nil when it is not known.
func (s *Set) retiring(d Dir) (n *node, member bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.indexLocked(d)
	if i < 0 {
		return nil, false
	}
	n = s.nodes[i]
	n.retired.Store(true)
	if n.role.CompareAndSwap(joining, outside) {
		s.refreshLocked()
	}
	return n, n.role.Load() == active
}

func (s *Set) indexLocked(d Dir) int {
	return slices.IndexFunc(s.nodes, func(n *node) bool { return n.Disk == d.Disk })
}

// stayingLocked counts the members that are to stay.
func (s *Set) stayingLocked() (count int) {
	for _, n := range s.members() {
		if !n.retired.Load() {
			count++
		}
	}
	return count
}

// retire publishes a record without a node.
func (s *Set) retire(n *node) error {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	s.mu.Lock()
	if !n.retired.Load() || !slices.Contains(s.nodes, n) { // forgotten, and perhaps added again
		s.mu.Unlock()
		return fmt.Errorf("%w: %s", ErrChanged, n.Path)
	}
	if n.role.Load() == active {
		if staying := s.stayingLocked(); staying < max(s.want, 1) {
			n.retired.Store(false)
			s.mu.Unlock()
			return fmt.Errorf("%w in the place of %s: %d of %d", ErrNoSpare, n.Path, staying, max(s.want, 1))
		}
		s.changed.Add(1) // before anybody goes on without it
	}
	n.role.Store(outside)
	s.refreshLocked()
	s.mu.Unlock()
	if err := s.publishLocked((*Record).half); err != nil {
		return err
	}
	s.opts.Logger.Info("metadata mirror is retired", slog.String("directory", n.Path))
	return nil
}

// forget removes what a retired node holds, and gives up its files. It may not
// answer any more: what counts is the record.
func (s *Set) forget(n *node) {
	n.busy.Add(1) // no candidate meanwhile
	defer n.busy.Add(-1)
	s.dropReaders(n)
	err := s.release(n)
	for _, dir := range []string{n.files, n.sums} {
		if rerr := s.at(n).RemoveAll(dir); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	if err != nil {
		s.opts.Logger.Warn("files of a retired metadata mirror are left", slog.String("directory", n.Path), slog.Any("error", err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = slices.DeleteFunc(s.nodes, func(o *node) bool { return o == n })
}
