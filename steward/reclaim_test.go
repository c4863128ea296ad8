package steward

import (
	"testing"
	"time"
)

// After a start with very many partitions their first sweeps are spread.
func TestFirstSweepsAreSpread(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	j := &reclaim{base: base{opts: &Options{SweepAfter: time.Hour, Now: func() time.Time { return now }}}}
	sweeps := func() (n int) {
		for range 1000 {
			if j.isFirstDue() {
				n++
			}
		}
		return n
	}
	if n := sweeps(); n > firstBurst+1 || n < firstBurst {
		t.Errorf("%d sweeps at once", n)
	}
	now = now.Add(5 * time.Second)
	if n := sweeps(); n != 5 {
		t.Errorf("%d sweeps after five seconds, want one for each", n)
	}
	now = now.Add(time.Hour)
	if n := sweeps(); n > firstBurst+1 {
		t.Errorf("%d sweeps at once after a rest", n)
	}
	j.opts.SweepAfter, j.first = 0, time.Time{}
	if n := sweeps(); n != 1000 {
		t.Errorf("%d of 1000 where nothing is to wait", n)
	}
}
