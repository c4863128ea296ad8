package kvtest

import (
	"errors"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

// pinnedVersions holds for engines that are Pinners.
func pinnedVersions(t *testing.T, e kv.Engine) {
	pinner, ok := e.(kv.Pinner)
	if !ok {
		t.Skip("the engine holds no version")
	}
	update(t, e, func(tx kv.Tx) { set(tx, "a", "old", "b", "old") })
	pin, err := pinner.Pin()
	if err != nil {
		t.Fatal(err)
	}
	update(t, e, func(tx kv.Tx) {
		set(tx, "a", "new", "c", "new")
		tx.Delete([]byte("b"))
	})
	for range 2 {
		var got []string
		err := pin.View(t.Context(), func(r kv.Reader) error {
			it := r.GetRange(kv.Range{Begin: []byte("a"), End: []byte("z")}, kv.RangeOptions{})
			defer it.Close()
			for it.Next() {
				got = append(got, string(it.Pair().Key)+"="+string(it.Pair().Value))
			}
			return it.Err()
		})
		if err != nil || len(got) != 2 || got[0] != "a=old" || got[1] != "b=old" {
			t.Errorf("%q, %v", got, err)
		}
	}
	pin.Close()
	pin.Close()
	read := func(p kv.Pin) error {
		return p.View(t.Context(), func(r kv.Reader) error {
			_, err := r.Get([]byte("a")).Wait()
			return err
		})
	}
	if err := read(pin); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	// One that is left open does not keep the engine, and ends with it.
	left, err := pinner.Pin()
	if err != nil {
		t.Fatal(err)
	}
	if err := read(left); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("with a version held: %v", err)
	}
	if err := read(left); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("after the end of the engine: %v", err)
	}
	left.Close()
	if _, err := pinner.Pin(); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("a pin after Close: %v", err)
	}
}
