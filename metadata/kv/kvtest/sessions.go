package kvtest

import (
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

// sessions holds for engines that are remote.
func sessions(t *testing.T, e kv.Engine) {
	if !kv.IsRemote(e) {
		t.Skip("the engine is not remote")
	}
	update(t, e, func(tx kv.Tx) { set(tx, "a", "old"); tx.BumpGeneration() })
	session := new(kv.Session)
	read := func() (value, generation string, version uint64) {
		err := e.View(t.Context(), kv.TxOptions{Session: session}, func(r kv.Reader) error {
			value = get(r, "a")
			g, err := r.Generation().Wait()
			if err != nil {
				return err
			}
			generation = string(g)
			version, err = r.ReadVersion()
			return err
		})
		if err != nil {
			t.Errorf("view: %v", err)
		}
		return value, generation, version
	}
	value, generation, version := read()
	equal(t, "value", value, "old")
	equal(t, "versions reused", session.Reused(), uint64(0))

	update(t, e, func(tx kv.Tx) { set(tx, "a", "new"); tx.BumpGeneration() })
	again, same, sameVersion := read()
	equal(t, "value at the session's version", again, "old")
	equal(t, "generation at the session's version", same, generation)
	equal(t, "the session's version", sameVersion, version)
	equal(t, "versions reused", session.Reused(), uint64(1))

	// An update of the session reads at it too, and must not commit on what is no
	// longer so. Its next attempt reads the latest.
	isError(t, "update", func() error {
		_, err := e.Update(t.Context(), kv.TxOptions{Session: session, MaxRetries: -1}, func(tx kv.Tx) error {
			set(tx, "b", get(tx, "a"))
			return nil
		})
		return err
	}(), kv.ErrConflict)
	var seen []string
	_, err := e.Update(t.Context(), kv.TxOptions{Session: session}, func(tx kv.Tx) error {
		seen = append(seen, get(tx, "a"))
		set(tx, "b", seen[len(seen)-1])
		return nil
	})
	isError(t, "update that may run again", err, nil)
	equal(t, "what its attempts read", seen, []string{"old", "new"})
	equal(t, "content", content(t, e), []string{"a=new", "b=new"})

	session.Drop()
	later, other, newer := read()
	equal(t, "value after a drop", later, "new")
	if other == generation || newer <= version {
		t.Errorf("generation %x and version %d after %x and %d", other, newer, generation, version)
	}
}
