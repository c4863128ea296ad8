package mirror_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// cpuTime is what the process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

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
			before := cpuTime(b)
			b.ResetTimer()
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
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
			if err := e.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkSync is the cost of one small write and its sync, which is what one
// client alone pays for.
func BenchmarkSync(b *testing.B) {
	for _, mirrors := range []int{1, 2, 3} {
		b.Run(fmt.Sprintf("mirrors=%d", mirrors), func(b *testing.B) {
			o := mirror.Options{FS: vfs.Default()}
			for i := range mirrors {
				o.Dirs = append(o.Dirs, mirror.Dir{Disk: fmt.Sprint(i), Path: b.TempDir()})
			}
			if err := mirror.Create(o, mirrors); err != nil {
				b.Fatal(err)
			}
			set, err := mirror.Open(o)
			if err != nil {
				b.Fatal(err)
			}
			f, err := set.Create(mirror.Virtual+"/000001.log", vfs.Unspecified)
			if err != nil {
				b.Fatal(err)
			}
			data := make([]byte, 5000)
			before := cpuTime(b)
			b.ResetTimer()
			for range b.N {
				if _, err := f.Write(data); err != nil {
					b.Fatal(err)
				}
				if err := f.SyncData(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
			if err := errors.Join(f.Close(), set.Close()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
