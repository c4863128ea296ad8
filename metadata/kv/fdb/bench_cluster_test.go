//go:build fdb

package fdb_test

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/internal/fdbcluster"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/fdb"
)

const benchRows = 10_000

// benchEngine is an engine with rows of 60 bytes of key and 250 of value.
func benchEngine(b *testing.B) *fdb.Engine {
	b.Helper()
	c := fdbcluster.Shared(b, shapes()[0])
	e, err := fdb.Open(fdb.Options{ClusterFile: c.ClusterFile(), Prefix: fdbcluster.Prefix()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	for from := 0; from < benchRows; from += 1000 {
		_, err := e.Update(b.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
			for i := range 1000 {
				tx.Set(benchRow(from+i), make([]byte, 250))
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return e
}

func benchRow(n int) []byte { return fmt.Appendf(nil, "row %056d", n) }

// each runs f by many goroutines, as requests do.
func each(b *testing.B, f func(n int) error) {
	b.Helper()
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f(int(n.Add(1)*7919) % benchRows); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkView reads rows that are sent for together, as a GET does.
func BenchmarkView(b *testing.B) {
	for _, rows := range []int{1, 4} {
		b.Run(fmt.Sprintf("%d rows", rows), func(b *testing.B) {
			e := benchEngine(b)
			each(b, func(n int) error {
				return e.View(b.Context(), kv.TxOptions{Class: "get"}, func(r kv.Reader) error {
					futures := make([]kv.Future, rows)
					for i := range futures {
						futures[i] = r.Get(benchRow((n + i) % benchRows))
					}
					for _, f := range futures {
						if v, err := f.Wait(); err != nil || len(v) != 250 {
							return fmt.Errorf("%d bytes: %w", len(v), err)
						}
					}
					return nil
				})
			})
		})
	}
}

// BenchmarkUpdate reads three rows together, writes four and counts, as a PUT does.
func BenchmarkUpdate(b *testing.B) {
	e := benchEngine(b)
	each(b, func(n int) error {
		_, err := e.Update(b.Context(), kv.TxOptions{Class: "put"}, func(tx kv.Tx) error {
			var futures [3]kv.Future
			for i := range futures {
				futures[i] = tx.Get(benchRow((n + i) % benchRows))
			}
			for _, f := range futures {
				if _, err := f.Wait(); err != nil {
					return err
				}
			}
			tx.Set(benchRow(n), make([]byte, 250))
			for i := range 3 {
				tx.Set(binary.BigEndian.AppendUint64([]byte{'w', byte(i)}, uint64(n)), make([]byte, 40))
			}
			tx.Add([]byte("count"), 1)
			return nil
		})
		return err
	})
}

// BenchmarkList reads a page of a listing.
func BenchmarkList(b *testing.B) {
	e := benchEngine(b)
	each(b, func(n int) error {
		return e.View(b.Context(), kv.TxOptions{Class: "list"}, func(r kv.Reader) error {
			rng := kv.Range{Begin: benchRow(n % (benchRows - 1000)), End: []byte("s")}
			it := r.GetRange(rng, kv.RangeOptions{Limit: 1000})
			defer it.Close()
			rows := 0
			for it.Next() {
				rows++
			}
			if it.Err() == nil && rows != 1000 {
				return fmt.Errorf("%d rows", rows)
			}
			return it.Err()
		})
	})
}
