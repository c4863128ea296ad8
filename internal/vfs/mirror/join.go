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
		s.fillPatiently()
		timer.Reset(s.opts.Retry)
		select {
		case <-s.wake:
		case done := <-s.ask:
			s.fillPatiently()
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
	back := false
	for _, n := range s.rested() {
		// It may not answer: no lock is held.
		if do(n, s.opts.Stall, func() error { return s.verify(n) }) != nil {
			continue
		}
		if n.unreachable.Load() {
			if err := s.guard(n); err != nil {
				n.problem.Store(&err)
				continue
			}
			n.unreachable.Store(false)
			back = true
		}
		n.problem.Store(nil)
	}
	if back {
		s.publishing.Lock()
		defer s.publishing.Unlock()
		_ = s.publishLocked((*Record).half) // it has failed for good then, and everybody is told
	}
}

// fill takes directories in until there are enough members, or none is left to
// try.
func (s *Set) fill() {
	for tries := 0; s.Err() == nil && !s.closing.Load(); {
		n := s.candidate()
		if n == nil {
			return
		}
		if err := s.join(n); err != nil {
			if n.role.Load() == joining && errors.Is(err, fs.ErrNotExist) && tries < 3 {
				tries++ // a file went meanwhile: that is not its fault
				s.leave(n)
				continue
			}
			s.opts.Logger.Error("directory cannot become a metadata mirror", slog.String("directory", n.Path), slog.Any("error", err))
			n.problem.CompareAndSwap(nil, &err)
			s.leave(n)
		}
	}
}

