package single

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

// takeInventory opens the disks that are here, holds them against the
// inventory in metadata and adds new ones.
func (s *System) takeInventory(ctx context.Context, dirs *directories) error {
	if s.opts.isGateway() {
		return nil
	}
	var rows []metadata.Disk
	err := s.DB.View(ctx, "open", func(r *metadata.Reader) (err error) {
		rows, err = r.Disks()
		return err
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		s.roster.setRow(row)
	}
	s.leaveRemoved(ctx, dirs)
	if err := s.checkCopies(dirs); err != nil {
		return err
	}
	if err := s.openDisks(dirs); err != nil {
		return err
	}
	s.findMissing(dirs)
	if err := s.refuseDisksElsewhere(); err != nil {
		return err
	}
	if err := s.own(ctx); err != nil {
		return err
	}
	if err := s.addEmpty(dirs); err != nil {
		return err
	}
	return s.record(ctx)
}

// leaveRemoved takes the directories of removed disks out: they are not taken
// back by being there.
func (s *System) leaveRemoved(ctx context.Context, dirs *directories) {
	dirs.all = slices.DeleteFunc(dirs.all, func(dir *directory) bool {
		if dir.problem != nil || dir.state != disk.Identified {
			return false
		}
		row, ok := s.roster.row(dir.identity.Disk)
		if !ok || row.State != metadata.DiskRemoved {
			return false
		}
		s.roster.note(dir.path, removedText)
		s.opts.Logger.WarnContext(ctx, "directory is left alone", slog.String("path", dir.path), slog.String("disk", dir.identity.Disk.String()), slog.String("reason", removedText))
		if err := s.mirror.Retire(ctx, dir.mirror()); err != nil {
			s.opts.Logger.WarnContext(ctx, "metadata mirror of a removed disk stays", slog.String("path", dir.path), slog.Any("error", err))
		}
		return true
	})
}

const removedText = "it holds a disk that was removed from this store: name it in --data no more, or empty it and `undercroft admin disk add` it to use it as a new disk"

// openDisks opens every directory that is a disk. One that fails is missing,
// not fatal; one that somebody else has locked is in use, not missing.
func (s *System) openDisks(dirs *directories) error {
	for _, dir := range dirs.all {
		if dir.problem != nil || dir.state != disk.Identified {
			continue
		}
		s.openDirectory(dirs, dir)
		if errors.Is(dir.problem, vfs.ErrLocked) {
			return fmt.Errorf("%s is used by another process: %w", dir.path, dir.problem)
		}
	}
	return nil
}

func (s *System) openDirectory(dirs *directories, dir *directory) {
	d, err := s.openDisk(dir.path, dir.identity.Disk, dirs.cluster)
	if err != nil {
		dir.problem = err
		return
	}
	s.roster.attach(d)
}

func (s *System) openDisk(path string, id blobd.DiskID, cluster disk.ClusterID) (*disk.Disk, error) {
	o := s.opts.Disk
	o.Expect, o.Cluster = id, cluster
	o.Now, o.Logger = s.opts.Now, s.opts.Logger
	return disk.Open(s.opts.FS, path, o)
}

// findMissing says of the known disks that did not open why.
func (s *System) findMissing(dirs *directories) {
	for _, row := range s.roster.inventory() {
		id := blobd.DiskID(row.ID)
		if s.roster.get(id) != nil {
			continue
		}
		why := dirs.whyMissing(id, row.Path)
		s.roster.explain(id, why)
		s.opts.Logger.Error("disk is not in service: its data is served from the others until it is back",
			slog.String("disk", id.String()), slog.String("path", row.Path), slog.String("reason", why))
	}
}

func (d *directories) whyMissing(id blobd.DiskID, path string) string {
	if dir := d.byDisk(id); dir != nil && dir.problem != nil {
		return dir.problem.Error()
	}
	for _, dir := range d.all {
		if dir.path == path {
			return whyNot(dir.state, dir.problem)
		}
	}
	return fmt.Sprintf("its directory is not among --data: it was last seen at %s; name that in --data too", path)
}

// whyNot says why a directory that had a disk has it no more.
func whyNot(state disk.State, problem error) string {
	switch {
	case problem != nil:
		return problem.Error()
	case state == disk.Missing:
		return "the directory is missing"
	case state == disk.Empty:
		return "the directory is empty: is it mounted? If the disk was replaced, `undercroft admin disk add` takes the new one in"
	case state == disk.Foreign:
		return "the directory holds something else, and no undercroft.json: is it mounted?"
	default:
		return "the directory holds another disk"
	}
}

// addEmpty makes disks of the directories that are empty, but only while no
// known disk is missing: an empty directory may be one that is not mounted. The place of
// a removed disk is one, once that is taken out.
func (s *System) addEmpty(dirs *directories) error {
	missing := len(s.roster.missing()) > 0
	for _, dir := range dirs.all {
		if dir.problem != nil || dir.state == disk.Identified {
			continue
		}
		text := ""
		switch {
		case missing:
			text = emptyText
		case s.roster.wasRemoved(dir.path):
			text = emptiedText
		}
		if text != "" {
			s.roster.note(dir.path, text)
			s.opts.Logger.Error("directory is left alone", slog.String("path", dir.path), slog.String("reason", text))
			continue
		}
		if err := dirs.format(s.opts.FS, dir, s.opts.Now()); err != nil {
			return err
		}
		s.openDirectory(dirs, dir)
		if dir.problem != nil {
			return dir.problem
		}
		if err := s.mirror.Add(dir.mirror()); err != nil {
			return err
		}
		s.opts.Logger.Info("added a disk", slog.String("path", dir.path), slog.String("disk", dir.identity.Disk.String()))
	}
	return nil
}

const emptiedText = "it is empty and was the place of a disk that was removed: the mount point of that perhaps; " +
	"name it in --data no more, or `undercroft admin disk add` makes it a disk"

const emptyText = "it is empty while a known disk is missing, and may be one that is not mounted; `undercroft admin disk add` makes it a disk all the same"

// record writes rows for new disks and for those that moved. Where the
// operator has set a scheme, what removals were not to lower is over.
func (s *System) record(ctx context.Context) error {
	var changed []metadata.Disk
	for _, d := range s.roster.attached() {
		row, ok := s.roster.row(d.ID())
		if ok && row.Path == d.Dir() {
			continue
		}
		if !ok {
			row = metadata.Disk{ID: metadata.DiskID(d.ID()), State: metadata.DiskActive, Added: s.opts.Now()}
		}
		row.Path = d.Dir()
		changed = append(changed, row)
	}
	if s.opts.Scheme != (partition.Scheme{}) {
		changed = append(changed, s.roster.lower(s.opts.Scheme.M)...)
	}
	return s.putDisks(ctx, changed...)
}

// lower are the rows of removed disks that remember more parity, with this one.
func (r *roster) lower(m int) (rows []metadata.Disk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range r.rows {
		if row.State == metadata.DiskRemoved && int(row.Parity) > m {
			row.Parity = uint8(m) //nolint:gosec // at most 16
			rows = append(rows, row)
		}
	}
	return rows
}

// putDisks writes rows of the inventory.
func (s *System) putDisks(ctx context.Context, rows ...metadata.Disk) error {
	if len(rows) == 0 {
		return nil
	}
	err := s.DB.Update(ctx, "open", func(tx *metadata.Tx) error {
		for i := range rows {
			if err := tx.PutDisk(&rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record disks: %w", err)
	}
	for _, row := range rows {
		s.roster.setRow(row)
	}
	return nil
}

// mirrorDir is a disk as the metadata's mirrors name it.
func mirrorDir(id blobd.DiskID, path string) mirror.Dir {
	return mirror.Dir{Disk: id.String(), Path: path}
}
