package single_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata"
)

// TestMoveBetweenEngines takes the metadata of a store off its data directories into an engine
// that is shared, and back, as docs/operations/foundationdb.md says. Neither state can be
// served again once the other has been.
func TestMoveBetweenEngines(t *testing.T) {
	movesBetween(t, sharing(newEngine(t)))
}

// movesBetween is TestMoveBetweenEngines for an engine that is shared.
func movesBetween(t *testing.T, share func(*single.Options)) {
	t.Helper()
	s, embedded := exporting(t)
	if embedded.External != nil {
		t.Skip("the metadata is elsewhere already")
	}
	s.fill("large")
	s.Stop()
	shared := *embedded
	share(&shared)
	move := func(from, to single.Options, in single.ImportOptions) []byte {
		t.Helper()
		var stream bytes.Buffer
		before, err := single.ExportOffline(t.Context(), from, &stream, single.ExportOptions{})
		s.must(err)
		after, sum, err := single.ImportOffline(t.Context(), to, bytes.NewReader(stream.Bytes()), in)
		if err != nil || after != before || sum.Buckets != 1 || !sum.Clean() {
			t.Fatalf("%+v of %+v, %+v, %v", after, before, sum, err)
		}
		return stream.Bytes()
	}
	use := func(o single.Options, write string, names ...string) {
		t.Helper()
		store, err := single.Open(t.Context(), o)
		s.must(err)
		was := s.System
		s.System = store
		s.holds(names...)
		s.fill(write)
		s.RunSteward()
		st, err := s.Status(t.Context())
		healthy := st.Healthy
		if m := st.Metadata.Store; m != nil && m.Report != nil && m.Report.Healthy != nil && !*m.Report.Healthy {
			// A cluster that was made just now says this of itself for a while.
			healthy = len(st.Missing) == 0 && st.Redundancy.Critical == 0 && st.Redundancy.Unreadable == 0
		}
		if err != nil || !healthy {
			t.Errorf("%+v, %v", st, err)
		}
		s.must(store.Close(t.Context()))
		s.System = was
	}
	refuses := func(o single.Options, want string) {
		t.Helper()
		store, err := single.Open(t.Context(), o)
		if err == nil {
			s.must(store.Close(t.Context()))
			t.Fatalf("opened, want %q", want)
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refuses(shared, "was last used with metadata in the data directories themselves, not in shared")
	first := move(*embedded, shared, single.ImportOptions{})
	refuses(*embedded, "was last used with metadata in shared, not in the data directories themselves")
	use(shared, "on shared", "before", "large")
	if _, _, err := single.ImportOffline(t.Context(), shared, bytes.NewReader(first), single.ImportOptions{}); !errors.Is(err, metadata.ErrNotEmpty) {
		t.Errorf("over a state: %v", err)
	}

	if _, _, err := single.ImportOffline(t.Context(), *embedded, bytes.NewReader(first), single.ImportOptions{}); !errors.Is(err, metadata.ErrNotEmpty) {
		t.Errorf("over a state: %v", err)
	}
	move(shared, *embedded, single.ImportOptions{Replace: true})
	refuses(shared, "was last used with metadata in the data directories themselves, not in shared")
	use(*embedded, "back", "before", "large", "on shared")
	move(*embedded, shared, single.ImportOptions{Replace: true})
	use(shared, "again", "before", "large", "on shared", "back")
	s.holdsNothingElse(shared)
}

// holdsNothingElse checks the metadata of a stopped store.
func (s *shop) holdsNothingElse(o single.Options) {
	s.t.Helper()
	var out bytes.Buffer
	if err := single.CheckOffline(s.t.Context(), o, &out); err != nil {
		s.t.Errorf("%v: %s", err, out.String())
	}
}

// TestDirectoriesThatComeLater: a disk that is added after a move, or was away during one and
// comes back while the store runs, goes with the others at the next start.
func TestDirectoriesThatComeLater(t *testing.T) {
	s, embedded := exporting(t)
	if embedded.External != nil {
		t.Skip("the metadata is elsewhere already")
	}
	whole := s.exported().Bytes()
	s.Stop()
	shared, fewer := *embedded, *embedded
	fewer.Dirs = embedded.Dirs[1:]
	share := sharing(newEngine(t))
	share(&shared)
	share(&fewer)
	_, _, err := single.ImportOffline(t.Context(), fewer, bytes.NewReader(whole), single.ImportOptions{})
	s.must(err)
	store, err := single.Open(t.Context(), fewer)
	s.must(err)
	s.must(shared.FS.MkdirAll("/new", 0o755))
	for _, dir := range []string{embedded.Dirs[0], "/new"} {
		_, err := store.AddDisk(t.Context(), dir)
		s.must(err)
	}
	s.must(store.Close(t.Context()))
	shared.Dirs = append(slices.Clone(embedded.Dirs), "/new")
	store, err = single.Open(t.Context(), shared)
	s.must(err)
	if missing := store.Missing(); len(missing) > 0 {
		t.Errorf("%+v", missing)
	}
	s.must(store.Close(t.Context()))
}

// TestImportIntoSharedGoesOn: an import that was cut off is no store, and goes on.
func TestImportIntoSharedGoesOn(t *testing.T) {
	s, embedded := exporting(t)
	if embedded.External != nil {
		t.Skip("the metadata is elsewhere already")
	}
	whole := s.exported().Bytes()
	s.Stop()
	shared := *embedded
	sharing(newEngine(t))(&shared)
	if _, _, err := single.ImportOffline(t.Context(), shared, bytes.NewReader(whole[:len(whole)/2]), single.ImportOptions{}); !errors.Is(err, metadata.ErrNoExport) {
		t.Fatal(err)
	}
	if _, err := single.Open(t.Context(), shared); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("half an import is served: %v", err)
	}
	if _, err := single.ExportOffline(t.Context(), shared, io.Discard, single.ExportOptions{}); !errors.Is(err, metadata.ErrImporting) {
		t.Errorf("half an import is exported: %v", err)
	}
	s.Start() // nothing has changed for the directories
	s.holds("before")
	s.Stop()
	var seen, checked int64
	totals, _, err := single.ImportOffline(t.Context(), shared, bytes.NewReader(whole), single.ImportOptions{
		Progress: func(t metadata.ExportTotals) { seen = t.Rows },
		Checked:  func(rows int64) { checked = rows },
	})
	if err != nil || seen != totals.Rows || seen == 0 || checked < seen {
		t.Fatalf("%+v, shown %d rows, %d checked, %v", totals, seen, checked, err)
	}
	store, err := single.Open(t.Context(), shared)
	s.must(err)
	s.must(store.Close(t.Context()))
}

// TestImportOfAnotherStore: directories of one store do not go with metadata of another.
func TestImportOfAnotherStore(t *testing.T) {
	s, embedded := exporting(t)
	if embedded.External != nil {
		t.Skip("the metadata is elsewhere already")
	}
	whole := s.exported().Bytes()
	o, other := exporting(t)
	shared := *other
	sharing(newEngine(t))(&shared)
	if _, _, err := single.ImportOffline(t.Context(), shared, bytes.NewReader(whole), single.ImportOptions{}); err == nil || !strings.Contains(err.Error(), "is used by another process") {
		t.Errorf("beside a server: %v", err)
	}
	o.Stop()
	if _, _, err := single.ImportOffline(t.Context(), shared, bytes.NewReader(whole), single.ImportOptions{}); err == nil || !strings.Contains(err.Error(), "hold another store") {
		t.Errorf("of another store: %v", err)
	}
	o.Start()
	o.holds("before")
}

// TestAcceptLossOfOtherMetadata starts with metadata that the directories were not used
// with last, once that is said, and every time after.
func TestAcceptLossOfOtherMetadata(t *testing.T) {
	s, embedded := exporting(t)
	if embedded.External != nil {
		t.Skip("the metadata is elsewhere already")
	}
	whole := s.exported().Bytes()
	s.Stop()
	shared := *embedded
	sharing(newEngine(t))(&shared)
	_, _, err := single.ImportOffline(t.Context(), shared, bytes.NewReader(whole), single.ImportOptions{})
	s.must(err)
	if err := refused(t, s.Cluster); !strings.Contains(err.Error(), "was last used with metadata in shared") {
		t.Error(err)
	}
	accepting := *embedded
	accepting.AcceptLoss = true
	store, err := single.Open(t.Context(), accepting)
	s.must(err)
	s.must(store.Close(t.Context()))
	s.Start()
	s.holds("before")
}
