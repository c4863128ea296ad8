package disk

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

// shard is one shard's file and what must be remembered while it is in use.
type shard struct {
	disk *Disk
	id   blobd.ShardID
	name string

	// Guarded by disk.mu.
	refs    int
	element *list.Element // in disk.recent; stays while in use

	// life serialises loading, creating, deleting and opening for writing.
	life    sync.Mutex
	loaded  atomic.Bool // what follows until mu is set, and no longer changes
	deleted atomic.Bool

	reader   vfs.File
	identity vfs.Identity
	capacity int64
	secret   blobd.Secret
	writer   atomic.Pointer[vfs.File] // opened by the first change
	direct   atomic.Pointer[vfs.DirectFile]

	mu       sync.Mutex // guards what follows; never held during I/O
	super    superblock // the one that is durable
	floor    blobd.Epoch
	sealing  bool  // sealed, or about to be
	closed   error // why no append is taken any more: a sync failed
	writing  int   // appends between begin and done
	drained  chan struct{}
	appended int64 // highest end of an append since the shard was loaded
	end      int64 // what the scan found
	scanned  bool
	size     int64 // bytes that the file has room for, without growing
	growing  bool  // in the background
	next     *round

	syncing chan struct{} // holds a value while a sync runs
	raising chan struct{} // holds a value while the superblock changes
	extends chan struct{} // holds a value while the file grows
	scans   chan struct{} // holds a value while the end is looked for
}

func newShard(d *Disk, id blobd.ShardID) *shard {
	return &shard{
		disk: d, id: id, name: d.shardPath(id),
		syncing: make(chan struct{}, 1),
		raising: make(chan struct{}, 1),
		extends: make(chan struct{}, 1),
		scans:   make(chan struct{}, 1),
	}
}

// keep reports whether an unused shard stays in the table, and whether it may
// not be closed to make room: its memory holds what the file does not say.
func (s *shard) keep() (keep, keepOpen bool) {
	if !s.loaded.Load() || s.deleted.Load() {
		return false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return true, s.closed != nil || s.floor != s.super.Epoch || s.sealing != s.super.Sealed
}

// begin admits an append of length bytes, or says why not. After nil, done
// must be called.
func (s *shard) begin(a blobd.Append, length int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.takesLocked(a.Epoch); err != nil {
		return err
	}
	if a.Offset < 0 || a.Offset%blobd.Align != 0 || a.Offset > s.capacity || length > s.capacity-a.Offset {
		return fmt.Errorf("%w: append of %d bytes at %d to %s of %d", blobd.ErrBadOffset, length, a.Offset, s.id, s.capacity)
	}
	s.writing++
	// Before the first byte is written: whoever asks for the end from now on
	// must not be told an offset inside.
	s.appended = max(s.appended, roundUp(a.Offset+length))
	return nil
}

func (s *shard) takesLocked(epoch blobd.Epoch) error {
	if s.deleted.Load() {
		return fmt.Errorf("%w: %s", blobd.ErrShardNotFound, s.id)
	}
	if s.closed != nil {
		return s.closed
	}
	// While a fence is under way, floor is above super.Epoch and nobody writes.
	if epoch != s.super.Epoch || epoch != s.floor {
		return fmt.Errorf("%w: append of epoch %d to %s, which is at %d", blobd.ErrStaleEpoch, epoch, s.id, s.floor)
	}
	if s.sealing {
		return fmt.Errorf("%w: %s", blobd.ErrSealed, s.id)
	}
	return nil
}

func (s *shard) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing--
	if s.writing == 0 && s.drained != nil {
		close(s.drained)
		s.drained = nil
	}
}

// drainLocked returns a channel that is closed when no append is writing.
func (s *shard) drainLocked() <-chan struct{} {
	if s.drained == nil {
		s.drained = make(chan struct{})
	}
	ch := s.drained
	if s.writing == 0 {
		close(s.drained)
		s.drained = nil
	}
	return ch
}

// readFull reads as much of p as the file has; a short count is its end.
func readFull(f vfs.File, p []byte, offset int64) (int, error) {
	n, err := f.ReadAt(p, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
