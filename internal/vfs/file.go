package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// tempSuffix marks a file that [WriteFile] has not finished. Readers of a
// directory skip such names; the next WriteFile of the same name replaces it.
const tempSuffix = ".writing"

// IsTemporary reports whether name is one that a [WriteFile] cut short by a
// crash may have left behind.
func IsTemporary(name string) bool { return strings.HasSuffix(name, tempSuffix) }

// WriteFile replaces the file name by data, durably: after a crash at any
// moment the name leads to the old content or to the new one, and once it
// returned nil to the new one. One writer at a time for each name. On an
// error the old content may still be there.
func WriteFile(fsys FS, name string, data []byte, mode fs.FileMode) error {
	temp := name + tempSuffix
	if err := writeTemp(fsys, temp, data, mode); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), removeIfThere(fsys, temp))
	}
	// Only now, whole and durable, does the content get its name.
	if err := fsys.Rename(temp, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	// The rename itself is durable when the directory is.
	return SyncDir(fsys, fsys.PathDir(name))
}

func writeTemp(fsys FS, temp string, data []byte, mode fs.FileMode) error {
	f, err := fsys.Create(temp, Unspecified)
	if err != nil {
		return err
	}
	if fd := f.Fd(); fd != InvalidFd {
		// Before there is anything to read.
		if err := chmodFd(int(fd), mode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return errors.Join(err, f.Close())
		}
	}
	if err := WritevAt(f, [][]byte{data}, 0); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

// ReadFile returns the content of a small file, at most limit bytes.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: longer than %d bytes", name, limit)
	}
	return data, nil
}

// SyncDir makes the names in dir durable.
func SyncDir(fsys FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// MkdirAll makes dir and the parents it lacks, and makes their names durable.
func MkdirAll(fsys FS, dir string, mode fs.FileMode) error {
	if info, err := fsys.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return nil
	}
	parent := fsys.PathDir(dir)
	if parent != dir {
		if err := MkdirAll(fsys, parent, mode); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(dir, mode); err != nil {
		return err
	}
	return SyncDir(fsys, parent)
}

// Remove removes a file and makes that durable. A file that is not there is
// no error.
func Remove(fsys FS, name string) error {
	if err := removeIfThere(fsys, name); err != nil {
		return err
	}
	return SyncDir(fsys, fsys.PathDir(name))
}

func removeIfThere(fsys FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// LockDir takes the exclusive lock of a directory, a file called LOCK in it,
// until the closer is closed or the process ends. A lock that is held is
// [ErrLocked], with the holder's process id where it is known. pid is written
// into the file for the next one to read.
func LockDir(fsys FS, dir string, pid int) (io.Closer, error) {
	name := fsys.PathJoin(dir, "LOCK")
	if _, err := fsys.Stat(dir); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	f, err := fsys.OpenReadWrite(name, Unspecified)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	fd := f.Fd()
	if fd == InvalidFd {
		return lockByName(fsys, f, dir, name)
	}
	// flock belongs to this open file: unlike fcntl's locks it also excludes
	// a second holder in this process, by whatever path.
	err = lockFd(int(fd))
	if errors.Is(err, errors.ErrUnsupported) {
		return lockByName(fsys, f, dir, name)
	}
	if err != nil {
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0) // only to name the holder
		err = fmt.Errorf("lock %s (held by process %s): %w", dir, strings.TrimSpace(string(holder[:n])), err)
		return nil, errors.Join(err, f.Close())
	}
	// Padded, so that it covers a longer number of before.
	if _, err := f.WriteAt(fmt.Appendf(nil, "%-19s\n", strconv.Itoa(pid)), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}

func lockByName(fsys FS, f File, dir, name string) (io.Closer, error) {
	if err := f.Close(); err != nil {
		return nil, err
	}
	lock, err := fsys.Lock(name)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w: %w", dir, ErrLocked, err)
	}
	return lock, nil
}
