package partition

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// nullDisk takes appends without looking at them, so that benchmarks measure
// this package.
type nullDisk struct{ blobd.Disk }

func (nullDisk) Append(context.Context, blobd.Append) error { return nil }

func nullDisks(w *world) []blobd.Disk {
	var out []blobd.Disk
	for _, d := range w.disks {
		out = append(out, nullDisk{d})
	}
	return out
}

func benchWrite(b *testing.B, o Options, w *world, size, writers int) {
	b.Helper()
	s := w.open(b, o)
	defer closeStore(b, s)
	data := pattern(size, 1)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				buf, err := s.Buffer(b.Context(), int64(size))
				if err != nil {
					b.Error(err)
					return
				}
				copy(buf.Bytes(), data)
				p := s.Submit(b.Context(), Blob{Key: "0000000000000001/some/key", Version: "null"}, buf, size)
				if _, err := p.Wait(b.Context()); err != nil {
					b.Error(err)
				}
				p.Done()
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	c := s.Status().Counters
	b.ReportMetric(float64(c.Stripes)/float64(b.N), "stripes/op")
}

func BenchmarkSubmit4KiB64Writers(b *testing.B) {
	w := newWorld(b, 6)
	benchWrite(b, Options{Disks: nullDisks(w), Capacity: 1 << 40}, w, 4096, 64)
}

func BenchmarkSubmit4MiB(b *testing.B) {
	w := newWorld(b, 6)
	benchWrite(b, Options{Disks: nullDisks(w), Capacity: 1 << 40}, w, 4<<20, 4)
}

func BenchmarkRead(b *testing.B) {
	for name, size := range map[string]int{"4KiB": 4 << 10, "64KiB": 64 << 10, "10MiB": 10 << 20} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, 6)
			s := w.open(b, Options{})
			defer closeStore(b, s)
			var list []Segment
			for left := size; left > 0; {
				n := min(left, 4<<20)
				e := put(b, s, pattern(n, 1)).Extent
				list = append(list, whole1(e))
				left -= n
			}
			benchRead(b, s, list, int64(size))
		})
	}
}

func benchRead(b *testing.B, s *Store, list []Segment, size int64) {
	b.Helper()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		r := s.NewReader(b.Context(), segments(list...))
		n, err := r.WriteTo(io.Discard)
		if err != nil || n != size {
			b.Fatal(n, err)
		}
		_ = r.Close()
	}
}

func BenchmarkBuffer(b *testing.B) {
	p := newBuffers(&slabs{}, defaultBufferMemory)
	for b.Loop() {
		buf, err := p.get(b.Context(), 4096)
		if err != nil {
			b.Fatal(err)
		}
		buf.Free()
	}
}

// BenchmarkRepair rebuilds a shard of a partition of 4+2, of large pieces, in memory.
func BenchmarkRepair(b *testing.B) {
	w := newWorld(b, 7)
	w.inventory(b, metadata.DiskActive)
	s := w.open(b, Options{Scheme: Scheme{4, 2}, Capacity: 64 << 20})
	var id metadata.PartitionID
	for i := range 60 {
		placed := put(b, s, pattern(4<<20-1<<10, uint64(i)))
		if err := w.publish(b.Context(), metadata.DataID{byte(i + 1)}, placed); err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			id = placed.Extent.Partition
		}
	}
	for _, p := range s.tracked() {
		s.retire(p)
	}
	if _, err := s.SealIdle(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer closeStore(b, s)
	for b.Loop() {
		row := w.row(b, id)
		w.disk(row.Shards[0]).Lose(shardID(id, 0))
		if _, err := s.recordShort(b.Context(), row, 0, true); err != nil {
			b.Fatal(err)
		}
		r, err := s.Repair(b.Context(), id, 0, nil)
		if err != nil || !r.Done {
			b.Fatalf("%+v, %v", r, err)
		}
		b.SetBytes(r.Bytes)
	}
}
