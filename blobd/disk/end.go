package disk

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

// largestRead is how much a walk reads at once where it finds no frames.
const largestRead = 256 << 10

// findEnd answers where the written part ends. What the file held when it was
// loaded is looked for once; the rest is counted as it is appended.
func (s *shard) findEnd(ctx context.Context) (int64, error) {
	select {
	case s.scans <- struct{}{}:
		defer func() { <-s.scans }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	s.mu.Lock()
	scanned, end, from := s.scanned, max(s.end, s.appended), s.super.End
	s.mu.Unlock()
	if scanned {
		return end, nil
	}
	found, err := s.scanEnd(ctx, from)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end, s.scanned = found, true
	return max(s.end, s.appended), nil
}

// scanEnd looks from a place known to be at most the end for the last frame
// and the last byte that is not zero. A frame counts in full, even if its tail
// was torn off: a walk steps over all of it. What cannot be read counts as
// written.
func (s *shard) scanEnd(ctx context.Context, from int64) (int64, error) {
	end := from
	var zeros [blobd.Align]byte
	for b, err := range s.walk(ctx, from) {
		if err != nil && ctx.Err() != nil {
			return 0, err
		}
		switch {
		case err != nil:
			end = max(end, b.offset+blobd.Align)
		case b.frame:
			end = max(end, b.offset+b.header.Size())
		case !bytes.Equal(b.data, zeros[:len(b.data)]):
			end = max(end, b.offset+blobd.Align)
		}
	}
	return min(end, s.capacity), nil
}

// block is one aligned block that a walk came to: the first one of a frame, or
// one that belongs to none.
type block struct {
	offset int64
	data   []byte // up to Align bytes, valid until the next step
	frame  bool
	header blobd.FrameHeader
}

// walk visits the blocks from an aligned offset on, stepping over frames and
// holes. A block that cannot be read is yielded with its error.
func (s *shard) walk(ctx context.Context, from int64) func(yield func(block, error) bool) {
	return func(yield func(block, error) bool) {
		buf := make([]byte, largestRead)
		size := int64(blobd.Align)
		for pos, more := from, true; more && pos < s.capacity; {
			data, at, err := s.readBlocks(ctx, buf[:size], pos)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil && size > blobd.Align && ctx.Err() == nil:
				pos, size = at, blobd.Align // find out which block it is
			case err != nil:
				more = yield(block{offset: at}, err) && ctx.Err() == nil
				pos = at + blobd.Align
			default:
				pos, more = s.visit(data, at, yield)
				// Reads double while no frame is met.
				if size = min(2*size, largestRead); pos != at+roundUp(int64(len(data))) {
					size = blobd.Align
				}
			}
		}
	}
}

// visit yields the blocks of data, read at offset at, up to and with the first
// frame. It answers where to go on, and whether to.
func (s *shard) visit(data []byte, at int64, yield func(block, error) bool) (int64, bool) {
	for len(data) > 0 {
		b := block{offset: at, data: data[:min(len(data), blobd.Align)]}
		h, err := blobd.ParseFrameHeader(b.data, s.secret, s.id, at)
		if err == nil && h.Size() <= s.capacity-at {
			b.frame, b.header = true, h
			return at + h.Size(), yield(b, nil)
		}
		if !yield(b, nil) {
			return at, false
		}
		at += blobd.Align
		data = data[len(b.data):]
	}
	return at, true
}

// readBlocks reads from pos on, or from the first block after it that is no
// hole, and answers where that was. [io.EOF] means that nothing follows.
func (s *shard) readBlocks(ctx context.Context, p []byte, pos int64) ([]byte, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, pos, err
	}
	at, err := vfs.SeekData(s.reader, dataStart+pos)
	if err != nil {
		return nil, pos, err
	}
	pos = max(pos, roundDown(at-dataStart))
	n, err := readFull(s.reader, p, dataStart+pos)
	if err != nil {
		return nil, pos, err
	}
	if n == 0 {
		return nil, pos, io.EOF
	}
	return p[:n], pos, nil
}
