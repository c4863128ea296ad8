package partition

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// Segment is a run of bytes of an extent.
type Segment struct {
	Extent         metadata.Extent
	Offset, Length int64 // within the extent
}

const (
	// chunkBlocks is how many blocks one read of a shard asks for.
	chunkBlocks = readBuffer / blobd.BlockSize
	// readAhead chunks are fetched while one is handed out. More, and they have
	// left the processor's cache when their turn comes.
	readAhead = 1
	// readMemory bounds the chunks of all readers.
	readMemory = 96 << 20
	// rebuildMemory bounds what chunks are rebuilt from.
	rebuildMemory = 64 << 20
	maxReadQueue  = 4096
	maxReadWait   = 5 * time.Second
)

// Reader yields the bytes of a sequence of segments, verified. It is used by
// one goroutine; its caller closes it.
type Reader struct {
	store  *Store
	ctx    context.Context //nolint:containedctx // io.Reader and io.WriterTo have no room for one
	cancel context.CancelFunc
	next   func(ctx context.Context) (Segment, bool, error)

	segment Segment // what remains of it
	view    *view
	planned *chunk // planned and not started
	end     error  // what next said: an error, or io.EOF
	queue   []*chunk
	kept    []*kept // of columns to come
	current *chunk  // handed out by Read
	rest    []byte  // of current
	err     error   // ended the reading

	unhurried bool
}

// NewReader returns a reader of the segments that next yields, in order, until
// it returns false or an error. next is called on the goroutine that reads,
// ahead of what has been read. Errors of the reader are those of next,
// [ErrGone], [ErrUnreadable], [ErrOverloaded] and the context's.
func (s *Store) NewReader(ctx context.Context, next func(ctx context.Context) (Segment, bool, error)) *Reader {
	return &Reader{store: s, ctx: ctx, next: next}
}

// inBackground says that nobody waits for what is read: it is not hedged, and
// shows nothing of what is usual for a disk. It returns r.
func (r *Reader) inBackground() *Reader {
	r.unhurried = true
	return r
}

// WriteTo writes all bytes to w, in slices of at most 512 KiB that are w's only
// during the call.
func (r *Reader) WriteTo(w io.Writer) (n int64, err error) {
	for {
		if r.rest == nil && !r.advance() {
			return n, r.failure()
		}
		m, err := w.Write(r.rest)
		n += int64(m)
		if err == nil && m < len(r.rest) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, err
		}
		r.rest = nil
	}
}

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.rest) == 0 && !r.advance() {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	if len(r.rest) == 0 {
		r.rest = nil
	}
	return n, nil
}

// Close stops what is being fetched and gives the memory back. It may be called
// repeatedly.
func (r *Reader) Close() error {
	if r.cancel != nil {
		r.cancel()
	}
	for _, c := range r.queue {
		<-c.done
		r.free(c)
	}
	r.queue = nil
	r.free(r.current)
	r.current, r.rest = nil, nil
	r.forget(func(*kept) bool { return true })
	if r.err == nil {
		r.err = ErrClosed
	}
	return nil
}

// failure is the error that ended the reading, nil at its end.
func (r *Reader) failure() error {
	if errors.Is(r.err, io.EOF) {
		return nil
	}
	return r.err
}

// advance moves rest to the next verified bytes.
func (r *Reader) advance() bool {
	if r.err != nil {
		return false
	}
	for {
		if c := r.current; c != nil {
			if r.rest = c.take(); r.rest != nil {
				return true
			}
			r.free(c)
		}
		r.current, r.err = r.fetch()
		if r.err != nil {
			return false
		}
	}
}

// fetch returns the next chunk, verified, and starts those after it.
func (r *Reader) fetch() (*chunk, error) {
	if len(r.queue) > 0 {
		c := r.queue[0]
		r.queue = r.queue[1:]
		r.readAhead()
		<-c.done
		return r.orFree(c)
	}
	c := r.plan()
	if c == nil {
		return nil, r.end
	}
	r.planned = nil
	if r.reuse(c) {
		r.shorten(c)
		r.readAhead()
		return c, nil
	}
	if err := r.store.reads.admit(r.ctx, c); err != nil {
		return nil, err
	}
	r.shorten(c)
	r.readAhead()
	c.err = r.store.fetch(r.ctx, c)
	return r.orFree(c)
}

func (r *Reader) orFree(c *chunk) (*chunk, error) {
	r.forget(func(k *kept) bool {
		return (k.stripe != c.stripe || k.view.id != c.view.id || k.column < c.column) && !r.needs(k)
	})
	r.kept = append(r.kept, c.keep...)
	c.keep = nil
	if c.err != nil {
		r.free(c)
		return nil, c.err
	}
	return c, nil
}

