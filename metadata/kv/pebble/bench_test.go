package pebble_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

func openBench(b *testing.B) *pebble.Engine {
	b.Helper()
	e, err := pebble.Open("db", pebble.Options{FS: vfs.NewMem()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	return e
}

func benchKey(i uint64) []byte {
	key := append(make([]byte, 0, 40), "O bucket01 some/prefix/of/objects/"...)
	return binary.BigEndian.AppendUint64(key, i*0x9e3779b97f4a7c15)
}

// reportCPU reports the processor time of the whole process for each operation,
// which a busy machine changes less than the time that passes.
func reportCPU(b *testing.B, perOp int) func() {
	b.Helper()
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() {
		b.ReportMetric(float64(used()-before)/float64(b.N)/float64(perOp), "cpu-ns/op")
	}
}

// benchRows fit into the default block cache.
const benchRows = 30_000

func load(b *testing.B, e *pebble.Engine, rows uint64) {
	b.Helper()
	value := make([]byte, 200)
	for i := uint64(0); i < rows; {
		_, err := e.Update(b.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
			for range 1000 {
				tx.Set(benchKey(i), value)
				i++
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkViewGet(b *testing.B) {
	e := openBench(b)
	load(b, e, benchRows)
	b.ReportAllocs()
	defer reportCPU(b, 1)()
	i := uint64(0)
	for b.Loop() {
		i++
		err := e.View(b.Context(), kv.TxOptions{}, func(r kv.Reader) error {
			v, err := r.Get(benchKey(i % benchRows)).Wait()
			if len(v) != 200 {
				b.Fatal(len(v))
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGet is the read alone, many in one View.
func BenchmarkGet(b *testing.B) {
	e := openBench(b)
	load(b, e, benchRows)
	b.ReportAllocs()
	defer reportCPU(b, 100)()
	i := uint64(0)
	for b.Loop() {
		err := e.View(b.Context(), kv.TxOptions{}, func(r kv.Reader) error {
			for range 100 {
				i++
				if v, err := r.Get(benchKey(i % benchRows)).Wait(); err != nil || v == nil {
					return fmt.Errorf("%v %w", v, err)
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRange1000 reads pages of 1000 rows.
func BenchmarkRange1000(b *testing.B) {
	e := openBench(b)
	load(b, e, benchRows)
	b.ReportAllocs()
	defer reportCPU(b, 1000)()
	prefix := kv.PrefixRange([]byte("O bucket01 "))
	for b.Loop() {
		err := e.View(b.Context(), kv.TxOptions{}, func(r kv.Reader) error {
			it := r.GetRange(prefix, kv.RangeOptions{Limit: 1000})
			defer it.Close()
			n := 0
			for it.Next() {
				n += len(it.Pair().Value)
			}
			if n != 200_000 {
				b.Fatal(n)
			}
			return it.Err()
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdate is what a PUT does: it reads two rows, writes two and adds to
// two counters, from 64 callers at once.
func BenchmarkUpdate(b *testing.B) {
	e := openBench(b)
	load(b, e, benchRows)
	value := make([]byte, 200)
	var next atomic.Uint64
	b.ReportAllocs()
	defer reportCPU(b, 1)()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			key := benchKey(next.Add(1) % benchRows)
			_, err := e.Update(context.Background(), kv.TxOptions{}, func(tx kv.Tx) error {
				if _, err := tx.Get(key).Wait(); err != nil {
					return err
				}
				if _, err := tx.Get([]byte("B bucket01")).Wait(); err != nil {
					return err
				}
				tx.Set(key, value)
				tx.Set(append([]byte("R "), key...), nil)
				tx.Add([]byte("C bucket01 objects"), 1)
				tx.Add([]byte("C bucket01 bytes"), 200)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	s := e.Stats()
	b.ReportMetric(float64(s.Syncs)/float64(s.Commits), "syncs/commit")
	b.ReportMetric(float64(s.Conflicts)/float64(s.Commits), "conflicts/commit")
}

// BenchmarkBlindUpdate only writes.
func BenchmarkBlindUpdate(b *testing.B) {
	e := openBench(b)
	value := make([]byte, 200)
	var next atomic.Uint64
	b.ReportAllocs()
	defer reportCPU(b, 1)()
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			key := benchKey(next.Add(1))
			_, err := e.Update(context.Background(), kv.TxOptions{}, func(tx kv.Tx) error {
				tx.Set(key, value)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOverwrite clears a range of one row and writes the row again.
func BenchmarkOverwrite(b *testing.B) {
	e := openBench(b)
	load(b, e, 1000)
	value := make([]byte, 200)
	var next atomic.Uint64
	b.ReportAllocs()
	defer reportCPU(b, 1)()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			key := benchKey(next.Add(1) % 1000)
			_, err := e.Update(context.Background(), kv.TxOptions{}, func(tx kv.Tx) error {
				if _, err := tx.Get(key).Wait(); err != nil {
					return err
				}
				tx.DeleteRange(kv.PrefixRange(key))
				tx.Set(key, value)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDurableUpdate is BenchmarkUpdate on the disk under the temporary
// directory, so that its syncs are real.
func BenchmarkDurableUpdate(b *testing.B) {
	e, err := pebble.Open(b.TempDir(), pebble.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	}()
	value := make([]byte, 200)
	var next atomic.Uint64
	defer reportCPU(b, 1)()
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			key := benchKey(next.Add(1))
			_, err := e.Update(context.Background(), kv.TxOptions{}, func(tx kv.Tx) error {
				if _, err := tx.Get(key).Wait(); err != nil {
					return err
				}
				tx.Set(key, value)
				tx.Add([]byte("C bucket01 objects"), 1)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	s := e.Stats()
	b.ReportMetric(float64(s.Syncs)/float64(s.Commits), "syncs/commit")
}
