package steward_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/steward"
)

// TestWhatCannotGetSmallerRests writes objects that do not fill all columns at 8+4,
// alone or with what fits beside them: their partition takes more than it needs,
// and nothing is to be gained by moving or reading it again and again.
func TestWhatCannotGetSmallerRests(t *testing.T) {
	for _, size := range []int{1 * mib, 2 * mib} {
		o := compacting(quick(12))
		edit := o.Edit
		o.Edit = func(s *single.Options) { edit(s); s.MinColumn = 512 << 10 }
		e := newEnv(t, o)
		for i := range 40 * mib / size {
			e.put(fmt.Sprint(i), content(uint64(i), size))
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute) // else it goes on for ever
		defer stop()
		run := func() steward.Counters {
			_, err := e.Steward.Drain(ctx)
			e.must(err)
			return e.Steward.Counters()
		}
		before := run()
		if before.Compactions == 0 {
			t.Errorf("%d bytes: nothing was looked at", size)
		}
		for range 3 {
			e.Advance(20 * time.Minute)
			run()
		}
		if after := run(); after.Compactions != before.Compactions {
			t.Errorf("%d bytes: %d compactions in an hour in which nothing died", size, after.Compactions-before.Compactions)
		}
		if most := int64(160 * mib); before.CompactedBytes > most {
			t.Errorf("%d bytes: %d were moved", size, before.CompactedBytes)
		}
	}
}
