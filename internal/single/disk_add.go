package single

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
)

// The errors of changes of the disks, beside those of the disks and of the metadata.
var (
	// ErrRefused says that a change is not possible as things are; the text says
	// why, and what would be needed.
	ErrRefused = errors.New("refused")
	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("the store is closed")
)

// Changed says what became of a disk, and what the administrator should know.
type Changed struct {
	ID    string   `json:"id"`
	Path  string   `json:"path"`
	State string   `json:"state"`
	Notes []string `json:"notes,omitempty"`
}

// diskChange changes a disk of the inventory.
type diskChange func(ctx context.Context, row metadata.Disk) (Changed, error)

// changeDisk changes the disk with an id or a path, when no other change is under
// way.
func (s *System) changeDisk(ctx context.Context, name string, change diskChange) (Changed, error) {
	ctx, end, err := s.beginChange(ctx)
	if err != nil {
		return Changed{}, err
	}
	defer end()
	row, err := s.roster.find(name)
	if err != nil {
		return Changed{}, err
	}
	return change(ctx, row)
}

// beginChange starts a change of the disks: one at a time. The caller calls end. The
// context ends with the store too: Close waits for the change.
func (s *System) beginChange(ctx context.Context) (life context.Context, end func(), err error) {
	if s.opts.isGateway() {
		return nil, nil, fmt.Errorf("%w: a gateway has no disks: ask the server that has the data directories", ErrRefused)
	}
	life, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	forget := func() {
		stop()
		cancel()
	}
	if err = s.change.take(life); err == nil {
		if s.life.Err() == nil { // others hear of its end a moment later
			return life, func() {
				forget()
				s.change.give()
			}, nil
		}
		s.change.give()
	}
	forget()
	if s.life.Err() != nil {
		err = ErrClosed
	}
	return nil, nil, err
}

// AddDisk makes the directory at an absolute path a disk of the running store, or takes
// the disk back that it holds. An empty directory is formatted, also while known
// disks are missing: who names it knows that it is no mount point that is not
// mounted. The next start has to be told the directory too.
func (s *System) AddDisk(ctx context.Context, path string) (Changed, error) {
	if !filepath.IsAbs(path) {
		return Changed{}, fmt.Errorf("%w: %q is not an absolute path on the server", ErrRefused, path)
	}
	path = filepath.Clean(path)
	ctx, end, err := s.beginChange(ctx)
	if err != nil {
		return Changed{}, err
	}
	defer end()
	var state disk.State
	var id disk.Identity
	err = s.answers(ctx, path, func() (err error) {
		state, id, err = disk.Probe(s.opts.FS, path)
		return err
	})
	if err != nil {
		return Changed{}, fmt.Errorf("%w: %s cannot be used: %w", ErrRefused, path, err)
	}
	if err := s.mayAdd(path, state, id); err != nil {
		return Changed{}, err
	}
	out := Changed{Path: path, Notes: s.addNotes(path, state)}
	if state == disk.Empty {
		id = disk.NewIdentity(s.cluster, s.opts.Now())
		fresh := id
		if err := s.answers(ctx, path, func() error { return disk.Format(s.opts.FS, path, fresh) }); err != nil {
			return Changed{}, err
		}
	}
	out.ID = id.Disk.String()
	row, known := s.roster.row(id.Disk)
	if !known {
		row = metadata.Disk{ID: metadata.DiskID(id.Disk), State: metadata.DiskActive, Path: path, Added: s.opts.Now()}
	}
	s.roster.forgive(id.Disk)
	if err := s.takeIn(ctx, row, path, known); err != nil {
		return Changed{}, err
	}
	s.roster.addDirectory(path)
	s.roster.note(path, "")
	if err := s.resize(ctx); err != nil {
		return Changed{}, err
	}
	s.resizeWhenMirrored()
	out.State = stateText(row.State)
	s.opts.Logger.InfoContext(ctx, "added a disk", slog.String("path", path), slog.String("disk", out.ID), slog.Bool("known", known))
	return out, nil
}

