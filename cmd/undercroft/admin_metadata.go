package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/observability"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
)

func metadataVerbs() []verb {
	return []verb{
		{"metadata backup", nil, []string{"out"}, backupMetadata},
		{"metadata export", []string{"FILE|-"}, []string{"offline", "metadata", "while-running"}, exportMetadata},
		{"metadata import", []string{"FILE|-"}, []string{"replace", "accept-problems", "metadata"}, nil},
	}
}

// stoppedServer returns what a verb does in the directories of a server that does
// not run, nil where it asks one that does.
func stoppedServer(v verb, in *verbInput) func(ctx context.Context, p process, in *verbInput) error {
	_, offline := in.given["offline"]
	_, elsewhere := in.given["metadata"]
	switch {
	case v.name == "metadata export" && (offline || elsewhere):
		return exportOffline
	case v.name == "metadata import":
		return importOffline
	}
	return nil
}

// backupMetadata asks for a copy in a directory of the server's machine.
func backupMetadata(ctx context.Context, c *admin.Client, in *verbInput) error {
	out := in.given["out"]
	if out == "" {
		return fmt.Errorf("%w: undercroft admin metadata backup needs --out DIR", errUsage)
	}
	dir, err := filepath.Abs(out)
	if err != nil {
		return fmt.Errorf("%w: --out: %w", errUsage, err)
	}
	if err := c.BackupMetadata(ctx, dir); err != nil {
		return err // it names the request
	}
	return write(in.stdout, "metadata is in "+dir+"\n")
}

// exportOf is how the admin listener exports.
func exportOf(store *single.System) func(ctx context.Context, w io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		_, err := store.ExportMetadata(ctx, w)
		return err
	}
}

// exportMetadata writes an export of a running server.
func exportMetadata(ctx context.Context, c *admin.Client, in *verbInput) error {
	return in.exportInto(func(w io.Writer) error { return c.ExportMetadata(ctx, w) })
}

// exportOffline writes an export of a stopped server.
func exportOffline(ctx context.Context, p process, in *verbInput) error {
	o, err := p.stoppedStore(in)
	if err != nil {
		return err
	}
	_, running := in.given["while-running"]
	return in.exportInto(func(w io.Writer) error {
		// The file itself may go to the standard output.
		show := progressOf("exported", func(text string) error {
			_, err := fmt.Fprintln(p.stderr, text)
			return err
		})
		_, err := single.ExportOffline(ctx, o, w, single.ExportOptions{Running: running, Progress: show})
		if errors.Is(err, single.ErrInUse) {
			err = fmt.Errorf("%w; --while-running exports it all the same, if nothing is written meanwhile", err)
		}
		return err
	})
}

// stoppedStore is the store that the directories of a stopped server hold.
func (p process) stoppedStore(in *verbInput) (single.Options, error) {
	args := make([]string, 0, len(in.data)+1)
	for _, dir := range in.data {
		args = append(args, "--data="+dir)
	}
	if place := in.optional("metadata"); place != nil {
		args = append(args, "--metadata="+*place)
	}
	cfg, err := config.Load(config.Sources{Kind: config.Offline, Args: args, Environ: p.environ, ReadFile: os.ReadFile})
	if err != nil {
		return single.Options{}, err // it is one complete line already
	}
	return storeOptions(cfg, parts{logger: observability.NewLogger(p.stderr, slog.LevelWarn, observability.Text), now: p.now}), nil
}

// exportInto writes an export to the file that is named, which is there only when it
// is whole, or to the standard output.
func (in *verbInput) exportInto(export func(io.Writer) error) error {
	name := in.argument(0)
	if name == "-" {
		return export(in.stdout)
	}
	fsys := vfs.Default()
	partial := name + ".partial"
	// It holds what the metadata hold: it is nobody else's from the start, and no
	// file that another put there.
	if err := fsys.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", partial, err)
	}
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create the file: %w", err)
	}
	err = export(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(partial))
	}
	if err := fsys.Rename(partial, name); err != nil {
		return fmt.Errorf("rename %s: %w", partial, err)
	}
	if err := vfs.SyncDir(fsys, filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync the directory of %s: %w", name, err)
	}
	return write(in.stdout, "metadata is in "+name+"\n")
}

// importOffline imports an export into the directories of a stopped server.
func importOffline(ctx context.Context, p process, in *verbInput) error {
	o, err := p.stoppedStore(in)
	if err != nil {
		return err
	}
	_, replace := in.given["replace"]
	var from io.Reader = os.Stdin
	if name := in.argument(0); name != "-" {
		f, err := vfs.Default().Open(name)
		if err != nil {
			return fmt.Errorf("open %s: %w", name, err)
		}
		defer func() { _ = f.Close() }() // nothing was written
		from = f
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			from = io.NewSectionReader(f, 0, info.Size()) // which is looked through first
		}
	}
	_, accept := in.given["accept-problems"]
	totals, summary, err := single.ImportOffline(ctx, o, from, single.ImportOptions{
		Replace: replace, AcceptProblems: accept,
		Progress: progressOf("imported", in.screen.show),
		Checked:  checkedOf(p.now, in.screen.show),
		Report:   func(problem metadata.Problem) { _, _ = fmt.Fprintln(p.stderr, problem) },
	})
	if err := in.screen.end(); err != nil {
		return err
	}
	switch {
	case errors.Is(err, metadata.ErrNotEmpty):
		return fmt.Errorf("%w: --replace deletes what is there", err)
	case errors.Is(err, metadata.ErrProblems):
		return fmt.Errorf("%w: --accept-problems imports it all the same", err)
	case err != nil:
		return err
	}
	return write(in.stdout, totalsText("imported", totals)+"\n"+summary.String()+"\n")
}

// progressEvery is how many bytes of rows there are between two lines of progress.
const progressEvery = 64 << 20

// progressOf shows how far an export or import is.
func progressOf(done string, show func(text string) error) func(metadata.ExportTotals) {
	next := int64(progressEvery)
	return func(t metadata.ExportTotals) {
		if t.Bytes >= next {
			next = t.Bytes + progressEvery
			_ = show(totalsText(done, t)) // the end tells what a broken screen does not
		}
	}
}

// checkedEvery is the time between two lines of progress of a check.
const checkedEvery = 10 * time.Second

// checkedOf shows how far the check of an import is.
func checkedOf(now func() time.Time, show func(text string) error) func(rows int64) {
	next := now().Add(checkedEvery)
	return func(rows int64) {
		if t := now(); !t.Before(next) {
			next = t.Add(checkedEvery)
			_ = show(fmt.Sprintf("checking what was imported: looked at %d rows", rows))
		}
	}
}

func totalsText(done string, t metadata.ExportTotals) string {
	return fmt.Sprintf("%s %d rows, %d MiB", done, t.Rows, t.Bytes>>20)
}
