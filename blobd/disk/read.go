package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

// ReadAt implements [blobd.Reader]. It is also tried on a disk that is out of
// service.
func (d *Disk) ReadAt(ctx context.Context, id blobd.ShardID, p []byte, offset int64) (int, error) {
	s, err := d.open(ctx, id)
	if err != nil {
		return 0, err
	}
	defer d.release(s)
	if offset < 0 {
		return 0, fmt.Errorf("%w: read at %d of %s", blobd.ErrBadOffset, offset, id)
	}
	if offset >= s.capacity && len(p) > 0 {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), s.capacity-offset))
	n, err := readFull(s.reader, p[:max(want, 0)], dataStart+offset)
	if err != nil {
		return n, fmt.Errorf("read of %s at %d: %w", id, offset, err)
	}
	d.stats.reads.Add(1)
	d.stats.readBytes.Add(int64(n))
	if n < want {
		clear(p[n:want]) // the file has not grown there yet
	}
	if want < len(p) {
		return want, io.EOF
	}
	return want, nil
}

// ReadCached implements [blobd.CachedReader]. It finds only what lies in shards
// that are open.
func (d *Disk) ReadCached(id blobd.ShardID, p []byte, offset int64) int {
	if offset < 0 || d.uncached.Load() {
		return 0
	}
	s := d.acquireOpen(id)
	if s == nil {
		return 0
	}
	defer d.release(s)
	want := min(int64(len(p)), s.capacity-offset)
	if want <= 0 {
		return 0
	}
	n, err := vfs.ReadCached(s.reader, p[:want], dataStart+offset)
	if errors.Is(err, errors.ErrUnsupported) {
		d.uncached.Store(true)
	}
	if n == len(p) {
		d.stats.reads.Add(1)
	}
	d.stats.readBytes.Add(int64(n))
	return n
}

// Frames implements [blobd.Reader].
func (d *Disk) Frames(ctx context.Context, id blobd.ShardID, from int64) iter.Seq2[blobd.FrameHeader, error] {
	return func(yield func(blobd.FrameHeader, error) bool) {
		s, err := d.open(ctx, id)
		if err != nil {
			yield(blobd.FrameHeader{}, err)
			return
		}
		defer d.release(s)
		for b, err := range s.walk(ctx, roundUp(max(from, 0))) {
			if err != nil {
				yield(blobd.FrameHeader{}, fmt.Errorf("frames of %s at %d: %w", id, b.offset, err))
				return
			}
			if b.frame && !yield(b.header, nil) {
				return
			}
		}
	}
}
