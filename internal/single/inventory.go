package single

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/metadata"
)

// takeInventory opens the disks that are here, holds them against the
// inventory in metadata and adds new ones. It returns how many disks the store
// knows, missing ones included.
func (s *System) takeInventory(ctx context.Context, dirs *directories) (int, error) {
	var rows []metadata.Disk
	err := s.DB.View(ctx, "open", func(r *metadata.Reader) (err error) {
		rows, err = r.Disks()
		return err
	})
	if err != nil {
		return 0, err
	}
	known := map[blobd.DiskID]metadata.Disk{}
	for _, row := range rows {
		if row.State != metadata.DiskRemoved {
			known[blobd.DiskID(row.ID)] = row
		}
	}
	if err := s.openDisks(dirs); err != nil {
		return 0, err
	}
	s.findMissing(dirs, known)
	if err := s.addEmpty(dirs); err != nil {
		return 0, err
	}
	return s.record(ctx, known)
}

// openDisks opens every directory that is a disk. One that fails is missing,
// not fatal; one that somebody else has locked is in use, not missing.
func (s *System) openDisks(dirs *directories) error {
	for _, dir := range dirs.all {
		if dir.problem != nil || dir.state != disk.Identified {
			continue
		}
		s.openDisk(dirs, dir)
		if errors.Is(dir.problem, vfs.ErrLocked) {
			return fmt.Errorf("%s is used by another process: %w", dir.path, dir.problem)
		}
	}
	return nil
}

func (s *System) openDisk(dirs *directories, dir *directory) {
	o := s.opts.Disk
	o.Expect, o.Cluster = dir.identity.Disk, dirs.cluster
	o.Now, o.Logger = s.opts.Now, s.opts.Logger
	d, err := disk.Open(s.opts.FS, dir.path, o)
	if err != nil {
		dir.problem = err
		return
	}
	s.disks = append(s.disks, d)
}

// findMissing lists the known disks that did not open.
func (s *System) findMissing(dirs *directories, known map[blobd.DiskID]metadata.Disk) {
	open := map[blobd.DiskID]bool{}
	for _, d := range s.disks {
		open[d.ID()] = true
	}
	for id, row := range known {
		if open[id] {
			continue
		}
		m := Missing{ID: id.String(), Path: row.Path, Reason: dirs.whyMissing(id, row.Path)}
		s.missing = append(s.missing, m)
		s.opts.Logger.Error("disk is not in service: its data is served from the others until it is back",
			slog.String("disk", m.ID), slog.String("path", m.Path), slog.String("reason", m.Reason))
	}
}

func (d *directories) whyMissing(id blobd.DiskID, path string) string {
	if dir := d.byDisk(id); dir != nil && dir.problem != nil {
		return dir.problem.Error()
	}
	for _, dir := range d.all {
		if dir.path != path {
			continue
		}
		switch {
		case dir.problem != nil:
			return dir.problem.Error()
		case dir.state == disk.Missing:
			return "the directory is missing"
		case dir.state == disk.Empty:
			return "the directory is empty: is it mounted?"
		default:
			return "the directory holds another disk"
		}
	}
	return "its directory is not among --data"
}

// addEmpty makes disks of the directories that are empty, but only while no
// known disk is missing: an empty directory may be one that is not mounted.
func (s *System) addEmpty(dirs *directories) error {
	for _, dir := range dirs.all {
		if dir.problem != nil || dir.state == disk.Identified {
			continue
		}
		if len(s.missing) > 0 {
			s.opts.Logger.Error("directory is left alone: it is empty while a known disk is missing",
				slog.String("path", dir.path))
			continue
		}
		if err := dirs.format(s.opts.FS, dir, s.opts.Now()); err != nil {
			return err
		}
		s.openDisk(dirs, dir)
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

// record writes rows for new disks and for those that moved.
func (s *System) record(ctx context.Context, known map[blobd.DiskID]metadata.Disk) (int, error) {
	var changed []metadata.Disk
	for _, d := range s.disks {
		row, ok := known[d.ID()]
		if ok && row.Path == d.Dir() {
			continue
		}
		if !ok {
			row = metadata.Disk{ID: metadata.DiskID(d.ID()), State: metadata.DiskActive, Added: s.opts.Now()}
		}
		row.Path = d.Dir()
		known[d.ID()] = row
		changed = append(changed, row)
	}
	if len(changed) == 0 {
		return len(known), nil
	}
	return len(known), s.DB.Update(ctx, "open", func(tx *metadata.Tx) error {
		for i := range changed {
			if err := tx.PutDisk(&changed[i]); err != nil {
				return err
			}
		}
		return nil
	})
}
