package steward

import (
	"context"
	"fmt"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

// tokenAge is how long the token of a request is kept. It is asked for once,
// right after the commit whose outcome is not known, so minutes are plenty.
const tokenAge = 10 * time.Minute

// tokens forgets the tokens of requests that left no other row.
type tokens struct{ base }

// Name implements [Job].
func (*tokens) Name() string { return "tokens" }

// Step clears all old tokens at once. Where there are none nothing is written,
// so that an idle store stays idle.
func (j *tokens) Step(ctx context.Context) (Progress, error) {
	before := j.opts.Now().Add(-tokenAge)
	none := true
	err := j.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		none, err = r.NoTokens(before)
		return err
	})
	if err != nil {
		return Progress{}, fmt.Errorf("look for tokens: %w", err)
	}
	if none {
		return Progress{}, nil
	}
	err = j.db.Update(ctx, class, func(tx *metadata.Tx) error { return tx.ClearTokens(before) })
	if err != nil {
		return Progress{}, fmt.Errorf("clear tokens: %w", err)
	}
	return Progress{Done: 1}, nil
}
