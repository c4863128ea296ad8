package objects_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/internal/fdbcluster/fdbengine"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// yard is several gateways with a bucket.
type yard struct {
	*testcluster.Gateways
	t        *testing.T
	gateways []*testcluster.Gateway
}

// gatewayEngines are what gateways share.
func gatewayEngines(t *testing.T) map[string]func() kv.Engine {
	t.Helper()
	closed := func(e kv.Engine, err error) kv.Engine {
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		return e
	}
	if fdbengine.Wanted() {
		return map[string]func() kv.Engine{"fdb": func() kv.Engine { return closed(fdbengine.Engine(t), nil) }}
	}
	return map[string]func() kv.Engine{
		"mem":    func() kv.Engine { return closed(mem.New(mem.Options{}), nil) },
		"remote": func() kv.Engine { return closed(mem.New(mem.Options{Remote: true}), nil) },
		"pebble": func() kv.Engine {
			return closed(pebble.Open("/metadata", pebble.Options{FS: vfs.NewMem(), ReserveBytes: -1, BallastBytes: -1}))
		},
	}
}

func newYard(t *testing.T, engine kv.Engine, n int) *yard {
	t.Helper()
	y := &yard{Gateways: testcluster.NewGateways(t, testcluster.GatewaysOptions{Engine: engine}), t: t}
	for range n {
		y.gateways = append(y.gateways, y.Start())
	}
	_, err := y.gateways[0].Objects.CreateBucket(mem.Quiet(t.Context()), objects.CreateBucketInput{Name: bucket, Owner: owner})
	y.must(err)
	return y
}

func (y *yard) must(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

// maxBuried bounds how often a gateway is taken for gone in one history: what its clients are not told
// the outcome of makes the search for an order long.
const maxBuried = 12

// during runs fn again and again until the clients are done.
func (y *yard) during(clients func(), fn func(n int) error) {
	y.t.Helper()
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; !done.Load(); n++ {
			if err := fn(n); err != nil {
				y.t.Error(err)
				return
			}
		}
	})
	defer wg.Wait()
	defer done.Store(true)
	clients()
}

// linear runs clients of all gateways at once, and checks what they saw together. It returns false when
// that could not be decided in time.
func (y *yard) linear(seed uint64, each int) (decided bool) {
	y.t.Helper()
	const clients = 6
	h := newHistory(nil)
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		of := h.of(y.gateways[i%len(y.gateways)].Objects)
		wg.Go(func() { errs[i] = of.client(y.t.Context(), i, each, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	wg.Wait()
	y.must(errors.Join(errs...))
	decided = h.check(y.t)
	h.of(y.gateways[0].Objects).wholeAfter(y.t)
	for i := range linearKeys {
		_, err := y.gateways[0].Objects.DeleteObject(mem.Quiet(y.t.Context()), objects.DeleteObjectInput{Bucket: bucket, Key: linearKey(i)})
		y.must(err)
	}
	return decided
}

// mustDecide is linear where few outcomes are unknown.
func (y *yard) mustDecide(seed uint64, each int) {
	y.t.Helper()
	if !y.linear(seed, each) {
		y.t.Errorf("seed %d: not decided", seed)
	}
}

// TestLinearizableAcrossGateways: writes, conditions, deletions, copies, multipart uploads and
// listings through three gateways have one order, while each frees, seals and compacts.
func TestLinearizableAcrossGateways(t *testing.T) {
	for name, engine := range gatewayEngines(t) {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, engine(), 3)
			for seed := range rounds(2, 40) {
				y.during(func() { y.mustDecide(1000+seed, 20) }, func(n int) error {
					return y.gateways[n%len(y.gateways)].Work(t.Context())
				})
				y.Check()
			}
		})
	}
}

// TestLinearizableWhileGatewaysAreTakenForGone: one after the other is struck off the list though
// it lives, and the others take over what it writes to. What its clients were told stays true.
func TestLinearizableWhileGatewaysAreTakenForGone(t *testing.T) {
	for name, engine := range gatewayEngines(t) {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, engine(), 3)
			for seed := range rounds(2, 40) {
				y.during(func() { t.Logf("decided: %v", y.linear(2000+seed, 15)) }, func(n int) error {
					if n < maxBuried {
						if err := y.gateways[n%3].Bury(t.Context()); err != nil {
							return err
						}
					}
					return y.gateways[(n+1)%3].Work(t.Context())
				})
				y.Check()
			}
		})
	}
}

// TestLinearizableAcrossUnknownCommits: of gateways that are not told what became of their commits.
func TestLinearizableAcrossUnknownCommits(t *testing.T) {
	for seed := range rounds(3, 40) {
		engine := mem.New(mem.Options{Faults: mem.Faults{
			Seed: seed, CommitConflict: 0.02, CommitUnknownApplied: 0.02, CommitUnknownLost: 0.02, CommitTooOld: 0.01,
		}})
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			y := newYard(t, engine, 3)
			y.during(func() { t.Logf("decided: %v", y.linear(3000+seed, 12)) }, func(n int) error {
				ctx := mem.Quiet(t.Context())
				if n%5 == 4 && n < 5*maxBuried {
					if err := y.gateways[n%3].Bury(ctx); err != nil {
						return err
					}
				}
				return y.gateways[(n+1)%3].Work(ctx)
			})
		})
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	}
}

// content reads an object through a gateway.
func content(ctx context.Context, g *testcluster.Gateway, key s3.Key) ([]byte, error) {
	out, err := g.Objects.GetObject(ctx, objects.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		return nil, err
	}
	return drain(out)
}
