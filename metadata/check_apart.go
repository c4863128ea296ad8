package metadata

import (
	"bytes"
	"context"
	"sync"

	"github.com/undercroft/undercroft/metadata/kv"
)

// checkWidth is how many pages are checked at a time where each read is a round trip.
const checkWidth = 16

// looked is what was found of some rows.
type looked struct {
	page *pageCheck
	rows int
}

// walkApart is walk for checks that hold rows against others of the same version only, and
// touch nothing but their page: where reads cross a network, several pages are checked at
// a time, each at a version of its own. They are merged in order.
func (c *checker) walkApart(ctx context.Context, rng kv.Range, check rowCheck) error {
	if c.width < 2 {
		return c.walk(ctx, rng, check)
	}
	for bytes.Compare(rng.Begin, rng.End) < 0 {
		cuts, err := c.cuts(ctx, rng)
		if tooLong(err) {
			return c.walk(ctx, rng, check) // which reads less at a time
		}
		if err != nil {
			return err
		}
		found := make([][]looked, len(cuts))
		errs := make([]error, len(cuts))
		var wg sync.WaitGroup
		for i, end := range cuts {
			part := kv.Range{Begin: rng.Begin, End: end}
			wg.Go(func() { found[i], errs[i] = c.lookThrough(ctx, part, check) })
			rng.Begin = end
		}
		wg.Wait()
		for i := range cuts {
			for _, x := range found[i] {
				c.take(x)
			}
			if errs[i] != nil {
				return errs[i]
			}
		}
	}
	return nil
}

// cuts are the ends of the next pages of rng, at most as many as are checked at a time.
func (c *checker) cuts(ctx context.Context, rng kv.Range) (ends [][]byte, err error) {
	most := c.page * c.width
	err = c.pages(rng, func(rng kv.Range, rows int) ([]byte, error) {
		ends = nil
		n := 0
		err := c.view(ctx, func(r *Reader) error {
			ends, n = nil, 0
			return r.each(rng, min(most, rows*c.width), func(p kv.Pair) (bool, error) {
				if n++; n%rows == 0 {
					ends = append(ends, kv.KeyAfter(p.Key))
				}
				return true, nil
			})
		})
		if err == nil && n < rows*c.width {
			ends = append(ends, rng.End)
		}
		return rng.End, err // one turn, unless it took too long
	})
	return ends, err
}

// lookThrough checks the rows of rng without merging what it finds.
func (c *checker) lookThrough(ctx context.Context, rng kv.Range, check rowCheck) (found []looked, err error) {
	err = c.pages(rng, func(rng kv.Range, rows int) ([]byte, error) {
		x, next, err := c.lookAt(ctx, rng, rows, check)
		if err == nil {
			found = append(found, x)
		}
		return next, err
	})
	return found, err
}
