package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

var _ blobd.Auditor = (*Disk)(nil)

// Audit implements [blobd.Auditor].
func (d *Disk) Audit(ctx context.Context, id blobd.ShardID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := d.acquire(id)
	if err != nil {
		return err
	}
	defer d.release(s)
	select { // the superblock does not change meanwhile
	case s.raising <- struct{}{}:
		defer func() { <-s.raising }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s.life.Lock()
	defer s.life.Unlock()
	slots, info, err := s.slotsByName()
	if errors.Is(err, fs.ErrNotExist) {
		// Only a directory that is really there can lack a shard.
		if err := d.checkDir(); err != nil {
			return err
		}
		d.retire(s)
		return fmt.Errorf("%w: %s", blobd.ErrShardNotFound, id)
	}
	if err != nil {
		return fmt.Errorf("audit of %s: %w", id, err)
	}
	if err := s.dropStale(slots, info); err != nil {
		return err
	}
	super, err := checkSlots(slots, id)
	if err == nil && s.loaded.Load() && !s.deleted.Load() && super.Sequence < s.sequence() {
		err = fmt.Errorf("%w: %s has superblock %d, %d was written", blobd.ErrCorrupt, id, super.Sequence, s.sequence())
	}
	return err
}

// sequence is that of the last superblock known to be durable. The file may have a later
// one, of a change whose caller did not wait for the sync.
func (s *shard) sequence() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.super.Sequence
}

// slotsByName reads the superblocks of whatever file the name leads to.
func (s *shard) slotsByName() (slots []byte, identity vfs.Identity, err error) {
	f, err := s.disk.fs.Open(s.name)
	if err != nil {
		return nil, identity, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, identity, err
	}
	slots = make([]byte, dataStart)
	n, err := readFull(f, slots, 0)
	return slots[:n], vfs.IdentityOf(info), err
}

// dropStale lets go of an open file that the name does not lead to any more. The
// caller holds life.
func (s *shard) dropStale(slots []byte, identity vfs.Identity) error {
	if !s.loaded.Load() || s.deleted.Load() {
		return nil
	}
	open := make([]byte, dataStart)
	n, err := readFull(s.reader, open, 0)
	if err != nil {
		return fmt.Errorf("audit of %s: %w", s.id, err)
	}
	if identity != s.identity || !bytes.Equal(open[:n], slots) {
		s.disk.retire(s)
	}
	return nil
}

// checkSlots is decodeSuperblock for superblocks of which both can be read. A slot of
// zeros was never written.
func checkSlots(b []byte, id blobd.ShardID) (superblock, error) {
	super, err := decodeSuperblock(b, id)
	if err != nil {
		return super, err
	}
	for slot := range uint64(2) {
		one := b[slot*slotSize : (slot+1)*slotSize]
		if len(bytes.Trim(one[:superSize], "\x00")) == 0 {
			continue
		}
		if _, err := decodeSlot(one, slot); err != nil {
			return super, fmt.Errorf("%s: %w", id, err)
		}
	}
	return super, nil
}

// Cool implements [blobd.Auditor].
func (d *Disk) Cool(ctx context.Context, id blobd.ShardID, offset, length int64) error {
	s, err := d.open(ctx, id)
	if err != nil {
		return err
	}
	defer d.release(s)
	return vfs.Cool(s.reader, dataStart+offset, length)
}
