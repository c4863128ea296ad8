package single

import (
	"context"
	"fmt"
)

// turn is had by one change of the disks at a time. Who waits for it may give up.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits for the turn until ctx ends. It is not given to one whose context has ended.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("another change of the disks is under way: %w", ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		t.give()
		return fmt.Errorf("change of the disks: %w", err)
	}
	return nil
}

func (t turn) give() { <-t }

// await waits until nobody has the turn.
func (t turn) await() {
	t <- struct{}{}
	t.give()
}
