package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

// restoreSync is how many bytes of a shard that is written anew may wait for
// a sync: one sync of everything would hold up all others of the disk.
const restoreSync = 16 << 20

// restoration is a shard's file under a temporary name.
type restoration struct {
	disk     *Disk
	spec     blobd.ShardSpec
	temp     string
	file     vfs.File // nil once it was closed
	unsynced int64
	broken   error // a write or sync failed: there is nothing to commit
	over     bool
}

var _ blobd.Restoration = (*restoration)(nil)

// Restore implements [blobd.Restorer]. The file is in tmp/, which every open
// empties, and is as long as what was written to it.
func (d *Disk) Restore(ctx context.Context, spec blobd.ShardSpec, end int64) (blobd.Restoration, error) {
	if err := d.ready(ctx); err != nil {
		return nil, err
	}
	if err := checkCapacity(spec.Capacity); err != nil {
		return nil, err
	}
	if end < 0 || end > spec.Capacity || end%blobd.Align != 0 {
		return nil, fmt.Errorf("%w: end %d of %s", blobd.ErrBadOffset, end, spec.ID)
	}
	if err := d.checkDir(); err != nil {
		return nil, err
	}
	r := &restoration{disk: d, spec: spec, temp: d.fs.PathJoin(d.path(tmpDir), fmt.Sprintf("%s.%d", spec.ID, spec.Epoch))}
	f, err := d.fs.Create(r.temp, vfs.Unspecified)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", spec.ID, d.writeError(err))
	}
	r.file = f
	super := superblock{Sequence: 1, ID: spec.ID, Epoch: spec.Epoch, Sealed: true, Capacity: spec.Capacity, End: end, Secret: spec.Secret}
	// The first slot as well, so that the file is as long as its superblocks.
	if err := vfs.WritevAt(f, [][]byte{make([]byte, slotSize), super.encode()}, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("restore %s: %w", spec.ID, d.writeError(err)), r.Abort())
	}
	return r, nil
}

// Write implements [blobd.Restoration]. After an error of the file nothing is
// written any more: a sync that is tried again would succeed without the bytes.
func (r *restoration) Write(ctx context.Context, offset int64, data [][]byte) error {
	if err := r.disk.ready(ctx); err != nil {
		return err
	}
	if r.file == nil {
		return fmt.Errorf("%w: restoration of %s is over", blobd.ErrClosed, r.spec.ID)
	}
	if r.broken != nil {
		return r.broken
	}
	var length int64
	for _, p := range data {
		length += int64(len(p))
	}
	if offset < 0 || offset%blobd.Align != 0 || offset > r.spec.Capacity || length > r.spec.Capacity-offset {
		return fmt.Errorf("%w: frame of %d bytes at %d of %s", blobd.ErrBadOffset, length, offset, r.spec.ID)
	}
	r.broken = r.write(offset, data, length)
	return r.broken
}

func (r *restoration) write(offset int64, data [][]byte, length int64) error {
	if err := r.disk.take(length); err != nil {
		return err
	}
	if err := vfs.WritevAt(r.file, data, dataStart+offset); err != nil {
		return r.disk.writeError(fmt.Errorf("restore %s at %d: %w", r.spec.ID, offset, err))
	}
	if r.unsynced += length; r.unsynced < restoreSync {
		return nil
	}
	r.unsynced = 0
	if err := r.file.SyncData(); err != nil {
		return r.disk.writeError(fmt.Errorf("sync of %s: %w", r.spec.ID, err))
	}
	return nil
}

// Commit implements [blobd.Restoration].
func (r *restoration) Commit(ctx context.Context) error {
	err := r.disk.ready(ctx)
	if err == nil && r.file == nil {
		err = fmt.Errorf("%w: restoration of %s is over", blobd.ErrClosed, r.spec.ID)
	}
	if err == nil {
		err = r.broken
	}
	if err == nil {
		err = r.finish()
	}
	if err == nil {
		err = r.disk.install(r)
	}
	return errors.Join(err, r.Abort())
}

// finish makes the file durable and closes it.
func (r *restoration) finish() error {
	f := r.file
	r.file = nil
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return r.disk.writeError(fmt.Errorf("sync of %s: %w", r.spec.ID, err))
	}
	return nil
}

