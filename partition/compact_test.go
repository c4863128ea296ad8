package partition

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// rowsWorld is blobs whose extents are in rows E, in partitions that are sealed.
type rowsWorld struct {
	*world
	ids   []metadata.DataID
	blobs map[metadata.DataID][]byte
}

// newRowsWorld writes small blobs one by one, so that each has a stripe, and some large
// ones, and seals what holds them.
func newRowsWorld(t *testing.T, w *world, sc Scheme, small, large int) *rowsWorld {
	t.Helper()
	r := &rowsWorld{world: w, blobs: map[metadata.DataID][]byte{}}
	r.inventory(t, metadata.DiskActive)
	s := r.open(t, Options{Scheme: sc, Capacity: minCapacity})
	for i := range small + large {
		n := 9000 + 137*i
		if i >= small {
			n = 400_000 + 1000*i
		}
		id := r.db.NewDataID()
		r.put(t, s, id, pattern(n, uint64(i)+1))
	}
	r.sealAll(t, s)
	closeStore(t, s)
	return r
}

func (r *rowsWorld) put(t *testing.T, s *Store, id metadata.DataID, data []byte) {
	t.Helper()
	r.putIn(t, s, "", id, data)
}

// putIn is put in a storage class.
func (r *rowsWorld) putIn(t *testing.T, s *Store, class string, id metadata.DataID, data []byte) {
	t.Helper()
	buf, err := s.Buffer(t.Context(), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	copy(buf.Bytes(), data)
	p := s.Submit(t.Context(), Blob{ID: id, Key: fmt.Sprintf("%016x/key %x", 1, id[:]), Class: class}, buf, len(data))
	defer p.Done()
	placed, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = r.db.Update(t.Context(), "test", func(tx *metadata.Tx) error {
		return errors.Join(tx.PutExtents(id, 0, []metadata.Extent{placed.Extent}), tx.Publish(id, []metadata.Placed{placed}))
	})
	if err != nil {
		t.Fatal(err)
	}
	r.ids, r.blobs[id] = append(r.ids, id), data
}

func (r *rowsWorld) sealAll(t *testing.T, s *Store) {
	t.Helper()
	for _, p := range s.tracked() {
		s.retire(p)
	}
	if _, err := s.SealIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// holds reads every blob where its row says that it is, and recounts references and live
// bytes.
func (r *rowsWorld) holds(t *testing.T, s *Store) {
	t.Helper()
	live := map[metadata.PartitionID]int64{}
	refs := map[metadata.PartitionID]int{}
	for id, data := range r.blobs {
		var x []metadata.Extent
		r.view(t, func(m *metadata.Reader) (err error) {
			x, _, err = m.Extents(id, 0, 0)
			return err
		})
		if len(x) != 1 {
			t.Fatalf("%d extents of %x", len(x), id[:])
		}
		mustRead(t, s, x[0], data)
		live[x[0].Partition] += int64(len(data))
		refs[x[0].Partition]++
	}
	for _, row := range r.rows(t) {
		r.view(t, func(m *metadata.Reader) error {
			n, err := m.LiveBytes(row.ID)
			found, err2 := m.Refs(row.ID, 0, 0)
			if n != live[row.ID] || len(found) != refs[row.ID] {
				t.Errorf("partition %s: %d live bytes and %d references, want %d and %d", pid(row.ID), n, len(found), live[row.ID], refs[row.ID])
			}
			return errors.Join(err, err2)
		})
	}
}

func (r *rowsWorld) view(t *testing.T, fn func(*metadata.Reader) error) {
	t.Helper()
	if err := r.db.View(mem.Quiet(t.Context()), "test", fn); err != nil {
		t.Fatal(err)
	}
}

// compactAll moves what there is in all sealed partitions.
func (r *rowsWorld) compactAll(ctx context.Context, t *testing.T, s *Store, o CompactOptions) (out Compacted, err error) {
	t.Helper()
	for _, row := range r.rows(t) { //nolint:contextcheck // the test's own
		for o.From = 0; row.State == metadata.PartitionSealed && o.From >= 0; {
			c, err := s.Compact(ctx, row.ID, o)
			out.Blobs, out.Lost, out.Failed, out.Bytes = out.Blobs+c.Blobs, out.Lost+c.Lost, out.Failed+c.Failed, out.Bytes+c.Bytes
			out.Rest += c.Rest
			if o.From = c.Next; err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

func TestCompactMovesWhatWastesSpace(t *testing.T) {
	sc := Scheme{4, 2}
	r := newRowsWorld(t, newWorld(t, 6), sc, 60, 4)
	s := r.open(t, Options{Scheme: sc, Capacity: minCapacity})
	defer closeStore(t, s)
	c, err := r.compactAll(t.Context(), t, s, CompactOptions{})
	if err != nil || c.Blobs != 64 || c.Lost+c.Failed != 0 {
		t.Errorf("%+v, %v: all 64 are in stripes of fewer than 4 columns", c, err)
	}
	r.holds(t, s)
	r.sealAll(t, s)
	again, err := r.compactAll(t.Context(), t, s, CompactOptions{})
	if err != nil || again.Blobs != 0 || again.Rest == 0 {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	whole, err := r.compactAll(t.Context(), t, s, CompactOptions{All: true})
	if err != nil || whole.Blobs != 64 {
		t.Errorf("all: %+v, %v", whole, err)
	}
	r.holds(t, s)
	for _, row := range r.rows(t) {
		if row.State != metadata.PartitionSealed {
			continue
		}
		if gone, err := s.Drop(t.Context(), row.ID); !gone || err != nil {
			t.Errorf("partition of which everything was moved: %v, %v", gone, err)
		}
	}
	r.holds(t, s)
}

// What compaction reads is rebuilt where a shard is gone, and left where too
// many are.
func TestCompactWithoutShards(t *testing.T) {
	for away := range 3 {
		sc := Scheme{2, 1}
		r := newRowsWorld(t, newWorld(t, 5), sc, 20, 3)
		row := r.rows(t)[0]
		for _, shard := range []int{2, 0}[:away] { // the parity first
			r.disk(row.Shards[shard]).Fail(errors.New("gone"))
		}
		s := r.open(t, Options{Scheme: sc, Capacity: minCapacity})
		var c Compacted
		err := error(nil)
		for o := (CompactOptions{All: true}); o.From >= 0 && err == nil; {
			var one Compacted
			one, err = s.Compact(t.Context(), row.ID, o)
			c.Blobs, c.Failed = c.Blobs+one.Blobs, c.Failed+one.Failed
			o.From = one.Next
		}
		switch {
		case err != nil:
			t.Errorf("%d shards away: %v", away, err)
		case away < 2:
			if c.Failed != 0 || c.Blobs == 0 {
				t.Errorf("%d shards away: %+v", away, c)
			}
			r.holds(t, s)
		case c.Failed == 0:
			t.Errorf("%d shards away: %+v", away, c)
		}
		closeStore(t, s)
	}
}

// Two processes compact the same blobs at once: each is moved once.
func TestTwoCompactionsAtOnce(t *testing.T) {
	sc := Scheme{2, 1}
	r := newRowsWorld(t, newWorld(t, 4), sc, 40, 2)
	s := r.open(t, Options{Scheme: sc, Capacity: minCapacity})
	defer closeStore(t, s)
	other := r.open(t, Options{Scheme: sc, Capacity: minCapacity})
	defer closeStore(t, other)
	var theirs Compacted
	calls := 0
	ours, err := r.compactAll(t.Context(), t, s, CompactOptions{All: true, Pace: func(ctx context.Context, _ int64) error {
		if calls++; calls != 10 {
			return nil
		}
		var err error
		theirs, err = r.compactAll(ctx, t, other, CompactOptions{All: true})
		return err
	}})
	if err != nil || ours.Blobs+theirs.Blobs != 42 || ours.Lost == 0 {
		t.Errorf("ours %+v, theirs %+v, %v", ours, theirs, err)
	}
	r.holds(t, s)
}

// With metadata that conflict and lose answers, what is moved is moved once, and
// what is not stays.
func TestCompactWithFailingMetadata(t *testing.T) {
	for seed := range uint64(6) {
		var armed atomic.Bool
		engine := mem.New(mem.Options{Now: time.Now, Faults: mem.Faults{Seed: seed, Hook: func(p mem.Point) mem.Fault {
			if !armed.Load() || p.Place != mem.AtCommit || p.Class != class {
				return mem.None
			}
			return []mem.Fault{mem.UnknownApplied, mem.None, mem.UnknownLost, mem.Conflict, mem.TooOld}[(p.Seq+seed)%5]
		}}})
		sc := Scheme{2, 1}
		r := newRowsWorld(t, newWorldOn(t, 3, engine), sc, 150, 6)
		s := r.open(t, Options{Scheme: sc, Capacity: minCapacity})
		armed.Store(true)
		c, err := r.compactAll(t.Context(), t, s, CompactOptions{All: true})
		armed.Store(false)
		if err == nil && c.Lost == 0 {
			t.Errorf("seed %d: nothing went wrong: %+v", seed, c)
		}
		r.holds(t, s)
		if c, err = r.compactAll(t.Context(), t, s, CompactOptions{All: true}); err != nil || c.Lost+c.Failed != 0 {
			t.Errorf("afterwards: %+v, %v", c, err)
		}
		r.holds(t, s)
		closeStore(t, s)
	}
}

// A compaction that ends at any moment leaves every blob where its row says.
func TestCompactIsCutShortAnywhere(t *testing.T) {
	sc := Scheme{2, 1}
	for cut := int64(1); ; cut += 3 {
		var steps atomic.Int64
		var cancel atomic.Pointer[context.CancelFunc]
		step := func() {
			if stop := cancel.Load(); stop != nil && steps.Add(1) == cut {
				(*stop)()
			}
		}
		engine := mem.New(mem.Options{Now: time.Now, Faults: mem.Faults{Hook: func(mem.Point) mem.Fault {
			step()
			return mem.None
		}}})
		r := newRowsWorld(t, newWorldOn(t, 3, engine), sc, 12, 2)
		s := r.open(t, Options{Scheme: sc, Capacity: minCapacity})
		ctx, stop := context.WithCancel(t.Context())
		cancel.Store(&stop)
		c, err := r.compactAll(ctx, t, s, CompactOptions{All: true})
		cancel.Store(nil)
		stop()
		closeStore(t, s) // what a kill leaves: disks and metadata as they are
		s = r.open(t, Options{Scheme: sc, Capacity: minCapacity})
		r.holds(t, s)
		closeStore(t, s)
		if err == nil {
			if c.Blobs != 14 || cut < 20 {
				t.Errorf("%+v after %d steps", c, cut)
			}
			return
		}
	}
}
