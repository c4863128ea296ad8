package steward

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// faulty is a fixture on an engine whose commits conflict, expire or end
// unknown, applied or not, except where a test asks for quiet.
func faulty(t *testing.T, seed uint64) *fixture {
	t.Helper()
	armed := make(chan struct{})
	chance := &dice{random: rand.New(rand.NewPCG(seed, 3)), armed: armed}
	e := mem.New(mem.Options{Faults: mem.Faults{Hook: chance.throw, Delay: 200 * time.Microsecond, Seed: seed}})
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	f := newFixtureOn(t, e)
	close(armed)
	return f
}

// dice decides on faults, none before armed is closed.
type dice struct {
	armed  <-chan struct{}
	mu     sync.Mutex
	random *rand.Rand
}

func (d *dice) throw(p mem.Point) mem.Fault {
	select {
	case <-d.armed:
	default:
		return mem.None
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.Place == mem.AtRead || p.Class == "check" {
		return mem.None
	}
	switch d.random.IntN(20) {
	case 0, 1:
		return mem.Conflict
	case 2:
		return mem.UnknownApplied
	case 3:
		return mem.UnknownLost
	case 4:
		return mem.TooOld
	}
	return mem.None
}

// tolerated says that an error is one of the faults, or of a rival.
func tolerated(err error) bool {
	return err == nil || errors.Is(err, kv.ErrUnknownCommit) || errors.Is(err, metadata.ErrFenced)
}

// TestCollectorsAgainstWriters lets writers put, copy, delete, complete and
// announce while two stewards collect, on an engine that fails. Then
// everything is deleted and must be gone.
func TestCollectorsAgainstWriters(t *testing.T) {
	for seed := range uint64(4) {
		f := faulty(t, seed)
		ctx, stop := context.WithCancel(t.Context())
		var stewards, writers sync.WaitGroup
		b := f.base()
		for range 2 {
			stewards.Go(func() { f.collectUntil(ctx, b) })
		}
		for w := range 4 {
			writers.Go(func() {
				a := &actor{f: f, rng: rand.New(rand.NewPCG(seed, uint64(w))), at: int64(w+1) << 40}
				for range 120 {
					if err := a.act(t.Context()); !tolerated(err) {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		stop()
		stewards.Wait()
		f.check()
		if b.stats.collected.Load() < 20 || b.stats.kept.Load() == 0 || b.stats.intents.Load() == 0 {
			t.Errorf("seed %d: the stewards had too little to do: %d freed, %d kept, %d intents",
				seed, b.stats.collected.Load(), b.stats.kept.Load(), b.stats.intents.Load())
		}
		f.clear(mem.Quiet(t.Context()))
		f.wantLeft(0, 0, 0)
		if s := f.check(); s.Manifests+s.Intents+s.Parts+s.Objects != 0 || f.live() != 0 {
			t.Errorf("seed %d: left over: %+v, %d bytes live", seed, s, f.live())
		}
	}
}

func (f *fixture) collectUntil(ctx context.Context, b base) {
	c, i := &collect{base: b, batch: collectBatch}, &intents{base: b}
	for n := 0; ctx.Err() == nil; n++ {
		_, err := c.Step(ctx)
		if n%7 == 0 && err == nil {
			_, err = i.Step(ctx)
		}
		if !tolerated(err) && ctx.Err() == nil && !errors.Is(err, kv.ErrConflict) && !errors.Is(err, kv.ErrTooOld) {
			f.t.Errorf("steward: %v", err)
			return
		}
	}
}

// clear deletes all objects and runs the jobs to their end.
func (f *fixture) clear(ctx context.Context) {
	f.t.Helper()
	for _, key := range keys {
		err := f.db.Update(ctx, "test", func(tx *metadata.Tx) error {
			old, err := tx.Object(f.b.ID, key)
			if err != nil || old == nil {
				return err
			}
			return tx.DeleteObject(f.b.ID, old)
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
	for _, j := range []Job{&intents{base: f.base()}, f.collector()} {
		for more := true; more; {
			p, err := j.Step(ctx)
			if err != nil {
				f.t.Fatal(err)
			}
			more = p.More
		}
	}
}

var keys = []string{"a", "b", "c", "d"}

// actor is one writer.
type actor struct {
	f   *fixture
	rng *rand.Rand
	at  int64
}

func (a *actor) key() string { return keys[a.rng.IntN(len(keys))] }

func (a *actor) extents(n int) (placed []metadata.Placed, extents []metadata.Extent) {
	for range n {
		x := metadata.Extent{Partition: a.f.p.ID, Stripe: a.at, Height: 64, Length: 10}
		a.at += 4096
		placed, extents = append(placed, metadata.Placed{Extent: x, Epoch: a.f.p.Epoch}), append(extents, x)
	}
	return placed, extents
}

func (a *actor) act(ctx context.Context) error {
	switch a.rng.IntN(6) {
	case 0, 1:
		return a.put(ctx)
	case 2:
		return a.copy(ctx)
	case 3:
		return a.remove(ctx)
	case 4:
		return a.announced(ctx)
	default:
		return a.completed(ctx)
	}
}

// replace writes what fill makes of a key's next version.
func (a *actor) replace(ctx context.Context, fill func(tx *metadata.Tx, o *metadata.Object) (bool, error)) error {
	key := a.key()
	return a.f.db.Update(ctx, "test", func(tx *metadata.Tx) error {
		old, err := tx.Object(a.f.b.ID, key)
		if err != nil {
			return err
		}
		o := &metadata.Object{Key: key, Ord: a.f.db.NextOrd(0), Null: true, Modified: time.UnixMilli(1)}
		if old != nil {
			o.Ord = a.f.db.NextOrd(old.Ord)
		}
		ok, err := fill(tx, o)
		if err != nil || !ok {
			return err
		}
		return tx.PutObject(a.f.b.ID, old, o, nil)
	})
}

func (a *actor) put(ctx context.Context) error {
	placed, extents := a.extents(1 + a.rng.IntN(9))
	id := a.f.db.NewDataID()
	return a.replace(ctx, func(tx *metadata.Tx, o *metadata.Object) (bool, error) {
		o.Size = int64(10 * len(placed))
		o.Data = metadata.Data{Kind: metadata.DataRows, ID: id}
		if len(extents) <= metadata.MaxRowExtents {
			o.Data.Kind, o.Data.Extents = metadata.DataExtents, extents
			return true, tx.Publish(id, placed)
		}
		return true, errors.Join(tx.PutExtents(id, 0, extents), tx.Publish(id, placed))
	})
}

func (a *actor) copy(ctx context.Context) error {
	from := a.key()
	return a.replace(ctx, func(tx *metadata.Tx, o *metadata.Object) (bool, error) {
		src, err := tx.Object(a.f.b.ID, from)
		if err != nil || src == nil {
			return false, err
		}
		o.Size, o.Data = src.Size, src.Data
		o.Data.Shared, o.Data.Extents = true, nil
		if src.Data.Kind == metadata.DataExtents {
			o.Data.Kind = metadata.DataRows
			if err := tx.PutExtents(o.Data.ID, 0, src.Data.Extents); err != nil {
				return false, err
			}
		}
		return true, tx.Pin(o.Data.ID, metadata.Owner{Kind: metadata.OwnerVersion, Bucket: a.f.b.ID, Key: o.Key, Ord: o.Ord})
	})
}

func (a *actor) remove(ctx context.Context) error {
	key := a.key()
	return a.f.db.Update(ctx, "test", func(tx *metadata.Tx) error {
		old, err := tx.Object(a.f.b.ID, key)
		if err != nil || old == nil {
			return err
		}
		return tx.DeleteObject(a.f.b.ID, old)
	})
}

// announced writes a data id in several transactions; the intents job may take
// it away in between.
func (a *actor) announced(ctx context.Context) error {
	id, size := a.f.db.NewDataID(), int64(0)
	for i := range 3 {
		placed, extents := a.extents(5)
		err := a.f.db.Update(ctx, "test", func(tx *metadata.Tx) error {
			announce := tx.RequireIntent(id)
			if i == 0 {
				announce = tx.PutIntent(&metadata.Intent{ID: id, Created: time.Now(), Bucket: a.f.b.ID})
			}
			return errors.Join(announce, tx.PutExtents(id, size, extents), tx.Publish(id, placed))
		})
		if err != nil || a.rng.IntN(8) == 0 {
			return err // given up: the intents job ends it
		}
		size += 50
	}
	return a.replace(ctx, func(tx *metadata.Tx, o *metadata.Object) (bool, error) {
		o.Size, o.Data = size, metadata.Data{Kind: metadata.DataRows, ID: id}
		return true, tx.FinishIntent(id)
	})
}

// completed writes an object of parts, each with data of its own.
func (a *actor) completed(ctx context.Context) error {
	manifest := a.f.db.NewDataID()
	var parts []metadata.ManifestPart
	var all [][]metadata.Placed
	for i := range 2 + a.rng.IntN(4) {
		placed, _ := a.extents(2)
		all = append(all, placed)
		parts = append(parts, metadata.ManifestPart{Number: i + 1, Size: 20, Slices: []metadata.Slice{{ID: a.f.db.NewDataID(), Length: 20}}})
	}
	return a.replace(ctx, func(tx *metadata.Tx, o *metadata.Object) (bool, error) {
		for i, placed := range all {
			id := parts[i].Slices[0].ID
			extents := []metadata.Extent{placed[0].Extent, placed[1].Extent}
			if err := errors.Join(tx.PutExtents(id, 0, extents), tx.Publish(id, placed)); err != nil {
				return false, err
			}
		}
		o.Size, o.Parts = int64(20*len(parts)), len(parts)
		o.Data = metadata.Data{Kind: metadata.DataManifest, ID: manifest}
		return true, tx.PutManifest(manifest, 0, parts)
	})
}
