package meter

import (
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// buckets of a histogram: the first ends at firstBound, each further one at twice
// the one before; what is above the last is counted in none.
const (
	firstBound = 125 * time.Microsecond
	buckets    = 17 // up to 8.192 seconds
)

// histogram counts durations.
type histogram struct {
	counts [buckets + 1]atomic.Uint64
	sum    atomic.Int64
}

func (h *histogram) observe(d time.Duration) {
	n := max(d, 1) - 1 // a bound belongs to the bucket below
	h.counts[min(bits.Len64(uint64(n/firstBound)), buckets)].Add(1)
	h.sum.Add(int64(d))
}

// Histogram is durations as they were counted.
type Histogram struct {
	Count uint64
	Sum   time.Duration
	// Buckets is, for each upper bound in seconds, how many were not longer.
	Buckets map[float64]uint64
}

func (h *histogram) snapshot() Histogram {
	out := Histogram{Sum: time.Duration(h.sum.Load()), Buckets: make(map[float64]uint64, buckets)}
	for i := range h.counts {
		out.Count += h.counts[i].Load()
		if i < buckets {
			out.Buckets[(firstBound << i).Seconds()] = out.Count
		}
	}
	return out
}

// Counts is what was counted of one class.
type Counts struct {
	Class string
	// InFlight is how many transactions are under way.
	InFlight int64
	// Views and Updates are the times of whole transactions, retries included.
	Views, Updates Histogram
	// Reads is the time that attempts of Updates took up to their commit, Commits
	// that of the commits that were applied, or may have been.
	Reads, Commits Histogram
	// Transactions ended, in Attempts runs.
	Transactions, Attempts uint64
	// Bytes is the size of what was committed, its conflict ranges included.
	Bytes uint64
	// Outcomes is how transactions ended that did not end well.
	Outcomes map[Outcome]uint64
}

// Counts returns what was counted, by class.
func (e *Engine) Counts() []Counts {
	var out []Counts
	for name, c := range *e.classes.Load() {
		counts := Counts{
			Class: name, InFlight: c.inFlight.Load(),
			Views: c.views.snapshot(), Updates: c.updates.snapshot(), Reads: c.reads.snapshot(), Commits: c.commits.snapshot(),
			Transactions: c.transactions.Load(), Attempts: c.attempts.Load(), Bytes: c.bytes.Load(),
			Outcomes: make(map[Outcome]uint64, outcomes),
		}
		for o := range outcomes {
			counts.Outcomes[o] = c.outcomes[o].Load()
		}
		out = append(out, counts)
	}
	slices.SortFunc(out, func(a, b Counts) int { return strings.Compare(a.Class, b.Class) })
	return out
}
