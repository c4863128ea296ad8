package metadata

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// TestCountersAreExactUnderConflictsAndUnknownCommits lets writers race for a
// few keys on an engine whose commits conflict, or end unknown, applied or not.
func TestCountersAreExactUnderConflictsAndUnknownCommits(t *testing.T) {
	e := mem.New(mem.Options{Faults: mem.Faults{
		Seed: 1, CommitConflict: 0.1, CommitUnknownApplied: 0.1, CommitUnknownLost: 0.1, CommitTooOld: 0.05,
	}})
	quiet := mem.Quiet(t.Context())
	db, err := Open(closing(t, &quietOpen{Engine: e, ctx: quiet}), Options{Now: (&clock{t: at(1_795_000_000_000)}).now})
	if err != nil {
		t.Fatal(err)
	}
	db.engine = e
	b, p := &Bucket{ID: 1, Name: "b", Owner: "o"}, &Partition{ID: 2, State: PartitionOpen, Epoch: 1, K: 1, Shards: []DiskID{sampleID(1)}}
	err = db.Update(quiet, "test", func(tx *Tx) error {
		return errors.Join(tx.CreateBucket(b), tx.PutPartition(p), tx.PutDisk(&Disk{ID: sampleID(1)}))
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for worker := range 6 {
		wg.Go(func() {
			w := &racer{t: t, db: db, b: b, p: p, rng: rand.New(rand.NewPCG(uint64(worker), 9)), stripe: worker << 20}
			for range 150 {
				w.step()
			}
		})
	}
	wg.Wait()
	problems, s := findings(quiet, t, db)
	for _, f := range problems {
		t.Errorf("check: %s %s: %s", f.Kind, f.Key, f.Detail)
	}
	if s.Refs == 0 || s.Objects == 0 {
		t.Errorf("nothing was written: %+v", s)
	}
}

// quietOpen opens a state without faults.
type quietOpen struct {
	kv.Engine
	ctx context.Context //nolint:containedctx // what makes the engine quiet
}

func (q *quietOpen) Update(_ context.Context, o kv.TxOptions, fn func(kv.Tx) error) (kv.Commit, error) {
	return q.Engine.Update(q.ctx, o, fn) //nolint:contextcheck // a context of the test, without faults
}

type racer struct {
	t      *testing.T
	db     *DB
	b      *Bucket
	p      *Partition
	rng    *rand.Rand
	stripe int
}

// step writes, copies or deletes one of three keys.
func (w *racer) step() {
	key, from := string('a'+rune(w.rng.IntN(3))), string('a'+rune(w.rng.IntN(3)))
	op := w.rng.IntN(4)
	placed := placeExtents(w.p, w.stripe, 1+w.rng.IntN(7), 10)
	w.stripe += len(placed)
	id := w.db.NewDataID()
	err := w.db.Update(w.t.Context(), "test", func(tx *Tx) error {
		old, err := tx.Object(w.b.ID, key)
		if err != nil {
			return err
		}
		o := &Object{Key: key, Ord: w.db.NextOrd(0), Data: Data{Kind: DataRows, ID: id}}
		if old != nil {
			o.Ord = w.db.NextOrd(old.Ord)
		}
		switch {
		case op == 0 && old != nil:
			return tx.DeleteObject(w.b.ID, old)
		case op == 1:
			return w.copy(tx, from, old, o)
		default:
			o.Size = int64(10 * len(placed))
			return errors.Join(tx.PutExtents(id, 0, extentsOf(placed)), tx.Publish(id, placed), tx.PutObject(w.b.ID, old, o, nil))
		}
	})
	if err != nil && !errors.Is(err, kv.ErrUnknownCommit) {
		w.t.Error(err)
	}
}

func (w *racer) copy(tx *Tx, from string, old, o *Object) error {
	src, err := tx.Object(w.b.ID, from)
	if err != nil || src == nil {
		return err
	}
	o.Size, o.Data = src.Size, Data{Kind: DataRows, ID: src.Data.ID, Shared: true}
	pin := tx.Pin(src.Data.ID, Owner{Kind: OwnerVersion, Bucket: w.b.ID, Key: o.Key, Ord: o.Ord})
	return errors.Join(pin, tx.PutObject(w.b.ID, old, o, nil))
}
