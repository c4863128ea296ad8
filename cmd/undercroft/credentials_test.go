package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/vfs"
)

// A directory that cannot be read does not stop a start for which another one
// keeps the credentials; without another one no new ones are made.
func TestUnreadableDirectoryLeavesTheOthersCredentials(t *testing.T) {
	good, bad := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(bad, []byte("not a directory"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := rootCredentials{AccessKey: "AKIA1", SecretKey: "hush"}
	if _, err := keepRoot(vfs.Default(), []string{good}, root); err != nil {
		t.Fatal(err)
	}
	for _, dirs := range [][]string{{good, bad}, {bad, good}} {
		got, err := findRoot(vfs.Default(), config.Config{Data: dirs}, strings.NewReader(""))
		if err != nil || got.AccessKey != "AKIA1" || got.origin != originKept {
			t.Errorf("%v: %q, %v", dirs, got.AccessKey, err)
		}
	}
	random := strings.NewReader(strings.Repeat("r", 1000))
	if got, err := findRoot(vfs.Default(), config.Config{Data: []string{bad}}, random); err == nil {
		t.Errorf("new credentials %q were made", got.AccessKey)
	}
}

// A copy that is damaged is made good from the others, at any byte of it.
func TestDamagedCredentialsAreWrittenAnew(t *testing.T) {
	good, bad := t.TempDir(), t.TempDir()
	root := rootCredentials{AccessKey: "AKIA1", SecretKey: "hush-hush"}
	if _, err := keepRoot(vfs.Default(), []string{good, bad}, root); err != nil {
		t.Fatal(err)
	}
	file := credentialsFile().path(bad)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		spoiled := bytes.Clone(whole)
		spoiled[i] ^= 1
		if err := os.WriteFile(file, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := findRoot(vfs.Default(), config.Config{Data: []string{bad, good}}, strings.NewReader(""))
		if err != nil || got.AccessKey != "AKIA1" || got.SecretKey != "hush-hush" {
			t.Fatalf("byte %d: %q, %v", i, got.AccessKey, err)
		}
		if _, err := keepRoot(vfs.Default(), []string{good, bad}, got); err != nil {
			t.Fatal(err)
		}
		if again, err := os.ReadFile(file); err != nil || !bytes.Equal(again, whole) && !bytes.Equal(again, spoiled) {
			t.Fatalf("byte %d: %q, %v", i, again, err)
		}
	}
}
