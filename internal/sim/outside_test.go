package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// outside is metadata that is not on the disks: it stays as it is when they lose
// power, and outlives the process.
type outside struct {
	open func() (kv.Engine, error)
	// fence returns when no transaction will be applied any more that read before
	// it was called.
	fence func() error
	// copied is another one that holds the same.
	copied func() (*outside, error)
	// restless says that it may be away at any moment, by itself.
	restless bool
	unsure   float64 // share of commits that suffer all the time
}

// external is how a process opens it.
func (o *outside) external(p *process) *single.External {
	return &single.External{Place: "the simulation", Open: func(context.Context) (kv.Engine, error) {
		e, err := o.open()
		if err != nil {
			return nil, err
		}
		return &mortal{e, &p.killed}, nil
	}}
}

// mortal is the engine of a process: after its end it applies nothing, whatever
// the process still tries. Who reads before the fence conflicts with it, and who
// reads later sees that the process is dead.
type mortal struct {
	kv.Engine
	dead *atomic.Bool
}

// fenceKey is in no row: transactions only conflict there.
const fenceKey = "\xfe fence"

func fenceRange() kv.Range {
	return kv.Range{Begin: []byte(fenceKey), End: kv.KeyAfter([]byte(fenceKey))}
}

// Update implements [kv.Engine].
func (m *mortal) Update(ctx context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	return m.Engine.Update(ctx, o, func(tx kv.Tx) error {
		if _, err := tx.ReadVersion(); err != nil {
			return err
		}
		if m.dead.Load() {
			return errKilled
		}
		tx.AddReadConflictRange(fenceRange())
		return fn(tx)
	})
}

// Unwrap is how optional interfaces of the engine are found.
func (m *mortal) Unwrap() kv.Engine { return m.Engine }

// fence is outside.fence on an engine.
func fence(ctx context.Context, e kv.Engine) error {
	_, err := e.Update(ctx, kv.TxOptions{}, func(tx kv.Tx) error {
		tx.AddWriteConflictRange(fenceRange())
		return nil
	})
	return err
}

// copyAll copies all rows of an engine into an empty one.
func copyAll(ctx context.Context, from, to kv.Engine) error {
	const page = 200 // rows, of at most 20,000 bytes and their keys
	for begin := []byte{}; begin != nil; {
		var pairs []kv.Pair
		err := from.View(ctx, kv.TxOptions{}, func(r kv.Reader) error {
			pairs = pairs[:0]
			it := r.GetRange(kv.Range{Begin: begin, End: []byte{0xff}}, kv.RangeOptions{Limit: page})
			defer it.Close()
			for it.Next() {
				p := it.Pair()
				pairs = append(pairs, kv.Pair{Key: append([]byte{}, p.Key...), Value: append([]byte{}, p.Value...)})
			}
			return it.Err()
		})
		if err != nil {
			return err
		}
		_, err = to.Update(ctx, kv.TxOptions{}, func(tx kv.Tx) error {
			for _, p := range pairs {
				tx.Set(p.Key, p.Value)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if begin = nil; len(pairs) == page {
			begin = kv.KeyAfter(pairs[page-1].Key)
		}
	}
	return nil
}

// staying is an engine that outlives its processes.
type staying struct{ kv.Engine }

// Close implements [kv.Engine].
func (staying) Close() error { return nil }

// Unwrap is how optional interfaces of the engine are found.
func (s staying) Unwrap() kv.Engine { return s.Engine }

// inMemory is metadata in an engine in memory, of the bubble that makes it.
func inMemory(ctx context.Context) *outside {
	e := mem.New(mem.Options{Remote: true})
	return &outside{
		open:  func() (kv.Engine, error) { return staying{e}, nil },
		fence: func() error { return fence(ctx, e) },
		copied: func() (*outside, error) {
			o := inMemory(ctx)
			to, err := o.open()
			return o, errors.Join(err, copyAll(ctx, e, to))
		},
	}
}

// outsideFaults are those that happen to disks and processes; metadata that is
// outside has faults of its own.
func outsideFaults(own ...fault) (out []fault) {
	for _, f := range faults {
		if !strings.HasPrefix(f.name, "mirror-") {
			out = append(out, f)
		}
	}
	return append(out, own...)
}

// outsideSeeds are those asked for, or the first few.
func outsideSeeds() []uint64 {
	list := []uint64{0, 1, 2, 3}
	switch {
	case *seeds > 0:
		list = nil
		for i := range *seeds {
			list = append(list, *seed+uint64(i))
		}
	case testing.Short():
		list = list[:1]
	}
	return list
}

// TestSimulationOutside is the simulation with metadata that is not on the disks.
func TestSimulationOutside(t *testing.T) {
	simulateOutside(t, outsideSeeds(), inMemory)
}

// TestSimulationRestless is the simulation with metadata of which at no moment anybody
// can say whether it will answer: also while a store starts, heals, and is closed.
func TestSimulationRestless(t *testing.T) {
	list := outsideSeeds()
	if *seeds == 0 && !testing.Short() {
		list = append(list, 1003) // garbage that was left for a later round than others
	}
	simulateOutside(t, list, func(ctx context.Context) *outside {
		o := inMemory(ctx)
		o.restless, o.unsure = true, 0.1
		return o
	})
}

func simulateOutside(t *testing.T, list []uint64, made func(context.Context) *outside) {
	t.Helper()
	if raceEnabled {
		t.Skip("not with the race detector: see TestSimulation")
	}
	var mu sync.Mutex // guards seen
	seen := map[string]int{}
	t.Run("seed", func(t *testing.T) {
		for _, s := range list {
			t.Run(fmt.Sprint(s), func(t *testing.T) {
				t.Parallel()
				events := runOn(t, s, *steps, func(m *machine) {
					m.outside, m.faults = made(context.WithoutCancel(m.t.Context())), outsideFaults()
				})
				if events["steps"] == 0 {
					t.Error("nothing happened")
				}
				mu.Lock()
				defer mu.Unlock()
				for event, n := range events {
					seen[event] += n
				}
			})
		}
	})
	report(t, seen)
}
