package faultfs

import (
	"io"
	"sync"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs"
)

// Mem is a file system in memory that may be cloned as a power loss leaves it
// while others use it. vfs.MemFS alone may not: some of its calls take its lock for
// reading twice, and wait for ever when a clone asks for it in between.
type Mem struct {
	vfs.FS
	mem *vfs.MemFS
	mu  sync.RWMutex // held for reading by those calls
}

// NewMem makes one of a crashable file system.
func NewMem(mem *vfs.MemFS) *Mem { return &Mem{FS: mem, mem: mem} }

// CrashClone is vfs.MemFS.CrashClone.
func (m *Mem) CrashClone(o pebblevfs.CrashCloneCfg) *vfs.MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mem.CrashClone(o)
}

// OpenReadWrite implements [vfs.FS].
func (m *Mem) OpenReadWrite(name string, category pebblevfs.DiskWriteCategory, opts ...pebblevfs.OpenOption) (vfs.File, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mem.OpenReadWrite(name, category, opts...)
}

// ReuseForWrite implements [vfs.FS].
func (m *Mem) ReuseForWrite(oldname, newname string, category pebblevfs.DiskWriteCategory) (vfs.File, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mem.ReuseForWrite(oldname, newname, category)
}

// Link implements [vfs.FS].
func (m *Mem) Link(oldname, newname string) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mem.Link(oldname, newname)
}

// Lock implements [vfs.FS].
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mem.Lock(name)
}

// SetUsage is what the file system says of its space from now on.
func (m *Mem) SetUsage(u vfs.DiskUsage) { m.mem.TestingSetDiskUsage(u) }