// needs reports whether a chunk under way may be rebuilt from what was kept:
// segments come in any order of stripes and columns.
func (r *Reader) needs(k *kept) bool {
	return slices.ContainsFunc(r.queue, func(c *chunk) bool { return slices.Contains(c.have, k) })
}

func (r *Reader) free(c *chunk) {
	if c == nil {
		return
	}
	r.store.slabs.put(c.slab)
	c.slab = nil
	r.kept = append(r.kept, c.keep...)
	c.keep = nil
	if c.cost > 0 {
		r.store.reads.release(c.cost)
		c.cost = 0
	}
}

// readAhead starts chunks while memory is plenty.
func (r *Reader) readAhead() {
	for len(r.queue) < readAhead {
		c := r.plan()
		if c == nil {
			return
		}
		reused := r.reuse(c)
		if !reused && !r.store.reads.tryAhead(c) {
			return
		}
		r.planned = nil
		r.shorten(c)
		c.done = make(chan struct{})
		r.queue = append(r.queue, c)
		if reused {
			close(c.done)
			continue
		}
		ctx := r.background()
		go func() {
			defer close(c.done)
			c.err = r.store.fetch(ctx, c)
		}()
	}
}

// reuse takes what was kept of a chunk. Otherwise the chunk may be rebuilt from
// what was kept of others, which is left alone until the chunk is done: chunks
// are handed out, and what was kept is forgotten, in order.
func (r *Reader) reuse(c *chunk) bool {
	c.have = nil // what it had when there was no memory for it may be forgotten
	for i, k := range r.kept {
		if !k.covers(c.view, c.stripe, c.from, c.to) {
			continue
		}
		if k.column == c.column {
			c.slab, c.raw, c.cost, c.next = k.slab, k.raw, k.cost, c.from
			r.kept = slices.Delete(r.kept, i, i+1)
			r.store.stats.reads.Add(1)
			return true
		}
		// Of columns to come only: the others are forgotten when a chunk before this
		// one is handed out, while this one may be at it.
		if k.column > c.column && !c.has(k.column) {
			c.have = append(c.have, k)
		}
	}
	return false
}

// forget gives the memory back of what will not be needed.
func (r *Reader) forget(which func(*kept) bool) {
	r.kept = slices.DeleteFunc(r.kept, func(k *kept) bool {
		if !which(k) {
			return false
		}
		r.store.slabs.put(k.slab)
		r.store.reads.release(k.cost)
		return true
	})
}

// background is the context of what is fetched ahead; Close ends it.
func (r *Reader) background() context.Context {
	if r.cancel == nil {
		r.ctx, r.cancel = context.WithCancel(r.ctx)
	}
	return r.ctx
}

// plan returns the next chunk to start, nil at the end. It stays planned until
// it is started.
func (r *Reader) plan() *chunk {
	if r.planned != nil || r.end != nil {
		return r.planned
	}
	for r.segment.Length == 0 {
		segment, ok, err := r.next(r.ctx)
		if err == nil && !ok {
			err = io.EOF
		}
		if err == nil {
			err = r.begin(segment)
		}
		if err != nil {
			r.end = err
			return nil
		}
	}
	e := &r.segment.Extent
	at, height := int64(e.Start)+r.segment.Offset, int64(e.Height)
	c := &chunk{view: r.view, stripe: e.Stripe, height: e.Height, column: int(at / height), from: at % height}
	c.columns = int((int64(e.Start)+int64(e.Length)-1)/height) + 1
	c.last = int((at + r.segment.Length - 1) / height)
	c.to = min(c.from+r.segment.Length, height, c.limit(chunkBlocks))
	r.planned = c
	return c
}

// begin checks a segment and finds its partition.
func (r *Reader) begin(g Segment) error {
	e := &g.Extent
	if g.Offset < 0 || g.Length < 0 || g.Offset+g.Length > int64(e.Length) ||
		e.Height == 0 || e.Stripe < 0 || e.Stripe%blobd.Align != 0 {
		return fmt.Errorf("%w: bytes %d+%d of extent %+v", ErrInvalid, g.Offset, g.Length, *e)
	}
	if g.Length == 0 {
		return nil
	}
	v := r.view
	if v == nil || v.id != e.Partition {
		var err error
		if v, err = r.store.views.get(r.ctx, e.Partition); err != nil {
			return err
		}
		if r.unhurried {
			v = v.inBackground()
		}
	}
	if (int64(e.Start)+g.Offset+g.Length-1)/int64(e.Height) >= int64(v.k) {
		return fmt.Errorf("%w: extent %+v reaches past %d columns", ErrInvalid, *e, v.k)
	}
	r.segment, r.view = g, v
	return nil
}

// shorten accounts for a chunk that is started, which memory pressure may have
// made shorter than planned.
func (r *Reader) shorten(c *chunk) {
	n := c.to - c.from
	r.segment.Offset += n
	r.segment.Length -= n
}
