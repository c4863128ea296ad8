package partition

import (
	"context"
	"fmt"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// refPage is how many references are read at a time.
const refPage = 1000

// verifyReferenced checks that every stripe with a reference is complete: all
// of its frames are there and verify.
func (s *Store) verifyReferenced(ctx context.Context, p *openPartition) error {
	v := s.viewOf(&p.row)
	last := int64(-1)
	for {
		var refs []metadata.Ref
		err := s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
			refs, err = r.Refs(v.id, last+1, refPage)
			return err
		})
		if err != nil {
			return fmt.Errorf("references of %s: %w", pid(v.id), err)
		}
		if len(refs) == 0 {
			return nil
		}
		for _, ref := range refs {
			if ref.Stripe == last {
				continue
			}
			last = ref.Stripe
			if err := s.verifyStripe(ctx, v, ref.Stripe); err != nil {
				return err
			}
		}
	}
}

// verifyStripe reads every frame of a stripe.
func (s *Store) verifyStripe(ctx context.Context, v *view, stripe int64) error {
	f, err := s.survivors(ctx, v, stripe)
	if err != nil {
		return err
	}
	if len(f.present) < f.columns+v.m {
		return fmt.Errorf("%w: stripe at %d of %s has %d of %d frames", blobd.ErrCorrupt, stripe, pid(v.id), len(f.present), f.columns+v.m)
	}
	m := s.slabs.get(readBuffer)
	defer s.slabs.put(m)
	for _, column := range f.present {
		if err := f.verifyColumn(ctx, column, m.b[:readBuffer]); err != nil {
			return err
		}
	}
	return nil
}

// verifyColumn reads a whole frame's payload, a buffer at a time.
func (f *frameSet) verifyColumn(ctx context.Context, column int, buf []byte) error {
	v := f.view
	shard := shardOf(column, f.stripe, v.k)
	summer := blobd.NewSummer(v.secret, v.shard(shard), f.stripe)
	for a := int64(0); a < int64(f.height); a += chunkBlocks * blobd.BlockPayload {
		b := min(a+chunkBlocks*blobd.BlockPayload, int64(f.height))
		offset, n := blobd.BlockSpan(f.stripe, f.height, a, b)
		if err := v.readShard(ctx, shard, buf[:n], offset); err != nil {
			return err
		}
		if err := blobd.VerifyBlocks(summer, blobd.BlockOf(a), f.height, buf[:n], discard); err != nil {
			return fmt.Errorf("column %d of the stripe at %d of %s: %w", column, f.stripe, pid(v.id), err)
		}
	}
	return nil
}
