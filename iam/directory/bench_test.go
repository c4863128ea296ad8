package directory

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// BenchmarkLookup is what every request pays to know who asks.
func BenchmarkLookup(b *testing.B) {
	e, err := pebble.Open("db", pebble.Options{FS: vfs.NewMem(), CacheBytes: 1 << 20, MemTableBytes: 1 << 20, BallastBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	d := open(b, e)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := d.Lookup(b.Context(), "ROOTKEY"); err != nil {
				b.Error(err)
			}
		}
	})
}
