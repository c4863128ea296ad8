package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/undercroft/undercroft/internal/vfs"
)

// Resync is the progress of taking a directory in.
type Resync struct {
	Directory         string
	Files, FilesTotal int
	Bytes, BytesTotal int64
}

var (
	errAborted = errors.New("mirror: resynchronisation was cut short")
	errNoRoom  = errors.New("mirror: too little room for the files")
)

// Maintain keeps so many members from now on, as far as there are directories:
// one that failed comes back, or a spare one takes its place.
func (s *Set) Maintain(want int) {
	s.mu.Lock()
	started := s.want > 0
	s.want = want
	s.mu.Unlock()
	s.poke()
	if !started && want > 0 {
		s.jobs.Go(s.maintain)
	}
}

// Quiet waits until there are as many members as wanted, or no directory is left
// to take in. It is for after Maintain.
func (s *Set) Quiet(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case s.ask <- done:
	case <-s.stop:
		return errAborted
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Set) maintain() {
	timer := time.NewTimer(s.opts.Retry)
	defer timer.Stop()
	for {
		s.fill()
		timer.Reset(s.opts.Retry)
		select {
		case <-s.wake:
		case done := <-s.ask:
			s.fill()
			close(done)
		case <-timer.C:
			s.retry()
		case <-s.stop:
			return
		}
	}
}

// retry gives every directory another chance.
func (s *Set) retry() {
	s.mu.Lock()
	back := false
	for _, n := range s.nodes {
		if n.role.Load() != outside || n.problem.Load() == nil && !n.unreachable.Load() {
			continue
		}
		if s.opts.Verify(n.Dir) == nil {
			n.problem.Store(nil)
			back = n.unreachable.Swap(false) || back
		}
	}
	s.mu.Unlock()
	if back {
		s.publishing.Lock()
		defer s.publishing.Unlock()
		_ = s.publishLocked((*Record).half) // it has failed for good then, and everybody is told
	}
}

// fill takes directories in until there are enough members, or none is left to
// try.
func (s *Set) fill() {
	for s.Err() == nil && !s.closing.Load() {
		n := s.candidate()
		if n == nil {
			return
		}
		if err := s.join(n); err != nil {
			s.opts.Logger.Error("directory cannot become a metadata mirror", slog.String("directory", n.Path), slog.Any("error", err))
			n.problem.CompareAndSwap(nil, &err)
			s.leave(n)
		}
	}
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
		if n.role.Load() == outside && !n.retired.Load() && !n.unreachable.Load() && n.problem.Load() == nil && n.busy.Load() == 0 {
			return n
		}
	}
	return nil
}

// leave ends the joining of a node.
func (s *Set) leave(n *node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.role.CompareAndSwap(joining, outside) {
		s.refreshLocked()
	}
	s.resync = Resync{}
}

// join copies all files to a node while they are in use, and makes it a
// member. From the first moment the node gets every change of names, and every
// write of the files made since; files that were open get their copy and their
// tail one by one.
func (s *Set) join(n *node) error {
	if err := s.prepare(n); err != nil {
		return err
	}
	s.names.Lock()
	list, err := s.List(Virtual)
	live := s.open.all()
	if err == nil {
		s.mu.Lock()
		n.life.Add(1)
		n.role.Store(joining)
		s.refreshLocked()
		s.mu.Unlock()
	}
	s.names.Unlock()
	if err != nil {
		return err
	}
	isLive := map[string]bool{lockFile: true}
	for _, f := range live {
		isLive[f.name] = true
	}
	list = slices.DeleteFunc(list, func(name string) bool { return isLive[name] || strings.HasSuffix(name, copySuffix) })
	if err := s.copyAll(n, list); err != nil {
		return err
	}
	for _, f := range live {
		if err := s.attach(n, f); err != nil {
			return fmt.Errorf("copy %s: %w", f.name, err)
		}
	}
	return s.promote(n)
}

