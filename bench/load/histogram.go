package load

import (
	"math/bits"
	"time"
)

const (
	subBits     = 6
	subBuckets  = 1 << subBits
	bucketCount = subBuckets * (64 - subBits + 1)
)

// Histogram counts durations in buckets of bounded relative width, so that its
// size does not depend on how many are recorded. The zero value is empty and
// ready. It is not safe for concurrent use; Merge joins one per worker.
type Histogram struct {
	counts [bucketCount]uint64
	count  uint64
	sum    time.Duration
	max    time.Duration
}

// bucketOf maps nanoseconds to a bucket: exact below 64, then 64 buckets for
// each power of two.
func bucketOf(ns uint64) int {
	if ns < subBuckets {
		return int(ns)
	}
	shift := bits.Len64(ns) - subBits - 1
	return (shift+1)*subBuckets + int(ns>>shift) - subBuckets
}

// bucketTop is the largest number of nanoseconds that falls into bucket i.
func bucketTop(i int) uint64 {
	if i < subBuckets {
		return uint64(i)
	}
	shift := i/subBuckets - 1
	return (uint64(i%subBuckets)+subBuckets+1)<<shift - 1
}

// Record adds one duration; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

// Merge adds everything that other holds.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.sum += other.sum
	h.max = max(h.max, other.max)
}

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.count }

// Max is the largest recorded duration, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is the exact mean, zero when nothing was recorded.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count)
}

// Quantile returns the smallest bucket bound that at least the share q of the
// recorded durations does not exceed, never more than Max.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := max(uint64(q*float64(h.count)+0.5), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(time.Duration(bucketTop(i)), h.max)
		}
	}
	return h.max
}
