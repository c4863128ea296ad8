package partition

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

const (
	// compactRefs is how many references one piece of a compaction reads.
	compactRefs = 1024
	// compactLarge is how many bytes of large blobs one piece moves, and
	// compactBlobs how many blobs: what bounds its memory.
	compactLarge = 2 * largeBuffer
	compactBlobs = 1024
	// compactMemory is never reached by that: blobs of several pieces may still
	// be on their way to a disk that lags.
	compactMemory = 64 << 20
	// goodStripe is how much more than its live bytes need, in percent, a stripe
	// may take and be left where it is.
	goodStripe = 110
)

// CompactOptions say which part of a partition is compacted.
type CompactOptions struct {
	// From is the offset of the first stripe to look at.
	From int64
	// All moves every blob. Else stripes stay that take little more space than
	// their blobs would elsewhere.
	All bool
	// Pace is called with the bytes of each stripe's blobs before they are moved.
	Pace Pace
}

// Compacted is what a piece of a compaction did.
type Compacted struct {
	Next   int64 // where the next call goes on; -1 at the end of the partition
	Blobs  int   // moved
	Bytes  int64 // of them
	Lost   int   // blobs written again in vain, as far as is known: somebody changed them meanwhile
	Failed int   // stripes that could not be read, and stay
	Rest   int64 // bytes of all shards that lie within stripes which stay, absent columns included
}

// Compact moves blobs of a sealed partition to open ones of its storage class, a
// bounded piece of
// it: those in stripes that take much more space than their live bytes need,
// with padding, parity and dead neighbours counted, so that the space of the
// stripe can be freed. Small blobs are written together. Each is read with its
// checksums and written like any other, and then its extent is swapped in a
// transaction that requires it unchanged: whatever others do meanwhile, or a crash,
// leaves the one place or the other, and the bytes that lost are garbage by
// state. Errors are those of disks, memory and metadata; what was moved by
// then counts.
func (s *Store) Compact(ctx context.Context, id metadata.PartitionID, o CompactOptions) (Compacted, error) {
	if !s.begin() {
		return Compacted{Next: o.From}, ErrClosed
	}
	defer s.work.Done()
	if !s.moves.mu.TryLock() { // what bounds the memory
		return Compacted{Next: o.From}, ErrBusy
	}
	defer s.moves.mu.Unlock()
	if s.moves.buffers == nil {
		s.moves.buffers = newMoveBuffers(s.slabs)
	}
	release, ok := s.claim(id)
	if !ok {
		return Compacted{Next: o.From}, ErrBusy
	}
	defer release()
	if o.Pace == nil {
		o.Pace = func(ctx context.Context, _ int64) error { return ctx.Err() }
	}
	var row *metadata.Partition
	var refs []metadata.Ref
	err := s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		if row, err = r.Partition(id); err == nil && row != nil {
			refs, err = r.Refs(id, o.From, compactRefs)
		}
		return err
	})
	if err != nil {
		return Compacted{Next: o.From}, err
	}
	if row == nil || row.State != metadata.PartitionSealed {
		return Compacted{Next: -1}, nil
	}
	sc := s.classes.of(row.Class)
	c := &compaction{store: s, class: sc, view: s.readView(row), opts: &o, batched: sc.batchedBelow()}
	err = c.run(ctx, refs, len(refs) < compactRefs)
	if err != nil {
		err = fmt.Errorf("compact partition %s: %w", pid(id), err)
	}
	return c.out, err
}

// batchedBelow is the size under which a blob that is moved shares a stripe:
// where it would fill fewer than all columns of its own.
func (c *storageClass) batchedBelow() int {
	return min(max(batchBelow, c.inUse().K*c.store.opts.MinColumn), c.batches.limit()/2)
}

// moves is what compactions share. The zero value is ready.
type moves struct {
	mu       sync.Mutex // held by one of them, guards what follows
	buffers  *buffers
	carriers carriers
}

// compaction is one piece of the compaction of a partition.
type compaction struct {
	store   *Store
	class   *storageClass // of the partition, and of what it is written to
	view    *view
	opts    *CompactOptions
	batched int // bytes under which blobs are written together
	load    []*moving
	small   int   // bytes of the load that are written together
	large   int64 // bytes of the others
	out     Compacted
}

// moving is the bytes of one data id in one stripe: an extent, in its buffer.
type moving struct {
	id      metadata.DataID
	home    metadata.Home
	blob    Blob
	offset  int64 // in the data id
	extent  metadata.Extent
	buf     *Buffer
	pending *Pending
	placed  metadata.Placed
}

// run takes up blobs stripe by stripe until there is enough to write.
func (c *compaction) run(ctx context.Context, refs []metadata.Ref, last bool) error { //nolint:revive // last is a fact about refs
	defer c.free()
	next := c.opts.From
	for len(refs) > 0 && !c.isFull() {
		stripe, n := refs[0].Stripe, 1
		for n < len(refs) && refs[n].Stripe == stripe {
			n++
		}
		err := c.takeUp(ctx, stripe, refs[:n])
		if errors.Is(err, ErrOverloaded) && len(c.load) > 0 {
			last = false // what was taken up goes first
			break
		}
		if err != nil {
			c.out.Next = c.opts.From
			return err
		}
		next, refs = stripe+1, refs[n:]
	}
	if err := c.write(ctx); err != nil {
		c.out.Next = c.opts.From
		return err
	}
	if c.out.Next = next; last && len(refs) == 0 {
		c.out.Next = -1
	}
	return nil
}

