package mirror

import (
	"errors"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/undercroft/undercroft/internal/awake"
	"github.com/undercroft/undercroft/internal/vfs"
)

// ErrCorrupt says that a copy does not match its checksums.
var ErrCorrupt = errors.New("mirror: the copy is corrupt")

// on runs a read on a node, and gives the node up when it does not answer
// while there are others.
func on[T any](s *Set, n *node, op func() (T, error)) (T, error) {
	if len(s.members()) < 2 {
		return op()
	}
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := op()
		done <- result{v, err}
	}()
	timer := awake.NewTimer(s.opts.Stall)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.v, r.err
	case <-timer.C:
		var none T
		if !s.eject(n, ErrStalled) {
			r := <-done
			return r.v, r.err
		}
		return none, ErrStalled
	}
}

// reader is a file open for reading, on the members that were needed so far.
type reader struct {
	s    *Set
	name string

	mu      sync.Mutex // guards what follows
	handles map[*node]vfs.File
	sums    *sums
	loaded  bool
	closed  bool

	position int64 // of Read
}

var _ vfs.File = (*reader)(nil)

func (s *Set) newReader(name string) *reader {
	r := &reader{s: s, name: name, handles: map[*node]vfs.File{}}
	s.open.Lock()
	defer s.open.Unlock()
	s.open.readers[r] = true
	return r
}

// dropReaders closes what is open for reading on a node that is out, so that it can
// be unmounted.
func (s *Set) dropReaders(n *node) {
	s.open.Lock()
	all := slices.Collect(maps.Keys(s.open.readers))
	s.open.Unlock()
	for _, r := range all {
		r.drop(n)
	}
}

// handle opens the copy of a node.
func (r *reader) handle(n *node) (vfs.File, error) {
	r.mu.Lock()
	f := r.handles[n]
	r.mu.Unlock()
	if f != nil {
		return f, nil
	}
	f, err := on(r.s, n, func() (vfs.File, error) {
		return r.s.base.Open(r.s.base.PathJoin(n.files, r.name))
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.handles[n]; other != nil || r.closed {
		_ = f.Close() // nothing was written
		return other, errIf(r.closed, errors.New("mirror: file is closed"))
	}
	r.handles[n] = f
	return f, nil
}

func errIf(cond bool, err error) error { //nolint:revive // chooses nothing
	if cond {
		return err
	}
	return nil
}

// drop forgets a copy that is bad; the one that replaces it is opened anew. The
// handle may be in use: it is closed when the reader is.
func (r *reader) drop(n *node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.handles[n]; f != nil {
		delete(r.handles, n)
		go func() { _ = f.Close() }()
	}
}

func (r *reader) checksums() *sums {
	r.mu.Lock()
	loaded, c := r.loaded, r.sums
	r.mu.Unlock()
	if loaded {
		return c
	}
	c = r.s.sumsOf(r.name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sums, r.loaded = c, true
	return c
}

// sources are the members in the order to read from: those whose copy is not
// known to be bad first.
func (s *Set) sources(name string) []*node {
	members := s.members()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.healing) == 0 {
		return members
	}
	good := slices.DeleteFunc(slices.Clone(members), func(n *node) bool { return s.healing[copyName{n, name}] })
	for _, n := range members {
		if s.healing[copyName{n, name}] {
			good = append(good, n)
		}
	}
	return good
}

// ReadAt implements [vfs.File]. A copy that fails or does not verify is
// read from another member and healed.
func (r *reader) ReadAt(p []byte, offset int64) (int, error) {
	c := r.checksums()
	var bad []*node
	var first error
	for _, n := range r.s.sources(r.name) {
		got, err := r.readFrom(n, p, offset, c)
		if err == nil || errors.Is(err, io.EOF) {
			for _, b := range bad {
				r.s.heal(b, r.name, first)
			}
			return got, err
		}
		if first == nil {
			first = err
		}
		bad = append(bad, n)
		r.drop(n)
	}
	if c != nil && errors.Is(first, ErrCorrupt) {
		// No copy verifies: rather the checksums are wrong. The blocks have
		// their own, above.
		return r.unverified(p, offset)
	}
	if first == nil {
		first = ErrLost
	}
	return 0, first
}

func (r *reader) unverified(p []byte, offset int64) (n int, err error) {
	for _, m := range r.s.members() {
		if n, err = r.readFrom(m, p, offset, nil); err == nil || errors.Is(err, io.EOF) {
			return n, err
		}
	}
	return 0, err
}

// readFrom reads from one node, whole chunks where there are checksums.
func (r *reader) readFrom(n *node, p []byte, offset int64, c *sums) (int, error) {
	f, err := r.handle(n)
	if err != nil {
		return 0, err
	}
	if c == nil {
		if len(r.s.members()) < 2 {
			return f.ReadAt(p, offset)
		}
		buf := make([]byte, len(p)) // one that stalls keeps it
		got, err := on(r.s, n, func() (int, error) { return f.ReadAt(buf, offset) })
		return copy(p, buf[:got]), err
	}
	if offset >= c.size {
		return 0, io.EOF
	}
	begin := offset / sumChunk * sumChunk
	end := min((offset+int64(len(p))+sumChunk-1)/sumChunk*sumChunk, c.size)
	buf := make([]byte, end-begin)
	got, err := on(r.s, n, func() (int, error) { return f.ReadAt(buf, begin) })
	if got < len(buf) && (err == nil || errors.Is(err, io.EOF)) {
		return 0, ErrCorrupt // it is shorter than it was
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if err := c.verify(buf, begin); err != nil {
		return 0, err
	}
	got = copy(p, buf[offset-begin:])
	if got < len(p) {
		return got, io.EOF
	}
	return got, nil
}

// Read implements [vfs.File].
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadAt(p, r.position)
	r.position += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Stat implements [vfs.File].
func (r *reader) Stat() (vfs.FileInfo, error) { return r.s.Stat(r.s.base.PathJoin(Virtual, r.name)) }

// Prefetch implements [vfs.File].
func (r *reader) Prefetch(offset, length int64) error {
	for _, n := range r.s.sources(r.name) {
		if f, err := r.handle(n); err == nil {
			return f.Prefetch(offset, length)
		}
	}
	return nil
}

// Close implements [vfs.File].
func (r *reader) Close() error {
	r.s.open.Lock()
	delete(r.s.open.readers, r)
	r.s.open.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for n, f := range r.handles {
		if n.role.Load() == outside {
			go func() { _ = f.Close() }() // it may stall
			continue
		}
		_ = f.Close() // nothing was written
	}
	clear(r.handles)
	return nil
}

// Fd implements [vfs.File]: there is no one descriptor.
func (r *reader) Fd() uintptr { return vfs.InvalidFd }

// The rest of [vfs.File] is for writers.

// Write is not supported.
func (r *reader) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// WriteAt is not supported.
func (r *reader) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// Preallocate is not supported.
func (r *reader) Preallocate(int64, int64) error { return errors.ErrUnsupported }

// Sync does nothing.
func (r *reader) Sync() error { return nil }

// SyncTo does nothing.
func (r *reader) SyncTo(int64) (bool, error) { return false, nil }

// SyncData does nothing.
func (r *reader) SyncData() error { return nil }
