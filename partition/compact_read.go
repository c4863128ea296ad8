package partition

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// compactGap is how many bytes between two blobs are rather read than left out.
const compactGap = 64 << 10

// oneByOne yields whole extents.
func oneByOne(extents ...metadata.Extent) func(context.Context) (Segment, bool, error) {
	return func(context.Context) (Segment, bool, error) {
		if len(extents) == 0 {
			return Segment{}, false, nil
		}
		e := extents[0]
		extents = extents[1:]
		return Segment{Extent: e, Length: int64(e.Length)}, true, nil
	}
}

// readFull fills b; the end of the reader before that is an error.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	return err
}

// read fills a buffer for each blob, in one pass over the stripe.
func (c *compaction) read(ctx context.Context, h blobd.FrameHeader, blobs []*moving) error {
	err := c.fill(ctx, &h, blobs)
	if err == nil {
		return nil
	}
	for _, m := range blobs {
		if m.buf != nil {
			m.buf.Free()
		}
	}
	return err
}

func (c *compaction) fill(ctx context.Context, h *blobd.FrameHeader, blobs []*moving) (err error) {
	for _, m := range blobs {
		if m.buf, err = c.store.moves.buffers.exactly(int(m.extent.Length)); err != nil {
			return err
		}
	}
	slices.SortFunc(blobs, func(a, b *moving) int { return cmp.Compare(a.extent.Start, b.extent.Start) })
	r := c.store.NewReader(ctx, oneByOne(c.spans(h, blobs)...)).inBackground()
	defer func() { _ = r.Close() }() // reading: nothing is lost
	at := blobs[0].extent.Start
	for _, m := range blobs {
		e := &m.extent
		if gap := int64(e.Start) - int64(at); gap > 0 && gap <= compactGap {
			if _, err := io.CopyN(io.Discard, r, gap); err != nil {
				return err
			}
		}
		if err := readFull(r, m.buf.Bytes()[:e.Length]); err != nil {
			return err
		}
		at = e.Start + e.Length
	}
	return nil
}

// spans are the runs of the content that hold the blobs, which are in order.
func (c *compaction) spans(h *blobd.FrameHeader, blobs []*moving) (out []metadata.Extent) {
	from, to := blobs[0].extent.Start, blobs[0].extent.Start
	for _, m := range blobs {
		if e := &m.extent; int64(e.Start)-int64(to) > compactGap {
			out = append(out, c.span(h, from, to))
			from = e.Start
		}
		to = m.extent.Start + m.extent.Length
	}
	return append(out, c.span(h, from, to))
}

// newMoveBuffers is the memory of compaction: it takes none from requests.
func newMoveBuffers(s *slabs) *buffers {
	return &buffers{
		slabs: s, small: newBudget(compactMemory, maxBufferQueue, maxBufferWait), large: newBudget(compactMemory, maxBufferQueue, maxBufferWait),
	}
}

// exactly makes a buffer for n bytes at once, or fails with ErrOverloaded.
func (p *buffers) exactly(n int) (*Buffer, error) {
	if !p.budgetOf(n).try(int64(n)+slack, 0) {
		return nil, fmt.Errorf("%w: too much is on its way to the disks", ErrOverloaded)
	}
	if n <= smallBuffer/2 {
		return &Buffer{pool: p, slab: &slab{make([]byte, n)}, cap: n}, nil
	}
	return &Buffer{pool: p, slab: p.slabs.get(n + slack), cap: n}, nil
}
