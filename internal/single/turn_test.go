package single

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestTurn is had by one at a time, and who waits for it may give up.
func TestTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := newTurn()
		if err := turn.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var givesUp, waits error
		go func() { givesUp = turn.take(ctx) }()
		synctest.Wait()
		if givesUp != nil {
			t.Fatalf("a second one does not wait: %v", givesUp)
		}
		cancel()
		synctest.Wait()
		if !errors.Is(givesUp, context.Canceled) {
			t.Errorf("who gave up: %v", givesUp)
		}
		had := false
		go func() {
			waits = turn.take(t.Context())
			had = true
		}()
		synctest.Wait()
		if had {
			t.Error("two have the turn")
		}
		turn.give()
		synctest.Wait()
		if !had || waits != nil {
			t.Errorf("who waited: %v, %v", had, waits)
		}
		free := make(chan struct{})
		go func() {
			turn.await()
			close(free)
		}()
		turn.give()
		<-free
		if err := turn.take(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a free one, after the end of the context: %v", err)
		}
		if err := turn.take(t.Context()); err != nil {
			t.Errorf("it is not free after that: %v", err)
		}
	})
}