// Abort implements [blobd.Restoration].
func (r *restoration) Abort() error {
	if r.over {
		return nil
	}
	r.over = true
	var errs []error
	if r.file != nil {
		errs = append(errs, r.file.Close())
		r.file = nil
	}
	if err := r.disk.fs.Remove(r.temp); !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// install gives a finished file its name.
func (d *Disk) install(r *restoration) error {
	return d.alone(r.spec.ID, func(s *shard) error { return d.replace(s, r) })
}

// replace makes the name of a shard lead to a finished file. The caller holds life.
func (d *Disk) replace(s *shard, r *restoration) error {
	epoch, err := s.epochThere()
	if errors.Is(err, syscall.EIO) {
		epoch, err = 0, nil // bad blocks: it is as good as gone, and stays so until it is replaced
	}
	if err == nil && epoch > r.spec.Epoch {
		err = fmt.Errorf("%w: %s is at %d, not %d", blobd.ErrStaleEpoch, s.id, epoch, r.spec.Epoch)
	}
	if err == nil {
		err = d.checkDir()
	}
	if err != nil {
		return err
	}
	parent := d.fs.PathDir(s.name)
	if err := vfs.MkdirAll(d.fs, parent, dirMode); err != nil {
		return d.writeError(err)
	}
	d.retire(s)
	if err := d.fs.Rename(r.temp, s.name); err != nil {
		return d.writeError(fmt.Errorf("restore %s: %w", s.id, err))
	}
	r.over = true // there is no temporary file any more
	if err := vfs.SyncDir(d.fs, parent); err != nil {
		return d.writeError(err)
	}
	return d.checkDir() // or it is durable where nobody finds it
}

// alone runs change while nobody else changes what the name of a shard leads to.
// The caller of change holds life.
func (d *Disk) alone(id blobd.ShardID, change func(*shard) error) error {
	for {
		s, err := d.acquire(id)
		if err != nil {
			return err
		}
		s.life.Lock()
		if !s.deleted.Load() {
			err = change(s)
			s.life.Unlock()
			d.release(s)
			return err
		}
		// By whoever had it until now: the name may lead to another file, which
		// has an entry of its own and a higher epoch.
		s.life.Unlock()
		d.forget(s)
		d.release(s)
	}
}

// retire lets go of the file that a name leads to before the name leads to
// another one, or to none: whoever uses it goes on, who comes later meets the
// next. The caller holds life.
func (d *Disk) retire(s *shard) {
	if !s.loaded.Load() {
		return // whoever waits to load it finds what is there then
	}
	// Before the name goes: a sync that misses the file must know why.
	s.deleted.Store(true)
	d.forget(s)
}

// epochThere is the epoch of the shard under this name, 0 where there is none
// or where it cannot be read. The caller holds life.
func (s *shard) epochThere() (blobd.Epoch, error) {
	if s.loaded.Load() {
		s.mu.Lock()
		defer s.mu.Unlock()
		return max(s.floor, s.super.Epoch), nil
	}
	f, err := s.disk.fs.Open(s.name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open shard %s: %w", s.id, err)
	}
	slots := make([]byte, dataStart)
	n, err := readFull(f, slots, 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, fmt.Errorf("open shard %s: %w", s.id, err)
	}
	super, err := decodeSuperblock(slots[:n], s.id)
	if err != nil {
		return 0, nil // of no use to anybody
	}
	return super.Epoch, nil
}

// Discard implements [blobd.Restorer].
func (d *Disk) Discard(ctx context.Context, id blobd.ShardID, epoch blobd.Epoch) error {
	return d.takeAway(ctx, id, func(s *shard) error {
		there, err := s.epochThere()
		if err != nil {
			return err
		}
		if there >= epoch {
			return fmt.Errorf("%w: %s is at %d", blobd.ErrStaleEpoch, id, there)
		}
		d.retire(s)
		return d.writeErrorOrNil(vfs.Remove(d.fs, s.name))
	})
}

// Disown implements [blobd.Restorer]: the file goes to lost/, under its name
// and the first number that is free.
func (d *Disk) Disown(ctx context.Context, id blobd.ShardID) error {
	return d.takeAway(ctx, id, func(s *shard) error {
		to, err := d.freeName(d.path(lostDir), id.String())
		if err != nil {
			return err
		}
		d.retire(s)
		err = d.fs.Rename(s.name, to)
		if err == nil {
			err = errors.Join(vfs.SyncDir(d.fs, d.path(lostDir)), vfs.SyncDir(d.fs, d.fs.PathDir(s.name)))
		}
		return d.writeErrorOrNil(err)
	})
}

// freeName is a path in a directory that leads nowhere: name and a number.
func (d *Disk) freeName(dir, name string) (string, error) {
	for n := 0; ; n++ {
		path := d.fs.PathJoin(dir, fmt.Sprintf("%s.%d", name, n))
		_, err := d.fs.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
	}
}

// takeAway runs change on a shard whose file is there, alone.
func (d *Disk) takeAway(ctx context.Context, id blobd.ShardID, change func(*shard) error) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	return d.alone(id, func(s *shard) error {
		if err := d.checkDir(); err != nil {
			return err
		}
		if _, err := d.fs.Stat(s.name); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err := change(s); err != nil {
			return fmt.Errorf("take shard %s away: %w", id, err)
		}
		return nil
	})
}

func (d *Disk) writeErrorOrNil(err error) error {
	if err == nil {
		return nil
	}
	return d.writeError(err)
}
