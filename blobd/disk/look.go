package disk

import (
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

const trialFile = "trial"

// Look puts the disk out of service where its directory is no longer the one
// that was opened: it is gone or unmounted, or another disk is in its place. An
// idle disk would notice with its next write only. It answers [Disk.Failed], or
// that the directory cannot be looked at now, which changes nothing.
func (d *Disk) Look() error {
	if err := d.Failed(); err != nil {
		return err
	}
	state, id, err := Probe(d.fs, d.dir)
	switch {
	case err != nil:
		return err
	case state != Identified:
		return d.fail(fmt.Errorf("%w: it is %s", ErrNotFormatted, state))
	case id.Disk != d.identity.Disk:
		return d.fail(fmt.Errorf("%w: %s", ErrWrongDisk, id.Disk))
	}
	return d.checkDir()
}

// Trial writes a block to a formatted directory, syncs and removes it: whether it may
// be worth opening the disk again after it failed. It touches no shard.
func Trial(fsys vfs.FS, dir string) error {
	tmp := fsys.PathJoin(dir, tmpDir)
	if err := vfs.MkdirAll(fsys, tmp, dirMode); err != nil {
		return fmt.Errorf("trial of %s: %w", dir, err)
	}
	name := fsys.PathJoin(tmp, trialFile)
	f, err := fsys.Create(name, vfs.Unspecified)
	if err != nil {
		return fmt.Errorf("trial of %s: %w", dir, err)
	}
	err = vfs.WritevAt(f, [][]byte{make([]byte, blobd.Align)}, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close(), fsys.Remove(name)); err != nil {
		return fmt.Errorf("trial of %s: %w", dir, err)
	}
	return nil
}
