package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// run is a range of one column's payload, [from,to), that is to be rebuilt:
// whole blocks.
type run struct {
	view     *view
	stripe   int64
	height   uint32
	column   int
	columns  int // that the stripe is known to have; it may have more
	last     int // column that the reader comes to
	from, to int64
	have     []*kept // of other columns, the same range
}

// kept is what was read of a column to rebuild another one, for when its own
// turn comes.
type kept struct {
	view     *view
	stripe   int64
	column   int
	from, to int64
	slab     *slab
	raw      []byte // in slab
	cost     int64  // of the read budget
}

// covers reports whether this begins with a range of a stripe.
func (k *kept) covers(v *view, stripe, from, to int64) bool {
	return k.view.id == v.id && k.stripe == stripe && k.from == from && k.to >= to
}

// layout is what is known of a stripe: of which one it is that frames lie at
// its offset, and which of them were seen to be of it.
type layout struct {
	id      uint64
	columns int // 0: nothing is known
	seen    uint64
}

// maxLayouts bounds the cache of layouts.
const maxLayouts = 4096

type stripeKey struct {
	partition metadata.PartitionID
	stripe    int64
}

// layouts remembers stripes that were rebuilt from, so that their headers are
// read once. An offset is never written twice, so what was seen stays true. The
// zero value is ready; it is safe for concurrent use.
type layouts struct {
	mu    sync.Mutex // guards what follows
	cache map[stripeKey]layout
}

func (l *layouts) get(k stripeKey) layout {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cache[k]
}

func (l *layouts) put(k stripeKey, of layout) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cache == nil {
		l.cache = make(map[stripeKey]layout)
	}
	if len(l.cache) >= maxLayouts {
		for old := range l.cache { // any one: map order is random enough
			delete(l.cache, old)
			break
		}
	}
	l.cache[k] = of
}

// gathering reads the same run of as many other columns as it takes to rebuild
// one.
type gathering struct {
	run
	store      *Store
	offset     int64 // of the run's blocks in every shard
	n          int   // their bytes, checksums included
	layout     layout
	candidates []int // columns that were not asked, best first
	flying     []*asking
	good       []*asking
	spare      int           // how many more to ask than needed
	stage      int           // of impatience
	after      time.Duration // the first
	within     time.Duration // all of it must be done
	done       chan *asking
	errs       []error
}

// rebuildRun computes the blocks of a run as they lie on disk, but for the
// checksums between them, whose places hold anything. It gives up after the
// time that it is given. The caller gives the memory back. Frames of one stripe
// id only are combined.
func (s *Store) rebuildRun(ctx context.Context, r run, within time.Duration) (*slab, error) {
	m, _, err := s.rebuildAnd(ctx, r, within, (*gathering).keepNone)
	return m, err
}

// rebuildAnd is rebuildRun, which hands over some of what it read.
func (s *Store) rebuildAnd(ctx context.Context, r run, within time.Duration, keep func(*gathering) []*kept) (*slab, []*kept, error) {
	v := r.view
	if v.m == 0 {
		return nil, nil, fmt.Errorf("%w: no parity in %s", ErrUnreadable, pid(v.id))
	}
	g := &gathering{run: r, store: s, within: within}
	g.offset, g.n = blobd.BlockSpan(r.stripe, r.height, r.from, r.to)
	cost := int64(v.k+1) * int64(g.n)
	if err := s.reads.rebuilding.acquire(ctx, cost); err != nil {
		return nil, nil, err
	}
	defer s.reads.rebuilding.release(cost)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what is still asked is not needed
	defer g.release()
	key := stripeKey{v.id, r.stripe}
	known := s.reads.layouts.get(key)
	g.layout = known
	g.order()
	if err := g.gather(ctx); err != nil {
		return nil, nil, err
	}
	if g.layout != known {
		s.reads.layouts.put(key, g.layout)
	}
	m, err := g.decode()
	if err != nil {
		return nil, nil, err
	}
	return m, keep(g), nil
}

func (*gathering) keepNone() []*kept { return nil }

// keepLater takes the columns that a reader of the whole extent comes to later,
// while memory is plenty.
func (g *gathering) keepLater() (out []*kept) {
	reads := g.store.reads
	for _, a := range g.good {
		if a.borrowed || a.column <= g.column || a.column > g.last || !reads.try(readBuffer, readMemory/2) {
			continue
		}
		out = append(out, &kept{
			view: g.view, stripe: g.stripe, column: a.column, from: g.from, to: g.to,
			slab: a.slab, raw: g.raw(a), cost: readBuffer,
		})
		a.slab = nil
	}
	return out
}

