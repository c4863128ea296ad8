//go:build fdb

package fdb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/fdbcluster"
	"github.com/undercroft/undercroft/metadata/kv"
)

// What a session knows needs no transaction of the library; what it does not is
// read at its version, and a commit conflicts with what came after that.
func TestSessionsNeedFewTransactions(t *testing.T) {
	c := fdbcluster.Shared(t, shapes()[0])
	began := time.Now()
	e := openUnder(t, c, clearing(t, c, fdbcluster.Prefix()), func() time.Time { return began }) // no session grows old
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	put := func(value string) {
		t.Helper()
		if _, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error { tx.Set([]byte("k"), []byte(value)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	put("old")
	session := new(kv.Session)
	o := kv.TxOptions{Session: session, MaxRetries: -1}
	generation := func(r kv.Reader) error { _, err := r.Generation().Wait(); return err }
	read := func(want string) func(r kv.Reader) error {
		return func(r kv.Reader) error {
			v, err := r.Get([]byte("k")).Wait()
			if err == nil && string(v) != want {
				t.Errorf("%q, want %q", v, want)
			}
			return err
		}
	}
	for _, step := range []struct {
		name string
		view func(r kv.Reader) error
		made uint64
	}{
		{"the version and the stamp", generation, 1},
		{"the stamp again", generation, 0},
		{"nothing", func(kv.Reader) error { return nil }, 0},
		{"a row", read("old"), 1},
	} {
		before := e.Stats().Made
		if err := e.View(t.Context(), o, step.view); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if made := e.Stats().Made - before; made != step.made {
			t.Errorf("%s: %d transactions of the library, want %d", step.name, made, step.made)
		}
	}
	put("new")
	if err := e.View(t.Context(), o, read("old")); err != nil {
		t.Errorf("a view of the session after a write of another: %v", err)
	}
	_, err := e.Update(t.Context(), o, func(tx kv.Tx) error {
		if err := read("old")(tx); err != nil {
			return err
		}
		tx.Set([]byte("k"), []byte("lost"))
		return nil
	})
	if !errors.Is(err, kv.ErrConflict) {
		t.Errorf("an update at the session's version, over a later write: %v, want a conflict", err)
	}
	if err := e.View(t.Context(), kv.TxOptions{}, read("new")); err != nil {
		t.Error(err)
	}
}
