package kvtest

import (
	"testing"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// RunExpiry checks the rules about the age of transactions. open returns a new
// engine that takes the time from now.
func RunExpiry(t *testing.T, open func(t *testing.T, now func() time.Time) kv.Engine) {
	t.Helper()
	for _, r := range []struct {
		name string
		rule func(t *testing.T, e kv.Engine, c *Clock)
	}{
		{"a transaction of the greatest age commits", youngEnough},
		{"an older transaction runs again", runsAgain},
		{"reads of an older transaction fail", oldReads},
		{"an older view runs again", oldViews},
		{"blind writes do not age", blindWritesDoNotAge},
		{"conflicts are found across the greatest age", conflictsAcrossAge},
	} {
		t.Run(r.name, func(t *testing.T) {
			c := NewClock()
			e := open(t, c.Now)
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			update(t, e, func(tx kv.Tx) { set(tx, "a", "1", "b", "2") })
			r.rule(t, e, c)
		})
	}
}

// long is longer than any age, so that the timeout does not end the call.
func long() kv.TxOptions { return kv.TxOptions{Timeout: time.Hour} }

func youngEnough(t *testing.T, e kv.Engine, c *Clock) {
	_, err := e.Update(t.Context(), kv.TxOptions{Timeout: time.Hour, MaxRetries: -1}, func(tx kv.Tx) error {
		get(tx, "a")
		c.Advance(kv.MaxAge)
		equal(t, "late read", get(tx, "b"), "2")
		set(tx, "a", "new")
		return nil
	})
	isError(t, "update", err, nil)
}

func runsAgain(t *testing.T, e kv.Engine, c *Clock) {
	runs := 0
	_, err := e.Update(t.Context(), long(), func(tx kv.Tx) error {
		runs++
		get(tx, "a")
		if tx.Attempt() == 0 {
			c.Advance(kv.MaxAge + 1)
		}
		set(tx, "a", "new")
		return nil
	})
	isError(t, "update", err, nil)
	equal(t, "runs", runs, 2)
	_, err = e.Update(t.Context(), kv.TxOptions{Timeout: time.Hour, MaxRetries: -1}, func(tx kv.Tx) error {
		get(tx, "a")
		c.Advance(kv.MaxAge + 1)
		set(tx, "a", "never")
		return nil
	})
	isError(t, "update without retries", err, kv.ErrTooOld)
	view(t, e, func(r kv.Reader) { equal(t, "a", get(r, "a"), "new") })
}

func oldReads(t *testing.T, e kv.Engine, c *Clock) {
	_, err := e.Update(t.Context(), kv.TxOptions{Timeout: time.Hour, MaxRetries: -1}, func(tx kv.Tx) error {
		get(tx, "a")
		it := tx.GetRange(rng("a", "z"), kv.RangeOptions{})
		defer it.Close()
		c.Advance(kv.MaxAge + 1)
		_, err := tx.Get([]byte("a")).Wait()
		isError(t, "Get", err, kv.ErrTooOld)
		_, err = tx.Snapshot().Get([]byte("a")).Wait()
		isError(t, "snapshot Get", err, kv.ErrTooOld)
		later := tx.GetRange(rng("a", "z"), kv.RangeOptions{})
		if later.Next() {
			t.Error("range read of an old transaction works")
		}
		isError(t, "range read", later.Err(), kv.ErrTooOld)
		_, err = tx.ReadVersion()
		isError(t, "ReadVersion", err, kv.ErrTooOld)
		return err
	})
	isError(t, "update", err, kv.ErrTooOld)
}

func oldViews(t *testing.T, e kv.Engine, c *Clock) {
	runs := 0
	err := e.View(t.Context(), long(), func(r kv.Reader) error {
		runs++
		get(r, "a")
		if runs == 1 {
			c.Advance(kv.MaxAge + 1)
		}
		_, err := r.Get([]byte("b")).Wait()
		return err
	})
	isError(t, "view", err, nil)
	equal(t, "runs", runs, 2)
}

func blindWritesDoNotAge(t *testing.T, e kv.Engine, c *Clock) {
	_, err := e.Update(t.Context(), kv.TxOptions{Timeout: time.Hour, MaxRetries: -1}, func(tx kv.Tx) error {
		set(tx, "a", "new")
		c.Advance(2 * kv.MaxAge)
		tx.Add([]byte("n"), 1)
		return nil
	})
	isError(t, "update", err, nil)
}

func conflictsAcrossAge(t *testing.T, e kv.Engine, c *Clock) {
	for _, key := range []string{"a", "c"} {
		_, err := e.Update(t.Context(), kv.TxOptions{Timeout: time.Hour, MaxRetries: -1}, func(tx kv.Tx) error {
			scan(t, tx, rng("a", "z"), kv.RangeOptions{})
			update(t, e, func(rival kv.Tx) { set(rival, key, "rival") })
			// Time passes and others commit, which must not make the engine
			// forget the rival.
			for range 10 {
				c.Advance(kv.MaxAge / 10)
				update(t, e, func(other kv.Tx) { set(other, "zz", "x") })
			}
			set(tx, "zzz", "x")
			return nil
		})
		isError(t, "update", err, kv.ErrConflict)
	}
}
