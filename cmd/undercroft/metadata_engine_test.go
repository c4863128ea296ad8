package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv/fdb"
)

// TestMetadataElsewhere moves the metadata of a server into one directory, and back, with
// the commands of docs/operations/foundationdb.md.
func TestMetadataElsewhere(t *testing.T) {
	dir := t.TempDir()
	data, meta, file := filepath.Join(dir, "d"), "pebble:"+filepath.Join(dir, "meta"), filepath.Join(dir, "metadata.export")
	i := start(t, assemble, rootArgs("--data="+data)...)
	i.administer(t, data, "account", "create", "--name", "Backups", "--id", "123456789012")
	if code := i.stop(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	run := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := runOnce(t, assemble, nil, args...)
		if code != want {
			t.Fatalf("%v: %d, want %d: %q %q", args, code, want, stdout, stderr)
		}
		return stdout, stderr
	}
	serve := func(args ...string) []string {
		return append([]string{"server", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data=" + data}, rootArgs(args...)...)
	}
	if _, err := run(exitFailure, serve("--metadata="+meta)...); !strings.Contains(err, "was last used with metadata in the data directories themselves") {
		t.Errorf("%q", err)
	}
	run(exitOK, "admin", "metadata", "export", file, "--offline", "--data", data)
	if out, _ := run(exitOK, "admin", "metadata", "import", file, "--metadata", meta, "--data", data); !strings.Contains(out, "imported ") {
		t.Errorf("%q", out)
	}
	if _, err := run(exitFailure, serve()...); !strings.Contains(err, "was last used with metadata in "+meta) {
		t.Errorf("%q", err)
	}
	i = start(t, assemble, rootArgs("--data="+data, "--metadata="+meta)...)
	i.hasAccount(t, data, "123456789012")
	if out, _ := run(exitOK, "admin", "status", "--admin", i.admin); !strings.Contains(out, meta) {
		t.Errorf("%s", out)
	}
	if code := i.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	run(exitOK, "admin", "check", "--metadata", meta, "--data", data)
	run(exitOK, "admin", "metadata", "export", file+"2", "--metadata", meta)
	run(exitOK, "admin", "metadata", "import", file+"2", "--replace", "--data", data)
	i = start(t, assemble, rootArgs("--data="+data)...)
	i.hasAccount(t, data, "123456789012")
	if code := i.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestFoundationDBThatCannotBeUsed says on one line why.
func TestFoundationDBThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	file, key := filepath.Join(dir, "fdb.cluster"), filepath.Join(dir, "key")
	place(t, key, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
	gateway := append([]string{"gateway", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--master-key-file=" + key}, rootArgs()...)
	server := append([]string{"server", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data=" + filepath.Join(dir, "d")}, rootArgs()...)
	want := "make build-fdb"
	if fdb.Available {
		want = "the cluster file"
	}
	for _, args := range [][]string{
		slices.Concat(gateway, []string{"--metadata=fdb:" + file}), slices.Concat(server, []string{"--metadata=fdb:" + file}),
		{"admin", "metadata", "import", key, "--metadata", "fdb:" + file},
		{"admin", "metadata", "export", "-", "--metadata", "fdb:" + file},
		{"admin", "check", "--metadata", "fdb:" + file},
	} {
		code, stdout, stderr := runOnce(t, assemble, nil, args...)
		if args[1] == "metadata" && args[2] == "import" {
			if code == exitOK || !strings.Contains(stderr, "not a whole export") {
				t.Errorf("%v: %d, %q %q", args, code, stdout, stderr)
			}
			continue
		}
		if code == exitOK || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("%v: %d, %q %q", args, code, stdout, stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "d", ".undercroft")); err == nil {
		t.Error("the directory was made a disk")
	}
	for text, args := range map[string][]string{
		"a gateway has no data directories and shares": gateway,
		"is not an absolute path":                      slices.Concat(gateway, []string{"--metadata=fdb:fdb.cluster"}),
		"none of pebble, pebble:DIR":                   slices.Concat(gateway, []string{"--metadata=etcd:/x"}),
	} {
		if code, _, stderr := runOnce(t, assemble, nil, args...); code != exitUsage || !strings.Contains(stderr, text) {
			t.Errorf("%v: %d, %q", args, code, stderr)
		}
	}
	if code, stdout, _ := runOnce(t, assemble, nil, "gateway", "--help"); code != exitOK || !strings.Contains(stdout, "undercroft gateway --metadata fdb:FILE") || !strings.Contains(stdout, "--inline-limit") {
		t.Errorf("%d %.200q", code, stdout)
	}
}

func TestClusterFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "fdb.cluster")
	check := func(want string) {
		t.Helper()
		err := checkClusterFile(file)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	check("no such file")
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	check("is not a file")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	place(t, file, "local:abc@127.0.0.1:4500\n")
	check("")
	if os.Geteuid() == 0 {
		return // may write everything
	}
	if err := os.Chmod(file, 0o400); err != nil {
		t.Fatal(err)
	}
	check("may not read and write " + file)
}
