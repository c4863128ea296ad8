package partition

import (
	"math/rand/v2"
	"testing"
)

// checkLayout fails unless blobs lie apart, in order, inside the columns, and
// the small ones unsplit.
func checkLayout(t *testing.T, s shape, starts []uint32, lengths []int, directory int) {
	t.Helper()
	if s.columns < 1 || s.height%heightUnit != 0 {
		t.Fatalf("%d columns of %d", s.columns, s.height)
	}
	h, at := int(s.height), 0
	for i, n := range lengths {
		start := int(starts[i])
		if start < at {
			t.Fatalf("blob %d starts at %d, the one before ends at %d", i, start, at)
		}
		at = start + n
		if n <= unsplit && n > 0 && start/h != (at-1)/h {
			t.Fatalf("blob %d of %d bytes at %d is split over columns of %d", i, n, start, h)
		}
	}
	if int(s.used) != at+directory || int(s.used) > s.size() || int(s.used) <= s.size()-h {
		t.Fatalf("used %d in %d columns of %d, blobs end at %d, directory %d", s.used, s.columns, h, at, directory)
	}
}

func TestPlaceKeepsSmallBlobsWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		k := 1 + rng.IntN(12)
		minColumn := []int{64, 4096, 128 << 10}[rng.IntN(3)]
		lengths := make([]int, 1+rng.IntN(80))
		directory, total := directoryHeader, 0
		for i := range lengths {
			lengths[i] = 1 + rng.IntN([]int{200, 5000, unsplit, 260 << 10}[rng.IntN(4)])
			directory += 60
			total += lengths[i]
		}
		starts := make([]uint32, len(lengths))
		s := place(starts, lengths, directory, k, minColumn)
		checkLayout(t, s, starts, lengths, directory)
		if s.columns > k {
			t.Fatalf("%d columns of %d", s.columns, k)
		}
		if waste := s.size() - total - directory; waste > 2*batchOverhead(k)+int(s.height) {
			t.Fatalf("k=%d: %d bytes for %d, columns %d", k, s.size(), total+directory, s.columns)
		}
	}
}

func TestColumnsGrowOnlyWithTheirHeight(t *testing.T) {
	const smallest = 128 << 10
	for used := 1; used < 3<<20; used += 7919 {
		s := shapeOf(used, 4, smallest)
		if s.columns > 1 && int(s.height) < smallest {
			t.Fatalf("%d bytes in %d columns of %d", used, s.columns, s.height)
		}
		if want := min(max(used/smallest, 1), 4); s.columns != want {
			t.Fatalf("%d bytes in %d columns, want %d", used, s.columns, want)
		}
	}
}

func TestLoneStripesSpreadOverShards(t *testing.T) {
	for k := 2; k <= 12; k++ {
		for _, frame := range []int64{4096, 8192, 3 * 4096, 16384, 1 << 20} {
			counts := make([]int, k)
			for n := range int64(1000) {
				offset := n * frame
				shard := shardOf(0, offset, k)
				counts[shard]++
				for column := range k + 4 {
					if got := columnOf(shardOf(column, offset, k), offset, k); got != column {
						t.Fatalf("column %d comes back as %d", column, got)
					}
				}
			}
			for shard, n := range counts {
				if n < 1000/k/2 || n > 1000/k*2+1 {
					t.Errorf("k=%d, frames of %d: shard %d has %d of 1000 columns", k, frame, shard, n)
				}
			}
		}
	}
}
