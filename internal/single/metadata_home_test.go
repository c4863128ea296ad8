package single_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// TestOtherClusterWithTheSamePrefix: directories are not served with the metadata that theirs
// was imported from, or into, only because both places have one name.
func TestOtherClusterWithTheSamePrefix(t *testing.T) {
	s, embedded := exporting(t)
	if embedded.External != nil {
		t.Skip("the metadata is elsewhere already")
	}
	whole := s.exported().Bytes()
	s.Stop()
	on := func(e *mem.Engine, change ...func(*single.Options)) single.Options {
		o := *embedded
		sharing(e)(&o)
		for _, edit := range change {
			edit(&o)
		}
		return o
	}
	opens := func(o single.Options) {
		t.Helper()
		store, err := single.Open(t.Context(), o)
		s.must(err)
		if missing := store.Missing(); len(missing) > 0 {
			t.Errorf("%+v", missing)
		}
		s.must(store.Close(t.Context()))
	}
	refuses := func(o single.Options) {
		t.Helper()
		store, err := single.Open(t.Context(), o)
		if err == nil {
			s.must(store.Close(t.Context()))
		}
		if err == nil || !strings.Contains(err.Error(), "was last used with another copy of the metadata in shared") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
	}
	one, two := newEngine(t), newEngine(t)
	for _, e := range []*mem.Engine{one, two} {
		_, _, err := single.ImportOffline(t.Context(), on(e), bytes.NewReader(whole), single.ImportOptions{})
		s.must(err)
	}
	opens(on(two))
	refuses(on(one))
	opens(on(two))
	opens(on(one, func(o *single.Options) { o.AcceptLoss = true }))
	refuses(on(two))
	// What an older program wrote says no more than the place, and is filled in.
	for _, dir := range embedded.Dirs {
		text := vfs.AddSum([]byte("{\n  \"format\": 1,\n  \"place\": \"shared\"\n}"))
		s.must(vfs.WriteFile(s.FS, dir+"/.undercroft/metadata-home", text, 0o600))
	}
	opens(on(one))
	for _, dir := range embedded.Dirs {
		text, err := vfs.ReadFile(s.FS, dir+"/.undercroft/metadata-home", 1<<10)
		s.must(err)
		text, err = vfs.CutSum(text)
		s.must(err)
		var h map[string]any
		s.must(json.Unmarshal(text, &h))
		if id, _ := h["copy"].(string); len(id) != 32 {
			t.Errorf("%s: %s", dir, text)
		}
	}
	refuses(on(two))
	opens(on(one))
}
