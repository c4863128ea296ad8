package single_test

import (
	"strings"
	"testing"
)

// TestBackupAndRestore does what docs/operations/metadata.md says.
func TestBackupAndRestore(t *testing.T) {
	s := newShop(t)
	s.Start()
	if err := s.BackupMetadata(t.Context(), "/d2/copy"); err == nil || !strings.Contains(err.Error(), "/d2") {
		t.Errorf("a backup in a data directory: %v", err)
	}
	if err := s.BackupMetadata(t.Context(), "copy"); err == nil {
		t.Error("a backup without an absolute path")
	}
	s.must(s.BackupMetadata(t.Context(), "/backup"))
	s.fill("later")
	s.Stop()
	for _, dir := range []string{"/d1", "/d2", "/d3", "/d4"} {
		s.must(s.FS.RemoveAll(dir + "/metadata"))
		s.must(s.FS.RemoveAll(dir + "/metadata-sums"))
	}
	if err := refused(t, s.Cluster); !strings.Contains(err.Error(), "backup") {
		t.Errorf("a start without any metadata: %v", err)
	}
	s.must(s.FS.Rename("/backup", "/d2/metadata"))
	s.Start()
	s.degraded("")
	s.holds("before")
	s.fill("after")
	s.Restart()
	s.holds("before", "after")
}