// leave ends the joining of a node.
func (s *Set) leave(n *node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.role.CompareAndSwap(joining, outside) {
		n.rest.again()
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
		err = s.enlist(n)
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

// enlist makes a node get every change from now on. It does not where the record
// could not be written to it meanwhile: as a member it would be in the way of each
// later one.
func (s *Set) enlist(n *node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.unreachable.Load() || n.retired.Load() {
		return errAborted
	}
	n.life.Add(1)
	n.role.Store(joining)
	s.refreshLocked()
	return nil
}

// prepare empties a node, whatever stale files it has, and sees that there is
// room.
func (s *Set) prepare(n *node) error {
	if err := do(n, s.opts.Stall, func() error { return s.verify(n) }); err != nil {
		return err
	}
	if err := s.lock(n); err != nil { // before anything is removed: somebody may use it
		return err
	}
	for _, dir := range []string{n.files, n.sums} {
		if err := s.empty(n, dir); err != nil {
			return err
		}
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
	if u, err := s.at(n).GetDiskUsage(n.files); err == nil && u.AvailBytes < uint64(need+need/8) {
		return fmt.Errorf("%w: %d bytes of %d", errNoRoom, u.AvailBytes, need)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resync = Resync{Directory: n.Path, FilesTotal: len(names), BytesTotal: need}
	return nil
}

// empty removes what is in a directory of a node, but the lock.
func (s *Set) empty(n *node, dir string) error {
	base := s.at(n)
	names, err := base.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == lockFile {
			continue
		}
		if err := base.RemoveAll(base.PathJoin(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
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
		err = s.copyVerified(n, src, name)
		err = errors.Join(err, src.Close())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		s.progress(0)
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
func (s *Set) copyVerified(n *node, src vfs.File, name string) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := s.at(n).Create(s.base.PathJoin(n.files, name), vfs.Unspecified)
	if err != nil {
		return err
	}
	if held := vfs.Allocated(info); held > info.Size() {
		_ = dst.Preallocate(0, held) // only to hold space
	}
	err = transferAt(func(bytes int64) error { return s.paced(n, bytes) }, dst, src, [2]int64{0, info.Size()})
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err == nil {
		s.giveSums(n, name)
	}
	return err
}

func (s *Set) giveSums(n *node, name string) {
	if c := s.sumsOf(name); c != nil {
		// A copy without is read without being verified here.
		_ = do(n, s.opts.Stall, func() error {
			return vfs.WriteFile(s.base, s.base.PathJoin(n.sums, name), c.encode(), 0o640)
		})
	}
}

// attach copies a file that is being written: most of it beside the writes,
// the rest while they wait, which from then on go to the node too. They wait for
// this node no longer than for any other.
func (s *Set) attach(n *node, f *file) error {
	if err := s.alive(n); err != nil {
		return err
	}
	src := s.newReader(f.name)
	defer func() { _ = src.Close() }()
	path := s.base.PathJoin(n.files, f.name)
	h, err := within(n, s.opts.Stall, func() (*handle, error) {
		dst, err := s.base.Create(path, vfs.Unspecified)
		if err != nil {
			return nil, err
		}
		return s.newHandle(n, dst, path), nil
	}, func(late *handle) { _ = late.f.Close() })
	if err != nil {
		return err
	}
	slow := s.at(n).wrap(h.f)
	size, err := s.approach(n, f, slow, src)
	if err != nil {
		err = errors.Join(err, slow.Close())
		if f.isClosed() && errors.Is(err, fs.ErrNotExist) {
			return nil // removed since
		}
		return err
	}
	closed, err := s.arrive(f, h, src, size)
	switch {
	case closed && errors.Is(err, fs.ErrNotExist):
		return nil // likewise
	case err != nil:
		return err
	case closed:
		s.giveSums(n, f.name)
	}
	return nil
}

// approach copies what there is until little is left, durably.
func (s *Set) approach(n *node, f *file, dst vfs.File, src *reader) (size int64, err error) {
	pace := func(bytes int64) error { return s.paced(n, bytes) } // once: then the writes are to be caught up with
	for range approaches {
		from := size
		f.mu.Lock()
		size = f.size
		f.mu.Unlock()
		err := transferAt(pace, dst, src, [2]int64{from, size})
		if err == nil {
			err = dst.Sync()
		}
		if err != nil {
			return 0, err
		}
		pace = s.counted
		if size-from < copyBuffer {
			break
		}
	}
	return size, nil
}

const approaches = 8

// arrive copies the rest while the file's writes wait, and makes them go to the
// copy too unless the file is closed.
func (s *Set) arrive(f *file, h *handle, src *reader, from int64) (closed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size, closed := f.size, f.closed
	_, err = within(h.n, s.opts.Stall, func() (struct{}, error) {
		err := transfer(h.f, src, from, size)
		if err == nil {
			err = h.f.Sync()
		}
		if err != nil || closed {
			err = errors.Join(err, h.f.Close())
		}
		return struct{}{}, err
	}, func(struct{}) { _ = h.f.Close() })
	if err == nil && !closed {
		f.handles = append(f.handles, h)
	}
	if err == nil {
		s.progress(size - from)
	}
	return closed, err
}

// promote makes a node that has everything a member. Names rest meanwhile; what
// takes long is done before.
func (s *Set) promote(n *node) error {
	if err := s.syncNames(n, s.at(n)); err != nil {
		return err
	}
	s.names.Lock()
	defer s.names.Unlock()
	err := do(n, s.opts.Stall, func() error {
		if err := s.sameNames(n, s.base); err != nil {
			return err
		}
		return s.syncNames(n, s.base)
	})
	if err != nil {
		return err
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	s.mu.Lock()
	if n.unreachable.Load() || n.retired.Load() || !n.role.CompareAndSwap(joining, active) {
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

func (s *Set) syncNames(n *node, base vfs.FS) error {
	for _, dir := range []string{n.files, n.sums, n.Path} {
		if err := vfs.SyncDir(base, dir); err != nil {
			return err
		}
	}
	return nil
}

// sameNames removes what was removed while it was being copied.
func (s *Set) sameNames(n *node, base vfs.FS) error {
	want, err := s.List(Virtual)
	if err != nil {
		return err
	}
	got, err := base.List(n.files)
	if err != nil {
		return err
	}
	for _, name := range got {
		if !slices.Contains(want, name) && name != lockFile {
			if err := base.Remove(base.PathJoin(n.files, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			s.removeSums(n, name)
		}
	}
	for _, name := range want {
		if !slices.Contains(got, name) && !strings.HasSuffix(name, copySuffix) {
			return fmt.Errorf("%w: %s: %w", errAborted, name, fs.ErrNotExist)
		}
	}
	return nil
}
