package steward

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/memory"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
	"github.com/undercroft/undercroft/partition"
)

// writers are processes that write partitions on the same disks and metadata.
type writers struct {
	t      *testing.T
	engine *mem.Engine
	disks  []blobd.Disk
	run    map[string]*writing
	next   byte
}

// writing is one of them.
type writing struct {
	*partition.Store
	wire    *wire
	db      *metadata.DB
	steward *Steward
}

func newWriters(t *testing.T) *writers {
	t.Helper()
	w := &writers{t: t, engine: mem.New(mem.Options{}), run: map[string]*writing{}}
	for i := range 3 {
		w.disks = append(w.disks, memory.New(blobd.DiskID{byte(i + 1)}))
	}
	return w
}

func (w *writers) start(who string) *writing {
	w.t.Helper()
	p := &writing{wire: &wire{Engine: w.engine}}
	var err error
	p.db, err = metadata.Open(p.wire, metadata.Options{Now: time.Now})
	w.must(err)
	p.Store, err = partition.Open(w.t.Context(), p.db, partition.Options{
		Disks: w.disks, Capacity: 8 << 20, Scheme: partition.Scheme{K: 1, M: 1}, Shared: true,
	})
	w.must(err)
	p.steward = New(p.db, p.Store, Options{Interval: 10 * time.Second, ScrubInterval: -1})
	p.steward.Start(w.t.Context())
	w.run[who] = p
	return p
}

func (w *writers) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// put makes n bytes durable, and published.
func (w *writers) put(p *writing, n int) metadata.Placed {
	w.t.Helper()
	placed, done := w.place(p, n)
	defer done()
	w.next++
	w.must(w.publish(placed))
	return placed
}

func (w *writers) publish(placed metadata.Placed) error {
	db, err := metadata.Open(w.engine, metadata.Options{Now: time.Now})
	w.must(err)
	return db.Update(w.t.Context(), "test", func(tx *metadata.Tx) error {
		return tx.Publish(metadata.DataID{w.next}, []metadata.Placed{placed})
	})
}

func (w *writers) place(p *writing, n int) (placed metadata.Placed, done func()) {
	w.t.Helper()
	buf, err := p.Buffer(w.t.Context(), int64(n))
	w.must(err)
	pending := p.Submit(w.t.Context(), partition.Blob{ID: p.db.NewDataID(), Key: "k"}, buf, n)
	placed, err = pending.Wait(w.t.Context())
	w.must(err)
	return placed, pending.Done
}

func (w *writers) row(id metadata.PartitionID) (row *metadata.Partition) {
	w.t.Helper()
	db, err := metadata.Open(w.engine, metadata.Options{Now: time.Now})
	w.must(err)
	w.must(db.View(w.t.Context(), "test", func(r *metadata.Reader) (err error) {
		row, err = r.Partition(id)
		return err
	}))
	return row
}

func (w *writers) close() {
	w.t.Helper()
	for _, p := range w.run {
		p.steward.Close()
		w.must(p.Close(context.WithoutCancel(w.t.Context())))
	}
	w.must(w.engine.Close())
}

// TestPartitionsOfTheLivingAreLeftAlone: also while the metadata is away for all of them, and
// longer than a lease lasts.
func TestPartitionsOfTheLivingAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriters(t)
		a := w.start("a")
		x := w.put(a, 100_000)
		b := w.start("b")
		y := w.put(b, 100_000)
		<-time.After(10 * time.Minute)
		a.wire.cut.Store(true)
		b.wire.cut.Store(true)
		<-time.After(10 * time.Minute)
		b.wire.cut.Store(false)
		<-time.After(5 * time.Second)
		a.wire.cut.Store(false)
		<-time.After(10 * time.Minute)
		for name, placed := range map[string]metadata.Placed{"a": x, "b": y} {
			if row := w.row(placed.Extent.Partition); row.Epoch != placed.Epoch || row.Writer != w.run[name].Writer() {
				t.Errorf("the partition of %s is at epoch %d, of %x", name, row.Epoch, row.Writer)
			}
		}
		if again := w.put(a, 100_000); again.Extent.Partition != x.Extent.Partition {
			t.Error("a writer that lives has lost its partition")
		}
		w.close()
	})
}

// TestPartitionsOfTheDeadAreTakenOver: a process is cut off from the metadata. What it wrote goes
// to another one; what it had on its way is never published; when it is back it
// writes on elsewhere.
func TestPartitionsOfTheDeadAreTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriters(t)
		a := w.start("a")
		<-time.After(time.Second)
		b := w.start("b")
		kept := w.put(a, 100_000)
		late, done := w.place(a, 100_000)
		was := a.Writer()
		a.wire.cut.Store(true)
		<-time.After(20 * time.Second)
		if row := w.row(kept.Extent.Partition); row.Writer != was {
			t.Error("it was taken for gone too soon")
		}
		<-time.After(2 * time.Minute)
		row := w.row(kept.Extent.Partition)
		if row.Writer == was || row.Epoch == kept.Epoch {
			t.Errorf("epoch %d of %x after two minutes, the other process is %x", row.Epoch, row.Writer, b.Writer())
		}
		w.next++
		if err := w.publish(late); !errors.Is(err, metadata.ErrFenced) {
			t.Errorf("a late publish: %v", err)
		}
		done()
		a.wire.cut.Store(false)
		<-time.After(time.Minute)
		next := w.put(a, 100_000)
		if row := w.row(next.Extent.Partition); row.Writer != a.Writer() || a.Writer() == was || row.ID == kept.Extent.Partition {
			t.Errorf("it writes to %x, which %x has; it is %x", row.ID, row.Writer, a.Writer())
		}
		w.close()
	})
}

// TestEachProcessSealsWhatItWrote: whoever has the lease of the job.
func TestEachProcessSealsWhatItWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriters(t)
		a := w.start("a")
		<-time.After(time.Second)
		b := w.start("b")
		var full []metadata.PartitionID
		for _, p := range []*writing{a, b} {
			var first metadata.PartitionID
			for range 4 {
				placed := w.put(p, 4<<20)
				if first == 0 {
					first = placed.Extent.Partition
				}
			}
			full = append(full, first)
		}
		<-time.After(time.Minute)
		for i, id := range full {
			if row := w.row(id); row.State != metadata.PartitionSealed || len(row.Lost) > 0 {
				t.Errorf("the partition of process %d is in state %d", i, row.State)
			}
		}
		for _, p := range []*writing{a, b} {
			for _, s := range p.steward.Status() {
				if s.Error != "" {
					t.Errorf("job %s: %s", s.Name, s.Error)
				}
			}
		}
		w.close()
	})
}
