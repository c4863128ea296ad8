package vfs

import "errors"

// CachedReader is a [File] with its own way to read what is in memory.
type CachedReader interface {
	ReadCached(p []byte, offset int64) (int, error)
}

// ReadCached reads as much of p, from its start, as can be had without waiting
// for a device. Less than all says nothing about the file: ReadAt is asked for
// the rest. [errors.ErrUnsupported] where nobody knows what is in memory.
func ReadCached(f File, p []byte, offset int64) (int, error) {
	if r, ok := f.(CachedReader); ok {
		return r.ReadCached(p, offset)
	}
	if fd := f.Fd(); fd != InvalidFd {
		return preadCached(int(fd), p, offset)
	}
	return 0, errors.ErrUnsupported
}

// KeepAccessTime makes reads leave the file's access time alone, where that is
// allowed: to change it, a read of what is in memory may wait for a journal.
func KeepAccessTime(f File) {
	if fd := f.Fd(); fd != InvalidFd {
		keepAccessTime(int(fd))
	}
}