// order lists the columns to ask: those of disks that answer, and have room for a
// read, first, of them the data columns, which a reader of all of the stripe needs anyway.
func (g *gathering) order() {
	columns := max(g.columns, g.layout.columns)
	for c := range columns {
		g.candidates = append(g.candidates, c)
	}
	for c := g.view.k; c < g.view.k+g.view.m; c++ {
		g.candidates = append(g.candidates, c)
	}
	if g.layout.columns > 0 {
		for _, k := range g.have {
			g.good = append(g.good, &asking{column: k.column, slab: k.slab, borrowed: true})
		}
	}
	g.candidates = slices.DeleteFunc(g.candidates, func(c int) bool {
		return c == g.column || slices.ContainsFunc(g.good, func(a *asking) bool { return a.column == c })
	})
	g.quietLast()
}

func (g *gathering) quietLast() {
	now := g.view.now()
	rank := func(c int) int {
		if d := g.view.disks[shardOf(c, g.stripe, g.view.k)]; d == nil || d.silent(now) || d.reads.isFull() {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(g.candidates, func(a, b int) int { return rank(a) - rank(b) })
}

// need is how many columns it takes, as far as is known.
func (g *gathering) need() int { return max(g.columns, g.layout.columns) }

func (g *gathering) gather(ctx context.Context) error {
	var timer *time.Timer
	var expired <-chan time.Time
	for {
		g.launch(ctx)
		if len(g.good) >= g.need() {
			return nil
		}
		if len(g.flying) == 0 {
			return g.failure()
		}
		if timer == nil {
			g.after = g.hedgeAfter()
			timer = time.NewTimer(g.after)
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case a := <-g.done:
			g.flying = slices.DeleteFunc(g.flying, func(other *asking) bool { return other == a })
			g.accept(a)
		case <-expired:
			next := g.impatient()
			if next <= 0 {
				g.errs = append(g.errs, errSlow)
				return g.failure()
			}
			timer.Reset(next)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// impatient asks more columns than are needed, then says of the disks that have
// not answered that they are late. It returns when to be called again, 0 when
// the time is over.
func (g *gathering) impatient() time.Duration {
	g.stage++
	switch g.stage {
	case 1:
		g.spare = g.view.m
		return readPatience
	case 2:
		for _, a := range g.flying {
			a.late()
		}
		return max(g.within-readPatience-g.after, 1)
	}
	return 0
}

// launch asks as many columns as are wanted.
func (g *gathering) launch(ctx context.Context) {
	for len(g.candidates) > 0 && len(g.good) < g.need() && len(g.good)+len(g.flying) < g.need()+g.spare {
		c := g.candidates[0]
		g.candidates = g.candidates[1:]
		if a := g.prepare(c); a != nil {
			g.begin(ctx, a)
		}
	}
}

// begin starts a read that waits for a device.
func (g *gathering) begin(ctx context.Context, a *asking) {
	if g.done == nil {
		g.done = make(chan *asking, g.view.k+g.view.m)
	}
	a.done = g.done
	if err := a.begin(ctx); err != nil {
		a.err = err
		g.accept(a)
		return
	}
	g.flying = append(g.flying, a)
}

// prepare reads one column's run, and its header unless that was seen, from
// memory. It returns what must wait for a device.
func (g *gathering) prepare(column int) *asking {
	v := g.view
	shard := shardOf(column, g.stripe, v.k)
	a := &asking{view: v, disk: v.disks[shard], shard: shard, column: column}
	if a.disk == nil {
		a.err = errMissing
		g.accept(a)
		return nil
	}
	const head = blobd.FrameHeaderSize
	a.slab = g.store.slabs.get(head + g.n)
	body := piece{a.slab.b[head : head+g.n], g.offset}
	switch {
	case g.layout.seen>>column&1 != 0:
		a.reads, a.check = []piece{body}, g.checkBlocks
	case g.offset == g.stripe+head:
		a.reads, a.check = []piece{{a.slab.b[:head+g.n], g.stripe}}, g.checkFrame
	default:
		a.reads, a.check = []piece{{a.slab.b[:head], g.stripe}, body}, g.checkFrame
	}
	if a.cached() {
		a.err = a.check(a)
	} else if a.err = v.unasked(shard); a.err == nil {
		return a
	}
	g.accept(a)
	return nil
}

// raw is the run as it was read.
func (g *gathering) raw(a *asking) []byte {
	return a.slab.b[blobd.FrameHeaderSize : blobd.FrameHeaderSize+g.n]
}

func (g *gathering) checkBlocks(a *asking) error {
	summer := blobd.NewSummer(g.view.secret, g.view.shard(a.shard), g.stripe)
	if err := blobd.VerifyBlocks(summer, blobd.BlockOf(g.from), g.height, g.raw(a), discard); err != nil {
		return fmt.Errorf("column %d of the stripe at %d of %s: %w", a.column, g.stripe, pid(g.view.id), err)
	}
	return nil
}

func (g *gathering) checkFrame(a *asking) error {
	if _, err := g.view.parseHeader(a.slab.b, a.shard, g.stripe); err != nil {
		return err
	}
	return g.checkBlocks(a)
}

// accept takes what was read of a column, if it is of the stripe.
func (g *gathering) accept(a *asking) {
	err := a.err
	if err == nil && g.layout.seen>>a.column&1 == 0 {
		err = g.match(a)
	}
	if err == nil {
		g.good = append(g.good, a)
		return
	}
	g.errs = append(g.errs, err)
	g.store.slabs.put(a.slab)
	if !errors.Is(err, ErrUnreadable) {
		g.store.damaged(g.view, a.shard, g.stripe, err)
	}
}

// match holds a frame's header against those of the others. The first one says
// how many columns there are.
func (g *gathering) match(a *asking) error {
	h, err := g.view.parseHeader(a.slab.b, a.shard, g.stripe)
	if err != nil {
		return err
	}
	if h.Height != g.height || g.column < g.view.k && g.column >= int(h.Columns) || int(h.Columns) < g.columns {
		return fmt.Errorf("%w: the stripe at %d of %s has %d columns of %d bytes, the extent needs column %d of %d",
			ErrUnreadable, g.stripe, pid(g.view.id), h.Columns, h.Height, max(g.column, g.columns-1), g.height)
	}
	if g.layout.columns == 0 {
		g.layout.id, g.layout.columns = h.StripeID, int(h.Columns)
		for c := g.columns; c < g.layout.columns; c++ {
			if c != g.column {
				g.candidates = append(g.candidates, c)
			}
		}
		slices.Sort(g.candidates)
		g.quietLast()
	}
	if h.StripeID != g.layout.id || int(h.Columns) != g.layout.columns {
		return fmt.Errorf("%w: %s has a frame of another stripe at %d", blobd.ErrCorrupt, g.view.shard(a.shard), g.stripe)
	}
	g.layout.seen |= 1 << a.column
	return nil
}

// hedgeAfter is when more columns are asked than needed.
func (g *gathering) hedgeAfter() time.Duration {
	if !g.view.foreground {
		return readPatience
	}
	after := time.Duration(0)
	for _, a := range g.flying {
		after = max(after, g.view.tooLong(a.disk, readClass(g.n)))
	}
	return after
}

// release gives the memory back, or leaves it to the reads that have not
// returned.
func (g *gathering) release() {
	for _, a := range g.good {
		if !a.borrowed {
			g.store.slabs.put(a.slab)
		}
	}
	for _, a := range g.flying {
		a.letGo()
	}
}

func (g *gathering) failure() error {
	err := errors.Join(g.errs...)
	if !errors.Is(err, errSlow) {
		err = fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return fmt.Errorf("%d of %d columns for column %d of the stripe at %d of %s: %w", len(g.good), g.need(), g.column, g.stripe, pid(g.view.id), err)
}

// limit bounds the time for a rebuild. That it is over is the disks' fault, not
// the caller's: see timedOut.
func limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, errSlow)
}

func timedOut(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), errSlow) {
		return errSlow
	}
	return err
}

func (g *gathering) decode() (*slab, error) {
	f := &frameSet{view: g.view, stripe: g.stripe, columns: g.layout.columns, height: g.height}
	shards := make([][]byte, f.columns+g.view.m)
	for _, a := range g.good {
		shards[f.index(a.column)] = g.raw(a)
	}
	out := g.store.slabs.get(g.n)
	if err := g.store.decode(f, shards, g.column, out.b[:g.n:g.n]); err != nil {
		g.store.slabs.put(out)
		return nil, err
	}
	return out, nil
}
