package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramBucketsAreContiguousAndNarrow(t *testing.T) {
	t.Parallel()
	next := uint64(0)
	for i := range bucketCount - 1 {
		top := bucketTop(i)
		if got := bucketOf(next); got != i {
			t.Fatalf("bucketOf(%d) = %d, want %d", next, got, i)
		}
		if got := bucketOf(top); got != i {
			t.Fatalf("bucketOf(%d) = %d, want %d", top, got, i)
		}
		if width := top - next; next >= subBuckets && float64(width) > float64(next)/subBuckets {
			t.Fatalf("bucket %d is %d wide at %d", i, width, next)
		}
		next = top + 1
	}
}

func TestHistogramQuantilesAgreeWithSorting(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var h, other Histogram
	all := make([]time.Duration, 0, 20000)
	for i := range 20000 {
		d := time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond))
		all = append(all, d)
		if i%2 == 0 {
			h.Record(d)
		} else {
			other.Record(d)
		}
	}
	h.Merge(&other)
	slices.Sort(all)
	if h.Count() != uint64(len(all)) {
		t.Fatalf("Count = %d, want %d", h.Count(), len(all))
	}
	if h.Max() != all[len(all)-1] {
		t.Fatalf("Max = %v, want %v", h.Max(), all[len(all)-1])
	}
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))-1]
		got := h.Quantile(q)
		if got < want || float64(got-want) > float64(want)/subBuckets+1 {
			t.Errorf("Quantile(%v) = %v, exact %v", q, got, want)
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	t.Parallel()
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Error("an empty histogram is not all zero")
	}
	h.Record(-time.Second)
	h.Record(1<<63 - 1)
	if h.Count() != 2 || h.Quantile(0.1) != 0 || h.Quantile(1) != 1<<63-1 {
		t.Errorf("extremes: count %d, low %v, high %v", h.Count(), h.Quantile(0.1), h.Quantile(1))
	}
}
