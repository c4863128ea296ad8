package disk

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

// space remembers the file system's usage for a short time.
type space struct {
	mu    sync.Mutex // guards what follows; held while the usage is asked for
	at    time.Time
	known bool
	usage blobd.DiskUsage
}

// unlimited is what a file system that knows no usage is taken for.
const unlimited = 1 << 50

// Usage implements [blobd.Inventory]. It may be as old as Options.UsageTTL.
func (d *Disk) Usage(ctx context.Context) (blobd.DiskUsage, error) {
	if err := d.ready(ctx); err != nil {
		return blobd.DiskUsage{}, err
	}
	d.space.mu.Lock()
	defer d.space.mu.Unlock()
	return d.usageLocked()
}

func (d *Disk) usageLocked() (blobd.DiskUsage, error) {
	now := d.opts.Now()
	if d.space.known && now.Sub(d.space.at) < d.opts.UsageTTL {
		return d.space.usage, nil
	}
	u, err := d.fs.GetDiskUsage(d.dir)
	switch {
	case errors.Is(err, pebblevfs.ErrUnsupported):
		d.space.usage = blobd.DiskUsage{Total: unlimited, Free: unlimited}
	case err != nil:
		return blobd.DiskUsage{}, errors.Join(fmt.Errorf("usage of %s: %w", d.dir, err), d.checkDir())
	default:
		d.space.usage = blobd.DiskUsage{Total: u.TotalBytes, Free: u.AvailBytes, Reserve: d.reserve(u.TotalBytes)}
	}
	d.space.at, d.space.known = now, true
	return d.space.usage, nil
}

// reserve is how much of a file system stays free.
func (d *Disk) reserve(total uint64) uint64 {
	if d.opts.Reserve == 0 {
		return min(1<<30, total/20)
	}
	return uint64(max(d.opts.Reserve, 0))
}

// take asks for room for n more bytes, leaving the reserve alone. What is
// taken counts at once, before the file system is asked again.
func (d *Disk) take(n int64) error {
	d.space.mu.Lock()
	defer d.space.mu.Unlock()
	u, err := d.usageLocked()
	if err != nil {
		return err
	}
	if free := int64(min(u.Free, math.MaxInt64)); free-int64(u.Reserve) < n {
		return fmt.Errorf("%w: %s has %d bytes free, %d are in reserve", blobd.ErrNoSpace, d.dir, free, u.Reserve)
	}
	d.space.usage.Free -= uint64(n)
	return nil
}

// reserve makes the file long enough for an append that ends at end, and
// starts to extend it in the background when the rest gets short.
func (s *shard) reserve(ctx context.Context, end int64) error {
	s.mu.Lock()
	fits := end <= s.size
	step := s.disk.opts.Preallocate
	ahead := fits && !s.growing && s.size < s.capacity && s.size-end < step/2
	if ahead {
		s.growing = true
		s.disk.retain(s)
		go s.growAhead(context.WithoutCancel(ctx), end) // for all appends to come
	}
	s.mu.Unlock()
	if fits {
		return nil
	}
	return s.grow(ctx, end, end)
}

func (s *shard) growAhead(ctx context.Context, end int64) {
	defer s.disk.release(s)
	// Whoever needs the room meets the error again.
	_ = s.grow(ctx, end, end+s.disk.opts.Preallocate/2)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.growing = false
}

// grow extends the file in one step so that wanted bytes of the shard have
// room, or, when the disk is too full for the step, so that needed have.
func (s *shard) grow(ctx context.Context, needed, wanted int64) error {
	select {
	case s.extends <- struct{}{}:
		defer func() { <-s.extends }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	from, sealing := s.size, s.sealing
	s.mu.Unlock()
	if min(wanted, s.capacity) <= from || sealing && needed <= from {
		return nil
	}
	to := min(s.capacity, max(roundUp(wanted), from+s.disk.opts.Preallocate))
	err := s.extend(from, to)
	if isFull(err) && needed > from && roundUp(needed) < to {
		to = roundUp(needed)
		err = s.extend(from, to)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size = max(s.size, to)
	return nil
}

// extend reserves [from,to) of the shard and makes the new size durable.
func (s *shard) extend(from, to int64) error {
	if err := s.disk.take(to - from); err != nil {
		return err
	}
	w, err := s.openWriter()
	if err != nil {
		return err
	}
	if err := vfs.Extend(w, dataStart+from, to-from); err != nil {
		return s.disk.writeError(fmt.Errorf("extend %s to %d: %w", s.id, to, err))
	}
	// In turn with the other syncs: an error is reported to only one of them.
	s.syncing <- struct{}{}
	defer func() { <-s.syncing }()
	s.mu.Lock()
	err = s.closed
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := w.Sync(); err != nil {
		return s.closeFor(fmt.Errorf("sync of %s: %w", s.id, err))
	}
	return nil
}
