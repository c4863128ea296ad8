package partition

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/undercroft/undercroft/blobd"
)

const (
	// coolWindow is how much of a shard is dropped from the system's memory at a time,
	// and coolMargin more than the largest frame.
	coolWindow = 32 << 20
	coolMargin = 8 << 20
)

// errPassed says that a shard is passed over.
var errPassed = errors.New("partition: shard is passed over")

// stripeScrub is the frames of one stripe on their way through a scrub.
type stripeScrub struct {
	*scrub
	stripe  int64
	blocks  uint32  // of a frame that are read at a time
	slabs   []*slab // by shard, as what follows
	raws    [][]byte
	headers []blobd.FrameHeader
	errs    []error
	set     *frameSet
	odd     bool // headers of one stripe id contradict each other, or parity does
}

// stripe reads and verifies all frames of a stripe. Nothing of another stripe lies
// before end.
func (w *scrub) stripe(ctx context.Context, stripe, end int64) error {
	if stripe+coolMargin > w.cold {
		w.cool(ctx, w.warm, stripe+coolWindow)
		w.warm, w.cold = stripe, stripe+coolWindow
	}
	n := len(w.view.disks)
	r := &stripeScrub{
		scrub: w, stripe: stripe, slabs: make([]*slab, n), raws: make([][]byte, n),
		headers: make([]blobd.FrameHeader, n), errs: make([]error, n),
	}
	defer r.free()
	b := breathing(ctx)
	r.blocks = b.blocks()
	r.readHeads(ctx, int(min(blobd.FrameHeaderSize+int64(r.blocks)*blobd.BlockSize, end-stripe)))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.out.Stripes++
	r.choose()
	if r.set == nil {
		return r.incomplete(ctx)
	}
	for first := uint32(0); first < blobd.BlockCount(r.set.height); first += r.blocks {
		if first > 0 {
			r.blocks = b.blocks()
		}
		err := r.chunk(ctx, first)
		if err == nil {
			err = b.take(ctx)
		}
		if err != nil {
			return err
		}
	}
	return r.settle(ctx)
}

func (r *stripeScrub) free() {
	for _, m := range r.slabs {
		r.store.slabs.put(m)
	}
}

// read reads a piece of every shard of which nothing was wrong so far. What hangs keeps its memory.
func (r *stripeScrub) read(ctx context.Context, shard int, offset int64, n int) error {
	m := r.slabs[shard]
	if m == nil || len(m.b) < n {
		r.store.slabs.put(m)
		m = r.store.slabs.get(n)
	}
	r.slabs[shard] = nil
	d, id := r.view.disks[shard], r.view.shard(shard)
	err := r.store.attend(d, func() error {
		got, err := d.ReadAt(ctx, id, m.b[:n], offset)
		if got == n && (err == nil || errors.Is(err, io.EOF)) {
			return nil
		}
		return fmt.Errorf("read of %d bytes at %d of %s: %w", n, offset, id, cmp.Or(err, io.ErrUnexpectedEOF))
	})
	if errors.Is(err, errSlow) {
		return err // the call may still write to m
	}
	r.slabs[shard], r.raws[shard] = m, m.b[:n]
	return err
}

// readHeads reads the beginnings of the frames, and their headers.
func (r *stripeScrub) readHeads(ctx context.Context, n int) {
	copy(r.errs, parallel(len(r.errs), func(shard int) (err error) {
		if r.passed[shard] {
			return errPassed
		}
		if err := r.read(ctx, shard, r.stripe, n); err != nil {
			return err
		}
		r.headers[shard], err = r.view.parseHeader(r.raws[shard], shard, r.stripe)
		return err
	}))
	for shard := range r.errs {
		if !r.passed[shard] {
			r.out.Read += int64(n)
		}
	}
}

// choose finds the one stripe of which there are frames enough.
func (r *stripeScrub) choose() {
	v := r.view
	var sets []*frameSet
	for column := range v.k + v.m {
		shard := shardOf(column, r.stripe, v.k)
		if r.errs[shard] != nil {
			continue
		}
		h := &r.headers[shard]
		i := slices.IndexFunc(sets, func(f *frameSet) bool { return f.header.StripeID == h.StripeID })
		if i < 0 {
			i = len(sets)
			sets = append(sets, &frameSet{view: v, stripe: r.stripe, header: *h, columns: int(h.Columns), height: h.Height})
		}
		f := sets[i]
		if f.columns != int(h.Columns) || f.height != h.Height || f.header.Used != h.Used || f.header.Directory != h.Directory {
			r.odd = true
			continue
		}
		f.present = append(f.present, column)
	}
	sets = slices.DeleteFunc(sets, func(f *frameSet) bool { return len(f.present) < f.columns })
	if len(sets) == 1 {
		r.set = sets[0]
	}
}