// takeIn opens and records a disk and puts it to use.
func (s *System) takeIn(ctx context.Context, row metadata.Disk, path string, known bool) error { //nolint:revive // known is a fact about the row
	if known {
		return s.takeBack(ctx, row, path)
	}
	d, err := s.openDisk(path, diskID(row), s.cluster)
	if err != nil {
		return err
	}
	s.remember(ctx, path)
	// Before anything is put there that refers to it.
	if err := s.putDisks(ctx, row); err != nil {
		return errors.Join(err, d.Close())
	}
	return s.returned(ctx, row, d)
}

// mayAdd refuses what a start would.
func (s *System) mayAdd(path string, state disk.State, id disk.Identity) error {
	for _, d := range s.roster.attached() {
		if samePlace(d.Dir(), path) && d.Failed() == nil {
			return fmt.Errorf("%w: %s is in service already, as disk %s", ErrRefused, path, d.ID())
		}
	}
	switch state {
	case disk.Missing:
		return fmt.Errorf("%w: %s is not there: make the directory, or mount it, first", ErrRefused, path)
	case disk.Foreign:
		return fmt.Errorf("%w: %s is neither empty nor an Undercroft disk: name an empty directory", ErrRefused, path)
	case disk.Empty:
		return s.mayHold(path)
	case disk.Identified:
	}
	if id.Cluster != s.cluster {
		return fmt.Errorf("%w: %s belongs to another store (%s, not %s)", ErrRefused, path, id.Cluster, s.cluster)
	}
	if row, ok := s.roster.row(id.Disk); ok && row.State == metadata.DiskRemoved {
		return fmt.Errorf("%w: %s holds disk %s, which was removed from this store: empty the directory to use it as a new disk", ErrRefused, path, id.Disk)
	}
	if d := s.roster.get(id.Disk); d != nil && d.Failed() == nil {
		return fmt.Errorf("%w: %s and %s are the same disk %s: one is a copy or a second mount", ErrRefused, d.Dir(), path, id.Disk)
	}
	return nil
}

// mayHold refuses a directory inside of a disk, or around one.
func (s *System) mayHold(path string) error {
	for _, dir := range s.roster.directories() {
		abs, err := filepath.Abs(dir)
		if err != nil {
			continue
		}
		if strings.HasPrefix(path+"/", abs+"/") && path != abs || strings.HasPrefix(abs+"/", path+"/") && path != abs {
			return fmt.Errorf("%w: %s and %s are one inside of the other", ErrRefused, path, dir)
		}
	}
	return nil
}

// addNotes is what to know of a directory that becomes a disk.
func (s *System) addNotes(path string, state disk.State) (notes []string) {
	if !s.roster.isGiven(path) {
		notes = append(notes, "the next start needs it: add --data "+path)
	}
	if shared := s.sharing(path); len(shared) > 0 {
		notes = append(notes, "it is on one device with "+strings.Join(shared, ", ")+": they are one failure domain, losing it loses them all")
	}
	if state == disk.Empty {
		for _, m := range s.Missing() {
			notes = append(notes, "formatted although disk "+m.ID+" ("+m.Path+") is missing; if it will not come back: undercroft admin disk remove --lost "+m.ID)
		}
	}
	return notes
}

// sharing lists the directories in service that are on the device of another.
func (s *System) sharing(path string) (dirs []string) {
	device, err := vfs.Device(s.opts.FS, path)
	if err != nil || device == (vfs.DeviceID{}) {
		return nil
	}
	for _, d := range s.roster.attached() {
		if other, err := vfs.Device(s.opts.FS, d.Dir()); err == nil && other == device && d.Dir() != path {
			dirs = append(dirs, d.Dir())
		}
	}
	slices.Sort(dirs)
	return dirs
}
