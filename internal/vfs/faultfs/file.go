package faultfs

import (
	"slices"
	"sync/atomic"

	"github.com/undercroft/undercroft/internal/vfs"
)

// file wraps an open file. It hides the descriptor, so that nobody writes past
// the rules.
type file struct {
	below    vfs.File
	fs       *FS
	name     string
	position atomic.Int64 // of Read, to match ranges
	end      atomic.Int64 // of Write
}

var (
	_ vfs.File        = (*file)(nil)
	_ vfs.WritevAter  = (*file)(nil)
	_ vfs.HolePuncher = (*file)(nil)
	_ vfs.Extender    = (*file)(nil)
	_ vfs.DataSeeker  = (*file)(nil)

	_ vfs.DirectOpener = (*file)(nil)
)

func (f *FS) wrap(name string) func(vfs.File, error) (vfs.File, error) {
	return func(below vfs.File, err error) (vfs.File, error) {
		if err != nil {
			return nil, err
		}
		return &file{below: below, fs: f, name: name}, nil
	}
}

func (f *file) op(kind Kind, offset, length int64) Op {
	return Op{Kind: kind, Name: f.name, Offset: offset, Length: length}
}

// Close implements [vfs.File].
func (f *file) Close() error { return f.below.Close() }

// Read implements [vfs.File].
func (f *file) Read(p []byte) (int, error) {
	at := f.position.Load()
	r := f.fs.before(f.op(Read, at, int64(len(p))))
	if r != nil && r.Err != nil {
		return 0, r.Err
	}
	n, err := f.below.Read(p)
	f.position.Add(int64(n))
	flip(r, p[:n], at)
	return n, err
}

// ReadAt implements [vfs.File].
func (f *file) ReadAt(p []byte, offset int64) (int, error) {
	r := f.fs.before(f.op(Read, offset, int64(len(p))))
	if r != nil && r.Err != nil {
		return 0, r.Err
	}
	n, err := f.below.ReadAt(p, offset)
	flip(r, p[:n], offset)
	return n, err
}

func flip(r *Rule, p []byte, offset int64) {
	if r == nil || !r.Flip || r.From < offset || r.From >= offset+int64(len(p)) {
		return
	}
	p[r.From-offset] ^= 1 << r.FlipBit
}

// Write implements [vfs.File].
func (f *file) Write(p []byte) (int, error) {
	r := f.fs.before(f.op(Write, f.end.Load(), int64(len(p))))
	if r != nil && r.Err != nil {
		n := 0
		if r.Torn {
			n, _ = f.below.Write(p[:len(p)/2]) // the rule's error is the answer
		}
		return n, r.Err
	}
	n, err := f.below.Write(p)
	f.end.Add(int64(n))
	return n, err
}

// WriteAt implements [vfs.File].
func (f *file) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.WritevAt([][]byte{p}, offset); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WritevAt implements [vfs.WritevAter]: one operation for all pieces.
func (f *file) WritevAt(pieces [][]byte, offset int64) error {
	var length int64
	for _, p := range pieces {
		length += int64(len(p))
	}
	r := f.fs.before(f.op(Write, offset, length))
	if r == nil || r.Err == nil {
		return vfs.WritevAt(f.below, pieces, offset)
	}
	if r.Torn {
		half := slices.Concat(pieces...)[:length/2]
		_, _ = f.below.WriteAt(half, offset) // the rule's error is the answer
	}
	return r.Err
}

// OpenDirect implements [vfs.DirectOpener]: direct writes are writes like
// others here, with the same rules.
func (f *file) OpenDirect() (vfs.DirectFile, error) { return directFile{f}, nil }

// directFile is a second handle of a file; closing it leaves the first open.
type directFile struct{ *file }

// Close implements [vfs.DirectFile].
func (directFile) Close() error { return nil }

// PunchHole implements [vfs.HolePuncher].
func (f *file) PunchHole(offset, length int64) error {
	if err := f.fs.fail(f.op(Punch, offset, length)); err != nil {
		return err
	}
	return vfs.PunchHole(f.below, offset, length)
}

// Extend implements [vfs.Extender].
func (f *file) Extend(offset, length int64) error {
	if err := f.fs.fail(f.op(Extend, offset, length)); err != nil {
		return err
	}
	return vfs.Extend(f.below, offset, length)
}

// SeekData implements [vfs.DataSeeker].
func (f *file) SeekData(offset int64) (int64, error) { return vfs.SeekData(f.below, offset) }

// Preallocate implements [vfs.File].
func (f *file) Preallocate(offset, length int64) error {
	if err := f.fs.fail(f.op(Extend, offset, length)); err != nil {
		return err
	}
	return f.below.Preallocate(offset, length)
}

// Stat implements [vfs.File]. It is no operation: rules on Stat mean names.
func (f *file) Stat() (vfs.FileInfo, error) { return f.below.Stat() }

// Sync implements [vfs.File].
func (f *file) Sync() error {
	if err := f.fs.fail(f.op(Sync, 0, 0)); err != nil {
		return err
	}
	return f.below.Sync()
}

// SyncTo implements [vfs.File].
func (f *file) SyncTo(length int64) (fullSync bool, err error) {
	if err := f.fs.fail(f.op(Sync, 0, length)); err != nil {
		return false, err
	}
	return f.below.SyncTo(length)
}

// SyncData implements [vfs.File].
func (f *file) SyncData() error {
	if err := f.fs.fail(f.op(Sync, 0, 0)); err != nil {
		return err
	}
	return f.below.SyncData()
}

// Prefetch implements [vfs.File].
func (f *file) Prefetch(offset, length int64) error { return f.below.Prefetch(offset, length) }

// Fd implements [vfs.File]: there is none.
func (f *file) Fd() uintptr { return vfs.InvalidFd }
