package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExportAndImportOfMetadata takes the metadata of a running server into the
// directory of another.
func TestExportAndImportOfMetadata(t *testing.T) {
	dir := t.TempDir()
	data, other := filepath.Join(dir, "d"), filepath.Join(dir, "other")
	file, offline := filepath.Join(dir, "metadata.export"), filepath.Join(dir, "offline.export")
	i := start(t, assemble, rootArgs("--data="+data)...)
	i.administer(t, data, "account", "create", "--name", "Backups", "--id", "123456789012")
	if out := i.administer(t, data, "metadata", "export", file); !strings.Contains(out, file) {
		t.Errorf("%q", out)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if out := i.administer(t, data, "metadata", "export", "-"); !strings.HasPrefix(out, "undercroft metadata export\n") {
		t.Errorf("%.40q", out)
	}
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	offlineRun := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		args = append([]string{"admin", "metadata"}, args...)
		code, stdout, stderr := runOnce(t, nil, nil, args...)
		if code != want {
			t.Fatalf("%v: %d, want %d: %q %q", args, code, want, stdout, stderr)
		}
		return stdout, stderr
	}
	offlineRun(exitOK, "export", offline, "--offline", "--data", data)
	if _, err := offlineRun(exitFailure, "import", file, "--data", data); !strings.Contains(err, "--replace") {
		t.Errorf("%q", err)
	}
	whole, err := os.ReadFile(offline)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "half")
	place(t, half, string(whole[:len(whole)-1]))
	if _, err := offlineRun(exitFailure, "import", half, "--data", data, "--replace"); !strings.Contains(err, "nothing is replaced") {
		t.Errorf("%q", err)
	}
	offlineRun(exitOK, "export", filepath.Join(dir, "again.export"), "--offline", "--data", data)
	if out, _ := offlineRun(exitOK, "import", offline, "--data", data, "--replace"); !strings.Contains(out, "imported ") {
		t.Errorf("%q", out)
	}
	offlineRun(exitFailure, "import", half, "--data", other)
	code, _, stderr := runOnce(t, assemble, nil, append([]string{"server", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data=" + other}, rootArgs()...)...)
	if code != exitFailure || !strings.Contains(stderr, "import did not end") {
		t.Fatalf("a start after half an import: %d %q", code, stderr)
	}
	if out, _ := offlineRun(exitOK, "import", offline, "--data", other); !strings.Contains(out, "imported ") {
		t.Errorf("%q", out)
	}
	// The secrets of access keys are sealed with the master key of the first store.
	master, err := os.ReadFile(masterKeyFile().path(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(masterKeyFile().path(other)), 0o700); err != nil {
		t.Fatal(err)
	}
	place(t, masterKeyFile().path(other), string(master))
	i = start(t, assemble, rootArgs("--data="+other)...)
	i.hasAccount(t, other, "123456789012")
	if code := i.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestExportWritesAFileOfItsOwn: what somebody else put in the place of the file that is
// being written neither is written through nor stays open to them.
func TestExportWritesAFileOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	file, victim := filepath.Join(dir, "metadata.export"), filepath.Join(dir, "victim")
	place(t, victim, "victim")
	if err := os.Symlink(victim, file+".partial"); err != nil {
		t.Fatal(err)
	}
	in := &verbInput{arguments: []string{file}, stdout: io.Discard}
	err := in.exportInto(func(w io.Writer) error {
		if info, err := os.Lstat(file + ".partial"); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		_, err := io.WriteString(w, "secret")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{file: "secret", victim: "victim"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