func (c *compaction) isFull() bool {
	return c.small >= c.full() || c.large >= compactLarge || len(c.load) >= compactBlobs
}

// free gives back what was not written.
func (c *compaction) free() {
	for _, m := range c.load {
		if m.pending == nil {
			m.buf.Free()
		}
	}
	c.load = nil
}

// takeUp reads the blobs of a stripe that are to be moved. A stripe that cannot
// be read stays, and does not stop the others.
func (c *compaction) takeUp(ctx context.Context, stripe int64, refs []metadata.Ref) error {
	h, err := c.header(ctx, stripe)
	if err != nil {
		return c.unread(ctx, err)
	}
	entries, err := c.directory(ctx, h)
	if err != nil {
		return c.unread(ctx, err)
	}
	found, err := c.locate(ctx, stripe, refs, entries)
	if err != nil {
		return err
	}
	var live int64
	for _, m := range found {
		live += int64(m.extent.Length)
	}
	size := blobd.FrameSize(h.Height) * int64(int(h.Columns)+c.view.m)
	good := size*100 <= c.again(live, len(found) == 1)*goodStripe
	rest := blobd.FrameSize(h.Height) * int64(c.view.k+c.view.m)
	if live == 0 || good && !c.opts.All {
		c.out.Rest += rest
		return nil
	}
	if err := c.opts.Pace(ctx, live); err != nil {
		return err
	}
	if err := c.read(ctx, h, found); err != nil {
		c.out.Rest += rest
		return c.unread(ctx, err)
	}
	for _, m := range found {
		c.load = append(c.load, m)
		if n := int(m.extent.Length); n < c.batched {
			c.small += n + m.blob.directorySize()
		} else {
			c.large += int64(n)
		}
	}
	return nil
}

// again is about what the live bytes of a stripe take once they are written
// again. A stripe may be too short for all columns for good, and is not to be moved
// for that: it would be as short.
func (c *compaction) again(live int64, lone bool) int64 { //nolint:revive // lone is a fact about live
	filled := max(live, int64(c.full()))
	if lone && live >= int64(c.batched) {
		filled = live
	}
	columns := min(max(filled/int64(c.store.opts.MinColumn), 1), int64(c.view.k))
	return live * (columns + int64(c.view.m)) / columns
}

// full is how many bytes of small blobs are enough for a stripe.
func (c *compaction) full() int { return c.class.batches.limit() / 4 * 3 }

// unread passes on what is wrong with more than the stripe. The log of one that
// cannot be read is repair's and scrub's.
func (c *compaction) unread(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, e := range []error{ErrUnreadable, ErrDirectory, ErrInvalid, blobd.ErrCorrupt} {
		if errors.Is(err, e) {
			c.out.Failed++
			return nil
		}
	}
	return err
}

// header is that of some frame of a stripe, from a shard that has one.
func (c *compaction) header(ctx context.Context, stripe int64) (blobd.FrameHeader, error) {
	v := c.view
	for column := v.k + v.m; column >= v.k; column-- {
		shard := shardOf(column%(v.k+v.m), stripe, v.k) // the first data column comes first
		if h, err := v.header(ctx, shard, stripe); err == nil {
			return h, nil
		}
	}
	f, err := c.store.survivors(ctx, v, stripe)
	if err != nil {
		return blobd.FrameHeader{}, err
	}
	return f.header, nil
}

// span is a run of a stripe's content as an extent.
func (c *compaction) span(h *blobd.FrameHeader, from, to uint32) metadata.Extent {
	return metadata.Extent{Partition: c.view.id, Stripe: h.Offset, Height: h.Height, Start: from, Length: to - from}
}

// directory reads the directory of a stripe, by data id.
func (c *compaction) directory(ctx context.Context, h blobd.FrameHeader) (map[metadata.DataID][]Entry, error) {
	if h.Directory > h.Used {
		return nil, fmt.Errorf("%w: %d bytes of %d", ErrDirectory, h.Directory, h.Used)
	}
	raw := make([]byte, h.Directory)
	r := c.store.NewReader(ctx, oneByOne(c.span(&h, h.Used-h.Directory, h.Used))).inBackground()
	defer func() { _ = r.Close() }() // reading: nothing is lost
	if err := readFull(r, raw); err != nil {
		return nil, err
	}
	list, err := ParseDirectory(raw, h.Used-h.Directory)
	if err != nil {
		return nil, err
	}
	out := make(map[metadata.DataID][]Entry, len(list))
	for _, e := range list {
		out[e.ID] = append(out[e.ID], e)
	}
	return out, nil
}