// prepare empties a node, whatever stale files it has, and sees that there is
// room.
func (s *Set) prepare(n *node) error {
	if err := s.opts.Verify(n.Dir); err != nil {
		return err
	}
	s.mu.Lock()
	held := n.lock
	n.lock = nil
	s.mu.Unlock()
	if held != nil {
		if err := held.Close(); err != nil {
			return err
		}
	}
	if err := s.base.RemoveAll(n.files); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.base.RemoveAll(n.sums); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.lock([]*node{n}); err != nil {
		return err
	}
	var need int64
	names, err := s.List(Virtual)
	if err != nil {
		return err
	}
	for _, name := range names {
		if info, err := s.Stat(s.base.PathJoin(Virtual, name)); err == nil {
			need += info.Size()
		}
	}
	if u, err := s.base.GetDiskUsage(n.files); err == nil && u.AvailBytes < uint64(need+need/8) {
		return fmt.Errorf("%w: %d bytes of %d", errNoRoom, u.AvailBytes, need)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resync = Resync{Directory: n.Path, FilesTotal: len(names), BytesTotal: need}
	return nil
}

func (s *Set) alive(n *node) error {
	if s.closing.Load() || n.role.Load() == outside {
		return errAborted
	}
	return s.Err()
}

// copyAll copies files that nobody writes. One that was removed meanwhile is
// no error; a copy of it is left, and removed in the end.
func (s *Set) copyAll(n *node, names []string) error {
	for _, name := range names {
		if err := s.alive(n); err != nil {
			return err
		}
		src, err := s.Open(s.base.PathJoin(Virtual, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		size, err := s.copyVerified(n, src, name)
		err = errors.Join(err, src.Close())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		s.progress(size)
	}
	return nil
}

func (s *Set) progress(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resync.Files++
	s.resync.Bytes += size
}

// copyVerified copies through the mirror, so that every copy is a source.
func (s *Set) copyVerified(n *node, src vfs.File, name string) (int64, error) {
	info, err := src.Stat()
	if err != nil {
		return 0, err
	}
	dst, err := s.base.Create(s.base.PathJoin(n.files, name), vfs.Unspecified)
	if err != nil {
		return 0, err
	}
	if held := vfs.Allocated(info); held > info.Size() {
		_ = dst.Preallocate(0, held) // only to hold space
	}
	err = transfer(dst, src, 0, info.Size())
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err == nil {
		s.giveSums(n, name)
	}
	return info.Size(), err
}

func (s *Set) giveSums(n *node, name string) {
	if c := s.sumsOf(name); c != nil {
		s.writeSums([]*node{n}, name, c)
	}
}

// attach copies a file that is being written: most of it beside the writes,
// the rest while they wait, which from then on go to the node too.
func (s *Set) attach(n *node, f *file) error {
	if err := s.alive(n); err != nil {
		return err
	}
	src := s.newReader(f.name)
	defer func() { _ = src.Close() }()
	path := s.base.PathJoin(n.files, f.name)
	dst, err := s.base.Create(path, vfs.Unspecified)
	if err != nil {
		return err
	}
	f.mu.Lock()
	size := f.size
	f.mu.Unlock()
	err = transfer(dst, src, 0, size)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		err = transfer(dst, src, size, f.size)
	}
	if err == nil {
		err = dst.Sync()
	}
	if err == nil && !f.closed {
		f.handles = append(f.handles, s.newHandle(n, dst, path))
		s.progress(f.size)
		return nil
	}
	err = errors.Join(err, dst.Close())
	if f.closed && errors.Is(err, fs.ErrNotExist) {
		return nil // removed since
	}
	if err == nil {
		s.giveSums(n, f.name)
		s.progress(f.size)
	}
	return err
}

// promote makes a node that has everything a member. Names rest meanwhile.
func (s *Set) promote(n *node) error {
	s.names.Lock()
	defer s.names.Unlock()
	if err := s.sameNames(n); err != nil {
		return err
	}
	for _, dir := range []string{n.files, n.sums, n.Path} {
		if err := vfs.SyncDir(s.base, dir); err != nil {
			return err
		}
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	s.mu.Lock()
	if !n.role.CompareAndSwap(joining, active) {
		s.mu.Unlock()
		return errAborted
	}
	s.resync = Resync{}
	s.refreshLocked()
	s.count.joined.Add(1)
	s.mu.Unlock()
	if err := s.publishLocked((*Record).half); err != nil {
		return err
	}
	s.opts.Logger.Info("metadata mirror is up to date", slog.String("directory", n.Path))
	return nil
}

// sameNames removes what was removed while it was being copied.
func (s *Set) sameNames(n *node) error {
	want, err := s.List(Virtual)
	if err != nil {
		return err
	}
	got, err := s.base.List(n.files)
	if err != nil {
		return err
	}
	for _, name := range got {
		if !slices.Contains(want, name) && name != lockFile {
			if err := s.base.Remove(s.base.PathJoin(n.files, name)); err != nil {
				return err
			}
			s.removeSums(n, name)
		}
	}
	for _, name := range want {
		if !slices.Contains(got, name) && !strings.HasSuffix(name, copySuffix) {
			return fmt.Errorf("%w: %s is not there", errAborted, name)
		}
	}
	return nil
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
	target := s.base.PathJoin(n.files, name)
	dst, err := s.base.Create(target+copySuffix, vfs.Unspecified)
	if err != nil {
		return err
	}
	err = transfer(dst, src, 0, size)
	if err == nil {
		err = dst.Sync()
	}
	err = errors.Join(err, dst.Close())
	if errors.Is(err, errSource) {
		return errors.Join(s.base.Remove(target + copySuffix)) // no other copy is whole either: this one stays
	}
	if err != nil {
		return err
	}
	s.names.Lock()
	defer s.names.Unlock()
	if _, err := s.Stat(s.base.PathJoin(Virtual, name)); errors.Is(err, fs.ErrNotExist) {
		return s.base.Remove(target + copySuffix)
	}
	if err := s.base.Rename(target+copySuffix, target); err != nil {
		return err
	}
	s.giveSums(n, name)
	return vfs.SyncDir(s.base, n.files)
}
