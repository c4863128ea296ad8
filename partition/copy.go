package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/undercroft/undercroft/blobd"
)

const (
	// maxRebuilds frames are on their way between survivors and a new shard, of
	// all repairs: what bounds their memory. A frame has up to 4 MiB, and takes as much
	// again while it is computed.
	maxRebuilds = 8
	// rebuildsAhead of them are of one repair: while one is written, the next are
	// read.
	rebuildsAhead = 4
)

// copying is a frame on its way.
type copying struct {
	stripe int64
	frame  *frame // nil where the shard has none
	err    error
	done   chan struct{} // closed when frame and err are set
}

// copyFrames writes every frame that the shard should have, in order. While one
// is written, the next ones are read and computed.
func (r *repair) copyFrames(ctx context.Context, to blobd.Restoration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan *copying, rebuildsAhead-1)
	listed := make(chan error, 1)
	go func() {
		defer close(queue)
		listed <- r.readFrames(ctx, queue)
	}()
	var failed error
	for c := range queue {
		<-c.done
		if failed == nil {
			if failed = r.copyFrame(ctx, c, to); failed != nil {
				cancel()
			}
		} else if c.frame != nil {
			r.store.slabs.put(c.frame.payload)
		}
		<-r.store.rebuilds
	}
	if failed != nil {
		return failed
	}
	return <-listed
}

// readFrames begins to read the frames of all referenced stripes, and puts them
// into the queue in order. Each holds a place of Store.rebuilds, which who
// takes it from the queue gives back.
func (r *repair) readFrames(ctx context.Context, queue chan<- *copying) error {
	s, v := r.store, r.store.readView(&r.row)
	free := func(ctx context.Context, _ int64) error { return ctx.Err() } // who writes keeps the pace
	return s.eachStripe(ctx, r.row.ID, func(stripe int64) error {
		select {
		case s.rebuilds <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		c := &copying{stripe: stripe, done: make(chan struct{})}
		go func() {
			defer close(c.done)
			c.frame, c.err = s.rebuildFrame(ctx, v, int(r.shard), stripe, free)
		}()
		queue <- c
		return nil
	})
}

// copyFrame writes a frame, if there is one. It gives its payload back, unless a
// disk that hangs is still at it.
func (r *repair) copyFrame(ctx context.Context, c *copying, to blobd.Restoration) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(c.err, ErrUnreadable) {
		gone, err := r.unreferenced(ctx, c.stripe)
		if err != nil || gone {
			return err
		}
		if !r.final {
			return c.err // the old shard may be all that there is
		}
		r.done.Unreadable++
		r.store.opts.Logger.ErrorContext(ctx, "stripe is lost", slog.String("shard", r.id().String()), slog.Any("error", c.err))
		return nil
	}
	if c.err != nil || c.frame == nil {
		return c.err
	}
	f := c.frame
	if err := r.pace(ctx, f.header.Size()); err != nil {
		r.store.slabs.put(f.payload)
		return err
	}
	b := breathing(ctx)
	parts := blobd.AppendFrame(nil, f.header, blobd.Secret(r.row.Secret), f.payload.b[:f.header.Height:f.header.Height], nil)
	err := b.inParts(ctx, parts, func(offset int64, part [][]byte) error {
		return r.store.attend(r.target, func() error { return to.Write(ctx, c.stripe+offset, part) })
	})
	if !errors.Is(err, errSlow) { // else the call may still read it
		r.store.slabs.put(f.payload)
	}
	if err == nil {
		r.done.Bytes += f.header.Size()
	}
	return err
}

// rebuild writes the shard to its target. A target that does not answer is left
// with what it has begun: nothing shows that, and its next start takes it away.
func (r *repair) rebuild(ctx context.Context) error {
	s := r.store
	if r.target == nil {
		return fmt.Errorf("%w %s", ErrNoTarget, r.id())
	}
	err := r.rebuildOn(ctx)
	if err != nil && !errors.Is(err, ErrUnreadable) && ctx.Err() == nil {
		return fmt.Errorf("on disk %s: %w", r.target.ID(), err)
	}
	if err == nil {
		r.place = r.target
	}
	return errors.Join(err, s.ctx.Err())
}

func (r *repair) rebuildOn(ctx context.Context) error {
	spec := blobd.ShardSpec{ID: r.id(), Epoch: blobd.Epoch(r.row.Epoch), Secret: blobd.Secret(r.row.Secret), Capacity: r.row.Capacity}
	begun := make(chan blobd.Restoration, 1)
	err := r.store.attend(r.target, func() error {
		to, err := r.target.Restore(ctx, spec, min(r.row.End, r.row.Capacity))
		begun <- to
		return err
	})
	if err != nil {
		return err
	}
	to := <-begun
	if err := r.copyFrames(ctx, to); err != nil {
		if errors.Is(err, errSlow) {
			return err
		}
		return errors.Join(err, to.Abort())
	}
	return r.store.attend(r.target, func() error { return to.Commit(ctx) })
}
