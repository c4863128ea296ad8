package mirror

import (
	"errors"
	"io/fs"
	"log/slog"

	"github.com/undercroft/undercroft/internal/vfs"
)

// heal replaces a bad copy by a good one, in the background.
func (s *Set) heal(n *node, name string, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := copyName{n, name}
	if s.healing[key] || n.role.Load() != active || s.closing.Load() {
		return
	}
	s.healing[key] = true
	s.count.otherReads.Add(1)
	s.opts.Logger.Error("metadata file is read from another mirror", slog.String("directory", n.Path),
		slog.String("file", name), slog.Any("error", cause))
	s.jobs.Go(func() {
		err := s.replace(n, name)
		s.mu.Lock()
		delete(s.healing, key)
		s.mu.Unlock()
		if err != nil {
			s.eject(n, err)
			_ = s.settled() // whoever writes next gets the same answer
			return
		}
		s.count.healed.Add(1)
	})
}

// replace heals one file of a member from another member.
func (s *Set) replace(n *node, name string) error {
	src := s.newReader(name)
	defer func() { _ = src.Close() }()
	info, err := s.Stat(s.base.PathJoin(Virtual, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed since
	}
	if err != nil {
		return err
	}
	size := info.Size()
	if c := src.checksums(); c != nil {
		size = c.size
	}
	base, target := s.at(n), s.base.PathJoin(n.files, name)
	dst, err := base.Create(target+copySuffix, vfs.Unspecified)
	if err != nil {
		return err
	}
	err = transfer(dst, src, 0, size)
	if err == nil {
		err = dst.Sync()
	}
	err = errors.Join(err, dst.Close())
	if errors.Is(err, errSource) {
		return errors.Join(base.Remove(target + copySuffix)) // no other copy is whole either: this one stays
	}
	if err != nil {
		return err
	}
	s.giveSums(n, name)
	return s.exchange(n, name)
}

// exchange gives the new copy of a file its name, unless the file was removed
// meanwhile.
func (s *Set) exchange(n *node, name string) error {
	target := s.base.PathJoin(n.files, name)
	s.names.Lock()
	defer s.names.Unlock()
	_, err := s.Stat(s.base.PathJoin(Virtual, name))
	removed := errors.Is(err, fs.ErrNotExist)
	return do(n, s.opts.Stall, func() error {
		if removed {
			s.removeSums(n, name)
			return s.base.Remove(target + copySuffix)
		}
		if err := s.base.Rename(target+copySuffix, target); err != nil {
			return err
		}
		return vfs.SyncDir(s.base, n.files)
	})
}
