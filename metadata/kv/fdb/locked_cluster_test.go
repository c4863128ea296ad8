//go:build fdb

package fdb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/fdbcluster"
	"github.com/undercroft/undercroft/metadata/kv"
)

// TestSessionsOfALockedDatabase: what a request reads together with its version is refused as
// anything else is, and not after its timeout.
func TestSessionsOfALockedDatabase(t *testing.T) {
	c := fdbcluster.Shared(t, shapes()[0])
	e := engineOn(t, c)
	reads := map[string]func(kv.Reader) error{
		"a key": get,
		"the generation": func(r kv.Reader) error {
			_, err := r.Generation().Wait()
			return err
		},
		"both": func(r kv.Reader) error {
			generation := r.Generation()
			if err := get(r); err != nil {
				return err
			}
			_, err := generation.Wait()
			return err
		},
	}
	each := func(check func(name string, err error)) {
		for name, read := range reads {
			var session kv.Session
			check(name+" of a session", e.View(t.Context(), kv.TxOptions{Timeout: time.Minute, Session: &session}, read))
			check(name, e.View(t.Context(), kv.TxOptions{Timeout: time.Minute}, read))
		}
	}
	uid := c.Lock(t)
	each(func(name string, err error) {
		if !errors.Is(err, kv.ErrLocked) {
			t.Errorf("%s while it is locked: %v", name, err)
		}
	})
	c.Unlock(t, uid)
	each(func(name string, err error) {
		if err != nil {
			t.Errorf("%s after that: %v", name, err)
		}
	})
}
