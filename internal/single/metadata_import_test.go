package single_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata"
)

// exported is an export of the open store.
func (s *shop) exported() *bytes.Buffer {
	s.t.Helper()
	var whole bytes.Buffer
	_, err := s.ExportMetadata(s.t.Context(), &whole)
	s.must(err)
	return &whole
}

// importsAgain imports an export after all, and finds what was stored.
func (s *shop) importsAgain(o *single.Options, whole io.Reader) {
	s.t.Helper()
	_, _, err := single.ImportOffline(s.t.Context(), *o, whole, single.ImportOptions{})
	s.must(err)
	s.Start()
	s.holds("before")
}

// TestImportOfNoExport: a file that is no export leaves everything as it was. Above
// all, a store whose metadata are lost does not become an empty one.
func TestImportOfNoExport(t *testing.T) {
	s, o := exporting(t)
	whole := s.exported()
	s.Stop()
	s.loseMetadata()
	for name, stream := range map[string]string{
		"garbage": "garbage", "magic": "undercroft metadata export\n", "later": strings.Replace(whole.String(), `"version":1`, `"version":9`, 1),
	} {
		if _, _, err := single.ImportOffline(t.Context(), *o, strings.NewReader(stream), single.ImportOptions{}); err == nil {
			t.Errorf("%s: imported", name)
		}
		if err := refused(t, s.Cluster); err == nil {
			t.Fatalf("%s: a store without its metadata starts as an empty one", name)
		}
	}
	empty := *o
	empty.Dirs = []string{"/e1", "/e2"}
	if _, _, err := single.ImportOffline(t.Context(), empty, strings.NewReader("garbage"), single.ImportOptions{}); !errors.Is(err, metadata.ErrNoExport) {
		t.Error(err)
	}
	if _, err := s.FS.Stat("/e1"); err == nil {
		t.Error("a directory was made for garbage")
	}
	s.importsAgain(o, whole)
}

// TestImportThatNeverBegan: an import that ended after it made a place for the metadata
// and before its first transaction has made no store, and can be run again.
func TestImportThatNeverBegan(t *testing.T) {
	s, o := exporting(t)
	whole := s.exported()
	s.Stop()
	s.loseMetadata()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := single.ImportOffline(ctx, *o, bytes.NewReader(whole.Bytes()), single.ImportOptions{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := refused(t, s.Cluster); !errors.Is(err, metadata.ErrNoState) || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
	s.importsAgain(o, whole)
}

// TestImportIntoARunningStore is refused, whatever it is told to replace.
func TestImportIntoARunningStore(t *testing.T) {
	s, o := exporting(t)
	whole := s.exported()
	if _, _, err := single.ImportOffline(t.Context(), *o, whole, single.ImportOptions{Replace: true}); err == nil {
		t.Error("imported")
	}
	if _, err := single.ExportOffline(t.Context(), *o, io.Discard, single.ExportOptions{}); err == nil {
		t.Error("exported as if nothing ran")
	}
	s.holds("before")
	s.fill("after")
	s.Restart()
	s.holds("before", "after")
}
