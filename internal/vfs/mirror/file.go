package mirror

import (
	"errors"
	"slices"
	"sync"

	"github.com/undercroft/undercroft/internal/vfs"
)

// openFiles are the files that are open, for writing and for reading.
type openFiles struct {
	sync.Mutex
	files   map[*file]bool
	readers map[*reader]bool
}

func (o *openFiles) add(f *file) {
	o.Lock()
	defer o.Unlock()
	o.files[f] = true
}

func (o *openFiles) remove(f *file) {
	o.Lock()
	defer o.Unlock()
	delete(o.files, f)
}

func (o *openFiles) all() []*file {
	o.Lock()
	defer o.Unlock()
	out := make([]*file, 0, len(o.files))
	for f := range o.files {
		out = append(out, f)
	}
	return out
}

// turn is a mutex that may be held for long: whoever waits for it waits for an
// event, in a test too.
type turn chan struct{}

func (t turn) Lock()   { t <- struct{}{} }
func (t turn) Unlock() { <-t }

// rests is a lock for changes, of which there may be many at a time, and for who
// needs them to rest. Whoever waits for it waits for an event, too.
type rests struct {
	mu      sync.Mutex
	over    *sync.Cond
	changes int
	waiting int // to rest
	resting bool
}

func newRests() *rests {
	r := &rests{}
	r.over = sync.NewCond(&r.mu)
	return r
}

// RLock begins a change.
func (r *rests) RLock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.resting || r.waiting > 0 {
		r.over.Wait()
	}
	r.changes++
}

// RUnlock ends a change.
func (r *rests) RUnlock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes--
	r.over.Broadcast()
}

// Lock waits until all changes rest.
func (r *rests) Lock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting++
	for r.resting || r.changes > 0 {
		r.over.Wait()
	}
	r.waiting--
	r.resting = true
}

// Unlock lets changes go on.
func (r *rests) Unlock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resting = false
	r.over.Broadcast()
}

// handle is a file on one node. An operation that was given up because it
// stalled still has its turn.
type handle struct {
	n    *node
	life uint64 // of the node, when this was opened
	turn turn
	f    vfs.File
	path string
	id   vfs.Identity
	// ahead is how much of the next write is there already, left by a write
	// that failed everywhere after different lengths.
	ahead int
}

func (h *handle) close() error {
	h.turn.Lock()
	defer h.turn.Unlock()
	return h.f.Close()
}

// file is a file open for writing, on all nodes of the view.
type file struct {
	s    *Set
	name string // in the mirrored directory

	mu      turn // held by each operation; guards what follows
	handles []*handle
	size    int64
	sums    *summer // nil where the file gets none
	closed  bool
}

var _ vfs.File = (*file)(nil)

func (s *Set) newHandle(n *node, f vfs.File, path string) *handle {
	h := &handle{n: n, turn: make(turn, 1), life: n.life.Load(), f: f, path: path}
	if info, err := f.Stat(); err == nil {
		h.id = vfs.IdentityOf(info)
	}
	return h
}

// each runs op on the handles that count, at once, and settles the result.
// Called with mu held.
func (f *file) each(op func(h *handle) error) error {
	handles := f.live()
	nodes := nodesOf(handles)
	errs := f.s.fanOut(nodes, func(i int) error {
		h := handles[i]
		h.turn.Lock()
		defer h.turn.Unlock()
		return op(h)
	})
	return f.s.settle(nodes, errs)
}

func nodesOf(handles []*handle) []*node {
	out := make([]*node, len(handles))
	for i, h := range handles {
		out[i] = h.n
	}
	return out
}

// live drops the handles of nodes that are outside by now, or were.
func (f *file) live() []*handle {
	if !slices.ContainsFunc(f.handles, (*handle).stale) {
		return f.handles
	}
	keep := f.handles[:0:0]
	for _, h := range f.handles {
		if h.stale() {
			go func() { _ = h.close() }() // it may stall; nothing relies on it
			continue
		}
		keep = append(keep, h)
	}
	f.handles = keep
	return keep
}

func (f *file) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// stale: its node is outside, or was.
func (h *handle) stale() bool { return h.n.role.Load() == outside || h.n.life.Load() != h.life }

