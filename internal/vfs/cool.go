package vfs

// Cool drops a range of a file from the system's memory, whole pages of it that
// are not waiting to be written, so that what reads it next reads the medium. It is
// advice: a system that does not know it does nothing.
func Cool(f File, offset, length int64) error {
	if fd := f.Fd(); fd != InvalidFd && length > 0 {
		return cool(int(fd), offset, length)
	}
	return nil
}
