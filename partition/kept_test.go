package partition

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/undercroft/undercroft/blobd"
)

// Two columns of a stripe are gone, the first and the last: what was read to rebuild the
// first and serves to rebuild the last is not given back before that is done.
func TestReadersKeepWhatTheyRebuildFrom(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{MinColumn: 16 << 10})
	defer closeStore(t, s)
	data := pattern(300_000, 9)
	e := put(t, s, data).Extent
	row := w.row(t, e.Partition)
	for _, column := range []int{0, 3} {
		shard := shardOf(column, e.Stripe, 4)
		w.disk(row.Shards[shard]).Lose(shardID(e.Partition, shard))
	}
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for range 100 {
				r := s.NewReader(t.Context(), segments(whole1(e)))
				got, err := io.ReadAll(r)
				if e := r.Close(); err != nil || e != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, %v, %v", len(got), err, e)
					return
				}
			}
		})
	}
	readers.Wait()
}

// A column is gone, and of another one a block in the middle is bad: what was read for the
// first does not begin where the block does.
func TestReadersRebuildPartsFromWhatTheyKept(t *testing.T) {
	w := newWorld(t, 6)
	s := w.open(t, Options{MinColumn: 16 << 10})
	defer closeStore(t, s)
	data := pattern(1<<20, 9)
	e := put(t, s, data).Extent
	row := w.row(t, e.Partition)
	lost, rotten := shardOf(0, e.Stripe, 4), shardOf(2, e.Stripe, 4)
	w.disk(row.Shards[lost]).Lose(shardID(e.Partition, lost))
	damager{w, row}.flip(t, rotten, e.Stripe, blobd.FrameHeaderSize+2*blobd.BlockSize+9)
	for range 3 {
		mustRead(t, s, e, data)
	}
}