// Write implements [vfs.File].
func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	handles := f.live()
	nodes, wrote := nodesOf(handles), make([]int, len(handles))
	data := copies(p, len(handles), f.sums == nil)
	errs := f.s.chain(len(nodes), busily(nodes, func(i int) error {
		h := handles[i]
		h.turn.Lock()
		defer h.turn.Unlock()
		skip := min(h.ahead, len(data[i]))
		n, err := h.f.Write(data[i][skip:])
		if err == nil {
			h.ahead -= skip
			return nil
		}
		wrote[i] = skip + n
		return err
	}))
	if err := f.s.settle(nodes, errs); err != nil {
		return f.partly(handles, errs, wrote, p), err
	}
	f.took(p)
	return len(p), nil
}

// copies makes a copy of p for each of n writers: one that stalls keeps it, and
// a write may change it. One alone may have p itself if nobody needs it after.
func copies(p []byte, n int, last bool) [][]byte { //nolint:revive // says what the caller does with p
	if n == 1 && last {
		return [][]byte{p}
	}
	all := make([]byte, 0, n*len(p))
	out := make([][]byte, n)
	for i := range out {
		all = append(all, p...)
		out[i] = all[i*len(p) : (i+1)*len(p) : (i+1)*len(p)]
	}
	return out
}

// partly ends a write that failed on all: what all have is written.
func (f *file) partly(handles []*handle, errs []error, wrote []int, p []byte) int {
	n := len(p)
	for i := range handles {
		if errs[i] == nil || errors.Is(errs[i], ErrStalled) {
			return 0 // who has what is not known: the set has failed
		}
		n = min(n, wrote[i])
	}
	for i, h := range handles {
		h.ahead = wrote[i] - n
	}
	f.took(p[:n])
	return n
}

func (f *file) took(p []byte) {
	f.size += int64(len(p))
	if f.sums != nil {
		f.sums.add(p)
	}
}

// WriteAt implements [vfs.File].
func (f *file) WriteAt(p []byte, offset int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data := append([]byte(nil), p...)
	if err := f.each(func(h *handle) error { _, err := h.f.WriteAt(slices.Clone(data), offset); return err }); err != nil {
		return 0, err
	}
	f.size = max(f.size, offset+int64(len(p)))
	f.sums = nil
	return len(p), nil
}

// Sync implements [vfs.File]. A copy whose name leads elsewhere counts as
// failed: a directory that was removed takes writes and syncs.
func (f *file) Sync() error { return f.synced(vfs.File.Sync) }

// SyncData implements [vfs.File].
func (f *file) SyncData() error { return f.synced(vfs.File.SyncData) }

func (f *file) synced(sync func(vfs.File) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.each(func(h *handle) error {
		if err := sync(h.f); err != nil {
			return err
		}
		return vfs.CheckName(f.s.base, h.path, h.id)
	})
}

// SyncTo implements [vfs.File]: it promises nothing.
func (f *file) SyncTo(length int64) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return false, f.each(func(h *handle) error { _, err := h.f.SyncTo(length); return err })
}

// Preallocate implements [vfs.File]. A copy that cannot is none the worse: its
// file system may not know how, and a full one says so when it is written to.
func (f *file) Preallocate(offset, length int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	handles := f.live()
	nodes := nodesOf(handles)
	errs := f.s.fanOut(nodes, func(i int) error {
		h := handles[i]
		h.turn.Lock()
		defer h.turn.Unlock()
		return h.f.Preallocate(offset, length)
	})
	done := slices.Contains(errs, nil)
	for i := range errs {
		if done && !errors.Is(errs[i], ErrStalled) {
			errs[i] = nil
		}
	}
	return f.s.settle(nodes, errs)
}

// Close implements [vfs.File].
func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.s.open.remove(f)
	err := f.each(func(h *handle) error { return h.f.Close() })
	if err == nil && f.sums != nil {
		f.s.writeSums(nodesOf(f.handles), f.name, f.sums.finish())
	}
	f.handles = nil
	return err
}

// Read implements [vfs.File]; files are written or read.
func (f *file) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// ReadAt implements [vfs.File].
func (f *file) ReadAt(p []byte, offset int64) (int, error) {
	r := f.s.newReader(f.name)
	n, err := r.ReadAt(p, offset)
	return n, errors.Join(err, r.Close())
}

// Stat implements [vfs.File].
func (f *file) Stat() (vfs.FileInfo, error) { return f.s.Stat(f.s.base.PathJoin(Virtual, f.name)) }

// Prefetch implements [vfs.File].
func (f *file) Prefetch(int64, int64) error { return nil }

// Fd implements [vfs.File]: that of one copy. Pebble takes it as the sign
// that space may be preallocated; nothing may write to it.
func (f *file) Fd() uintptr {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.handles) == 0 {
		return vfs.InvalidFd
	}
	return f.handles[0].f.Fd()
}
