package pebble_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// TestBackup: a backup has what was acknowledged before it, and nothing of
// after it, whole, while commits go on.
func TestBackup(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, pebble.Options{FS: fs})
	set := func(from, to int) {
		for i := from; i < to; i++ {
			_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
				tx.Set(fmt.Appendf(nil, "%04d", i), make([]byte, 2000))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	set(0, 900)
	if err := e.Backup("copy"); err != nil {
		t.Fatal(err)
	}
	if err := e.Backup("copy"); err == nil {
		t.Error("a second backup into the same directory")
	}
	set(900, 950)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := pebble.Open("copy", pebble.Options{FS: fs, MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	err = b.View(t.Context(), kv.TxOptions{}, func(r kv.Reader) error {
		for i := range 950 {
			v, err := r.Get(fmt.Appendf(nil, "%04d", i)).Wait()
			if err != nil {
				return err
			}
			if (len(v) == 2000) != (i < 900) {
				t.Errorf("row %d has %d bytes", i, len(v))
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
