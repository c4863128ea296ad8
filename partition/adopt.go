package partition

import (
	"context"
	"slices"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// findCopies lists the active disks that hold a shard of this name and none that the row
// places there: what a repair left that did not end, what came back after
// it was rebuilt, or what was rebuilt after the metadata were saved from which
// they were restored.
func (r *repair) findCopies(ctx context.Context, rows []metadata.Disk) (out []*disk) {
	now := r.store.opts.Now()
	for i := range rows {
		d := r.store.disks.get(rows[i].ID)
		if d == nil || rows[i].State != metadata.DiskActive || d.Failed() != nil || d.hangs(now) || slices.Contains(r.row.Shards, d.id) {
			continue
		}
		if _, err := r.store.statShard(ctx, d, r.id()); err == nil {
			out = append(out, d)
		}
	}
	return out
}

// floor is the highest epoch of the files that there are of the shard.
func (r *repair) floor(ctx context.Context) (highest metadata.Epoch) {
	for _, d := range append([]*disk{r.own, r.target}, r.copies...) {
		if d == nil {
			continue
		}
		if st, err := r.store.statShard(ctx, d, r.id()); err == nil {
			highest = max(highest, metadata.Epoch(st.Epoch))
		}
	}
	return highest
}

// adopt reports whether a copy of the shard has every frame that it should have. It
// is sealed before it is looked at, and has the epoch of this repair from then on.
func (r *repair) adopt(ctx context.Context) bool {
	for _, d := range r.copies {
		err := r.store.attend(d, func() error {
			_, err := d.Seal(ctx, r.id(), blobd.Epoch(r.row.Epoch))
			return err
		})
		if err == nil && r.isWhole(ctx, d) {
			r.place = d
			return true
		}
	}
	return false
}

// isWhole reports whether the shard's file on a disk has a good frame of every
// stripe of which it should have one.
func (r *repair) isWhole(ctx context.Context, d *disk) bool {
	s := r.store
	v := s.readView(&r.row)
	v.disks[r.shard] = d
	err := s.eachStripe(ctx, r.row.ID, func(stripe int64) error {
		err := s.checkFrame(ctx, v, int(r.shard), stripe)
		if err == nil {
			return nil
		}
		if gone, e := r.unreferenced(ctx, stripe); e != nil || gone {
			return e
		}
		return err
	})
	return err == nil
}
