package fdbcluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// CLI runs commands of fdbcli and returns what they print.
func (c *Cluster) CLI(ctx context.Context, commands ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	args := cliArgs(c.file("cli.cluster"), int(patience.Seconds()), commands...)
	out, err := exec.CommandContext(ctx, c.programs.CLI, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("fdbcli: %s: %w\n%s", strings.Join(commands, "; "), err, out)
	}
	return string(out), nil
}

// Must runs commands of fdbcli that have to succeed.
func (c *Cluster) Must(tb testing.TB, commands ...string) string {
	tb.Helper()
	out, err := c.CLI(tb.Context(), commands...)
	if err != nil {
		tb.Fatalf("%v\n%s", err, c.Output())
	}
	return out
}

// Await returns when the cluster has committed a write.
func (c *Cluster) Await(ctx context.Context) error {
	_, err := c.CLI(ctx, "writemode on", "clear undercroft-probe")
	return err
}

// MustAwait is Await for tests.
func (c *Cluster) MustAwait(tb testing.TB) {
	tb.Helper()
	if err := c.Await(tb.Context()); err != nil {
		tb.Fatalf("FoundationDB does not become available: %v\n%s", err, c.Output())
	}
}

// Lock locks the database, and returns what unlocks it.
func (c *Cluster) Lock(tb testing.TB) (uid string) {
	tb.Helper()
	out := c.Must(tb, "lock")
	uid, err := lockUID(out)
	if err != nil {
		tb.Fatal(err)
	}
	return uid
}

// lockUID is the id that a lock printed.
func lockUID(out string) (string, error) {
	_, rest, ok := strings.Cut(out, "lockUID: ")
	uid, _, _ := strings.Cut(rest, "\n")
	if uid = strings.TrimSpace(uid); !ok || len(uid) != 32 {
		return "", fmt.Errorf("lock: no id in %q", out)
	}
	return uid, nil
}

// Unlock ends a lock.
func (c *Cluster) Unlock(tb testing.TB, uid string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.programs.CLI, cliArgs(c.file("cli.cluster"), int(patience.Seconds()), "unlock "+uid)...)
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		tb.Fatal(err)
	}
	// It asks for a word that it has shown.
	var said strings.Builder
	for lines, asked := bufio.NewScanner(out), false; lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if asked {
			_, _ = fmt.Fprintln(in, lines.Text()) // what it makes of it shows
			asked = false
		} else {
			asked = strings.Contains(lines.Text(), "dangerous operation")
		}
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), "Database unlocked") {
		tb.Fatalf("unlock: %v\n%s", err, said.String())
	}
}
