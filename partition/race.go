package partition

import (
	"context"
	"errors"
	"time"

	"github.com/undercroft/undercroft/blobd"
)

// race is a read of a shard that waits for its device, and the rebuilding from
// other shards that may overtake it.
type race struct {
	store   *Store
	c       *chunk
	own     *asking // nil once it has ended
	done    chan *asking
	asked   bool         // other shards are or were read
	rescue  chan rescued // what comes of it; nil before and after
	hedge   bool         // they are asked out of impatience
	ownErr  error
	rescErr error
}

// rescued is how a rebuilding ended.
type rescued struct {
	slab *slab
	err  error
}

// await reads what is left of a chunk, of which got bytes were in memory, from
// its shard, or rebuilds it where that takes too long.
func (s *Store) await(ctx context.Context, c *chunk, shard, got int) error {
	v := c.view
	d := v.disks[shard]
	m := c.slab
	c.slab = nil
	if err := v.unasked(shard); err != nil {
		s.slabs.put(m)
		return s.recover(ctx, c, err)
	}
	offset, n := c.span()
	outer, start := ctx, v.now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &race{store: s, c: c, done: make(chan *asking, 1)}
	r.own = &asking{
		view: v, disk: d, shard: shard, slab: m, done: r.done,
		reads: []piece{{m.b[got:n], offset + int64(got)}},
	}
	if err := r.own.begin(ctx); err != nil {
		s.slabs.put(m)
		if outer.Err() != nil {
			return outer.Err()
		}
		if errors.Is(err, errQueue) {
			return err
		}
		return s.recover(outer, c, err)
	}
	err := r.run(ctx)
	switch {
	case outer.Err() != nil:
		return outer.Err()
	case err != nil && !r.asked:
		return s.recover(outer, c, err)
	case errors.Is(err, blobd.ErrCorrupt):
		return s.recoverBlocks(outer, c, readTimeout+readPatience-v.now().Sub(start))
	}
	return err
}

// run returns nil when the chunk has its bytes. After an error nothing of it is
// still under way that anybody waits for; r.asked says whether others were asked.
func (r *race) run(ctx context.Context) error {
	v, own := r.c.view, r.own
	after := readPatience
	if v.foreground && v.m > 0 {
		r.store.reads.hedges.earn()
		after = v.tooLong(own.disk, readClass(len(own.reads[0].buf)))
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	for stage := 0; r.own != nil || r.rescue != nil; {
		select {
		case <-r.done:
			if r.ended() {
				return nil
			}
		case res := <-r.rescue:
			if r.arrived(res) {
				return nil
			}
		case <-timer.C:
			if stage == 2 {
				return r.giveUp()
			}
			timer.Reset(r.impatient(ctx, stage, after))
			stage++
		case <-ctx.Done():
			if r.own != nil {
				r.own.letGo()
			}
			return ctx.Err()
		}
	}
	return errors.Join(r.ownErr, r.rescErr)
}

// impatient asks other shards, as the budget for that allows, and in any case
// when the disk answers nobody. It returns when to be called again.
func (r *race) impatient(ctx context.Context, stage int, after time.Duration) time.Duration {
	next, left := readPatience-after, readTimeout-after
	if stage > 0 {
		next, left = readTimeout-readPatience, readTimeout-readPatience
		if r.own != nil {
			r.own.late()
		}
	} else if after >= readPatience {
		return next
	}
	if !r.c.view.foreground || r.c.view.m == 0 || r.asked {
		return next
	}
	reads := r.store.reads
	switch {
	case r.own == nil || r.own.disk.reads.isQuiet(r.c.view.now()):
	case reads.hedges.take():
		r.hedge = true
		reads.stats.hedged.Add(1)
	default:
		reads.stats.hedgesRefused.Add(1)
		return next
	}
	r.ask(ctx, left)
	return next
}

// ask begins to rebuild the chunk from other shards.
func (r *race) ask(ctx context.Context, within time.Duration) {
	ch, s, run := make(chan rescued, 1), r.store, r.c.run()
	run.have = nil // which may be handed out while this still runs
	r.asked, r.rescue = true, ch
	go func() {
		m, err := s.rebuildRun(ctx, run, within)
		ch <- rescued{m, err}
	}()
}

// ended takes what was read from the chunk's own shard. It reports whether that
// is right.
func (r *race) ended() bool {
	s, c, own := r.store, r.c, r.own
	r.own = nil
	_, n := c.span()
	if own.err != nil {
		s.slabs.put(own.slab)
		r.ownErr = own.err
	} else {
		c.slab, c.raw = own.slab, own.slab.b[:n]
		r.ownErr = c.verify()
	}
	if r.ownErr == nil {
		return true
	}
	if r.asked { // else it is reported by who recovers it
		s.damaged(c.view, own.shard, c.stripe, r.ownErr)
	}
	return false
}

// arrived takes what was rebuilt.
func (r *race) arrived(res rescued) bool {
	r.rescue = nil
	if res.err != nil {
		r.rescErr = res.err
		return false
	}
	if r.own != nil {
		r.own.letGo()
		if r.hedge {
			r.store.reads.stats.hedgesWon.Add(1)
		}
	}
	r.store.replace(r.c, r.c.run(), res.slab)
	return true
}

// giveUp ends the race after the time that any read may take.
func (r *race) giveUp() error {
	if r.own == nil {
		return errors.Join(r.ownErr, errSlow)
	}
	return errors.Join(r.own.giveUp(), r.rescErr)
}
