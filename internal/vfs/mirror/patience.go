package mirror

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/awake"
	"github.com/undercroft/undercroft/internal/vfs"
)

// within runs op on a node and gives it up after so long: [ErrStalled]. Until op
// ends after all, which late is told of, the node counts as busy.
func within[T any](n *node, limit time.Duration, op func() (T, error), late func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done, gone := make(chan result), make(chan struct{})
	n.busy.Add(1)
	go func() {
		v, err := op()
		n.busy.Add(-1) // before anybody knows: who goes on finds the node free
		select {
		case done <- result{v, err}:
		case <-gone:
			if err == nil && late != nil {
				late(v)
			}
		}
	}()
	timer := awake.NewTimer(limit)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.v, r.err
	case <-timer.C:
		close(gone)
		var none T
		return none, ErrStalled
	}
}

func do(n *node, limit time.Duration, op func() error) error {
	_, err := within(n, limit, func() (struct{}, error) { return struct{}{}, op() }, nil)
	return err
}

// patience is how many times longer than a commit waits what nobody waits
// for may take: a sync of many megabytes, the removal of a tree.
const patience = 6

// at is the file system of a node for work in the background: each call and
// each operation on a file is given up in the end.
func (s *Set) at(n *node) *limited {
	return &limited{FS: s.base, n: n, limit: patience * s.opts.Stall}
}

// limited is a file system each of whose calls ends.
type limited struct {
	vfs.FS
	n     *node
	limit time.Duration
}

func (l *limited) do(op func() error) error { return do(l.n, l.limit, op) }

func (l *limited) file(open func() (vfs.File, error)) (vfs.File, error) {
	f, err := within(l.n, l.limit, open, func(f vfs.File) { _ = f.Close() })
	if err != nil {
		return nil, err
	}
	return l.wrap(f), nil
}

// Create implements [vfs.FS].
func (l *limited) Create(name string, c pebblevfs.DiskWriteCategory) (vfs.File, error) {
	return l.file(func() (vfs.File, error) { return l.FS.Create(name, c) })
}

// Open implements [vfs.FS].
func (l *limited) Open(name string, opts ...pebblevfs.OpenOption) (vfs.File, error) {
	return l.file(func() (vfs.File, error) { return l.FS.Open(name, opts...) })
}

// OpenDir implements [vfs.FS].
func (l *limited) OpenDir(name string) (vfs.File, error) {
	return l.file(func() (vfs.File, error) { return l.FS.OpenDir(name) })
}

// Remove implements [vfs.FS].
func (l *limited) Remove(name string) error {
	return l.do(func() error { return l.FS.Remove(name) })
}

// RemoveAll implements [vfs.FS].
func (l *limited) RemoveAll(name string) error {
	return l.do(func() error { return l.FS.RemoveAll(name) })
}

// Rename implements [vfs.FS].
func (l *limited) Rename(oldname, newname string) error {
	return l.do(func() error { return l.FS.Rename(oldname, newname) })
}

// MkdirAll implements [vfs.FS].
func (l *limited) MkdirAll(dir string, mode fs.FileMode) error {
	return l.do(func() error { return l.FS.MkdirAll(dir, mode) })
}

// Lock implements [vfs.FS].
func (l *limited) Lock(name string) (io.Closer, error) {
	return within(l.n, l.limit, func() (io.Closer, error) { return l.FS.Lock(name) }, func(c io.Closer) { _ = c.Close() })
}

// List implements [vfs.FS].
func (l *limited) List(dir string) ([]string, error) {
	return within(l.n, l.limit, func() ([]string, error) { return l.FS.List(dir) }, nil)
}

// Stat implements [vfs.FS].
func (l *limited) Stat(name string) (vfs.FileInfo, error) {
	return within(l.n, l.limit, func() (vfs.FileInfo, error) { return l.FS.Stat(name) }, nil)
}

// GetDiskUsage implements [vfs.FS].
func (l *limited) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	return within(l.n, l.limit, func() (vfs.DiskUsage, error) { return l.FS.GetDiskUsage(path) }, nil)
}

// limitedFile is a file each of whose operations ends. One that was given up may
// still be under way: it has buffers of its own, and the file is closed after it.
type limitedFile struct {
	vfs.File
	l    *limited
	turn turn
	late atomic.Bool // an operation was given up
}

func (l *limited) wrap(f vfs.File) *limitedFile {
	return &limitedFile{File: f, l: l, turn: make(turn, 1)}
}

func (f *limitedFile) do(op func() (int, error)) (int, error) {
	if f.late.Load() {
		return 0, ErrStalled
	}
	n, err := within(f.l.n, f.l.limit, func() (int, error) {
		f.turn.Lock()
		defer f.turn.Unlock()
		return op()
	}, nil)
	if errors.Is(err, ErrStalled) {
		f.late.Store(true)
	}
	return n, err
}

func (f *limitedFile) just(op func() error) error {
	_, err := f.do(func() (int, error) { return 0, op() })
	return err
}

// Close implements [vfs.File].
func (f *limitedFile) Close() error {
	if !f.late.Load() {
		return f.just(f.File.Close)
	}
	go func() {
		f.turn.Lock()
		defer f.turn.Unlock()
		_ = f.File.Close() // what it holds does not count
	}()
	return ErrStalled
}

// Sync implements [vfs.File].
func (f *limitedFile) Sync() error { return f.just(f.File.Sync) }

// SyncData implements [vfs.File].
func (f *limitedFile) SyncData() error { return f.just(f.File.SyncData) }

// Preallocate implements [vfs.File].
func (f *limitedFile) Preallocate(offset, length int64) error {
	return f.just(func() error { return f.File.Preallocate(offset, length) })
}

// Write implements [vfs.File].
func (f *limitedFile) Write(p []byte) (int, error) {
	own := slices.Clone(p)
	return f.do(func() (int, error) { return f.File.Write(own) })
}

// WriteAt implements [vfs.File].
func (f *limitedFile) WriteAt(p []byte, offset int64) (int, error) {
	own := slices.Clone(p)
	return f.do(func() (int, error) { return f.File.WriteAt(own, offset) })
}

// Read implements [vfs.File].
func (f *limitedFile) Read(p []byte) (int, error) {
	return f.read(p, f.File.Read)
}

// ReadAt implements [vfs.File].
func (f *limitedFile) ReadAt(p []byte, offset int64) (int, error) {
	return f.read(p, func(p []byte) (int, error) { return f.File.ReadAt(p, offset) })
}

func (f *limitedFile) read(p []byte, read func([]byte) (int, error)) (int, error) {
	own := make([]byte, len(p))
	n, err := f.do(func() (int, error) { return read(own) })
	return copy(p, own[:n]), err
}

// Fd implements [vfs.File]: nothing may pass by the limit.
func (f *limitedFile) Fd() uintptr { return vfs.InvalidFd }
