package mirror

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"syscall"

	"github.com/undercroft/undercroft/internal/vfs"
)

// guardFile is the lock of a directory's record.
const guardFile = "membership.lock"

// guardAll takes the locks of the records: a process that has one of them may be
// about to change all. A directory whose lock cannot be taken for another
// reason cannot take a record either.
func (s *Set) guardAll() error {
	for _, n := range s.nodes {
		err := s.guard(n)
		if errors.Is(err, vfs.ErrLocked) {
			return err
		}
		if err != nil {
			n.unreachable.Store(true)
			n.problem.Store(&err)
			s.opts.Logger.Error("membership record cannot be locked", slog.String("directory", n.Path), slog.Any("error", err))
		}
	}
	return nil
}

// guard takes the lock of a node's record, anew if it had been taken.
func (s *Set) guard(n *node) error {
	return s.lockFile(n, &n.guard, s.base.PathJoin(n.Path, guardFile))
}

// lock takes the lock of a node's files, whose directories it makes.
func (s *Set) lock(n *node) error {
	for _, dir := range []string{n.files, n.sums} {
		if err := vfs.MkdirAll(s.at(n), dir, 0o750); err != nil {
			return err
		}
	}
	return s.lockFile(n, &n.lock, s.base.PathJoin(n.files, lockFile))
}

func (s *Set) lockFile(n *node, held *io.Closer, name string) error {
	if err := s.unlock(n, held); err != nil {
		return err
	}
	l, err := s.at(n).Lock(name)
	if err != nil && lockIsHeld(err) {
		return fmt.Errorf("%s is used by another process: %w: %w", n.Path, vfs.ErrLocked, err)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	released := n.released
	if !released {
		*held = l
	}
	s.mu.Unlock()
	if released {
		return errors.Join(errAborted, do(n, s.opts.Stall, l.Close))
	}
	return nil
}

// release gives a node's locks up for good: work on it that has not ended yet takes
// none after that.
func (s *Set) release(n *node) error {
	s.mu.Lock()
	n.released = true
	s.mu.Unlock()
	return errors.Join(s.unlock(n, &n.lock), s.unlock(n, &n.guard))
}

func (s *Set) unlock(n *node, held *io.Closer) error {
	s.mu.Lock()
	l := *held
	*held = nil
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	return do(n, s.opts.Stall, l.Close)
}

// lockIsHeld tells a lock that somebody has from a directory that fails. What is
// not known counts as held.
func lockIsHeld(err error) bool {
	var path *fs.PathError // of the opening of the file
	var number syscall.Errno
	switch {
	case errors.As(err, &path), errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrStalled):
		return false
	case errors.As(err, &number):
		return number == syscall.EAGAIN || number == syscall.EACCES
	}
	return true
}

// lockAll takes the locks of the files of nodes. Those that fail at it are left
// out.
func (s *Set) lockAll(nodes []*node) (locked []*node, err error) {
	for _, n := range nodes {
		err := s.lock(n)
		if errors.Is(err, vfs.ErrLocked) {
			return nil, err
		}
		if err != nil {
			n.problem.Store(&err)
			s.opts.Logger.Error("metadata mirror cannot be locked", slog.String("directory", n.Path), slog.Any("error", err))
			continue
		}
		locked = append(locked, n)
	}
	return locked, nil
}
