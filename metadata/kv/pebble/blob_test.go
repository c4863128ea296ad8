package pebble_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// Long values leave the tables for blob files, and are there after a restart.
func TestLongValuesGoToBlobFiles(t *testing.T) {
	mem := vfs.NewMem()
	fs := newFaultFS(mem)
	o := pebble.Options{FS: fs, MemTableBytes: 64 << 10}
	e := open(t, o)
	made := make(chan struct{})
	var once sync.Once
	fs.inject(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".blob") {
			once.Do(func() { close(made) })
		}
		return nil
	})
	text := func(i int) string { return strings.Repeat(fmt.Sprintf("%05d", i), 1000) }
	rows := 0
	for flushed := false; !flushed; rows++ {
		want(t, "put", put(t.Context(), e, fmt.Sprintf("long%d", rows), text(rows)), nil)
		want(t, "put", put(t.Context(), e, fmt.Sprintf("short%d", rows), "s"), nil)
		select {
		case <-made:
			flushed = true
		default:
		}
	}
	want(t, "close", e.Close(), nil)

	e = open(t, o)
	for i := range rows {
		if got := read(t, e, fmt.Sprintf("long%d", i)); got != text(i) {
			t.Fatalf("row %d of %d: %d bytes, want %d", i, rows, len(got), len(text(i)))
		}
		if got := read(t, e, fmt.Sprintf("short%d", i)); got != "s" {
			t.Fatalf("short row %d is %q", i, got)
		}
	}
	want(t, "close", e.Close(), nil)
}
