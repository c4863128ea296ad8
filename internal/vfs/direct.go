package vfs

import (
	"errors"
	"io"
	"unsafe"
)

// DirectAlign is what offsets, lengths and memory of direct writes are
// multiples of, in bytes: no block device in use has larger logical blocks.
const DirectAlign = 4096

// DirectFile writes whole blocks past the page cache. It is as durable as any
// write: not before a sync of the file. It may be used by many goroutines at a
// time.
type DirectFile interface {
	io.WriterAt
	io.Closer
}

// DirectOpener is a [File] with its own way to be written past the page cache.
type DirectOpener interface {
	OpenDirect() (DirectFile, error)
}

// OpenDirect opens an open file once more, for direct writes. Where the file
// system has none the error is [errors.ErrUnsupported]; a file system may also
// say so (EINVAL) at the first write only. What was read through the page
// cache before is not stale after a direct write returned.
func OpenDirect(f File) (DirectFile, error) {
	if d, ok := f.(DirectOpener); ok {
		return d.OpenDirect()
	}
	if fd := f.Fd(); fd != InvalidFd {
		return openDirect(fd)
	}
	return nil, errors.ErrUnsupported
}

// AlignedBuffer is memory of n bytes for direct writes.
func AlignedBuffer(n int) []byte {
	b := make([]byte, n+DirectAlign)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % DirectAlign
	return b[skip : skip+uintptr(n) : skip+uintptr(n)]
}
