package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/undercroft/undercroft/blobd"
)

// frame is a frame that was read or rebuilt.
type frame struct {
	header  blobd.FrameHeader
	payload *slab // its first Height bytes
}

// rebuildFrame makes the frame that a shard has of a stripe, byte for byte as
// it was written: from the shard itself where it verifies, from others where it
// does not. It returns nil where the shard has none. The caller gives the
// payload back.
func (s *Store) rebuildFrame(ctx context.Context, v *view, shard int, stripe int64, pace Pace) (*frame, error) {
	f, err := s.survivors(ctx, v, stripe)
	if err != nil {
		return nil, err
	}
	column := columnOf(shard, stripe, v.k)
	if !slices.Contains(f.expected(), column) {
		return nil, nil //nolint:nilnil // nil is the answer: the column is zero by design
	}
	out := &frame{header: f.header, payload: s.slabs.get(int(f.height))}
	out.header.Shard, out.header.Column = v.shard(shard), uint8(column)
	if err := pace(ctx, out.header.Size()); err != nil {
		s.slabs.put(out.payload)
		return nil, err
	}
	if err := s.rebuildColumn(ctx, f, column, out.payload.b[:f.height]); err != nil {
		s.slabs.put(out.payload)
		return nil, err
	}
	return out, nil
}

// rebuildColumn fills out with the payload of a column, a chunk at a time.
func (s *Store) rebuildColumn(ctx context.Context, f *frameSet, column int, out []byte) error {
	own, b := slices.Contains(f.present, column), breathing(ctx)
	var blocks uint32
	for first := uint32(0); first < blobd.BlockCount(f.height); first += blocks {
		blocks = min(b.blocks(), blobd.BlockCount(f.height)-first)
		at := int64(first) * blobd.BlockPayload
		part := out[at:min(at+int64(blocks)*blobd.BlockPayload, int64(len(out)))]
		var err error
		switch {
		case own && s.readColumn(ctx, f, column, first, part) == nil:
		case s.decodeChunk(ctx, f, column, first, part) == nil:
		default: // some block of some column is bad: take each from where it is good
			err = s.rebuildBlocks(ctx, f, column, first, part)
		}
		if err = errors.Join(err, ctx.Err()); err == nil {
			err = b.take(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rebuildBlocks fills out with blocks of a column from the first one on.
func (s *Store) rebuildBlocks(ctx context.Context, f *frameSet, column int, first uint32, out []byte) error {
	m := s.slabs.get(blobd.BlockSize)
	defer s.slabs.put(m)
	for n := first; len(out) > 0; n++ {
		if err := s.anyBlock(ctx, f, column, n, m.b[:blobd.BlockSize]); err != nil {
			return err
		}
		out = out[copy(out, m.b[:f.blockSize(n)]):]
	}
	return nil
}

// readChunk reads the blocks of a column that hold n bytes from block first
// on, checksums included, and verifies them.
func (f *frameSet) readChunk(ctx context.Context, column int, first uint32, n int, raw []byte) ([]byte, error) {
	v := f.view
	shard := shardOf(column, f.stripe, v.k)
	a := int64(first) * blobd.BlockPayload
	offset, length := blobd.BlockSpan(f.stripe, f.height, a, a+int64(n))
	raw = raw[:length]
	if err := v.readShard(ctx, shard, raw, offset); err != nil {
		return nil, err
	}
	return raw, f.verifyChunk(column, first, raw)
}

// cachedChunk is readChunk of what the disk has in memory, without verifying it; nil
// where it has not all of it.
func (f *frameSet) cachedChunk(column int, first uint32, n int, raw []byte) []byte {
	v := f.view
	shard := shardOf(column, f.stripe, v.k)
	a := int64(first) * blobd.BlockPayload
	offset, length := blobd.BlockSpan(f.stripe, f.height, a, a+int64(n))
	if d := v.disks[shard]; d == nil || d.cached(v.shard(shard), raw[:length], offset) < length {
		return nil
	}
	return raw[:length]
}

func (f *frameSet) verifyChunk(column int, first uint32, raw []byte) error {
	v := f.view
	summer := blobd.NewSummer(v.secret, v.shard(shardOf(column, f.stripe, v.k)), f.stripe)
	if err := blobd.VerifyBlocks(summer, first, f.height, raw, discard); err != nil {
		return fmt.Errorf("column %d of the stripe at %d of %s: %w", column, f.stripe, pid(v.id), err)
	}
	return nil
}

// readColumn fills out with the payload of a column from block first on.
func (s *Store) readColumn(ctx context.Context, f *frameSet, column int, first uint32, out []byte) error {
	m := s.slabs.get(readBuffer)
	defer s.slabs.put(m)
	raw, err := f.readChunk(ctx, column, first, len(out), m.b)
	if err != nil {
		return err
	}
	for len(out) > 0 {
		n := copy(out, raw[:min(len(out), blobd.BlockPayload)])
		out, raw = out[n:], raw[min(n+4, len(raw)):]
	}
	return nil
}

// decodeChunk computes the payload of a column from block first on from as many
// other columns as it takes.
func (s *Store) decodeChunk(ctx context.Context, f *frameSet, column int, first uint32, out []byte) error {
	sources := slices.DeleteFunc(slices.Clone(f.present), func(c int) bool { return c == column })
	if len(sources) < f.columns || f.view.m == 0 {
		return ErrUnreadable
	}
	sources = sources[:f.columns]
	slabs, raws := make([]*slab, len(sources)), make([][]byte, len(sources))
	for i := range slabs {
		slabs[i] = s.slabs.get(readBuffer)
	}
	defer func() {
		for _, m := range slabs {
			s.slabs.put(m)
		}
	}()
	errs := make([]error, len(sources))
	var rest []int // what is not in memory: from all devices at once
	for i, c := range sources {
		if raw := f.cachedChunk(c, first, len(out), slabs[i].b); raw == nil {
			rest = append(rest, i)
		} else {
			raws[i], errs[i] = raw, f.verifyChunk(c, first, raw)
		}
	}
	for n, err := range parallel(len(rest), func(n int) (err error) {
		i := rest[n]
		raws[i], err = f.readChunk(ctx, sources[i], first, len(out), slabs[i].b)
		return err
	}) {
		errs[rest[n]] = err
	}
	for i, err := range errs {
		if err != nil {
			s.damaged(f.view, shardOf(sources[i], f.stripe, f.view.k), f.stripe, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for at := 0; len(out) > 0; at += blobd.BlockSize {
		n := min(len(out), blobd.BlockPayload)
		shards := make([][]byte, f.columns+f.view.m)
		for i, c := range sources {
			shards[f.index(c)] = raws[i][at : at+n : at+n]
		}
		if err := s.decode(f, shards, column, out[:n:n]); err != nil {
			return err
		}
		out = out[n:]
	}
	return nil
}
