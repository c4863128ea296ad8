package mirror

import (
	"errors"
	"io"
	"io/fs"
	"strings"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs"
)

var _ vfs.FS = (*Set)(nil)

// inside answers the name below [Virtual], "" for the directory itself.
func inside(name string) (rest string, ok bool) {
	if name == Virtual {
		return "", true
	}
	return strings.CutPrefix(name, Virtual+"/")
}

func (s *Set) path(n *node, rest string) string {
	if rest == "" {
		return n.files
	}
	return s.base.PathJoin(n.files, rest)
}

// change does op on all nodes of the view at once, and settles the result. A
// node that is joining may lack what is still to be copied. Called with names held for
// reading.
func (s *Set) change(nodes []*node, op func(n *node) error) error {
	return s.forgiving(nodes, func(n *node) bool { return n.role.Load() != active }, op)
}

// removal is a change for which no node needs to have what another has: obsolete
// files differ.
func (s *Set) removal(nodes []*node, op func(n *node) error) error {
	return s.forgiving(nodes, func(*node) bool { return true }, op)
}

func (s *Set) forgiving(nodes []*node, lacks func(n *node) bool, op func(n *node) error) error {
	errs := s.fanOut(nodes, func(i int) error { return op(nodes[i]) })
	done := false
	for i, n := range nodes {
		done = done || errs[i] == nil && n.role.Load() == active
	}
	for i, n := range nodes {
		if done && errors.Is(errs[i], fs.ErrNotExist) && lacks(n) {
			errs[i] = nil
		}
	}
	return s.settle(nodes, errs)
}

// create makes a file on all nodes by open.
func (s *Set) create(rest string, sum *summer, open func(n *node) (vfs.File, error)) (vfs.File, error) {
	s.names.RLock()
	defer s.names.RUnlock()
	nodes := *s.view.Load()
	made := make([]*handle, len(nodes))
	errs := s.fanOut(nodes, func(i int) error {
		f, err := open(nodes[i])
		if err != nil {
			return err
		}
		made[i] = s.newHandle(nodes[i], f, s.path(nodes[i], rest))
		return nil
	})
	f := &file{s: s, name: rest, sums: sum, mu: make(turn, 1)}
	for i := range nodes {
		if errs[i] == nil {
			f.handles = append(f.handles, made[i])
		}
	}
	if err := s.settle(nodes, errs); err != nil {
		for _, h := range f.handles {
			err = errors.Join(err, h.close())
		}
		return nil, err
	}
	s.open.add(f)
	return f, nil
}

// Create implements [vfs.FS].
func (s *Set) Create(name string, category pebblevfs.DiskWriteCategory) (vfs.File, error) {
	rest, ok := inside(name)
	if !ok {
		return s.base.Create(name, category)
	}
	return s.create(rest, newSummer(rest), func(n *node) (vfs.File, error) {
		s.removeSums(n, rest)
		return s.base.Create(s.path(n, rest), category)
	})
}

