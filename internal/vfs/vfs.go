// Package vfs is the seam between this system and file systems.
//
// The base is Pebble's vfs.FS, so that its in-memory file system, which can
// lose what was not synced ([NewCrashableMem]), and wrappers such as faultfs
// serve every layer. What a store needs beyond it is here as functions that
// work on any [FS]: they use the operating system where a file has a
// descriptor, a second interface of the file where it has one, and plain
// writes elsewhere. [WriteFile] is the one routine that replaces small files
// durably.
//
// It promises what the file system below promises; nothing is retried and
// nothing is cached. Any package that touches disks may import it; it imports
// nothing of ours.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

type (
	// FS is a file system.
	FS = pebblevfs.FS
	// File is an open file.
	File = pebblevfs.File
	// FileInfo describes a file.
	FileInfo = pebblevfs.FileInfo
	// DeviceID names a block device.
	DeviceID = pebblevfs.DeviceID
	// DiskUsage is the space of a file system.
	DiskUsage = pebblevfs.DiskUsage
	// MemFS is the file system in memory.
	MemFS = pebblevfs.MemFS
)

// InvalidFd is what File.Fd answers when there is no descriptor.
const InvalidFd = pebblevfs.InvalidFd

// Unspecified is the write category of everything that is not Pebble's.
const Unspecified = pebblevfs.WriteCategoryUnspecified

// ErrLocked says that another process, or another part of this one, holds the
// lock of a directory.
var ErrLocked = errors.New("vfs: directory is in use")

// Default is the operating system's file system.
func Default() FS { return pebblevfs.Default }

// NewMem is a file system in memory.
func NewMem() *MemFS { return pebblevfs.NewMem() }

// NewCrashableMem is a file system in memory whose CrashClone is the state
// after a power loss. Each sync copies the whole file: keep files small.
func NewCrashableMem() *MemFS { return pebblevfs.NewCrashableMem() }

// WritevAter is a [File] with its own way to write pieces at an offset.
type WritevAter interface {
	WritevAt(pieces [][]byte, offset int64) error
}

// HolePuncher is a [File] with its own way to free a range.
type HolePuncher interface {
	PunchHole(offset, length int64) error
}

// Extender is a [File] with its own way to reserve space.
type Extender interface {
	Extend(offset, length int64) error
}

// DataSeeker is a [File] that knows where its holes are.
type DataSeeker interface {
	SeekData(offset int64) (int64, error)
}

// WritevAt writes the pieces one after the other at offset, with one system
// call where there is a descriptor. After an error any part may be written.
func WritevAt(f File, pieces [][]byte, offset int64) error {
	if w, ok := f.(WritevAter); ok {
		return w.WritevAt(pieces, offset)
	}
	if fd := f.Fd(); fd != InvalidFd {
		return pwritev(int(fd), pieces, offset)
	}
	for _, p := range pieces {
		if len(p) == 0 {
			continue
		}
		n, err := f.WriteAt(p, offset)
		if err != nil {
			return err
		}
		if n < len(p) {
			return io.ErrShortWrite
		}
		offset += int64(n)
	}
	return nil
}

// Extend reserves [offset, offset+length) and makes the file at least that
// long, so that writes there change no size. It differs from File.Preallocate,
// which keeps the size. What was there before is kept. Where space cannot be
// reserved, the file just gets longer.
func Extend(f File, offset, length int64) error {
	if length <= 0 {
		return nil
	}
	if e, ok := f.(Extender); ok {
		return e.Extend(offset, length)
	}
	if fd := f.Fd(); fd != InvalidFd {
		if err := fallocate(int(fd), offset, length); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() >= offset+length {
		return nil
	}
	_, err = f.WriteAt([]byte{0}, offset+length-1)
	return err
}

// PunchHole makes [offset, offset+length) read as zeros and gives its blocks
// back where the file system can; the size stays.
func PunchHole(f File, offset, length int64) error {
	if length <= 0 {
		return nil
	}
	if p, ok := f.(HolePuncher); ok {
		return p.PunchHole(offset, length)
	}
	if fd := f.Fd(); fd != InvalidFd {
		if err := punchHole(int(fd), offset, length); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return writeZeros(f, offset, length)
}

func writeZeros(f File, offset, length int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, min(length, 64<<10))
	for end := min(offset+length, info.Size()); offset < end; {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), end-offset)], offset)
		if err != nil {
			return err
		}
		offset += int64(n)
	}
	return nil
}

// SeekData answers the first offset at or after the given one where the file
// may hold something else than zeros, or [io.EOF] when there is none. A file
// system that does not know its holes answers the offset itself.
func SeekData(f File, offset int64) (int64, error) {
	if s, ok := f.(DataSeeker); ok {
		return s.SeekData(offset)
	}
	if fd := f.Fd(); fd != InvalidFd {
		if at, err := seekData(int(fd), offset); !errors.Is(err, errors.ErrUnsupported) {
			return at, err
		}
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if offset >= info.Size() {
		return 0, io.EOF
	}
	return offset, nil
}

// Identity names a file whatever its path. The zero value says that the file
// system does not tell files apart.
type Identity struct{ Device, Inode uint64 }

// IdentityOf reads the identity from what Stat answered.
func IdentityOf(info FileInfo) Identity { return identityOf(info) }

// CheckName reports whether name still leads to the file with this identity:
// nil, an error that is [fs.ErrNotExist] when it leads nowhere or to another
// file, or what Stat said. On a file system without identities only the name
// is looked up.
func CheckName(fsys FS, name string, want Identity) error {
	info, err := fsys.Stat(name)
	if err != nil {
		return fmt.Errorf("check of %s: %w", name, err)
	}
	if got := identityOf(info); want != (Identity{}) && got != want {
		return fmt.Errorf("check of %s: the name leads to another file: %w", name, fs.ErrNotExist)
	}
	return nil
}

// Device is the device that holds dir. Directories on one device fail
// together. File systems without devices answer the zero value.
func Device(fsys FS, dir string) (DeviceID, error) {
	info, err := fsys.Stat(dir)
	if err != nil {
		return DeviceID{}, err
	}
	return info.DeviceID(), nil
}
