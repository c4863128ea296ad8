package sim

import (
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"syscall"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/internal/vfs"
)

// block is a piece of a file; it never changes once it is in a file, so that
// copies of files share it.
type block [pageSize]byte

// image is what a file holds: nil pages are holes.
type image struct {
	pages []*block
	size  int64
}

func (m *image) clone() image { return image{slices.Clone(m.pages), m.size} }

// change is one change of a file's content that no sync has covered.
type change struct {
	offset, length int64
	data           []byte // nil: the range is punched or reserved
	punch          bool
}

func (m *image) apply(c change) {
	end := c.offset + c.length
	if !c.punch {
		m.size = max(m.size, end)
	}
	for len(m.pages)*pageSize < int(m.size) {
		m.pages = append(m.pages, nil)
	}
	for at := c.offset; at < end; {
		i, in := int(at/pageSize), at%pageSize
		n := min(pageSize-in, end-at)
		switch {
		case c.punch:
			if i < len(m.pages) {
				m.punch(i, in, n)
			}
		case c.data == nil:
			if m.pages[i] == nil {
				m.pages[i] = &block{}
			}
		default:
			p := &block{}
			if m.pages[i] != nil && n < pageSize {
				*p = *m.pages[i]
			}
			copy(p[in:in+n], c.data[at-c.offset:])
			m.pages[i] = p
		}
		at += n
	}
}

func (m *image) punch(i int, in, n int64) {
	if m.pages[i] == nil {
		return
	}
	if n == pageSize {
		m.pages[i] = nil
		return
	}
	p := *m.pages[i]
	clear(p[in : in+n])
	m.pages[i] = &p
}

func (m *image) readAt(b []byte, offset int64) int {
	if offset >= m.size {
		return 0
	}
	b = b[:min(int64(len(b)), m.size-offset)]
	for n := 0; n < len(b); {
		i, in := int((offset+int64(n))/pageSize), (offset+int64(n))%pageSize
		part := b[n:min(len(b), n+pageSize-int(in))]
		if p := m.pages[i]; p != nil {
			copy(part, p[in:])
		} else {
			clear(part)
		}
		n += len(part)
	}
	return len(b)
}

func (m *image) allocated() (n int64) {
	for _, p := range m.pages {
		if p != nil {
			n += pageSize
		}
	}
	return n
}

// info is what is said of a node.
type info struct {
	name  string
	size  int64
	mode  fs.FileMode
	made  time.Time
	inode uint64
	alloc int64
}

func infoOf(name string, n *node) info {
	out := info{name: path.Base(name), size: n.now.size, mode: 0o640, made: n.made, inode: n.inode, alloc: n.now.allocated()}
	if n.isDir {
		out.mode = fs.ModeDir | 0o750
	}
	return out
}

func (i info) Name() string                 { return i.name }
func (i info) Size() int64                  { return i.size }
func (i info) Mode() fs.FileMode            { return i.mode }
func (i info) ModTime() time.Time           { return i.made }
func (i info) IsDir() bool                  { return i.mode.IsDir() }
func (i info) DeviceID() pebblevfs.DeviceID { return pebblevfs.DeviceID{} }
func (i info) Sys() any                     { return &syscall.Stat_t{Ino: i.inode, Dev: 1, Blocks: i.alloc / 512} }

// handle is an open file.
type handle struct {
	m       *mount
	n       *node
	path    string
	at, end int64 // of Read and Write; guarded by the platter
}

var (
	_ vfs.File        = (*handle)(nil)
	_ vfs.HolePuncher = (*handle)(nil)
	_ vfs.Extender    = (*handle)(nil)
	_ vfs.DataSeeker  = (*handle)(nil)
)

func (*handle) Close() error { return nil }

// Read implements [vfs.File].
func (h *handle) Read(b []byte) (int, error) {
	defer h.m.enter()()
	n := h.n.now.readAt(b, h.at)
	h.at += int64(n)
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// ReadAt implements [vfs.File].
func (h *handle) ReadAt(b []byte, offset int64) (int, error) {
	defer h.m.enter()()
	n := h.n.now.readAt(b, offset)
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Write implements [vfs.File].
func (h *handle) Write(b []byte) (int, error) {
	n, err := h.WriteAt(b, h.end)
	h.end += int64(n)
	return n, err
}

// WriteAt implements [vfs.File].
func (h *handle) WriteAt(b []byte, offset int64) (int, error) {
	if err := h.change(change{offset: offset, length: int64(len(b)), data: slices.Clone(b)}); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (h *handle) change(c change) error {
	if c.length <= 0 {
		return nil
	}
	defer h.m.enter()()
	if h.n.isDir {
		return pathError("write", h.path, syscall.EISDIR)
	}
	if !c.punch {
		if err := h.m.p.room(h.path, h.grows(c)); err != nil {
			return err
		}
	}
	h.n.now.apply(c)
	h.n.pending = append(h.n.pending, c)
	return nil
}

// grows is how many bytes a change takes of the disk.
func (h *handle) grows(c change) (n int64) {
	for i := c.offset / pageSize; i <= (c.offset+c.length-1)/pageSize; i++ {
		if int(i) >= len(h.n.now.pages) || h.n.now.pages[i] == nil {
			n += pageSize
		}
	}
	return n
}

// PunchHole implements [vfs.HolePuncher].
func (h *handle) PunchHole(offset, length int64) error {
	return h.change(change{offset: offset, length: length, punch: true})
}

// Extend implements [vfs.Extender].
func (h *handle) Extend(offset, length int64) error {
	return h.change(change{offset: offset, length: length})
}

// Preallocate implements [vfs.File].
func (*handle) Preallocate(int64, int64) error { return nil }

// SeekData implements [vfs.DataSeeker].
func (h *handle) SeekData(offset int64) (int64, error) {
	defer h.m.enter()()
	for ; offset < h.n.now.size; offset = (offset/pageSize + 1) * pageSize {
		if h.n.now.pages[offset/pageSize] != nil {
			return offset, nil
		}
	}
	return 0, io.EOF
}

// Stat implements [vfs.File].
func (h *handle) Stat() (vfs.FileInfo, error) {
	defer h.m.enter()()
	return infoOf(h.path, h.n), nil
}

// Sync implements [vfs.File].
func (h *handle) Sync() error {
	defer h.m.enter()()
	h.n.sync()
	return nil
}

func (n *node) sync() {
	if n.isDir {
		n.syncedNames, n.renames = maps.Clone(n.names), nil
		for _, m := range n.left {
			if m.dir.names[m.base] == m.n {
				m.dir.syncedNames[m.base] = m.n
			}
		}
		n.left = nil
		return
	}
	n.synced, n.pending = n.now.clone(), nil
}

// SyncData implements [vfs.File].
func (h *handle) SyncData() error { return h.Sync() }

// SyncTo implements [vfs.File]: it promises nothing.
func (*handle) SyncTo(int64) (bool, error) { return false, nil }

// Prefetch implements [vfs.File].
func (*handle) Prefetch(int64, int64) error { return nil }

// Fd implements [vfs.File]: there is none.
func (*handle) Fd() uintptr { return vfs.InvalidFd }
