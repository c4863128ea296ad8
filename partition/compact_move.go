package partition

import (
	"context"
	"errors"
	"slices"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
)

// moveBatch is how many data ids one transaction moves.
const moveBatch = 64

// write makes the load durable elsewhere and swaps its extents.
func (c *compaction) write(ctx context.Context) error {
	if len(c.load) == 0 {
		return nil
	}
	c.submit(ctx)
	defer func() {
		for _, m := range c.load {
			m.pending.Done()
		}
	}()
	var failed error
	for _, m := range c.load {
		placed, err := m.pending.Wait(ctx)
		if err != nil {
			failed = err
		}
		m.placed = placed
	}
	if failed != nil {
		return failed
	}
	return c.swap(ctx, byID(c.load))
}

// submit writes small blobs together, in as few stripes as hold them, evenly
// filled, and large ones each in its own.
func (c *compaction) submit(ctx context.Context) {
	limit := c.class.batches.limit()
	stripes := c.small/limit + 1
	fill, size := c.small/stripes+1, 0
	var group []*moving
	flush := func() {
		c.class.submitTogether(ctx, group)
		group, size = nil, 0
	}
	for _, m := range c.load {
		if int(m.extent.Length) >= c.batched {
			c.class.submitTogether(ctx, []*moving{m})
			continue
		}
		n := int(m.extent.Length) + m.blob.directorySize()
		if size+n > limit {
			flush()
		}
		group, size = append(group, m), size+n
		if size >= fill {
			flush()
		}
	}
	flush()
}

// submitTogether writes blobs in one stripe, in a partition of large pieces: nobody
// waits for them. It is called by work that Close waits for.
func (c *storageClass) submitTogether(ctx context.Context, blobs []*moving) {
	if len(blobs) == 0 {
		return
	}
	group := make([]*Pending, len(blobs))
	for i, m := range blobs {
		m.pending = &Pending{blob: m.blob, buf: m.buf, n: int(m.extent.Length), expired: ctx.Err, done: make(chan struct{})}
		group[i] = m.pending
	}
	s := c.store
	s.spawn(func() { //nolint:contextcheck // the write outlives its request
		s.flying <- struct{}{}
		defer func() { <-s.flying }()
		s.write(group, c.large, c.spare)
	})
}

// byID groups blobs by data id.
func byID(load []*moving) (out [][]*moving) {
	at := map[metadata.DataID]int{}
	for _, m := range load {
		i, ok := at[m.id]
		if !ok {
			i, at[m.id] = len(out), len(out)
			out = append(out, nil)
		}
		out[i] = append(out[i], m)
	}
	return out
}

// swap makes the rows name the new places. What is not moved because somebody
// was faster stays as that one left it. After a commit of unknown outcome
// nothing is applied again: the rows name the old place or the new one, and
// whoever looks next finds which.
func (c *compaction) swap(ctx context.Context, ids [][]*moving) error {
	for batch := range slices.Chunk(ids, moveBatch) {
		err := c.transact(ctx, batch)
		if err != nil && len(batch) > 1 && passing(err) && !errors.Is(err, kv.ErrUnknownCommit) {
			for i := range batch { // one of them is at fault
				if err = c.transact(ctx, batch[i:i+1]); err != nil && !passing(err) {
					return err
				}
				c.lose(batch[i:i+1], err)
			}
			continue
		}
		if err != nil && !passing(err) {
			return err
		}
		c.lose(batch, err)
	}
	return nil
}

// lose counts what a transaction that failed would have moved.
func (c *compaction) lose(batch [][]*moving, err error) {
	if err == nil {
		return
	}
	for _, blobs := range batch {
		c.out.Lost += len(blobs)
	}
}

// passing reports whether an error is that of a race, and no reason to stop.
func passing(err error) bool {
	for _, e := range []error{metadata.ErrFenced, kv.ErrUnknownCommit, kv.ErrConflict, kv.ErrTooOld, kv.ErrTxTooLarge} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (c *compaction) transact(ctx context.Context, batch [][]*moving) error {
	var moved, lost []*moving
	err := c.store.db.Update(ctx, class, func(tx *metadata.Tx) error {
		moved, lost = nil, nil
		for _, blobs := range batch {
			moves := make([]metadata.Move, len(blobs))
			for i, m := range blobs {
				moves[i] = metadata.Move{Offset: m.offset, Old: m.extent, New: m.placed}
			}
			err := tx.MoveExtents(blobs[0].id, blobs[0].home, moves)
			switch {
			case errors.Is(err, metadata.ErrMoved):
				lost = append(lost, blobs...)
			case err != nil:
				return err
			default:
				moved = append(moved, blobs...)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.out.Lost += len(lost)
	c.out.Blobs += len(moved)
	for _, m := range moved {
		c.out.Bytes += int64(m.extent.Length)
	}
	return nil
}
