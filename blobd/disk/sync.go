package disk

import (
	"context"
	"fmt"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

// round is one sync of a shard and all who wait for it.
type round struct {
	done chan struct{}
	err  error // valid after done
}

// flush makes everything durable that was written to the shard before the
// call. The first to ask while a sync runs leads the next one, and everybody
// who asks until that begins shares it. When ctx ends first, the sync goes on.
func (s *shard) flush(ctx context.Context) error {
	s.mu.Lock()
	r := s.next
	if r == nil {
		r = &round{done: make(chan struct{})}
		s.next = r
		s.disk.retain(s)
		go s.lead(r)
	}
	s.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *shard) lead(r *round) {
	defer s.disk.release(s)
	s.syncing <- struct{}{}
	s.mu.Lock()
	s.next = nil // whoever writes from here on is not covered
	err := s.closed
	s.mu.Unlock()
	// After a failed sync nothing may be synced again: the kernel has dropped
	// the pages, and a second sync would succeed without them.
	if err == nil {
		err = s.sync()
	}
	<-s.syncing
	r.err = err
	close(r.done)
}

// sync is one fdatasync and the check that the file still has its name.
func (s *shard) sync() error {
	w, err := s.openWriter()
	if err != nil {
		return err
	}
	start := s.disk.opts.Now()
	err = w.SyncData()
	s.disk.stats.synced(s.disk.opts.Now().Sub(start))
	if err != nil {
		return s.closeFor(fmt.Errorf("sync of %s: %w", s.id, err))
	}
	return s.checkName()
}

func (s *shard) checkName() error {
	err := vfs.CheckName(s.disk.fs, s.name, s.identity)
	if err == nil {
		return nil
	}
	if s.deleted.Load() {
		return fmt.Errorf("%w: %s", blobd.ErrShardNotFound, s.id)
	}
	return s.disk.fail(err)
}

// closeFor closes the shard for appends for good, because a sync failed, and
// answers the error for those who waited for it.
func (s *shard) closeFor(cause error) error {
	err := s.disk.writeError(cause)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed == nil {
		s.closed = fmt.Errorf("%w: %w", blobd.ErrSealed, err)
	}
	return s.closed
}
