package partition

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/awake"
	"github.com/undercroft/undercroft/metadata"
)

const (
	// maxAttempts is how many partitions are tried for one stripe.
	maxAttempts = 5
	// hopeless is how many append timeouts a stripe may take while most of its
	// frames are slow: then no single disk is at fault.
	hopeless = 6
)

// write makes blobs durable in one stripe and ends their waits. Where a lane has no
// room, the next one is tried.
func (s *Store) write(blobs []*Pending, lanes ...*lane) {
	wanted := make([]*Pending, 0, len(blobs))
	for _, p := range blobs {
		if err := p.expired(); err != nil {
			p.buf.Free()
			p.fail(err)
			continue
		}
		wanted = append(wanted, p)
	}
	if len(wanted) == 0 {
		return
	}
	g := newGroup(wanted)
	var w written
	var err error
	for _, l := range lanes {
		if w, err = s.complete(l, g); !errors.Is(err, blobd.ErrNoSpace) && !errors.Is(err, ErrNoSpace) {
			break
		}
	}
	err = fullDisks(err)
	for i, p := range wanted {
		if err != nil {
			p.fail(err)
			continue
		}
		p.succeed(w.part, metadata.Placed{
			Extent: metadata.Extent{
				Partition: w.part.row.ID, Stripe: w.offset, Height: w.height,
				Start: w.starts[i], Length: uint32(p.n),
			},
			Epoch: w.part.row.Epoch,
		})
	}
	if err == nil {
		w.release()
	}
	g.release()
}

// written is a stripe at its place.
type written struct {
	*stripe
	part   *openPartition
	offset int64
}

// complete writes a group, again in another partition where an append fails,
// until one stripe of it is durable on every frame.
func (s *Store) complete(l *lane, g *group) (written, error) {
	var t *stripe
	var failed error
	for attempt := 0; attempt < maxAttempts; {
		p, err := l.get(s.ctx)
		if err == nil && (t == nil || t.scheme != p.scheme) {
			t, err = s.rebuild(t, g, p.scheme)
		}
		if err != nil {
			if t != nil {
				t.release()
			}
			return written{}, errors.Join(err, failed)
		}
		offset, err := s.append(t, p)
		switch {
		case err == nil:
			s.stats.stripes.Add(1)
			return written{t, p, offset}, nil
		case errors.Is(err, errRetired):
			s.retire(p)
		default:
			failed = err
			attempt++
			s.stats.retries.Add(1)
		}
	}
	t.release()
	return written{}, fmt.Errorf("stripe failed in %d partitions: %w", maxAttempts, failed)
}

// rebuild is build after an attempt with another scheme. As many run at a time
// as there are processors.
func (s *Store) rebuild(old *stripe, g *group, sc scheme) (*stripe, error) {
	if old != nil {
		old.release()
	}
	s.encode <- struct{}{}
	defer func() { <-s.encode }()
	return s.build(g, sc)
}

// append writes a stripe to a partition. When it returns nil every frame is
// durable. errRetired says that nothing was written because the partition
// takes no more; after any other error the partition is retired.
func (s *Store) append(t *stripe, p *openPartition) (int64, error) {
	offset, ok := p.reserve(blobd.FrameSize(t.height), len(t.group.blobs))
	if !ok {
		return 0, errRetired
	}
	err := s.appendAt(t, p, offset)
	if err != nil {
		p.release(len(t.group.blobs))
		s.retire(p)
	}
	return offset, err
}

// result is how the append of one frame ended.
type result struct {
	shard int
	err   error
}

func (s *Store) appendAt(t *stripe, p *openPartition, offset int64) error {
	frames, scratch, err := s.frames(t, p, offset)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	results := make(chan result, len(frames))
	// Frames hold the stripe, and the last one to end the scratch memory: an
	// append that was given up may still be reading.
	shared := &frameRefs{stripe: t, slabs: s.slabs, scratch: scratch}
	shared.refs.Store(int32(len(frames)))
	t.refs.Add(1)
	for _, f := range frames {
		s.spawn(func() {
			err := p.disks[f.Shard.Index].Append(ctx, f)
			shared.release()
			results <- result{int(f.Shard.Index), err}
		})
	}
	return s.collect(p, frames, results)
}

// frames encodes the frames of a stripe for their place. They lie in the
// stripe's memory and in the slab returned.
func (s *Store) frames(t *stripe, p *openPartition, offset int64) ([]blobd.Append, *slab, error) {
	var id [8]byte
	if err := s.random.bytes(id[:]); err != nil {
		return nil, nil, err
	}
	s.encode <- struct{}{}
	defer func() { <-s.encode }()
	size := blobd.ScratchSize(t.height)
	scratch := s.slabs.get(size * t.frames())
	pieces := make([][]byte, 0, t.frames()*(2*int(blobd.BlockCount(t.height))+2))
	frames := make([]blobd.Append, t.frames())
	for i := range frames {
		h := t.header(i, p, offset, binary.BigEndian.Uint64(id[:]))
		first := len(pieces)
		pieces = blobd.AppendFrame(pieces, h, blobd.Secret(p.row.Secret), t.column(i), scratch.b[i*size:(i+1)*size:(i+1)*size])
		frames[i] = blobd.Append{Shard: h.Shard, Epoch: h.Epoch, Offset: offset, Data: pieces[first:len(pieces):len(pieces)]}
	}
	return frames, scratch, nil
}

// collect waits for every append. A frame that lags behind most others for too
// long counts as failed.
func (s *Store) collect(p *openPartition, frames []blobd.Append, results <-chan result) error {
	missing := make(map[int]struct{}, len(frames))
	for _, f := range frames {
		missing[int(f.Shard.Index)] = struct{}{}
	}
	timer := awake.NewTimer(s.opts.AppendTimeout)
	defer timer.Stop()
	var failed error
	for patience := hopeless; len(missing) > 0; {
		select {
		case r := <-results:
			delete(missing, r.shard)
			if r.err != nil {
				failed = s.appendFailed(p, r)
			}
		case <-timer.C:
			patience--
			if 2*len(missing) > len(frames) && patience > 0 {
				timer.Reset(s.opts.AppendTimeout)
				continue
			}
			for shard := range missing {
				failed = s.appendFailed(p, result{shard, errSlow})
			}
			return failed
		}
	}
	return failed
}

// errSlow is an append or another call to a disk that was given up.
var errSlow = errors.New("the disk took too long")

// fullDisks says of a write that failed for want of space on a disk that there
// is no space: the disks that have some were tried.
func fullDisks(err error) error {
	if errors.Is(err, blobd.ErrNoSpace) && !errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// appendFailed draws the consequences for the disk and returns the error.
func (s *Store) appendFailed(p *openPartition, r result) error {
	d := p.disks[r.shard]
	err := fmt.Errorf("append to %s on disk %s: %w", p.shard(r.shard), d.ID(), r.err)
	s.stats.failedAppends.Add(1)
	switch {
	case errors.Is(r.err, blobd.ErrStaleEpoch):
		p.fence()
	case s.ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrClosed, err)
	default:
		s.setAside(d, err)
	}
	return err
}

// setAside takes a disk out of the writers' way: no new partition is placed on
// it for a while, and open ones that use it are retired.
func (s *Store) setAside(d *disk, cause error) {
	d.setAside(s.opts.Now(), cause)
	s.opts.Logger.Warn("disk set aside", slog.String("disk", d.ID().String()), slog.Any("error", cause))
	for _, l := range s.lanes() {
		for _, p := range l.open() {
			if p.uses(d) {
				s.retire(p)
			}
		}
	}
}
