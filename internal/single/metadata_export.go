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
	if s.opts.isShared() {
		return metadata.ExportTotals{}, fmt.Errorf("the metadata in %s changes while servers run: stop them all and export it with --metadata", s.opts.External.Place)
	}
	return s.DB.Export(ctx, w, nil)
}

// ExportOptions shape ExportOffline.
type ExportOptions struct {
	// Running exports shared metadata although servers may use it. Where it does not change
	// meanwhile that succeeds; what is written later is not in the export.
	Running  bool
	Progress func(metadata.ExportTotals)
}

// ExportOffline is ExportMetadata for a store that does not run.
func ExportOffline(ctx context.Context, o Options, w io.Writer, x ExportOptions) (metadata.ExportTotals, error) {
	s := &System{opts: o}
	defer func() { _ = s.Close(ctx) }() // nothing was written
	if err := s.openStopped(ctx); err != nil {
		return metadata.ExportTotals{}, err
	}
	if s.opts.isShared() && !x.Running {
		if err := s.refuseUsed(ctx, s.DB); err != nil {
			return metadata.ExportTotals{}, err
		}
	}
	return s.DB.Export(ctx, w, x.Progress)
}

// openStopped opens the metadata of a store that does not run, which there is.
func (s *System) openStopped(ctx context.Context) error {
	dirs, err := survey(s.opts.FS, s.opts.Dirs)
	if err != nil {
		return err
	}
	if s.opts.External != nil {
		return s.openExternalStopped(ctx)
	}
	if err := s.mustExist(dirs); err != nil {
		return err
	}
	return s.openMetadata(dirs) //nolint:contextcheck // opening the engine is not cut short
}

// openExternalStopped opens metadata that is elsewhere. Servers may run on it, where it is
// shared.
func (s *System) openExternalStopped(ctx context.Context) (err error) {
	x := s.opts.External
	if s.engine, err = x.Open(ctx); err != nil {
		return fmt.Errorf("open the metadata in %s: %w", x.Place, err)
	}
	s.DB, err = metadata.Open(s.wrapped(), metadata.Options{Now: s.opts.Now, MustExist: true}) //nolint:contextcheck // opening is not cut short
	if errors.Is(err, metadata.ErrNoState) {
		return fmt.Errorf("there is no store in %s: %w", x.Place, err)
	}
	return err
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
	Checked                 func(rows int64)
}

// ImportOffline imports metadata into the directories of a store that does not run:
// new ones, those of which the metadata is gone, or, with Replace, others. They are
// not a store that starts before it has ended without an error; until then the same
// import can be run again.
func ImportOffline(ctx context.Context, o Options, r io.Reader, in ImportOptions) (totals metadata.ExportTotals, sum metadata.Summary, err error) {
	rewind := rewinder(r)
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
	if err := s.openTarget(ctx, dirs, func() error { return s.inspect(rewind, r, dirs, in) }); err != nil {
		return totals, sum, err
	}
	if rewind != nil {
		if err := rewind(); err != nil {
			return totals, sum, err
		}
		stream.Reset(r)
	}
	totals, sum, err = metadata.Import(ctx, s.engine, stream, metadata.ImportOptions{
		Now: o.Now, Replace: in.Replace, AcceptProblems: in.AcceptProblems, Progress: in.Progress, Report: in.Report, Checked: in.Checked,
	})
	if err != nil {
		return totals, sum, err
	}
	if err := s.adopt(ctx, dirs); err != nil {
		return totals, sum, err
	}
	return totals, sum, s.mirror.SetInitialised() // the next start makes what mirrors are missing
}

// openTarget opens the engine that is imported into, a new one where there is none. check is
// called before anything is made.
func (s *System) openTarget(ctx context.Context, dirs *directories, check func() error) (err error) {
	if x := s.opts.External; x != nil {
		if err := s.openDisks(dirs); err != nil { // nobody else may use them
			return err
		}
		if err := check(); err != nil {
			return err
		}
		if s.engine, err = x.Open(ctx); err != nil {
			return fmt.Errorf("open %s to import into: %w", x.Place, err)
		}
		return s.refuseRunning(ctx)
	}
	if err := check(); err != nil {
		return err
	}
	if err := s.prepare(dirs); err != nil {
		return err
	}
	if err := s.beginAnew(dirs); err != nil {
		return err
	}
	return s.openEngine(dirs, makeEngine)
}

// adopt has the directories go with the metadata that was imported.
func (s *System) adopt(ctx context.Context, dirs *directories) (err error) {
	disks := dirs.identified()
	if s.opts.External != nil && len(disks) > 0 {
		s.DB, err = metadata.Open(s.engine, metadata.Options{Now: s.opts.Now, MustExist: true}) //nolint:contextcheck // opening is not cut short
		if err != nil {
			return err
		}
		if err := s.join(ctx, dirs); err != nil {
			return err
		}
	}
	if err := s.keepHomes(disks); err != nil || s.opts.External == nil {
		return err
	}
	for _, dir := range disks {
		if s.homeOf(dir).Copy != s.copyID() {
			return fmt.Errorf("the import is done, but %s does not keep which metadata it goes with, and will be refused: "+
				"mend it and start once with --metadata-accept-loss, or leave it out of --data", dir)
		}
	}
	return nil
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
