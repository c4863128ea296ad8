package single

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/metadata"
)

// runningTerm is how long servers of shared metadata are watched for a sign of life: well
// above the interval of their leases.
const runningTerm = 25 * time.Second

// ErrInUse says that servers use the metadata that is to be exported or replaced.
var ErrInUse = errors.New("servers use it")

// refuseRunning refuses to import over a state that servers use.
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
	return s.refuseUsed(ctx, db)
}

// refuseUsed refuses shared metadata of which a server shows that it lives. Each server and
// gateway has a row l; one that is dead has left it, and its stamp stands still.
func (s *System) refuseUsed(ctx context.Context, db *metadata.DB) error {
	before, err := holders(ctx, db)
	if err != nil || len(before) == 0 {
		return err
	}
	s.opts.Logger.WarnContext(ctx, "servers have used this metadata; waiting to see whether they live",
		slog.Int("servers", len(before)), slog.Duration("for", runningTerm))
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
			err = fmt.Errorf("%w: the metadata in %s; stop them first, gateways too", ErrInUse, s.opts.External.Place)
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

// rewinder returns what has r begin where it is now, nil for what can be read once only.
func rewinder(r io.Reader) func() error {
	seeker, ok := r.(io.Seeker)
	if !ok {
		return nil
	}
	at, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil // a pipe
	}
	return func() error {
		_, err := seeker.Seek(at, io.SeekStart)
		return err
	}
}

// inspect looks through the export before anything is deleted for it, or before the disks
// that are to go with it are found not to be of its store. It is left to be read on from
// anywhere. What can be read once only is not looked at.
func (s *System) inspect(rewind func() error, r io.Reader, dirs *directories, in ImportOptions) error {
	elsewhere := s.opts.External != nil && len(dirs.identified()) > 0
	if rewind == nil || !in.Replace && !elsewhere {
		return nil
	}
	if err := rewind(); err != nil {
		return fmt.Errorf("read the export: %w", err)
	}
	contents, err := metadata.InspectExport(r)
	if err == nil && elsewhere && !dirs.belongTo(contents) {
		err = s.errOtherStore()
	}
	if err != nil && in.Replace {
		return fmt.Errorf("nothing is replaced: %w", err)
	}
	if errors.Is(err, metadata.ErrNoExport) {
		return nil // the import goes as far as it can, and says where it ends
	}
	return err
}

// belongTo is what join makes sure of, for the store of an export.
func (d *directories) belongTo(of metadata.ExportContents) bool {
	return d.cluster == disk.ClusterID(of.Cluster) || slices.ContainsFunc(d.all, func(dir *directory) bool {
		return dir.problem == nil && dir.state == disk.Identified && slices.Contains(of.Disks, metadata.DiskID(dir.identity.Disk))
	})
}

func (s *System) errOtherStore() error {
	return fmt.Errorf("the data directories hold another store than the metadata in %s: it knows none of their disks; "+
		"look at --data and --metadata, or import the metadata of that store (docs/operations/foundationdb.md)", s.opts.External.Place)
}
