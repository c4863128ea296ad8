package pebble_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/kvtest"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

func open(t *testing.T, o pebble.Options) *pebble.Engine {
	t.Helper()
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 1 << 20
	}
	e, err := pebble.Open("db", o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConformance(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.Engine {
		t.Helper()
		return open(t, pebble.Options{})
	})
}

func TestExpiry(t *testing.T) {
	kvtest.RunExpiry(t, func(t *testing.T, now func() time.Time) kv.Engine {
		t.Helper()
		return open(t, pebble.Options{Now: now})
	})
}

func TestDurability(t *testing.T) {
	kvtest.RunDurable(t, func(t *testing.T) func(*testing.T) kv.Engine {
		t.Helper()
		dir := t.TempDir()
		return func(t *testing.T) kv.Engine {
			t.Helper()
			e, err := pebble.Open(dir, pebble.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
	})
}