// chunk verifies a few blocks of every frame that is good so far, and the parity
// where all are.
func (r *stripeScrub) chunk(ctx context.Context, first uint32) error {
	f, v := r.set, r.view
	from := int64(first) * blobd.BlockPayload
	to := min(from+int64(r.blocks)*blobd.BlockPayload, int64(f.height))
	offset, n := blobd.BlockSpan(r.stripe, f.height, from, to)
	whole := len(f.present) == f.columns+v.m
	errs := parallel(len(f.present), func(i int) error {
		shard := shardOf(f.present[i], r.stripe, v.k)
		if r.errs[shard] != nil {
			return r.errs[shard]
		}
		if first == 0 && len(r.raws[shard]) >= blobd.FrameHeaderSize+n { // read with the header
			r.raws[shard] = r.raws[shard][blobd.FrameHeaderSize:][:n]
		} else if err := r.read(ctx, shard, offset, n); err != nil {
			return err
		}
		summer := blobd.NewSummer(v.secret, v.shard(shard), r.stripe)
		return blobd.VerifyBlocks(summer, first, f.height, r.raws[shard], discard)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i, err := range errs {
		shard := shardOf(f.present[i], r.stripe, v.k)
		if first > 0 && r.errs[shard] == nil {
			r.out.Read += int64(n)
		}
		r.errs[shard] = err
		whole = whole && err == nil
	}
	if !whole || v.m == 0 {
		return nil
	}
	return r.parity(int(to - from))
}

// parity computes the parity of the blocks that were read and holds it against
// what was read of it.
func (r *stripeScrub) parity(n int) error {
	f, v, s := r.set, r.view, r.store
	code, err := s.codes.get(codeShape{v.k, v.m, f.columns})
	if err != nil {
		return err
	}
	m := s.slabs.get(v.m * blobd.BlockSize)
	defer s.slabs.put(m)
	shards := make([][]byte, f.columns+v.m)
	for at := 0; n > 0; at += blobd.BlockSize {
		size := min(n, blobd.BlockPayload)
		n -= size
		for _, column := range f.present[:f.columns] {
			shards[f.index(column)] = r.raws[shardOf(column, r.stripe, v.k)][at : at+size : at+size]
		}
		for i := range v.m {
			shards[f.columns+i] = m.b[i*blobd.BlockSize:][:size:size]
		}
		if err := code.Encode(shards); err != nil {
			return err
		}
		for i := range v.m {
			r.odd = r.odd || !bytes.Equal(shards[f.columns+i], r.raws[v.k+i][at:at+size])
		}
	}
	return nil
}

// settle counts the frames of the stripe and reports those that are bad.
func (r *stripeScrub) settle(ctx context.Context) error {
	f, w := r.set, r.scrub
	good := 0
	for _, column := range f.expected() {
		shard := shardOf(column, r.stripe, r.view.k)
		err := r.errs[shard]
		switch {
		case errors.Is(err, errPassed) || err != nil && w.isDisks(ctx, shard, err):
			w.out.Passed++
			continue
		case err == nil && slices.Contains(f.present, column):
			good++
			continue
		case err == nil && r.headers[shard].StripeID == f.header.StripeID:
			continue // odd
		case err == nil:
			err = errOtherStripe
		}
		healed, err := w.damage(ctx, shard, r.stripe, err)
		if err != nil {
			return err
		}
		if healed {
			good++
		}
	}
	w.out.Frames += int64(good)
	w.out.Bytes += int64(good) * f.header.Size()
	if r.odd {
		w.out.Mismatched++
		w.store.opts.Logger.ErrorContext(ctx, "frames verify and contradict each other: a writer was wrong; the stripe is left as it is",
			slog.String("partition", pid(r.view.id)), slog.Int64("stripe", r.stripe), slog.Uint64("epoch", uint64(f.header.Epoch)))
	}
	if good < f.columns && !w.away() {
		return r.tooFew(ctx)
	}
	return nil
}

// errOtherStripe says that a frame is of another stripe than the others at its offset.
var errOtherStripe = errors.Join(blobd.ErrCorrupt, errors.New("partition: frame of another stripe"))

// tooFew looks whether a stripe can be read block by block, from shards that are passed
// over too: of those one frame may be bad, and this one good.
func (r *stripeScrub) tooFew(ctx context.Context) error {
	s := r.store
	f, err := s.survivors(ctx, r.view, r.stripe)
	if err == nil {
		m := s.slabs.get(blobd.BlockSize)
		defer s.slabs.put(m)
		err = s.verifyBlocks(ctx, f, m.b[:blobd.BlockSize])
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, errSlow) {
		return ctx.Err()
	}
	return r.unreadable(ctx, err)
}

// incomplete reports the frames that are bad of a stripe of which there are too few,
// or of two that lie in one place.
func (r *stripeScrub) incomplete(ctx context.Context) error {
	w, v := r.scrub, r.view
	columns := 1
	for shard, h := range r.headers {
		if r.errs[shard] == nil {
			columns = max(columns, int(h.Columns))
		}
	}
	for column := range v.k + v.m {
		shard := shardOf(column, r.stripe, v.k)
		err := r.errs[shard]
		switch {
		case column >= columns && column < v.k:
		case errors.Is(err, errPassed) || err != nil && w.isDisks(ctx, shard, err):
			w.out.Passed++
		case err != nil:
			if _, err := w.damage(ctx, shard, r.stripe, err); err != nil {
				return err
			}
		}
	}
	if w.away() {
		return nil
	}
	return r.tooFew(ctx)
}

// unreadable counts a stripe that is lost, if it is still referenced.
func (r *stripeScrub) unreadable(ctx context.Context, cause error) error {
	row, referenced, err := r.store.stripeRow(ctx, r.view.id, r.stripe)
	if err != nil || row == nil || !referenced {
		return err
	}
	r.out.Unreadable++
	r.store.opts.Logger.ErrorContext(ctx, "stripe is unreadable", slog.String("partition", pid(r.view.id)),
		slog.Int64("stripe", r.stripe), slog.Any("error", cause))
	return nil
}

// cool drops a range of the shards from the system's memory, before it is read and
// after: bits that rot on the medium do not show in what is remembered of it, and what
// nobody asked for should not push out what is asked for. What fails does no harm.
func (w *scrub) cool(ctx context.Context, from, to int64) {
	for shard, d := range w.view.disks {
		if w.passed[shard] || to <= from {
			continue
		}
		if a, ok := d.Disk.(blobd.Auditor); ok {
			_ = w.store.attend(d, func() error { return a.Cool(ctx, w.view.shard(shard), from, to-from) })
		}
	}
}
