package testcluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/memory"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/steward"
)

// GatewaysOptions say what gateways stand on. Engine is required.
type GatewaysOptions struct {
	Engine  kv.Engine
	Disks   int // 0: 4
	Now     func() time.Time
	Scheme  partition.Scheme // zero: 2+1
	Objects objects.Options
}

// Gateways are processes of one store that share its metadata and disks, as far as that can be
// had in one process: each has metadata, partitions, objects and a steward of its
// own. Nothing runs by itself: leases are renewed, and taken away, by hand.
type Gateways struct {
	tb    testing.TB
	o     GatewaysOptions
	disks []blobd.Disk
	// direct is the metadata as no gateway has it.
	direct *metadata.DB

	mu  sync.Mutex // guards all
	all []*Gateway
}

// Gateway is one of them.
type Gateway struct {
	DB      *metadata.DB
	Store   *partition.Store
	Objects *objects.Service
	Steward *steward.Steward // at rest; Work steps its jobs

	of   *Gateways
	line *line
}

// NewGateways returns a store without gateways. When the test ends the metadata is
// checked, and they are closed.
func NewGateways(tb testing.TB, o GatewaysOptions) *Gateways {
	tb.Helper()
	if o.Disks == 0 {
		o.Disks = 4
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Scheme == (partition.Scheme{}) {
		o.Scheme = partition.Scheme{K: 2, M: 1}
	}
	g := &Gateways{tb: tb, o: o}
	for i := range o.Disks {
		g.disks = append(g.disks, memory.New(blobd.DiskID{byte(i + 1)}))
	}
	g.persist(g.begin)
	tb.Cleanup(g.close)
	return g
}

// begin opens the metadata and records the disks.
func (g *Gateways) begin(ctx context.Context) (err error) {
	if g.direct, err = metadata.Open(g.o.Engine, metadata.Options{Now: g.o.Now}); err != nil { //nolint:contextcheck // opening is not cut short
		return err
	}
	return g.direct.Update(ctx, "inventory", func(tx *metadata.Tx) error {
		var errs []error
		for _, d := range g.disks {
			errs = append(errs, tx.PutDisk(&metadata.Disk{ID: metadata.DiskID(d.ID()), State: metadata.DiskActive}))
		}
		return errors.Join(errs...)
	})
}

// persist does what an engine may refuse at random.
func (g *Gateways) persist(do func(context.Context) error) {
	g.tb.Helper()
	var err error
	for range maxPersist {
		if err = do(g.tb.Context()); err == nil {
			return
		}
	}
	g.tb.Fatal(err)
}

// maxPersist is more than an engine fails that fails at random.
const maxPersist = 8

// Start starts a gateway.
func (g *Gateways) Start() *Gateway {
	g.tb.Helper()
	one := &Gateway{of: g, line: &line{Engine: g.o.Engine}}
	g.persist(one.open)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, one)
	return one
}

func (one *Gateway) open(ctx context.Context) (err error) {
	o := &one.of.o
	if one.DB, err = metadata.Open(one.line, metadata.Options{Now: o.Now}); err != nil { //nolint:contextcheck // opening is not cut short
		return err
	}
	one.Store, err = partition.Open(ctx, one.DB, partition.Options{
		Disks: one.of.disks, Scheme: o.Scheme, Capacity: 8 << 20, Shared: true, LeaseInterval: -1, Now: o.Now,
	})
	if err != nil {
		return err
	}
	one.Objects = objects.New(one.DB, one.Store, o.Objects)
	one.Steward = steward.New(one.DB, one.Store, steward.Options{
		Grace: -1, IntentAge: 24 * time.Hour, SweepAfter: -1, RepairDelay: -1, CompactEvery: -1, ScrubInterval: -1, Now: o.Now,
	})
	return nil
}

// Work renews the gateway's lease and steps each job of its steward until that has no more to do.
func (one *Gateway) Work(ctx context.Context) error {
	err := one.Store.KeepLease(ctx)
	for _, job := range one.Steward.Jobs() {
		for more := true; more; {
			p, e := job.Step(ctx)
			if more = p.More && e == nil; e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", job.Name(), e))
			}
		}
	}
	return err
}

// Bury ends the lease of a gateway as a keeper does that saw its stamp stand still, whether the
// gateway lives or not. The others take over what it wrote with their next Work.
func (one *Gateway) Bury(ctx context.Context) error {
	id := one.Store.Writer()
	return one.of.direct.Update(ctx, "bury", func(tx *metadata.Tx) error { return tx.DeleteHolder(id) })
}

// Kill leaves a gateway as it is: what it has on its way may still arrive, and no transaction of it
// begins any more.
func (one *Gateway) Kill() { one.line.cut.Store(true) }

// Hold stops the next transaction of a class before it begins. reached is closed when there is
// one, which goes on after release.
func (one *Gateway) Hold(class string) (reached <-chan struct{}, release func()) {
	h := &held{class: class, reached: make(chan struct{}), release: make(chan struct{})}
	one.line.next.Store(h)
	return h.reached, sync.OnceFunc(func() { close(h.release) })
}

// Check holds the metadata against themselves.
func (g *Gateways) Check() metadata.Summary {
	g.tb.Helper()
	ctx := context.WithoutCancel(g.tb.Context())
	sum, err := metadata.Check(ctx, g.direct, func(p metadata.Problem) { g.tb.Errorf("the checker says: %s", p) })
	if err != nil {
		g.tb.Error(err)
	}
	return sum
}

// close checks and closes everything.
func (g *Gateways) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Check()
	for _, one := range g.all {
		one.Steward.Close()
		if err := one.Store.Close(context.WithoutCancel(g.tb.Context())); err != nil {
			g.tb.Error(err)
		}
	}
}

// line is the way of one gateway to the metadata.
type line struct {
	kv.Engine
	cut  atomic.Bool
	next atomic.Pointer[held]
}

// held is a transaction that waits before it begins.
type held struct {
	class            string
	reached, release chan struct{}
}

func (l *line) View(ctx context.Context, o kv.TxOptions, fn func(kv.Reader) error) error {
	if l.cut.Load() {
		return kv.ErrUnavailable
	}
	return l.Engine.View(ctx, o, fn)
}

func (l *line) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	if h := l.next.Load(); h != nil && h.class == o.Class && l.next.CompareAndSwap(h, nil) {
		close(h.reached)
		<-h.release
	}
	if l.cut.Load() {
		return kv.Commit{}, kv.ErrUnavailable
	}
	return l.Engine.Update(ctx, o, fn)
}
