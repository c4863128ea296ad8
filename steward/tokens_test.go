package steward

import (
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

func TestOldTokensAreForgotten(t *testing.T) {
	f := newFixture(t)
	token := f.db.NewToken()
	f.update(func(tx *metadata.Tx) error { return tx.MarkToken(token) })
	kept := func() (seen bool) {
		err := f.db.View(t.Context(), "test", func(r *metadata.Reader) (err error) {
			seen, err = r.TokenSeen(token)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	for _, step := range []struct {
		later time.Duration
		done  int
		kept  bool
	}{{0, 0, true}, {tokenAge - time.Minute, 0, true}, {tokenAge + 2*time.Minute, 1, false}, {2 * tokenAge, 0, false}} {
		now := time.Now().Add(step.later)
		p, err := (&tokens{newBase(f.db, Options{Now: func() time.Time { return now }})}).Step(t.Context())
		if err != nil || p.Done != step.done || kept() != step.kept {
			t.Errorf("%s later: %+v, kept %v, %v", step.later, p, kept(), err)
		}
	}
}
