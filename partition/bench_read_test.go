package partition

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/undercroft/undercroft/blobd"
	blobdisk "github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// fileDisks are directories, so that reads are system calls.
func fileDisks(b *testing.B, n int) []blobd.Disk {
	b.Helper()
	var out []blobd.Disk
	for range n {
		fsys, dir := vfs.Default(), b.TempDir()
		if err := blobdisk.Format(fsys, dir, blobdisk.NewIdentity(blobdisk.ClusterID{1}, time.Now())); err != nil {
			b.Fatal(err)
		}
		d, err := blobdisk.Open(fsys, dir, blobdisk.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := d.Close(); err != nil {
				b.Error(err)
			}
		})
		out = append(out, d)
	}
	return out
}

// waiting is a disk of which nothing is known to be in memory: what the reads
// that wait for a device cost beyond that wait.
type waiting struct{ blobd.Disk }

// BenchmarkDegradedRead compares reads of all shards with those that lack some:
// one, or as many as there is parity. 16KiB is a stripe of one column, 64KiB a
// part of one of four, 4MiB a piece, and 10MiB an object.
func BenchmarkDegradedRead(b *testing.B) {
	for _, where := range []string{"memory", "waiting", "files"} {
		for _, shape := range []struct {
			name        string
			write, read int
		}{{"16KiB", 16 << 10, 16 << 10}, {"64KiB", 4 << 20, 64 << 10}, {"4MiB", 4 << 20, 4 << 20}, {"10MiB", 10 << 20, 10 << 20}} {
			for _, lost := range []int{0, 1, 2} {
				b.Run(fmt.Sprintf("%s/%s/lost=%d", where, shape.name, lost), func(b *testing.B) {
					w := newWorldOn(b, 6, mem.New(mem.Options{Now: time.Now}))
					disks := w.attached()
					switch where {
					case "files":
						disks = fileDisks(b, 6)
					case "waiting":
						for i, d := range disks {
							disks[i] = waiting{d}
						}
					}
					s := w.open(b, Options{Disks: disks, Scheme: Scheme{4, 2}})
					defer closeStore(b, s)
					list := benchPieces(b, s, shape.write, shape.read)
					var shards []int // of the first columns of the first stripe
					for column := range lost {
						shards = append(shards, shardOf(column, list[0].Extent.Stripe, 4))
					}
					for _, g := range list {
						lose(b, s, w, g.Extent, shards)
					}
					benchRead(b, s, list, int64(shape.read))
				})
			}
		}
	}
}

// benchPieces writes pieces and returns where the first bytes of them are.
func benchPieces(b *testing.B, s *Store, write, size int) (list []Segment) {
	b.Helper()
	for left := write; left > 0; left -= 4 << 20 {
		e := put(b, s, pattern(min(left, 4<<20), 1)).Extent
		if n := min(int64(size), int64(e.Length)); n > 0 {
			list = append(list, Segment{e, 0, n})
			size -= int(n)
		}
	}
	return list
}

// lose deletes shards of the partition of an extent, and then reads that, so that
// the rest of it lies in memory.
func lose(b *testing.B, s *Store, w *world, e metadata.Extent, shards []int) {
	b.Helper()
	row := w.row(b, e.Partition)
	for _, shard := range shards {
		if err := s.disks.get(row.Shards[shard]).Delete(b.Context(), shardID(row.ID, shard)); err != nil {
			b.Fatal(err)
		}
	}
	for range 2 {
		r := s.NewReader(b.Context(), segments(whole1(e)))
		if _, err := r.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
