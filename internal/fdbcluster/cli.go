package fdbcluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// CLI runs commands of fdbcli and returns what they print.
func (c *Cluster) CLI(ctx context.Context, commands ...string) (string, error) {
	return c.repeat(ctx, func(out string) bool { return nothingDone.MatchString(out) }, commands)
}

// Insist is CLI for commands that may be done twice: it repeats them until they succeed.
func (c *Cluster) Insist(ctx context.Context, commands ...string) error {
	_, err := c.repeat(ctx, func(string) bool { return true }, commands)
	return err
}

// nothingDone is in what fdbcli prints where a transaction of its own came too late, or
// met another: some commands do not try again.
var nothingDone = regexp.MustCompile(`ERROR: .*\((1007|1009|1020|1037)\)`)

// repeat runs commands of fdbcli again while they fail in a way that passes.
func (c *Cluster) repeat(ctx context.Context, passes func(out string) bool, commands []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	args := cliArgs(c.file("cli.cluster"), int(patience.Seconds()), commands...)
	for {
		out, err := exec.CommandContext(ctx, c.programs.CLI, args...).CombinedOutput()
		var failed *exec.ExitError
		switch {
		case err == nil:
			return string(out), nil
		case ctx.Err() != nil, !errors.As(err, &failed), !passes(string(out)):
			return string(out), fmt.Errorf("fdbcli: %s: %w\n%s", strings.Join(commands, "; "), err, out)
		}
	}
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
	return c.Insist(ctx, "writemode on", "clear undercroft-probe")
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
