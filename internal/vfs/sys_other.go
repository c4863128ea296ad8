//go:build !linux

package vfs

import (
	"errors"
	"io/fs"
	"os"
)

// Elsewhere than on Linux the portable ways are used.

func pwritev(fd int, pieces [][]byte, offset int64) error {
	f := os.NewFile(uintptr(fd), "")
	for _, p := range pieces {
		if _, err := f.WriteAt(p, offset); err != nil {
			return err
		}
		offset += int64(len(p))
	}
	return nil
}

func preadCached(int, []byte, int64) (int, error) { return 0, errors.ErrUnsupported }

func keepAccessTime(int) {}

func fallocate(int, int64, int64) error { return errors.ErrUnsupported }

func punchHole(int, int64, int64) error { return errors.ErrUnsupported }

func cool(int, int64, int64) error { return nil }

func seekData(int, int64) (int64, error) { return 0, errors.ErrUnsupported }

func lockFd(int) error { return errors.ErrUnsupported }

func chmodFd(int, fs.FileMode) error { return errors.ErrUnsupported }

func identityOf(FileInfo) Identity { return Identity{} }

// Allocated is how many bytes of the file system a file uses; its size where
// that is not known.
func Allocated(info FileInfo) int64 { return info.Size() }
