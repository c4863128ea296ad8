package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/vfs"
)

// disks shows the disks of a store to administrators.
type disks struct{ store *single.System }

var _ admin.DiskDirectory = disks{}

// Disks implements [admin.DiskDirectory], as the methods below do theirs.
func (d disks) Disks(ctx context.Context) ([]admin.Disk, error) {
	list, err := d.store.Disks(ctx)
	out := make([]admin.Disk, len(list))
	for i := range list {
		out[i] = admin.Disk(list[i])
	}
	return out, err
}

// AddDisk implements [admin.DiskDirectory]. The new directory gets what the
// others keep: it may be the only one left one day.
func (d disks) AddDisk(ctx context.Context, path string) (admin.DiskChange, error) {
	from := d.store.Directories()
	out, err := d.store.AddDisk(ctx, path)
	if err == nil {
		if err := copyKept(vfs.Default(), from, out.Path); err != nil {
			out.Notes = append(out.Notes, "the next start writes what the other directories keep for the server into it: "+err.Error())
		}
	}
	return changedDisk(out, err)
}

// DrainDisk implements [admin.DiskDirectory].
func (d disks) DrainDisk(ctx context.Context, ask admin.DrainDisk) (admin.DiskChange, error) {
	if ask.Cancel {
		return changedDisk(d.store.CancelDrain(ctx, ask.Disk))
	}
	return changedDisk(d.store.DrainDisk(ctx, ask.Disk))
}

// RemoveDisk implements [admin.DiskDirectory].
func (d disks) RemoveDisk(ctx context.Context, ask admin.RemoveDisk) (admin.DiskChange, error) {
	if ask.Lost {
		return changedDisk(d.store.RemoveLostDisk(ctx, ask.Disk))
	}
	return changedDisk(d.store.RemoveDisk(ctx, ask.Disk))
}

func changedDisk(out single.Changed, err error) (admin.DiskChange, error) {
	if errors.Is(err, single.ErrRefused) {
		err = refusal{err}
	}
	return admin.DiskChange(out), err
}

// refusal is what a store refuses, in its own words.
type refusal struct{ error }

func (r refusal) Unwrap() []error { return []error{r.error, admin.ErrDisk} }

// Error leaves out what whoever asked says himself.
func (r refusal) Error() string {
	return strings.TrimPrefix(r.error.Error(), single.ErrRefused.Error()+": ")
}

// copyKept writes what one of the directories keeps for the server into another
// one: master key, root credentials, admin token.
func copyKept(files vfs.FS, from []string, to string) error {
	for _, directory := range from {
		names, err := files.List(filepath.Join(directory, stateDirectory))
		if errors.Is(err, fs.ErrNotExist) || isAway(err) || directory == to {
			continue
		}
		if err != nil {
			return err
		}
		if err := vfs.MkdirAll(files, filepath.Join(to, stateDirectory), 0o700); err != nil {
			return err
		}
		for _, name := range names {
			if vfs.IsTemporary(name) {
				continue
			}
			text, err := vfs.ReadFile(files, filepath.Join(directory, stateDirectory, name), maxKept)
			if err == nil {
				err = vfs.WriteFile(files, filepath.Join(to, stateDirectory, name), text, 0o600)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}
