package partition

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/memory"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// world is metadata and disks that outlive the stores opened on them.
type world struct {
	db    *metadata.DB
	disks []*memory.Disk
}

func newWorld(tb testing.TB, disks int) *world {
	tb.Helper()
	return newWorldOn(tb, disks, mem.New(mem.Options{Now: time.Now}))
}

func newWorldOn(tb testing.TB, disks int, engine kv.Engine) *world {
	tb.Helper()
	tb.Cleanup(func() {
		if err := engine.Close(); err != nil {
			tb.Error(err)
		}
	})
	db, err := metadata.Open(engine, metadata.Options{Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{db: db}
	for i := range disks {
		w.disks = append(w.disks, memory.New(blobd.DiskID{byte(i + 1)}))
	}
	return w
}

// open opens a store on all disks, or on those that o names.
func (w *world) open(tb testing.TB, o Options) *Store {
	tb.Helper()
	if o.Disks == nil {
		o.Disks = w.attached()
	}
	s, err := Open(tb.Context(), w.db, o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (w *world) attached(except ...int) []blobd.Disk {
	var out []blobd.Disk
	for i, d := range w.disks {
		skip := false
		for _, e := range except {
			skip = skip || e == i
		}
		if !skip {
			out = append(out, d)
		}
	}
	return out
}

// disk returns the disk with an id.
func (w *world) disk(id metadata.DiskID) *memory.Disk {
	for _, d := range w.disks {
		if metadata.DiskID(d.ID()) == id {
			return d
		}
	}
	return nil
}

func (w *world) row(tb testing.TB, id metadata.PartitionID) *metadata.Partition {
	tb.Helper()
	var row *metadata.Partition
	err := w.db.View(tb.Context(), "test", func(r *metadata.Reader) (err error) {
		row, err = r.Partition(id)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return row
}

func (w *world) rows(tb testing.TB) []metadata.Partition {
	tb.Helper()
	var rows []metadata.Partition
	err := w.db.View(tb.Context(), "test", func(r *metadata.Reader) (err error) {
		rows, err = r.Partitions(0, 0)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return rows
}

// publish makes a placed blob referenced.
func (w *world) publish(ctx context.Context, id metadata.DataID, placed ...metadata.Placed) error {
	return w.db.Update(ctx, "test", func(tx *metadata.Tx) error {
		return tx.Publish(id, placed)
	})
}

func closeStore(tb testing.TB, s *Store) {
	tb.Helper()
	if err := s.Close(context.WithoutCancel(tb.Context())); err != nil {
		tb.Error(err)
	}
}

// pattern is n bytes that no other seed has.
func pattern(n int, seed uint64) []byte {
	b := make([]byte, n)
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

func submit(tb testing.TB, s *Store, data []byte) *Pending {
	tb.Helper()
	buf, err := s.Buffer(tb.Context(), int64(len(data)))
	if err != nil {
		tb.Fatal(err)
	}
	if buf.Cap() < len(data) {
		tb.Fatalf("buffer of %d bytes for %d", buf.Cap(), len(data))
	}
	copy(buf.Bytes(), data)
	b := Blob{ID: s.db.NewDataID(), Key: "0000000000000001/some/key", Version: "v"}
	return s.Submit(tb.Context(), b, buf, len(data))
}

// put writes one blob and gives up its hold.
func put(tb testing.TB, s *Store, data []byte) metadata.Placed {
	tb.Helper()
	p := submit(tb, s, data)
	placed, err := p.Wait(tb.Context())
	p.Done()
	if err != nil {
		tb.Fatal(err)
	}
	return placed
}

// segments yields each segment once.
func segments(list ...Segment) func(context.Context) (Segment, bool, error) {
	return func(context.Context) (Segment, bool, error) {
		if len(list) == 0 {
			return Segment{}, false, nil
		}
		g := list[0]
		list = list[1:]
		return g, true, nil
	}
}

func whole1(e metadata.Extent) Segment { return Segment{Extent: e, Length: int64(e.Length)} }

// read reads segments with WriteTo.
func read(tb testing.TB, s *Store, list ...Segment) ([]byte, error) {
	tb.Helper()
	r := s.NewReader(tb.Context(), segments(list...))
	var out bytes.Buffer
	n, err := r.WriteTo(&out)
	if n != int64(out.Len()) {
		tb.Errorf("WriteTo returned %d for %d bytes", n, out.Len())
	}
	if e := r.Close(); e != nil {
		tb.Error(e)
	}
	return out.Bytes(), err
}

func mustRead(tb testing.TB, s *Store, e metadata.Extent, want []byte) {
	tb.Helper()
	got, err := read(tb, s, whole1(e))
	if err != nil {
		tb.Fatalf("read %+v: %v", e, err)
	}
	if !bytes.Equal(got, want) {
		tb.Fatalf("read %+v: wrong bytes", e)
	}
}

func idOf(w *world, i int) metadata.DiskID { return metadata.DiskID(w.disks[i].ID()) }
