package disk

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/undercroft/undercroft/blobd"
)

// Append implements [blobd.Appender].
func (d *Disk) Append(ctx context.Context, a blobd.Append) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	s, err := d.open(ctx, a.Shard)
	if err != nil {
		return err
	}
	defer d.release(s)
	var length int64
	for _, p := range a.Data {
		length += int64(len(p))
	}
	if err := s.write(ctx, a, length); err != nil {
		return err
	}
	d.stats.appends.Add(1)
	d.stats.appendedBytes.Add(length)
	return s.flush(ctx)
}

// write puts the frame into the file, not yet durable. A fence waits for it.
func (s *shard) write(ctx context.Context, a blobd.Append, length int64) error {
	if err := s.begin(a, length); err != nil {
		return err
	}
	defer s.done()
	w, err := s.openWriter()
	if err != nil {
		return err
	}
	if err := s.reserve(ctx, a.Offset+length); err != nil {
		return err
	}
	if err := s.put(w, a, length); err != nil {
		return s.disk.writeError(fmt.Errorf("append to %s at %d: %w", s.id, a.Offset, err))
	}
	return nil
}

// writeError sorts the errors of changes: a full disk is one thing, a process
// out of resources another; all others put the disk out of service.
func (d *Disk) writeError(err error) error {
	switch {
	case errors.Is(err, blobd.ErrNoSpace):
		return err
	case isFull(err):
		return fmt.Errorf("%w: %w", blobd.ErrNoSpace, err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return err
	}
	return d.fail(err)
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, blobd.ErrNoSpace)
}
