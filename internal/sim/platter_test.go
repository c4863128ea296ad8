package sim

import (
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs"
)

const pageSize = 4096

// node is a file or a directory.
type node struct {
	inode   uint64
	isDir   bool
	made    time.Time
	now     image    // what is read
	synced  image    // what survives a power loss in any case
	pending []change // the way from synced to now

	names       map[string]*node
	syncedNames map[string]*node
	renames     []naming // the way from syncedNames to names
	left        []moved  // names that went to other directories
}

// moved is a name that a node got in another directory.
type moved struct {
	dir  *node
	base string
	n    *node
}

// naming is one atomic change of names in a directory: a nil node takes the
// name away.
type naming map[string]*node

func (n *node) name(change naming) {
	for name, to := range change {
		if to == nil {
			delete(n.names, name)
		} else {
			n.names[name] = to
		}
	}
	n.renames = append(n.renames, change)
}

// platter is a file system in memory that loses power as disks do: a file
// keeps what its last sync covered, and of what came after any subset of the
// writes, torn at sectors; a directory keeps the names of its last sync and a
// part of the changes after it. Each directory below the root is a disk of its
// own, with a size. Copies of it are cheap.
//
// Processes use it by mounts.
type platter struct {
	mu    sync.Mutex // guards everything
	root  *node
	next  uint64
	locks map[*node]*mount // of lock files
	sizes map[string]int64 // of disks, in bytes; 0 is no limit
}

func newPlatter() *platter {
	p := &platter{locks: map[*node]*mount{}, sizes: map[string]int64{}}
	p.root = p.make(true)
	return p
}

func (p *platter) make(isDir bool) *node { //nolint:revive // two kinds of nodes
	p.next++
	n := &node{inode: p.next, isDir: isDir, made: time.Now()}
	if isDir {
		n.names, n.syncedNames = map[string]*node{}, map[string]*node{}
	}
	return n
}

func split(name string) []string {
	return strings.FieldsFunc(path.Clean(name), func(r rune) bool { return r == '/' })
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func (p *platter) find(name string) *node {
	at := p.root
	for _, part := range split(name) {
		if at == nil || !at.isDir {
			return nil
		}
		at = at.names[part]
	}
	return at
}

// parent finds the directory of a name.
func (p *platter) parent(op, name string) (dir *node, base string, err error) {
	dir, base = p.find(path.Dir(path.Clean(name))), path.Base(name)
	if dir == nil || !dir.isDir {
		return nil, "", pathError(op, name, fs.ErrNotExist)
	}
	return dir, base, nil
}

func walk(n *node, name string, fn func(name string, n *node)) {
	fn(name, n)
	for _, child := range slices.Sorted(maps.Keys(n.names)) {
		walk(n.names[child], path.Join(name, child), fn)
	}
}

// used is how many bytes a disk holds.
func (p *platter) used(disk string) (n int64) {
	if top := p.root.names[disk]; top != nil {
		walk(top, "", func(_ string, f *node) { n += f.now.allocated() })
	}
	return n
}

// mount is a process's view of a platter.
type mount struct{ p *platter }

var _ vfs.FS = (*mount)(nil)

func (p *platter) mount() *mount { return &mount{p: p} }

func (m *mount) enter() (leave func()) {
	m.p.mu.Lock()
	return m.p.mu.Unlock
}

func (m *mount) handle(name string, n *node) *handle { return &handle{m: m, n: n, path: name} }

// Create implements [vfs.FS].
func (m *mount) Create(name string, _ pebblevfs.DiskWriteCategory) (vfs.File, error) {
	defer m.enter()()
	dir, base, err := m.p.parent("create", name)
	if err != nil {
		return nil, err
	}
	if err := m.p.room(name, pageSize); err != nil {
		return nil, err
	}
	n := m.p.make(false)
	dir.name(naming{base: n})
	return m.handle(name, n), nil
}

// room reports whether the disk of a file has so many bytes left.
func (p *platter) room(name string, more int64) error {
	parts := split(name)
	if len(parts) == 0 || p.sizes[parts[0]] == 0 {
		return nil
	}
	if p.used(parts[0])+more > p.sizes[parts[0]] {
		return pathError("write", name, syscall.ENOSPC)
	}
	return nil
}

// Link implements [vfs.FS].
func (m *mount) Link(oldname, newname string) error {
	defer m.enter()()
	n := m.p.find(oldname)
	if n == nil {
		return pathError("link", oldname, fs.ErrNotExist)
	}
	dir, base, err := m.p.parent("link", newname)
	if err != nil {
		return err
	}
	if dir.names[base] != nil {
		return pathError("link", newname, fs.ErrExist)
	}
	dir.name(naming{base: n})
	return nil
}

func (m *mount) open(name string, create bool) (vfs.File, error) { //nolint:revive // two ways to open
	defer m.enter()()
	n := m.p.find(name)
	if n == nil && create {
		dir, base, err := m.p.parent("open", name)
		if err != nil {
			return nil, err
		}
		n = m.p.make(false)
		dir.name(naming{base: n})
	}
	if n == nil {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	return m.handle(name, n), nil
}

// Open implements [vfs.FS].
func (m *mount) Open(name string, opts ...pebblevfs.OpenOption) (vfs.File, error) {
	return applied(opts)(m.open(name, false))
}

// OpenReadWrite implements [vfs.FS].
func (m *mount) OpenReadWrite(name string, _ pebblevfs.DiskWriteCategory, opts ...pebblevfs.OpenOption) (vfs.File, error) {
	return applied(opts)(m.open(name, true))
}

// OpenDir implements [vfs.FS].
func (m *mount) OpenDir(name string) (vfs.File, error) { return m.open(name, false) }

func applied(opts []pebblevfs.OpenOption) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		for _, o := range opts {
			if err == nil {
				o.Apply(f)
			}
		}
		return f, err
	}
}

