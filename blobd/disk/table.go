package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

// acquire returns the shard's entry with a reference, not loaded yet.
func (d *Disk) acquire(id blobd.ShardID) (*shard, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, blobd.ErrClosed
	}
	s := d.shards[id]
	if s == nil {
		s = newShard(d, id)
		d.shards[id] = s
	}
	s.refs++
	d.users++
	return s, nil
}

// acquireOpen returns the shard with a reference where it is loaded, else nil.
func (d *Disk) acquireOpen(id blobd.ShardID) *shard {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.shards[id]
	if s == nil || d.closed || !s.loaded.Load() {
		return nil
	}
	s.refs++
	d.users++
	return s
}

// retain adds a reference for a goroutine; the caller holds one.
func (d *Disk) retain(s *shard) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.refs++
	d.users++
}

// release gives a reference back, and closes files when too many are open.
func (d *Disk) release(s *shard) {
	keep, keepOpen := s.keep()
	d.mu.Lock()
	s.refs--
	d.users--
	var drop []*shard
	switch {
	case s.refs == 0 && (!keep || s.deleted.Load()):
		d.dropLocked(s)
		drop = append(drop, s)
	case keepOpen && s.element != nil:
		d.recent.Remove(s.element)
		s.element = nil
	case keep && !keepOpen && s.element == nil:
		s.element = d.recent.PushFront(s)
	case s.element != nil:
		d.recent.MoveToFront(s.element)
	}
	drop = d.evictLocked(drop)
	last := d.closed && d.users == 0
	d.mu.Unlock()
	for _, s := range drop {
		// A failed close loses nothing: what counts was synced before.
		_ = s.closeFiles()
	}
	if last {
		close(d.unused)
	}
}

// evictLocked takes the longest unused shards out of the table.
func (d *Disk) evictLocked(drop []*shard) []*shard {
	for e := d.recent.Back(); e != nil && d.recent.Len() > d.opts.Handles; {
		s, ok := e.Value.(*shard)
		e = e.Prev()
		if ok && s.refs == 0 {
			d.dropLocked(s)
			drop = append(drop, s)
		}
	}
	return drop
}

func (d *Disk) dropLocked(s *shard) {
	if s.element != nil {
		d.recent.Remove(s.element)
		s.element = nil
	}
	if d.shards[s.id] == s {
		delete(d.shards, s.id)
	}
}

// forget takes a deleted shard out of the table; whoever still uses it keeps
// its files until the last reference is gone.
func (d *Disk) forget(s *shard) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shards[s.id] == s {
		delete(d.shards, s.id)
	}
}

// open returns the loaded shard with a reference, or [blobd.ErrShardNotFound].
func (d *Disk) open(ctx context.Context, id blobd.ShardID) (*shard, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := d.acquire(id)
	if err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		d.release(s)
		return nil, err
	}
	return s, nil
}

// load reads the superblocks, once.
func (s *shard) load() error {
	if s.loaded.Load() {
		return nil
	}
	s.life.Lock()
	defer s.life.Unlock()
	if s.loaded.Load() {
		return nil
	}
	if s.deleted.Load() {
		return fmt.Errorf("%w: %s", blobd.ErrShardNotFound, s.id)
	}
	f, err := s.disk.fs.Open(s.name)
	if errors.Is(err, fs.ErrNotExist) {
		// Only a directory that is really there can lack a shard.
		if err := s.disk.checkDir(); err != nil {
			return err
		}
		return fmt.Errorf("%w: %s", blobd.ErrShardNotFound, s.id)
	}
	if err != nil {
		return fmt.Errorf("open shard %s: %w", s.id, err)
	}
	if err := s.loadFrom(f); err != nil {
		return errors.Join(fmt.Errorf("open shard %s: %w", s.id, err), f.Close())
	}
	return nil
}

func (s *shard) loadFrom(f vfs.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	slots := make([]byte, dataStart)
	n, err := readFull(f, slots, 0)
	if err != nil {
		return err
	}
	super, err := decodeSuperblock(slots[:n], s.id)
	if err != nil {
		return err
	}
	vfs.KeepAccessTime(f)
	s.reader, s.identity = f, vfs.IdentityOf(info)
	s.capacity, s.secret = super.Capacity, super.Secret
	s.mu.Lock()
	s.super, s.floor, s.sealing = super, super.Epoch, super.Sealed
	// A size that is not durable yet costs one sync more, when data is synced.
	s.size = max(0, roundDown(info.Size()-dataStart))
	s.mu.Unlock()
	s.loaded.Store(true)
	return nil
}

// openWriter opens the file for writing, once.
func (s *shard) openWriter() (vfs.File, error) {
	if w := s.writer.Load(); w != nil {
		return *w, nil
	}
	s.life.Lock()
	defer s.life.Unlock()
	if w := s.writer.Load(); w != nil {
		return *w, nil
	}
	if s.deleted.Load() {
		return nil, fmt.Errorf("%w: %s", blobd.ErrShardNotFound, s.id)
	}
	// Opening creates what is not there, so look first.
	if err := vfs.CheckName(s.disk.fs, s.name, s.identity); err != nil {
		return nil, s.disk.writeError(err)
	}
	w, err := s.disk.fs.OpenReadWrite(s.name, vfs.Unspecified)
	if err != nil {
		return nil, s.disk.writeError(err)
	}
	info, err := w.Stat()
	if err == nil && vfs.IdentityOf(info) != s.identity {
		err = fmt.Errorf("%s was replaced", s.name)
	}
	if err != nil {
		return nil, errors.Join(s.disk.writeError(err), w.Close())
	}
	s.writer.Store(&w)
	return w, nil
}

func (s *shard) closeFiles() error {
	var errs []error
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	if w := s.writer.Load(); w != nil {
		errs = append(errs, (*w).Close())
	}
	if f := s.direct.Load(); f != nil {
		errs = append(errs, (*f).Close())
	}
	return errors.Join(errs...)
}
