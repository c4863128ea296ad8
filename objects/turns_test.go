package objects

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/s3"
)

func TestTurnsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		done, err := turns.take(t.Context(), turnKey{1, "k"})
		if err != nil {
			t.Fatal(err)
		}
		other, err := turns.take(t.Context(), turnKey{2, "k"}) // nobody waits for another key
		if err != nil {
			t.Fatal(err)
		}
		other()
		var order []int
		for i := range 5 {
			go func() {
				done, err := turns.take(t.Context(), turnKey{1, "k"})
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				done()
			}()
			synctest.Wait()
		}
		if len(order) != 0 {
			t.Fatalf("%v had a turn that another has", order)
		}
		done()
		synctest.Wait()
		for i, got := range order {
			if got != i {
				t.Fatalf("turns came in the order %v", order)
			}
		}
		if len(order) != 5 || len(turns.wanted) != 0 {
			t.Errorf("%d turns, %d keys are held", len(order), len(turns.wanted))
		}
	})
}

// TestTurnsEnd: nobody waits for ever, and who gave up is not waited for.
func TestTurnsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		done, err := turns.take(t.Context(), turnKey{1, "k"})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := turns.take(t.Context(), turnKey{1, "k"}); !errors.Is(err, kv.ErrConflict) || time.Since(began) != turnTimeout {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := turns.take(ctx, turnKey{1, "k"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a client that left gets %v", err)
		}
		done()
		if len(turns.wanted) != 0 {
			t.Errorf("%d keys are held", len(turns.wanted))
		}
	})
}

func TestConflictsOfConditionalWrites(t *testing.T) {
	always := func(*Object) error { return nil }
	for _, tc := range []struct {
		err  error
		pre  WritePrecondition
		want s3.Code
	}{
		{kv.ErrConflict, always, s3.ConditionalRequestConflict},
		{kv.ErrConflict, nil, s3.SlowDown},
		{kv.ErrTooOld, always, s3.SlowDown},
		{s3.NewError(s3.PreconditionFailed), always, s3.PreconditionFailed},
		{nil, always, ""},
		{contended(kv.ErrTimeout), always, s3.ConditionalRequestConflict},
		{contended(fmt.Errorf("%w: %w", kv.ErrUnknownCommit, kv.ErrTimeout)), always, s3.ServiceUnavailable},
	} {
		if got := s3.CodeOf(asS3(conditional(tc.err, tc.pre))); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.err, got, tc.want)
		}
	}
}