// Remove implements [vfs.FS].
func (m *mount) Remove(name string) error {
	defer m.enter()()
	dir, base, err := m.p.parent("remove", name)
	if err != nil {
		return err
	}
	n := dir.names[base]
	switch {
	case n == nil:
		return pathError("remove", name, fs.ErrNotExist)
	case len(n.names) > 0:
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	dir.name(naming{base: nil})
	return nil
}

// RemoveAll implements [vfs.FS].
func (m *mount) RemoveAll(name string) error {
	defer m.enter()()
	if dir, base, err := m.p.parent("remove", name); err == nil && dir.names[base] != nil {
		dir.name(naming{base: nil})
	}
	return nil
}

// Rename implements [vfs.FS].
func (m *mount) Rename(oldname, newname string) error {
	defer m.enter()()
	return m.p.rename(oldname, newname)
}

func (p *platter) rename(oldname, newname string) error {
	from, old, err := p.parent("rename", oldname)
	if err != nil {
		return err
	}
	to, base, err := p.parent("rename", newname)
	if err != nil {
		return err
	}
	n := from.names[old]
	if n == nil {
		return pathError("rename", oldname, fs.ErrNotExist)
	}
	if from == to {
		from.name(naming{old: nil, base: n})
		return nil
	}
	// Across directories a crash may leave both names, never none: the end of
	// the old one is durable together with the new one.
	to.name(naming{base: n})
	delete(from.names, old)
	from.left = append(from.left, moved{to, base, n})
	return nil
}

// ReuseForWrite implements [vfs.FS].
func (m *mount) ReuseForWrite(oldname, newname string, _ pebblevfs.DiskWriteCategory) (vfs.File, error) {
	if err := m.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return m.open(newname, false)
}

// MkdirAll implements [vfs.FS].
func (m *mount) MkdirAll(dir string, _ os.FileMode) error {
	defer m.enter()()
	at := m.p.root
	for _, part := range split(dir) {
		next := at.names[part]
		if next == nil {
			next = m.p.make(true)
			at.name(naming{part: next})
		}
		if at = next; !at.isDir {
			return pathError("mkdir", dir, syscall.ENOTDIR)
		}
	}
	return nil
}

// Lock implements [vfs.FS].
func (m *mount) Lock(name string) (io.Closer, error) {
	defer m.enter()()
	n := m.p.find(name)
	if n == nil {
		dir, base, err := m.p.parent("lock", name)
		if err != nil {
			return nil, err
		}
		n = m.p.make(false)
		dir.name(naming{base: n})
	}
	if m.p.locks[n] != nil {
		return nil, pathError("lock", name, syscall.EAGAIN)
	}
	m.p.locks[n] = m
	return &held{m, n}, nil
}

type held struct {
	m *mount
	n *node
}

func (l *held) Close() error {
	l.m.p.mu.Lock()
	defer l.m.p.mu.Unlock()
	if l.m.p.locks[l.n] == l.m {
		delete(l.m.p.locks, l.n)
	}
	return nil
}

// List implements [vfs.FS].
func (m *mount) List(dir string) ([]string, error) {
	defer m.enter()()
	n := m.p.find(dir)
	if n == nil || !n.isDir {
		return nil, pathError("list", dir, fs.ErrNotExist)
	}
	return slices.Sorted(maps.Keys(n.names)), nil
}

// Stat implements [vfs.FS].
func (m *mount) Stat(name string) (vfs.FileInfo, error) {
	defer m.enter()()
	n := m.p.find(name)
	if n == nil {
		return nil, pathError("stat", name, fs.ErrNotExist)
	}
	return infoOf(name, n), nil
}

// PathBase implements [vfs.FS].
func (*mount) PathBase(name string) string { return path.Base(name) }

// PathJoin implements [vfs.FS].
func (*mount) PathJoin(elem ...string) string { return path.Join(elem...) }

// PathDir implements [vfs.FS].
func (*mount) PathDir(name string) string { return path.Dir(name) }

// GetDiskUsage implements [vfs.FS].
func (m *mount) GetDiskUsage(name string) (vfs.DiskUsage, error) {
	defer m.enter()()
	parts := split(name)
	if len(parts) == 0 || m.p.root.names[parts[0]] == nil {
		return vfs.DiskUsage{}, pathError("statfs", name, fs.ErrNotExist)
	}
	size, used := m.p.sizes[parts[0]], m.p.used(parts[0])
	if size == 0 {
		size = 1 << 40
	}
	return vfs.DiskUsage{TotalBytes: uint64(size), UsedBytes: uint64(used), AvailBytes: uint64(max(size-used, 0))}, nil
}

// Unwrap implements [vfs.FS].
func (*mount) Unwrap() vfs.FS { return nil }
