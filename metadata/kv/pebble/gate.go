package pebble

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/metadata/kv"
)

// gate passes calls to a file system until it is shut; after that nothing can
// be changed any more. A failed sync shuts it at once: what reached the disk is
// then unknown, and a later sync that happens to succeed must not let Pebble
// drop a log. The gate sits below anything that retries.
type gate struct {
	vfs.FS
	shut *atomic.Bool
	fail func(error)
}

// synced shuts the gate when a sync failed.
func (g gate) synced(err error) error {
	if err != nil {
		g.shut.Store(true)
		g.fail(fmt.Errorf("sync: %w", err))
	}
	return err
}

func (g gate) check() error {
	if g.shut.Load() {
		return kv.ErrUnavailable
	}
	return nil
}

func (g gate) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &gateFile{File: f, gate: g}, nil
}

// markerPrefix starts the names of the files by which Pebble says which
// manifest counts.
const markerPrefix = "marker."

// Create makes a file. Before a marker is made the directory is synced: Pebble
// makes a new manifest and the marker that names it durable with one sync, and
// a power loss before that may keep the marker alone.
func (g gate) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	if strings.HasPrefix(g.PathBase(name), markerPrefix) {
		if err := g.syncDir(g.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return g.wrap(g.FS.Create(name, c))
}

func (g gate) syncDir(name string) error {
	dir, err := g.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Link makes a hard link.
func (g gate) Link(oldname, newname string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.Link(oldname, newname)
}

// OpenReadWrite opens a file for writing.
func (g gate) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return g.wrap(g.FS.OpenReadWrite(name, c, opts...))
}

// OpenDir opens a directory, whose Sync is a change too.
func (g gate) OpenDir(name string) (vfs.File, error) { return g.wrap(g.FS.OpenDir(name)) }

// Remove deletes a file.
func (g gate) Remove(name string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.Remove(name)
}

// RemoveAll deletes a tree.
func (g gate) RemoveAll(name string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.RemoveAll(name)
}

// Rename moves a file.
func (g gate) Rename(oldname, newname string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.Rename(oldname, newname)
}

// ReuseForWrite recycles a file.
func (g gate) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return g.wrap(g.FS.ReuseForWrite(oldname, newname, c))
}

// MkdirAll makes a directory.
func (g gate) MkdirAll(dir string, perm os.FileMode) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.MkdirAll(dir, perm)
}

// Unwrap is the file system behind the gate.
func (g gate) Unwrap() vfs.FS { return g.FS }

type gateFile struct {
	vfs.File
	gate gate
}

// Write appends.
func (f *gateFile) Write(p []byte) (int, error) {
	if err := f.gate.check(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// WriteAt writes at an offset.
func (f *gateFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.gate.check(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

// Sync makes the file durable.
func (f *gateFile) Sync() error {
	if err := f.gate.check(); err != nil {
		return err
	}
	return f.gate.synced(f.File.Sync())
}

// SyncData makes the file's data durable.
func (f *gateFile) SyncData() error {
	if err := f.gate.check(); err != nil {
		return err
	}
	return f.gate.synced(f.File.SyncData())
}

// SyncTo starts to make a prefix durable.
func (f *gateFile) SyncTo(length int64) (bool, error) {
	if err := f.gate.check(); err != nil {
		return false, err
	}
	full, err := f.File.SyncTo(length)
	return full, f.gate.synced(err)
}
