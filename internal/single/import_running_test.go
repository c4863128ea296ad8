package single_test

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// TestImportOverMetadataInUse is refused whatever is said, and not for what is there: nothing
// that deletes it helps.
func TestImportOverMetadataInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, fs := mem.New(mem.Options{Now: time.Now}), vfs.NewMem()
		server, err := owning(t, e, fs, "/d1")
		if err != nil {
			t.Fatal(err)
		}
		var whole bytes.Buffer
		if _, err := server.DB.Export(t.Context(), &whole, nil); err != nil {
			t.Fatal(err)
		}
		o := single.Options{FS: fs, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
		sharing(e)(&o)
		_, _, err = single.ImportOffline(t.Context(), o, &whole, single.ImportOptions{Replace: true})
		if !errors.Is(err, single.ErrInUse) || errors.Is(err, metadata.ErrNotEmpty) {
			t.Errorf("imported over a server: %v", err)
		}
		if err := server.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
