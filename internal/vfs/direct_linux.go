package vfs

import (
	"errors"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openDirect opens what the descriptor refers to, whatever its name leads to
// by now.
func openDirect(fd uintptr) (DirectFile, error) {
	f, err := os.OpenFile("/proc/self/fd/"+strconv.FormatUint(uint64(fd), 10), unix.O_WRONLY|unix.O_DIRECT, 0)
	// Without direct writes it is EINVAL, without /proc there is no such name,
	// and a confined process may not open it.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, errors.ErrUnsupported
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}
