package mirror_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// BenchmarkCommit is the cost of mirrors on commits of many clients, on the
// temporary directory's disk.
func BenchmarkCommit(b *testing.B) {
	for _, mirrors := range []int{0, 1, 2, 3} {
		b.Run(fmt.Sprintf("mirrors=%d", mirrors), func(b *testing.B) {
			root := b.TempDir()
			fs := vfs.Default()
			dir := root
			if mirrors > 0 { // none: the engine on the file system itself
				o := mirror.Options{FS: fs}
				for i := range mirrors {
					d := fmt.Sprintf("%s/d%d", root, i)
					if err := fs.MkdirAll(d, 0o750); err != nil {
						b.Fatal(err)
					}
					o.Dirs = append(o.Dirs, mirror.Dir{Disk: fmt.Sprint(i), Path: d})
				}
				if err := mirror.Create(o, mirrors); err != nil {
					b.Fatal(err)
				}
				set, err := mirror.Open(o)
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = set.Close() }()
				fs, dir = set, mirror.Virtual
			}
			e, err := pebble.Open(dir, pebble.Options{FS: fs, BallastBytes: -1})
			if err != nil {
				b.Fatal(err)
			}
			var n atomic.Int64
			b.SetParallelism(32)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					i := n.Add(1)
					_, err := e.Update(b.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
						tx.Set(fmt.Appendf(nil, "key-%08d", i), make([]byte, 300))
						return nil
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
			if err := e.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
