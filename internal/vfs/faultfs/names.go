package faultfs

import (
	"io"
	"io/fs"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs"
)

// Create implements [vfs.FS].
func (f *FS) Create(name string, category pebblevfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.fail(Op{Kind: Create, Name: name}); err != nil {
		return nil, err
	}
	return f.wrap(name)(f.below.Create(name, category))
}

// Link implements [vfs.FS].
func (f *FS) Link(oldname, newname string) error {
	if err := f.fail(Op{Kind: Link, Name: newname}); err != nil {
		return err
	}
	return f.below.Link(oldname, newname)
}

// Open implements [vfs.FS].
func (f *FS) Open(name string, opts ...pebblevfs.OpenOption) (vfs.File, error) {
	if err := f.fail(Op{Kind: Open, Name: name}); err != nil {
		return nil, err
	}
	return f.wrap(name)(f.below.Open(name, opts...))
}

// OpenReadWrite implements [vfs.FS].
func (f *FS) OpenReadWrite(name string, category pebblevfs.DiskWriteCategory, opts ...pebblevfs.OpenOption) (vfs.File, error) {
	if err := f.fail(Op{Kind: Open, Name: name}); err != nil {
		return nil, err
	}
	return f.wrap(name)(f.below.OpenReadWrite(name, category, opts...))
}

// OpenDir implements [vfs.FS].
func (f *FS) OpenDir(name string) (vfs.File, error) {
	if err := f.fail(Op{Kind: Open, Name: name}); err != nil {
		return nil, err
	}
	return f.wrap(name)(f.below.OpenDir(name))
}

// Remove implements [vfs.FS].
func (f *FS) Remove(name string) error {
	if err := f.fail(Op{Kind: Remove, Name: name}); err != nil {
		return err
	}
	return f.below.Remove(name)
}

// RemoveAll implements [vfs.FS].
func (f *FS) RemoveAll(name string) error {
	if err := f.fail(Op{Kind: Remove, Name: name}); err != nil {
		return err
	}
	return f.below.RemoveAll(name)
}

// Rename implements [vfs.FS].
func (f *FS) Rename(oldname, newname string) error {
	if err := f.fail(Op{Kind: Rename, Name: newname}); err != nil {
		return err
	}
	return f.below.Rename(oldname, newname)
}

// ReuseForWrite implements [vfs.FS].
func (f *FS) ReuseForWrite(oldname, newname string, category pebblevfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.fail(Op{Kind: Create, Name: newname}); err != nil {
		return nil, err
	}
	return f.wrap(newname)(f.below.ReuseForWrite(oldname, newname, category))
}

// MkdirAll implements [vfs.FS].
func (f *FS) MkdirAll(dir string, perm fs.FileMode) error {
	if err := f.fail(Op{Kind: Mkdir, Name: dir}); err != nil {
		return err
	}
	return f.below.MkdirAll(dir, perm)
}

// Lock implements [vfs.FS].
func (f *FS) Lock(name string) (io.Closer, error) {
	if err := f.fail(Op{Kind: Lock, Name: name}); err != nil {
		return nil, err
	}
	return f.below.Lock(name)
}

// List implements [vfs.FS].
func (f *FS) List(dir string) ([]string, error) {
	if err := f.fail(Op{Kind: List, Name: dir}); err != nil {
		return nil, err
	}
	return f.below.List(dir)
}

// Stat implements [vfs.FS].
func (f *FS) Stat(name string) (vfs.FileInfo, error) {
	if err := f.fail(Op{Kind: Stat, Name: name}); err != nil {
		return nil, err
	}
	return f.below.Stat(name)
}

// PathBase implements [vfs.FS].
func (f *FS) PathBase(path string) string { return f.below.PathBase(path) }

// PathJoin implements [vfs.FS].
func (f *FS) PathJoin(elem ...string) string { return f.below.PathJoin(elem...) }

// PathDir implements [vfs.FS].
func (f *FS) PathDir(path string) string { return f.below.PathDir(path) }

// GetDiskUsage implements [vfs.FS].
func (f *FS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	if err := f.fail(Op{Kind: Usage, Name: path}); err != nil {
		return vfs.DiskUsage{}, err
	}
	return f.below.GetDiskUsage(path)
}

// Unwrap implements [vfs.FS].
func (f *FS) Unwrap() vfs.FS { return f.below }
