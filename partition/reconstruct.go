package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/undercroft/undercroft/blobd"
)

// recover makes good the blocks of a chunk that cause says are missing or
// corrupt. c.raw holds what was read of them, if anything was.
func (s *Store) recover(ctx context.Context, c *chunk, cause error) error {
	if c.view.m == 0 && errors.Is(cause, errSlow) {
		return cause
	}
	s.damaged(c.view, shardOf(c.column, c.stripe, c.view.k), c.stripe, cause)
	r, start := c.bad(), c.view.now()
	m, later, err := s.rebuildAnd(ctx, r, readTimeout, (*gathering).keepLater)
	if err == nil {
		s.replace(c, r, m)
		s.stats.reconstructed.Add(int64(blobd.BlockOf(r.to-1)-blobd.BlockOf(r.from)) + 1)
		c.keep = later
		return nil
	}
	if errors.Is(err, blobd.ErrCorrupt) {
		err = s.recoverBlocks(ctx, c, readTimeout-c.view.now().Sub(start))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// bad is the part of the chunk from its first to its last block that does not
// verify: all of it where nothing was read.
func (c *chunk) bad() run {
	r := c.run()
	if c.slab == nil {
		return r
	}
	summer := c.summer()
	first, last := blobd.BlockOf(c.from), blobd.BlockOf(c.to-1)
	wrong := func(n uint32) bool { return blobd.VerifyBlocks(summer, n, c.height, c.block(n), discard) != nil }
	for first < last && !wrong(first) {
		first++
	}
	for last > first && !wrong(last) {
		last--
	}
	r.from = max(r.from, int64(first)*blobd.BlockPayload)
	if r.from != c.from {
		r.have = nil // it begins where the chunk does
	}
	r.to = min(r.to, int64(last+1)*blobd.BlockPayload)
	return r
}

// replace puts the rebuilt blocks of a run into the chunk.
func (s *Store) replace(c *chunk, r run, m *slab) {
	_, n := c.span()
	if r.from == c.from && r.to == c.to {
		s.slabs.put(c.slab)
		c.slab, c.raw = m, m.b[:n]
		return
	}
	_, length := blobd.BlockSpan(r.stripe, r.height, r.from, r.to)
	copy(c.raw[int(blobd.BlockOf(r.from)-blobd.BlockOf(c.from))*blobd.BlockSize:], m.b[:length])
	s.slabs.put(m)
}

// recoverBlocks takes each block from where it is good: perhaps each is in
// enough columns.
func (s *Store) recoverBlocks(ctx context.Context, c *chunk, within time.Duration) error {
	limited, cancel := limit(ctx, within)
	defer cancel()
	return timedOut(limited, s.takeBlocks(limited, c))
}

func (s *Store) takeBlocks(ctx context.Context, c *chunk) error {
	f, err := s.survivors(ctx, c.view, c.stripe)
	if err == nil && (f.height != c.height || c.column >= f.columns) {
		err = fmt.Errorf("%w: the stripe at %d of %s has %d columns of %d bytes, the extent needs column %d of %d",
			ErrUnreadable, c.stripe, pid(c.view.id), f.columns, f.height, c.column, c.height)
	}
	if err != nil {
		return err
	}
	if c.slab == nil {
		_, n := c.span()
		c.slab = s.slabs.get(n)
		c.raw = c.slab.b[:n]
		clear(c.raw)
	}
	summer := c.summer()
	for n := blobd.BlockOf(c.from); n <= blobd.BlockOf(c.to-1); n++ {
		block := c.block(n)
		if blobd.VerifyBlocks(summer, n, c.height, block, discard) == nil {
			continue
		}
		if err := s.rebuildBlock(ctx, f, c.column, n, block[:len(block)-4]); err != nil {
			return err
		}
		s.stats.reconstructed.Add(1)
	}
	return nil
}

// damaged counts and reports a frame that could not be used. That a disk takes
// long, or that nobody waits any more, says nothing of its frames.
func (s *Store) damaged(v *view, shard int, stripe int64, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	s.views.doubt(v)
	if errors.Is(err, errSlow) {
		return
	}
	if errors.Is(err, blobd.ErrCorrupt) {
		s.stats.corrupt.Add(1)
	} else {
		s.stats.missing.Add(1)
	}
	s.damages.add(v, shard, stripe, err)
	s.opts.Damaged(Damage{Shard: v.shard(shard), Stripe: stripe, Err: err})
}

// frameSet is the frames of one stripe whose headers verify.
type frameSet struct {
	view    *view
	stripe  int64
	header  blobd.FrameHeader // of one of them
	columns int
	height  uint32
	present []int // columns, data first
	unknown []int // columns whose disks took too long to answer
}

// unreadable is the error when too few columns are good, and why. A disk that
// takes long may have what is missing.
func (f *frameSet) unreadable(why []error) error {
	for _, column := range f.unknown {
		why = append(why, f.lacks(column))
	}
	err := errors.Join(why...)
	if errors.Is(err, errSlow) {
		return err
	}
	return errors.Join(ErrUnreadable, err)
}

// lacks returns why there is no frame of a column: that it is not there, or that
// its disk did not answer, which says nothing.
func (f *frameSet) lacks(column int) error {
	switch {
	case slices.Contains(f.present, column):
		return nil
	case slices.Contains(f.unknown, column):
		return fmt.Errorf("column %d of the stripe at %d of %s: %w", column, f.stripe, pid(f.view.id), errSlow)
	}
	return errMissing
}

// survivors reads the headers at a stripe's offset on all shards and returns
// the frames of the one stripe id of which enough exist.
func (s *Store) survivors(ctx context.Context, v *view, stripe int64) (*frameSet, error) {
	headers := make([]blobd.FrameHeader, v.k+v.m)
	errs := parallel(len(headers), func(shard int) (err error) {
		headers[shard], err = v.header(ctx, shard, stripe)
		return err
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	sets := map[uint64]*frameSet{}
	var unknown []int
	for column := range v.k + v.m {
		shard := shardOf(column, stripe, v.k)
		if errors.Is(errs[shard], errSlow) {
			unknown = append(unknown, column)
		}
		if errs[shard] != nil {
			continue
		}
		h := &headers[shard]
		f := sets[h.StripeID]
		if f == nil {
			f = &frameSet{view: v, stripe: stripe, header: *h, columns: int(h.Columns), height: h.Height}
			sets[h.StripeID] = f
		}
		if f.columns == int(h.Columns) && f.height == h.Height {
			f.present = append(f.present, column)
		}
	}
	var found *frameSet
	for _, f := range sets {
		if len(f.present) < f.columns {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: two stripes at %d of %s", ErrUnreadable, stripe, pid(v.id))
		}
		found = f
	}
	if found == nil && len(unknown) > 0 {
		return nil, fmt.Errorf("stripe at %d of %s: %w", stripe, pid(v.id), errors.Join(errs...))
	}
	if found == nil {
		return nil, fmt.Errorf("%w: stripe at %d of %s: %w", ErrUnreadable, stripe, pid(v.id), errors.Join(errs...))
	}
	found.unknown = unknown
	return found, nil
}

// header reads and checks the frame header at a stripe's offset of a shard.
func (v *view) header(ctx context.Context, shard int, stripe int64) (blobd.FrameHeader, error) {
	raw := make([]byte, blobd.FrameHeaderSize)
	if err := v.readShard(ctx, shard, raw, stripe); err != nil {
		return blobd.FrameHeader{}, err
	}
	return v.parseHeader(raw, shard, stripe)
}

// parseHeader checks the frame header that was read at a stripe's offset of a shard.
func (v *view) parseHeader(raw []byte, shard int, stripe int64) (blobd.FrameHeader, error) {
	h, err := blobd.ParseFrameHeader(raw, v.secret, v.shard(shard), stripe)
	if err != nil {
		return h, err
	}
	if int(h.K) != v.k || int(h.M) != v.m || int(h.Column) != columnOf(shard, stripe, v.k) ||
		int(h.Column) < v.k && h.Column >= h.Columns {
		return h, fmt.Errorf("%w: header at %d of %s is of another scheme", blobd.ErrCorrupt, stripe, v.shard(shard))
	}
	return h, nil
}

// rebuildBlock computes block n of a column from the same block of as many
// other columns as it takes.
func (s *Store) rebuildBlock(ctx context.Context, f *frameSet, column int, n uint32, out []byte) error {
	v := f.view
	if v.m == 0 {
		return fmt.Errorf("%w: no parity in %s", ErrUnreadable, pid(v.id))
	}
	shards := make([][]byte, f.columns+v.m) // as the code numbers them
	var candidates []int
	for _, c := range f.present {
		if c != column {
			candidates = append(candidates, c)
		}
	}
	var held []*slab
	defer func() {
		for _, m := range held {
			s.slabs.put(m)
		}
	}()
	var failed []error
	for found := 0; found < f.columns; {
		wanted := f.columns - found
		if wanted > len(candidates) {
			return fmt.Errorf("%d of %d columns for block %d of the stripe at %d of %s: %w",
				found+len(candidates), f.columns, n, f.stripe, pid(v.id), f.unreadable(failed))
		}
		batch := candidates[:wanted]
		candidates = candidates[wanted:]
		blocks := make([]*slab, wanted)
		errs := parallel(wanted, func(i int) error {
			blocks[i] = s.slabs.get(blobd.BlockSize)
			return f.readBlock(ctx, batch[i], n, blocks[i].b[:len(out)+4])
		})
		held = append(held, blocks...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for i, err := range errs {
			if err != nil {
				failed = append(failed, err)
				s.damaged(v, shardOf(batch[i], f.stripe, v.k), f.stripe, err)
				continue
			}
			shards[f.index(batch[i])] = blocks[i].b[:len(out)]
			found++
		}
	}
	return s.decode(f, shards, column, out)
}

// index is a column's number among those that the code knows.
func (f *frameSet) index(column int) int {
	if column >= f.view.k {
		return column - f.view.k + f.columns
	}
	return column
}

// readBlock reads and verifies block n of a column.
func (f *frameSet) readBlock(ctx context.Context, column int, n uint32, raw []byte) error {
	v := f.view
	shard := shardOf(column, f.stripe, v.k)
	a := int64(n) * blobd.BlockPayload
	offset, _ := blobd.BlockSpan(f.stripe, f.height, a, a+1)
	if err := v.readShard(ctx, shard, raw, offset); err != nil {
		return err
	}
	summer := blobd.NewSummer(v.secret, v.shard(shard), f.stripe)
	return blobd.VerifyBlocks(summer, n, f.height, raw, discard)
}

// decode computes a column from the shards that are not nil.
func (s *Store) decode(f *frameSet, shards [][]byte, column int, out []byte) error {
	code, err := s.codes.get(codeShape{f.view.k, f.view.m, f.columns})
	if err != nil {
		return err
	}
	i := f.index(column)
	required := make([]bool, len(shards))
	required[i] = true
	shards[i] = out[:0]
	if err := code.ReconstructSome(shards, required); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if len(shards[i]) != len(out) || &shards[i][0] != &out[0] {
		copy(out, shards[i])
	}
	return nil
}

// parallel runs fn for 0 to n-1 at once and returns their errors.
func parallel(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	done := make(chan struct{})
	for i := 1; i < n; i++ {
		go func() {
			errs[i] = fn(i)
			done <- struct{}{}
		}()
	}
	if n > 0 {
		errs[0] = fn(0)
	}
	for i := 1; i < n; i++ {
		<-done
	}
	return errs
}
