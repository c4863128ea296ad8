package single_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
)

// exporting is a shop whose options a test knows.
func exporting(t *testing.T) (s *shop, options *single.Options) {
	t.Helper()
	options = &single.Options{}
	s = &shop{testcluster.New(t, testcluster.Options{
		Dirs: []string{"/d1", "/d2", "/d3", "/d4"}, Edit: func(o *single.Options) { *options = *o },
	}), t}
	if _, err := s.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "bucket", Owner: "me"}); err != nil {
		t.Fatal(err)
	}
	s.fill("before")
	return s, options
}

// loseMetadata takes the metadata out of every directory.
func (s *shop) loseMetadata() {
	s.t.Helper()
	for _, dir := range []string{"/d1", "/d2", "/d3", "/d4"} {
		s.must(s.FS.RemoveAll(dir + "/metadata"))
		s.must(s.FS.RemoveAll(dir + "/metadata-sums"))
	}
}

// TestExportAndImport does what docs/operations/metadata.md says.
func TestExportAndImport(t *testing.T) {
	s, o := exporting(t)
	online := s.exported()
	s.Stop()
	var offline bytes.Buffer
	totals, err := single.ExportOffline(t.Context(), *o, &offline, single.ExportOptions{})
	if err != nil || totals.Rows < 10 {
		t.Fatalf("%+v, %v", totals, err)
	}
	if _, _, err := single.ImportOffline(t.Context(), *o, bytes.NewReader(offline.Bytes()), single.ImportOptions{}); !errors.Is(err, metadata.ErrNotEmpty) {
		t.Fatalf("into a store that is whole: %v", err)
	}
	s.Start()
	s.holds("before")
	s.Stop()

	s.loseMetadata()
	half := offline.Bytes()[:offline.Len()/2]
	if _, _, err := single.ImportOffline(t.Context(), *o, bytes.NewReader(half), single.ImportOptions{}); !errors.Is(err, metadata.ErrNoExport) {
		t.Fatal(err)
	}
	if err := refused(t, s.Cluster); !errors.Is(err, metadata.ErrImporting) || strings.Contains(err.Error(), "\n") {
		t.Errorf("a start after half an import: %v", err)
	}
	if _, sum, err := single.ImportOffline(t.Context(), *o, bytes.NewReader(offline.Bytes()), single.ImportOptions{}); err != nil || sum.Buckets != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	s.Start()
	s.degraded("")
	s.holds("before")
	s.fill("after")
	s.Restart()
	s.holds("before", "after")

	// What is there is replaced only where that is said.
	s.Stop()
	if _, _, err := single.ImportOffline(t.Context(), *o, bytes.NewReader(online.Bytes()), single.ImportOptions{Replace: true}); err != nil {
		t.Fatal(err)
	}
	s.Start()
	s.holds("before")
}

// TestImportIntoNewDirectories: the metadata of a store in directories that were
// empty knows the disks that are not there.
func TestImportIntoNewDirectories(t *testing.T) {
	s, o := exporting(t)
	var stream bytes.Buffer
	if _, err := s.ExportMetadata(t.Context(), &stream); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	empty := *o
	empty.Dirs = []string{"/e1", "/e2"}
	if _, _, err := single.ImportOffline(t.Context(), empty, strings.NewReader(""), single.ImportOptions{}); err == nil {
		t.Error("nothing was imported")
	}
	if _, err := s.FS.Stat("/e1"); err == nil {
		t.Error("a directory was made for nothing")
	}
	if _, _, err := single.ImportOffline(t.Context(), empty, &stream, single.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	other, err := single.Open(t.Context(), empty)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if b, err := other.Objects.BucketState(t.Context(), "bucket"); err != nil || b.Owner != "me" {
		t.Errorf("%v, %v", b, err)
	}
	if n := len(other.Missing()); n != 4 {
		t.Errorf("%d disks are missing, want 4", n)
	}
}
