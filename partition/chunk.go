package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/undercroft/undercroft/blobd"
)

// chunk is a few blocks of one column on their way to a reader.
type chunk struct {
	view     *view
	stripe   int64
	height   uint32
	column   int
	columns  int   // that the extent says there are; there may be more
	last     int   // column that the reader comes to
	from, to int64 // of the column's payload

	have []*kept // of other columns, the reader's
	keep []*kept // read on the way, for chunks to come
	cost int64   // of the read budget
	slab *slab
	raw  []byte // the blocks, checksums included, once read
	next int64  // of the column's payload, to hand out
	done chan struct{}
	err  error
}

// limit is where the payload ends of so many blocks from that of c.from on.
func (c *chunk) limit(blocks int64) int64 {
	return (int64(blobd.BlockOf(c.from)) + blocks) * blobd.BlockPayload
}

// span is where the blocks lie in the shard.
func (c *chunk) span() (offset int64, length int) {
	return blobd.BlockSpan(c.stripe, c.height, c.from, c.to)
}

// block returns block n of the column, with its checksum, in c.raw.
func (c *chunk) block(n uint32) []byte {
	at := int(n-blobd.BlockOf(c.from)) * blobd.BlockSize
	return c.raw[at:min(at+blobd.BlockSize, len(c.raw))]
}

// take returns the verified bytes, nil when they were taken. It moves them
// together over the checksums between them: one large write to a
// connection costs less than moving and four writes of a block.
func (c *chunk) take() []byte {
	if c.next >= c.to {
		return nil
	}
	n := blobd.BlockOf(c.next)
	start := int64(n) * blobd.BlockPayload
	first := int(c.next - start)
	end := first
	for c.next < c.to {
		stop := min(c.to, start+blobd.BlockPayload)
		payload := c.block(n)[c.next-start : stop-start]
		if end == first {
			end += len(payload)
		} else {
			end += copy(c.raw[end:], payload)
		}
		c.next, n, start = stop, n+1, start+blobd.BlockPayload
	}
	return c.raw[first:end]
}

// run is the chunk's range, to rebuild it.
func (c *chunk) run() run {
	return run{c.view, c.stripe, c.height, c.column, c.columns, c.last, c.from, c.to, c.have}
}

// has reports whether it may be rebuilt from what was kept of a column.
func (c *chunk) has(column int) bool {
	return slices.ContainsFunc(c.have, func(k *kept) bool { return k.column == column })
}

func (c *chunk) summer() blobd.Summer {
	return blobd.NewSummer(c.view.secret, c.view.shard(shardOf(c.column, c.stripe, c.view.k)), c.stripe)
}

// readBudget bounds what all readers do together: the memory of chunks, and of
// what they are rebuilt from, and how many reads are hedged.
type readBudget struct {
	*budget

	rebuilding *budget
	layouts    layouts
	hedges     hedges
	stats      readCounters
}

// readCounters count since the start.
type readCounters struct {
	hedged, hedgesWon, hedgesRefused, givenUp atomic.Int64
}

func newReadBudget() *readBudget {
	return &readBudget{
		budget:     newBudget(readMemory, maxReadQueue, maxReadWait),
		rebuilding: newBudget(rebuildMemory, maxReadQueue, maxReadWait),
	}
}

func (c *chunk) price() int64 {
	if _, n := c.span(); n > blobd.BlockSize {
		return readBuffer
	}
	return blobd.BlockSize
}

// admit waits for the memory of a chunk. Under pressure it cuts the chunk down
// to one block.
func (b *readBudget) admit(ctx context.Context, c *chunk) error {
	c.cost = c.price()
	if c.cost > blobd.BlockSize && !b.try(c.cost, readMemory/2) {
		c.to = min(c.to, c.limit(1))
		c.cost = blobd.BlockSize
	}
	if c.cost == blobd.BlockSize {
		if err := b.acquire(ctx, c.cost); err != nil {
			c.cost = 0
			return err
		}
	}
	return nil
}

// tryAhead takes the memory of a chunk that nobody waits for yet.
func (b *readBudget) tryAhead(c *chunk) bool {
	price := c.price()
	if !b.try(price, readMemory/2) {
		return false
	}
	c.cost = price
	return true
}

// fetch reads and verifies a chunk, rebuilding what must be.
func (s *Store) fetch(ctx context.Context, c *chunk) error {
	s.stats.reads.Add(1)
	err := s.attempt(ctx, c)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if !errors.Is(err, ErrUnreadable) && !errors.Is(err, errSlow) {
		return err
	}
	// Perhaps repair has moved a shard since the view was read.
	newer, e := s.views.reload(ctx, c.view)
	if e != nil {
		return e
	}
	if newer != nil && newer.scheme == c.view.scheme {
		if !c.view.foreground {
			newer = newer.inBackground()
		}
		c.view = newer
		err = s.attempt(ctx, c)
	}
	switch {
	case errors.Is(err, ErrUnreadable):
		s.stats.unreadable.Add(1)
	case errors.Is(err, errSlow):
		return fmt.Errorf("%w: %w", ErrOverloaded, err)
	}
	return err
}

// attempt reads a chunk from its own shard, or rebuilds it.
func (s *Store) attempt(ctx context.Context, c *chunk) error {
	c.next = c.from
	s.slabs.put(c.slab) // of an earlier attempt
	c.slab = nil
	shard := shardOf(c.column, c.stripe, c.view.k)
	d := c.view.disks[shard]
	if d == nil {
		return s.recover(ctx, c, errMissing)
	}
	offset, n := c.span()
	c.slab = s.slabs.get(n)
	c.raw = c.slab.b[:n]
	if got := d.cached(c.view.shard(shard), c.raw, offset); got < n {
		return s.await(ctx, c, shard, got)
	}
	if err := c.verify(); err != nil {
		return s.recover(ctx, c, err)
	}
	return nil
}

func (c *chunk) verify() error {
	return blobd.VerifyBlocks(c.summer(), blobd.BlockOf(c.from), c.height, c.raw, discard)
}

func discard([]byte) error { return nil }
