package fdbcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Backup are the programs of FoundationDB's own backup.
type Backup struct{ Agent, Backup, Restore string }

// BackupPrograms are those of this machine, beside its fdbserver or where packages install
// them; the test is skipped where one is missing.
func BackupPrograms(tb testing.TB) Backup {
	tb.Helper()
	b, err := findBackup(programs(tb))
	if err != nil {
		tb.Skip(err)
	}
	return b
}

func findBackup(p Programs) (Backup, error) {
	dirs := []string{filepath.Dir(p.Server), filepath.Dir(p.CLI), "/usr/lib/foundationdb/backup_agent"}
	var missing []string
	look := func(name string) string {
		for _, dir := range dirs {
			file := filepath.Join(dir, name)
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				return file
			}
		}
		missing = append(missing, name)
		return ""
	}
	b := Backup{look("backup_agent"), look("fdbbackup"), look("fdbrestore")}
	if len(missing) > 0 {
		return b, fmt.Errorf("%w: no %s beside %s", ErrNotFound, strings.Join(missing, ", "), p.Server)
	}
	return b, nil
}

// StartAgent starts what does the work of backups and of restores; it ends with the cluster.
func (c *Cluster) StartAgent(tb testing.TB, b Backup) {
	tb.Helper()
	dir := c.file("agent")
	p := &process{program: b.Agent, args: []string{"-C", c.file("server.cluster")}, output: filepath.Join(dir, "output")}
	if err := errors.Join(os.MkdirAll(dir, 0o700), p.start(c.launcher)); err != nil {
		tb.Fatal(err)
	}
	c.processes = append(c.processes, p)
}

// Run runs a program that has to succeed, and that waits for the cluster for as long as one may.
func (c *Cluster) Run(tb testing.TB, program string, args ...string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s\n%s", filepath.Base(program), strings.Join(args, " "), err, out, c.Output())
	}
	return string(out)
}
