package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// refPage is how many references are read at a time.
const refPage = 1000

// verifyReferenced checks that every stripe with a reference can be read
// without the lost shards. It returns the other shards that lack a frame of one.
func (s *Store) verifyReferenced(ctx context.Context, p *openPartition, f *findings) (damaged []uint8, err error) {
	row := p.row
	row.Lost = f.lost
	v := s.viewOf(&row)
	for i := range v.disks {
		if v.disks[i] != nil {
			v.disks[i] = f.disks[i]
		}
	}
	bad := make(map[int]bool, len(v.disks))
	err = s.eachStripe(ctx, v.id, func(stripe int64) error { return s.verifyStripe(ctx, v, stripe, bad) })
	for shard := range bad {
		damaged = append(damaged, uint8(shard))
	}
	return damaged, err
}

// eachStripe calls fn for every stripe of a partition that is referenced, in
// order, until it returns an error.
func (s *Store) eachStripe(ctx context.Context, id metadata.PartitionID, fn func(stripe int64) error) error {
	last := int64(-1)
	for {
		var refs []metadata.Ref
		err := s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
			refs, err = r.Refs(id, last+1, refPage)
			return err
		})
		if err != nil {
			return fmt.Errorf("references of %s: %w", pid(id), err)
		}
		if len(refs) == 0 {
			return nil
		}
		for _, ref := range refs {
			if ref.Stripe == last {
				continue
			}
			last = ref.Stripe
			if err := fn(last); err != nil {
				return err
			}
		}
	}
}

// verifyStripe reads every frame of a stripe and notes the shards that lack
// one. It returns an error when the stripe cannot be read.
func (s *Store) verifyStripe(ctx context.Context, v *view, stripe int64, bad map[int]bool) error {
	f, err := s.survivors(ctx, v, stripe)
	if err != nil {
		return err
	}
	m := s.slabs.get(readBuffer)
	defer s.slabs.put(m)
	good := 0
	for _, column := range f.expected() {
		err := f.lacks(column)
		if err == nil {
			err = f.verifyColumn(ctx, column, m.b[:readBuffer])
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errSlow) {
			return err // nothing is known of the shard
		}
		if err == nil {
			good++
			continue
		}
		bad[shardOf(column, stripe, v.k)] = true
	}
	if good >= f.columns {
		return nil
	}
	return s.verifyBlocks(ctx, f, m.b[:blobd.BlockSize])
}

// expected are the columns that have a frame.
func (f *frameSet) expected() []int {
	out := make([]int, 0, f.columns+f.view.m)
	for column := range f.view.k + f.view.m {
		if column < f.columns || column >= f.view.k {
			out = append(out, column)
		}
	}
	return out
}

// verifyBlocks checks that every block of the data columns can be read or
// rebuilt, where too few columns are whole.
func (s *Store) verifyBlocks(ctx context.Context, f *frameSet, buf []byte) error {
	for column := range f.columns {
		for n := range blobd.BlockCount(f.height) {
			if err := s.anyBlock(ctx, f, column, n, buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// anyBlock reads block n of a column, or rebuilds it. The payload is at the
// start of buf, which has room for a block with its checksum.
func (s *Store) anyBlock(ctx context.Context, f *frameSet, column int, n uint32, buf []byte) error {
	raw := buf[:f.blockSize(n)+4]
	if slices.Contains(f.present, column) && f.readBlock(ctx, column, n, raw) == nil {
		return nil
	}
	return s.rebuildBlock(ctx, f, column, n, raw[:len(raw)-4])
}

// blockSize is the length of the payload of block n.
func (f *frameSet) blockSize(n uint32) int {
	return int(min(blobd.BlockPayload, int64(f.height)-int64(n)*blobd.BlockPayload))
}

// verifyColumn reads a whole frame's payload, a buffer at a time.
func (f *frameSet) verifyColumn(ctx context.Context, column int, buf []byte) error {
	v := f.view
	shard := shardOf(column, f.stripe, v.k)
	summer := blobd.NewSummer(v.secret, v.shard(shard), f.stripe)
	rest := breathing(ctx)
	for a := int64(0); a < int64(f.height); {
		b := min(a+int64(rest.blocks())*blobd.BlockPayload, int64(f.height))
		offset, n := blobd.BlockSpan(f.stripe, f.height, a, b)
		if err := v.readShard(ctx, shard, buf[:n], offset); err != nil {
			return err
		}
		if err := blobd.VerifyBlocks(summer, blobd.BlockOf(a), f.height, buf[:n], discard); err != nil {
			return fmt.Errorf("column %d of the stripe at %d of %s: %w", column, f.stripe, pid(v.id), err)
		}
		if err := rest.take(ctx); err != nil {
			return err
		}
		a = b
	}
	return nil
}
