package fdbcluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// failing is a cluster whose fdbcli prints the lines and fails, one line each time,
// and then succeeds.
func failing(t *testing.T, lines ...string) *Cluster {
	t.Helper()
	dir := t.TempDir()
	left, cli := filepath.Join(dir, "left"), filepath.Join(dir, "fdbcli")
	script := "#!/bin/sh\n" +
		`if [ -s "` + left + `" ]; then head -n 1 "` + left + `"; sed -i 1d "` + left + `"; exit 1; fi; echo done` + "\n"
	if err := os.WriteFile(left, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cli, []byte(script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	return &Cluster{programs: Programs{CLI: cli}, dir: dir}
}

func TestCommandsAreRepeated(t *testing.T) {
	const (
		old     = "ERROR: Transaction is too old to perform reads or be committed (1007)"
		unknown = "ERROR: Transaction may or may not have committed (1021)"
	)
	// What was not done is done after all, whatever the command.
	if out, err := failing(t, old, old).CLI(t.Context(), "lock"); err != nil || out != "done\n" {
		t.Errorf("%q, %v", out, err)
	}
	// What may have been done is left to the caller.
	if _, err := failing(t, old, unknown).CLI(t.Context(), "lock"); err == nil || !strings.Contains(err.Error(), "(1021)") {
		t.Errorf("a command of unknown outcome: %v", err)
	}
	if err := failing(t, old, unknown, "ERROR: whatever").Await(t.Context()); err != nil {
		t.Error(err)
	}
}
