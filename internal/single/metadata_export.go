package single

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

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

// ExportOffline is ExportMetadata for a store that does not run.
func ExportOffline(ctx context.Context, o Options, w io.Writer, progress func(metadata.ExportTotals)) (metadata.ExportTotals, error) {
	s := &System{opts: o}
	defer func() { _ = s.Close(ctx) }() // nothing was written
	if err := s.openStopped(ctx); err != nil {
		return metadata.ExportTotals{}, err
	}
	return s.DB.Export(ctx, w, progress)
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

// openExternalStopped opens metadata that is elsewhere. That nothing runs on shared
// metadata is not known: an export of it finds out that it changes.
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
	if err := s.openTarget(ctx, dirs); err != nil {
		return totals, sum, err
	}
	totals, sum, err = metadata.Import(ctx, s.engine, stream, metadata.ImportOptions{
		Now: o.Now, Replace: in.Replace, AcceptProblems: in.AcceptProblems, Progress: in.Progress, Report: in.Report,
	})
	if err != nil {
		return totals, sum, err
	}
	if err := s.adopt(ctx, dirs); err != nil {
		return totals, sum, err
	}
	return totals, sum, s.mirror.SetInitialised() // the next start makes what mirrors are missing
}

// openTarget opens the engine that is imported into, a new one where there is none.
func (s *System) openTarget(ctx context.Context, dirs *directories) (err error) {
	if x := s.opts.External; x != nil {
		if err := s.openDisks(dirs); err != nil { // nobody else may use them
			return err
		}
		if s.engine, err = x.Open(ctx); err != nil {
			return fmt.Errorf("open %s to import into: %w", x.Place, err)
		}
		return s.refuseRunning(ctx)
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
	return s.keepHomes(disks)
}

// runningTerm is how long servers of shared metadata are watched for a sign of life: well
// above the interval of their leases.
const runningTerm = 25 * time.Second

// ErrInUse says that servers use what is to be replaced, whatever else is said.
var ErrInUse = errors.New("servers use it")

// refuseRunning refuses to import over a state that servers use. A server that is dead has
// left a row l whose stamp stands still.
func (s *System) refuseRunning(ctx context.Context) error {
	if !s.opts.isShared() {
		return nil
	}
	db, err := metadata.Open(s.engine, metadata.Options{Now: s.opts.Now, MustExist: true}) //nolint:contextcheck // opening is not cut short
	if errors.Is(err, metadata.ErrNoState) || errors.Is(err, metadata.ErrImporting) {
		return nil
	}
	if err != nil {
		return err
	}
	before, err := holders(ctx, db)
	if err != nil || len(before) == 0 {
		return err
	}
	s.opts.Logger.WarnContext(ctx, "servers have used this metadata; waiting to see whether they live", slog.Int("servers", len(before)))
	timer := time.NewTimer(runningTerm)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := holders(ctx, db)
	for _, h := range after {
		if err == nil && !slices.Contains(before, h) {
			err = fmt.Errorf("%w: the metadata in %s; stop them first", ErrInUse, s.opts.External.Place)
		}
	}
	return err
}

func holders(ctx context.Context, db *metadata.DB) (rows []metadata.Holder, err error) {
	err = db.View(ctx, "import", func(r *metadata.Reader) (err error) {
		rows, err = r.Holders()
		return err
	})
	return rows, err
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
