package partition

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/undercroft/undercroft/blobd"
)

// chunk is a few blocks of one column on their way to a reader.
type chunk struct {
	view     *view
	stripe   int64
	height   uint32
	column   int
	from, to int64 // of the column's payload

	cost int64 // of the read budget
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

// readBudget bounds the memory of chunks.
type readBudget struct{ *budget }

func newReadBudget() *readBudget {
	return &readBudget{newBudget(readMemory, maxReadQueue, maxReadWait)}
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
	c.next = c.from
	_, n := c.span()
	c.slab = s.slabs.get(n)
	c.raw = c.slab.b[:n]
	s.stats.reads.Add(1)
	err := s.read(ctx, c)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if err = s.recover(ctx, c, err); !errors.Is(err, ErrUnreadable) {
		return err
	}
	// Perhaps repair has moved a shard since the view was read.
	newer, e := s.views.reload(ctx, c.view)
	if e != nil {
		return e
	}
	if newer != nil && newer.scheme == c.view.scheme {
		c.view = newer
		if e = s.read(ctx, c); e == nil {
			return nil
		}
		err = s.recover(ctx, c, e)
	}
	if errors.Is(err, ErrUnreadable) {
		s.stats.unreadable.Add(1)
	}
	return err
}

// read fills the chunk from its own shard. When it fails, c.raw holds whatever
// was read, or zeros.
func (s *Store) read(ctx context.Context, c *chunk) error {
	shard := shardOf(c.column, c.stripe, c.view.k)
	offset, _ := c.span()
	if err := c.view.readShard(ctx, shard, c.raw, offset); err != nil {
		clear(c.raw)
		return err
	}
	summer := blobd.NewSummer(c.view.secret, c.view.shard(shard), c.stripe)
	return blobd.VerifyBlocks(summer, blobd.BlockOf(c.from), c.height, c.raw, discard)
}

func discard([]byte) error { return nil }

var errMissing = errors.New("partition: shard is not attached")

// readShard fills p from a shard.
func (v *view) readShard(ctx context.Context, shard int, p []byte, offset int64) error {
	d := v.disks[shard]
	if d == nil {
		return errMissing
	}
	if v.passOver(d) {
		return fmt.Errorf("read of %s: %w", v.shard(shard), errSlow)
	}
	n, err := d.ReadAt(ctx, v.shard(shard), p, offset)
	if n == len(p) && (err == nil || errors.Is(err, io.EOF)) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d of %s: %w", len(p), offset, v.shard(shard), err)
}

// passOver reports whether a shard's disk is better not asked: it hangs, and so
// few do that every stripe can be read without them.
func (v *view) passOver(d *disk) bool {
	if v.m == 0 || !d.hangs(v.now()) {
		return false
	}
	hanging := 0
	for _, other := range v.disks {
		if other == nil || other.hangs(v.now()) {
			hanging++
		}
	}
	return hanging <= v.m
}
