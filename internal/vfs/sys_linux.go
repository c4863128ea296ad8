package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

const maxPieces = 1024 // IOV_MAX

func pwritev(fd int, pieces [][]byte, offset int64) error {
	own := false // pieces is the caller's: copied before it is changed
	for len(pieces) > 0 {
		n, err := unix.Pwritev(fd, pieces[:min(len(pieces), maxPieces)], offset)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("pwritev: %w", err)
		}
		offset += int64(n)
		for len(pieces) > 0 && n >= len(pieces[0]) {
			n -= len(pieces[0])
			pieces = pieces[1:]
		}
		if n == 0 {
			continue
		}
		if !own {
			pieces, own = append([][]byte(nil), pieces...), true
		}
		pieces[0] = pieces[0][n:]
	}
	return nil
}

func preadCached(fd int, p []byte, offset int64) (int, error) {
	n, err := unix.Preadv2(fd, [][]byte{p}, offset, unix.RWF_NOWAIT)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, nil
	}
	return 0, fmt.Errorf("preadv2: %w", err)
}

func keepAccessTime(fd int) {
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_NOATIME) // only the owner may
	}
}

func fallocate(fd int, offset, length int64) error {
	return allocate(fd, 0, offset, length)
}

func punchHole(fd int, offset, length int64) error {
	return allocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, length)
}

func allocate(fd int, mode uint32, offset, length int64) error {
	for {
		err := unix.Fallocate(fd, mode, offset, length)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			// EOPNOTSUPP and ENOSYS are errors.ErrUnsupported by themselves.
			return fmt.Errorf("fallocate: %w", err)
		}
		return nil
	}
}

func cool(fd int, offset, length int64) error {
	return unix.Fadvise(fd, offset, length, unix.FADV_DONTNEED)
}

func seekData(fd int, offset int64) (int64, error) {
	at, err := unix.Seek(fd, offset, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return 0, io.EOF
	case errors.Is(err, unix.EINVAL):
		return 0, errors.ErrUnsupported
	case err != nil:
		return 0, fmt.Errorf("seek data: %w", err)
	}
	return at, nil
}

func lockFd(fd int) error {
	err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

func chmodFd(fd int, mode fs.FileMode) error {
	return unix.Fchmod(fd, uint32(mode.Perm()))
}

func identityOf(info FileInfo) Identity {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Identity{}
	}
	return Identity{Device: st.Dev, Inode: st.Ino}
}

// Allocated is how many bytes of the file system a file uses; its size where
// that is not known.
func Allocated(info FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size()
	}
	return st.Blocks * 512
}
