package single

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// ExportMetadata writes all rows of the metadata to w, at one version, while the
// store runs.
func (s *System) ExportMetadata(ctx context.Context, w io.Writer) (metadata.ExportTotals, error) {
	return s.DB.Export(ctx, w, nil)
}

// ExportOffline is ExportMetadata for a store that does not run.
func ExportOffline(ctx context.Context, o Options, w io.Writer, progress func(metadata.ExportTotals)) (metadata.ExportTotals, error) {
	dirs, err := survey(o.FS, o.Dirs)
	if err != nil {
		return metadata.ExportTotals{}, err
	}
	s := &System{opts: o}
	if err := s.mustExist(dirs); err != nil {
		return metadata.ExportTotals{}, err
	}
	defer func() { _ = s.Close(ctx) }()          // nothing was written
	if err := s.openMetadata(dirs); err != nil { //nolint:contextcheck // opening the engine is not cut short
		return metadata.ExportTotals{}, err
	}
	return s.DB.Export(ctx, w, progress)
}

// mustExist refuses directories that are no store.
func (s *System) mustExist(dirs *directories) error {
	r, err := mirror.Find(s.mirrorOptions(dirs))
	if errors.Is(err, mirror.ErrNoRecord) || err == nil && !r.Initialised {
		return fmt.Errorf("there is no store in %s", strings.Join(s.opts.Dirs, ", "))
	}
	return nil
}

// ImportOptions shape ImportOffline; see [metadata.ImportOptions].
type ImportOptions struct {
	Replace, AcceptProblems bool
	Progress                func(metadata.ExportTotals)
	Report                  func(metadata.Problem)
}

// ImportOffline imports metadata into the directories of a store that does not run:
// new ones, those of which the metadata is gone, or, with Replace, others. They are
// not a store that starts before it has ended without an error; until then the same
// import can be run again.
func ImportOffline(ctx context.Context, o Options, r io.Reader, in ImportOptions) (totals metadata.ExportTotals, sum metadata.Summary, err error) {
	stream := bufio.NewReaderSize(r, metadata.ExportStart)
	start, err := stream.Peek(metadata.ExportStart)
	if err != nil && !errors.Is(err, io.EOF) {
		return totals, sum, fmt.Errorf("read the export: %w", err)
	}
	if err := metadata.CheckExportStart(start); err != nil { // before anything is made
		return totals, sum, fmt.Errorf("import: %w", err)
	}
	dirs, err := survey(o.FS, o.Dirs)
	if err != nil {
		return totals, sum, err
	}
	s := &System{opts: o}
	defer func() { err = errors.Join(err, s.Close(context.WithoutCancel(ctx))) }()
	if err := s.prepare(dirs); err != nil {
		return totals, sum, err
	}
	if err := s.beginAnew(dirs); err != nil {
		return totals, sum, err
	}
	if err := s.openEngine(dirs, makeEngine); err != nil {
		return totals, sum, err
	}
	totals, sum, err = metadata.Import(ctx, s.engine, stream, metadata.ImportOptions{
		Now: o.Now, Replace: in.Replace, AcceptProblems: in.AcceptProblems, Progress: in.Progress, Report: in.Report,
	})
	if err != nil {
		return totals, sum, err
	}
	return totals, sum, s.mirror.SetInitialised() // the next start makes what mirrors are missing
}

// beginAnew makes a place for the metadata where no directory that should hold
// them does: they are lost, and about to be imported.
func (s *System) beginAnew(dirs *directories) error {
	o := s.mirrorOptions(dirs)
	r, err := mirror.Find(o)
	if err != nil || !r.Initialised {
		return err
	}
	first := ""
	for _, d := range o.Dirs {
		if !slices.ContainsFunc(r.Members, func(m mirror.Dir) bool { return m.Disk == d.Disk }) {
			continue
		}
		files := s.opts.FS.PathJoin(d.Path, "metadata")
		if _, err := s.opts.FS.Stat(files); err == nil {
			return nil
		}
		if first == "" {
			first = files
		}
	}
	if first == "" {
		return nil // opening it says what is missing
	}
	return vfs.MkdirAll(s.opts.FS, first, 0o750)
}

// makeEngine lets the engine begin anew where its files are gone.
func makeEngine(e *pebble.Options) { e.MustExist = false }
