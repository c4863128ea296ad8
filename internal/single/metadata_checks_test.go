package single_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// TestExportOfMetadataInUse is refused while a gateway that does nothing runs, unless it is
// asked for.
func TestExportOfMetadataInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, fs := mem.New(mem.Options{Now: time.Now}), vfs.NewMem()
		first, err := owning(t, e, fs, "/d1")
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		idle := single.Options{FS: fs, Now: time.Now, BufferMemory: 32 << 20}
		sharing(e)(&idle)
		o := single.Options{FS: fs, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
		sharing(e)(&o)
		gateway, err := single.Open(t.Context(), idle)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second) // it has shown that it lives
		if _, err := single.ExportOffline(t.Context(), o, io.Discard, single.ExportOptions{}); !errors.Is(err, single.ErrInUse) || strings.Contains(err.Error(), "\n") {
			t.Errorf("exported beside a gateway: %v", err)
		}
		if _, err := single.ExportOffline(t.Context(), o, io.Discard, single.ExportOptions{Running: true}); err != nil {
			t.Errorf("when that was asked for: %v", err)
		}
		if err := gateway.Close(t.Context()); err != nil {
			t.Error(err)
		}
		began := time.Now()
		if _, err := single.ExportOffline(t.Context(), o, io.Discard, single.ExportOptions{}); err != nil || time.Since(began) > time.Second {
			t.Errorf("after its end: %v, in %s", err, time.Since(began))
		}
	})
}

// TestExportAfterAKilledServer waits until it is known that it is dead.
func TestExportAfterAKilledServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, fs := mem.New(mem.Options{Now: time.Now}), vfs.NewMem()
		s, err := owning(t, e, fs, "/d1")
		if err != nil {
			t.Fatal(err)
		}
		err = s.DB.Update(t.Context(), "test", func(tx *metadata.Tx) error {
			return tx.PutHolder(&metadata.Holder{ID: metadata.HolderID{1}, Stamp: 7})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		o := single.Options{FS: fs, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
		sharing(e)(&o)
		began := time.Now()
		if _, err := single.ExportOffline(t.Context(), o, io.Discard, single.ExportOptions{}); err != nil || time.Since(began) < 20*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestReplaceBesideOtherDirectories: metadata is not replaced by what the directories that are
// named with it do not belong to, nor by what is not whole.
func TestReplaceBesideOtherDirectories(t *testing.T) {
	s, embedded := exporting(t)
	if embedded.External != nil {
		t.Skip("the metadata is elsewhere already")
	}
	whole := s.exported().Bytes()
	s.Stop()
	share := sharing(newEngine(t))
	shared := *embedded
	share(&shared)
	_, _, err := single.ImportOffline(t.Context(), shared, bytes.NewReader(whole), single.ImportOptions{})
	s.must(err)
	o, other := exporting(t)
	another := o.exported().Bytes()
	o.Stop()
	wrong := *other
	share(&wrong)
	refuses := func(o single.Options, stream io.Reader, replace bool, want ...string) {
		t.Helper()
		_, _, err := single.ImportOffline(t.Context(), o, stream, single.ImportOptions{Replace: replace})
		for _, text := range want {
			if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %q", err, text)
			}
		}
	}
	refuses(wrong, bytes.NewReader(whole), true, "nothing is replaced", "hold another store")
	refuses(shared, bytes.NewReader(another), true, "nothing is replaced", "hold another store")
	refuses(shared, bytes.NewReader(whole[:len(whole)-1]), true, "nothing is replaced", "not a whole export")
	empty := wrong
	sharing(newEngine(t))(&empty)
	refuses(empty, bytes.NewReader(whole), false, "hold another store")
	if _, err := single.ExportOffline(t.Context(), empty, io.Discard, single.ExportOptions{}); !errors.Is(err, metadata.ErrNoState) {
		t.Errorf("something was imported: %v", err)
	}
	store, err := single.Open(t.Context(), shared)
	s.must(err)
	s.must(store.Close(t.Context()))
	s.holdsNothingElse(shared)
}