// ReuseForWrite implements [vfs.FS]. A node that is joining begins a new file:
// the old one may be in the middle of being copied there, and what is still
// to come of it would go into the new one.
func (s *Set) ReuseForWrite(oldname, newname string, category pebblevfs.DiskWriteCategory) (vfs.File, error) {
	from, ok := inside(oldname)
	to, ok2 := inside(newname)
	if !ok || !ok2 {
		return s.base.ReuseForWrite(oldname, newname, category)
	}
	return s.create(to, nil, func(n *node) (vfs.File, error) {
		if n.role.Load() == active {
			f, err := s.base.ReuseForWrite(s.path(n, from), s.path(n, to), category)
			if errors.Is(err, fs.ErrNotExist) {
				return s.base.Create(s.path(n, to), category) // obsolete files differ
			}
			return f, err
		}
		if err := s.base.Remove(s.path(n, from)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return s.base.Create(s.path(n, to), category)
	})
}

// OpenReadWrite implements [vfs.FS].
func (s *Set) OpenReadWrite(name string, category pebblevfs.DiskWriteCategory, opts ...pebblevfs.OpenOption) (vfs.File, error) {
	rest, ok := inside(name)
	if !ok {
		return s.base.OpenReadWrite(name, category, opts...)
	}
	return s.create(rest, nil, func(n *node) (vfs.File, error) {
		return s.base.OpenReadWrite(s.path(n, rest), category, opts...)
	})
}

// Open implements [vfs.FS].
func (s *Set) Open(name string, opts ...pebblevfs.OpenOption) (vfs.File, error) {
	rest, ok := inside(name)
	if !ok {
		return s.base.Open(name, opts...)
	}
	r := s.newReader(rest)
	var first error
	var bad []*node
	for _, n := range s.sources(rest) {
		if _, err := r.handle(n); err != nil {
			if first == nil {
				first = err
			}
			bad = append(bad, n)
			continue
		}
		for _, b := range bad {
			s.heal(b, rest, first)
		}
		for _, o := range opts {
			o.Apply(r)
		}
		return r, nil
	}
	if first == nil {
		first = ErrLost
	}
	_ = r.Close() // nothing is open
	return nil, first
}

// directory is the mirrored directory, to be synced.
type directory struct {
	*reader
	rest string
}

// OpenDir implements [vfs.FS].
func (s *Set) OpenDir(name string) (vfs.File, error) {
	rest, ok := inside(name)
	if !ok {
		if name == s.base.PathDir(Virtual) {
			return &directory{reader: s.newReader("")}, nil // it exists in this file system only
		}
		return s.base.OpenDir(name)
	}
	if _, err := s.Stat(name); err != nil {
		return nil, err
	}
	return &directory{reader: s.newReader(rest), rest: rest}, nil
}

// Sync opens the directories by name, so that one that was removed fails.
func (d *directory) Sync() error {
	if d.name != d.rest || d.s == nil {
		return nil
	}
	d.s.names.RLock()
	defer d.s.names.RUnlock()
	nodes := *d.s.view.Load()
	errs := d.s.fanOut(nodes, func(i int) error {
		return vfs.SyncDir(d.s.base, d.s.path(nodes[i], d.rest))
	})
	return d.s.settle(nodes, errs)
}

// SyncData implements [vfs.File].
func (d *directory) SyncData() error { return d.Sync() }

// Remove implements [vfs.FS].
func (s *Set) Remove(name string) error {
	rest, ok := inside(name)
	if !ok {
		return s.base.Remove(name)
	}
	s.names.RLock()
	defer s.names.RUnlock()
	return s.removal(*s.view.Load(), func(n *node) error {
		err := s.base.Remove(s.path(n, rest))
		if err == nil {
			s.removeSums(n, rest)
		}
		return err
	})
}

// RemoveAll implements [vfs.FS].
func (s *Set) RemoveAll(name string) error {
	rest, ok := inside(name)
	if !ok {
		return s.base.RemoveAll(name)
	}
	s.names.RLock()
	defer s.names.RUnlock()
	return s.removal(*s.view.Load(), func(n *node) error { return s.base.RemoveAll(s.path(n, rest)) })
}

// Rename implements [vfs.FS].
func (s *Set) Rename(oldname, newname string) error {
	from, ok := inside(oldname)
	to, ok2 := inside(newname)
	if !ok || !ok2 {
		return s.base.Rename(oldname, newname)
	}
	s.names.RLock()
	defer s.names.RUnlock()
	return s.change(*s.view.Load(), func(n *node) error {
		if summed(from) && summed(to) {
			s.renameSums(n, from, to)
		}
		return s.base.Rename(s.path(n, from), s.path(n, to))
	})
}

// Link implements [vfs.FS]; a link out of the directory is not possible, and
// Pebble copies then.
func (s *Set) Link(oldname, newname string) error {
	from, ok := inside(oldname)
	to, ok2 := inside(newname)
	switch {
	case !ok && !ok2:
		return s.base.Link(oldname, newname)
	case !ok || !ok2:
		return errors.ErrUnsupported
	}
	s.names.RLock()
	defer s.names.RUnlock()
	return s.change(*s.view.Load(), func(n *node) error { return s.base.Link(s.path(n, from), s.path(n, to)) })
}

// MkdirAll implements [vfs.FS]. The members' directories are there, and are not
// made again where they vanished.
func (s *Set) MkdirAll(dir string, perm fs.FileMode) error {
	rest, ok := inside(dir)
	if !ok {
		return s.base.MkdirAll(dir, perm)
	}
	if rest == "" {
		_, err := s.Stat(dir)
		return err
	}
	s.names.RLock()
	defer s.names.RUnlock()
	return s.change(*s.view.Load(), func(n *node) error { return s.base.MkdirAll(s.path(n, rest), perm) })
}

// held is a lock that the set holds already.
type held struct{}

func (held) Close() error { return nil }

// Lock implements [vfs.FS]. The set took the locks of all members when it was
// opened and holds them until it is closed.
func (s *Set) Lock(name string) (io.Closer, error) {
	if _, ok := inside(name); !ok {
		return s.base.Lock(name)
	}
	return held{}, nil
}

// look reads from the first member that answers. One that lacks what another
// has does not count as answering.
func look[T any](s *Set, op func(n *node) (T, error)) (T, error) {
	var first error
	var none T
	for _, n := range s.members() {
		v, err := on(s, n, func() (T, error) { return op(n) })
		if err == nil {
			return v, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = ErrLost
	}
	return none, first
}

// List implements [vfs.FS].
func (s *Set) List(dir string) ([]string, error) {
	rest, ok := inside(dir)
	if !ok {
		return s.base.List(dir)
	}
	return look(s, func(n *node) ([]string, error) { return s.base.List(s.path(n, rest)) })
}

// Stat implements [vfs.FS].
func (s *Set) Stat(name string) (vfs.FileInfo, error) {
	rest, ok := inside(name)
	if !ok {
		return s.base.Stat(name)
	}
	return look(s, func(n *node) (vfs.FileInfo, error) { return s.base.Stat(s.path(n, rest)) })
}

// GetDiskUsage implements [vfs.FS]: that of the member with the most room,
// because one that fills up is ejected.
func (s *Set) GetDiskUsage(path string) (most vfs.DiskUsage, err error) {
	rest, ok := inside(path)
	if !ok {
		return s.base.GetDiskUsage(path)
	}
	found := false
	for _, n := range s.members() {
		u, uerr := on(s, n, func() (vfs.DiskUsage, error) { return s.base.GetDiskUsage(s.path(n, rest)) })
		if uerr != nil {
			err = uerr
			continue
		}
		if !found || u.AvailBytes > most.AvailBytes {
			most, found = u, true
		}
	}
	if found {
		return most, nil
	}
	return most, err
}

// PathBase implements [vfs.FS].
func (s *Set) PathBase(path string) string { return s.base.PathBase(path) }

// PathJoin implements [vfs.FS].
func (s *Set) PathJoin(elem ...string) string { return s.base.PathJoin(elem...) }

// PathDir implements [vfs.FS].
func (s *Set) PathDir(path string) string { return s.base.PathDir(path) }

// Unwrap implements [vfs.FS]: there is no one file system below.
func (s *Set) Unwrap() vfs.FS { return nil }
