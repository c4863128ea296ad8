package steward

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &pace{perSecond: 1 << 20}
		for range 41 {
			if err := p.wait(t.Context(), 256<<10); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("10 MiB at 1 MiB a second took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := p.wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait that was ended: %v", err)
		}
		<-time.After(time.Hour) // what was not used is not saved up
		start = time.Now()
		for range 5 {
			if err := p.wait(t.Context(), 256<<10); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("1 MiB at 1 MiB a second took %s after a rest", took)
		}
		free := &pace{}
		if err := errors.Join(free.wait(t.Context(), 1<<40), free.wait(t.Context(), 1<<40)); err != nil || time.Since(start) != time.Second {
			t.Errorf("no bound: %v", err)
		}
	})
}
