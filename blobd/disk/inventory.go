package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/internal/vfs"
)

func (d *Disk) shardPath(id blobd.ShardID) string {
	name := id.String()
	return d.fs.PathJoin(d.dir, shardsDir, name[:2], name)
}

// parseShardName is the inverse of ShardID.String.
func parseShardName(name string) (blobd.ShardID, bool) {
	partition, index, found := strings.Cut(name, ".")
	p, err := strconv.ParseUint(partition, 16, 64)
	i, err1 := strconv.ParseUint(index, 10, 8)
	id := blobd.ShardID{Partition: blobd.PartitionID(p), Index: uint8(i)}
	return id, found && err == nil && err1 == nil && id.String() == name
}

// Create implements [blobd.Inventory].
func (d *Disk) Create(ctx context.Context, spec blobd.ShardSpec) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	if err := checkCapacity(spec.Capacity); err != nil {
		return err
	}
	return d.alone(spec.ID, func(s *shard) error { return d.createAs(s, spec) })
}

// createAs makes the file of a shard where there is none. The caller holds life.
func (d *Disk) createAs(s *shard, spec blobd.ShardSpec) error {
	if s.loaded.Load() {
		return fmt.Errorf("%w: %s", blobd.ErrShardExists, spec.ID)
	}
	_, err := d.fs.Stat(s.name)
	if err == nil {
		return fmt.Errorf("%w: %s", blobd.ErrShardExists, spec.ID)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create %s: %w", spec.ID, err)
	}
	if err := d.checkDir(); err != nil {
		return err
	}
	if err := d.create(s.name, spec); err != nil {
		return fmt.Errorf("create %s: %w", spec.ID, d.writeError(err))
	}
	return nil
}

// create makes the file under a temporary name, whole and durable, and then
// gives it its own.
func (d *Disk) create(name string, spec blobd.ShardSpec) error {
	first := min(spec.Capacity, d.opts.Preallocate)
	if err := d.take(dataStart + first); err != nil {
		return err
	}
	parent := d.fs.PathDir(name)
	if err := vfs.MkdirAll(d.fs, parent, dirMode); err != nil {
		return err
	}
	temp := d.fs.PathJoin(d.dir, tmpDir, spec.ID.String())
	f, err := d.fs.Create(temp, vfs.Unspecified)
	if err != nil {
		return err
	}
	super := superblock{Sequence: 1, ID: spec.ID, Epoch: spec.Epoch, Capacity: spec.Capacity, Secret: spec.Secret}
	err = errors.Join(writeNew(f, super, first), f.Close())
	if err == nil {
		err = d.fs.Rename(temp, name)
	}
	if err != nil {
		if rmErr := d.fs.Remove(temp); !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
		return err
	}
	return vfs.SyncDir(d.fs, parent)
}

func writeNew(f vfs.File, super superblock, room int64) error {
	if err := vfs.Extend(f, 0, dataStart+room); err != nil {
		return err
	}
	if err := vfs.WritevAt(f, [][]byte{super.encode()}, super.slot()); err != nil {
		return err
	}
	return f.Sync()
}

// Delete implements [blobd.Inventory]. It also removes files whose superblocks
// cannot be read.
func (d *Disk) Delete(ctx context.Context, id blobd.ShardID) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	return d.alone(id, func(s *shard) error {
		if err := d.checkDir(); err != nil {
			return err
		}
		// Before the name goes: a sync that misses the file must know why.
		s.deleted.Store(true)
		d.forget(s)
		if _, err := d.fs.Stat(s.name); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err := vfs.Remove(d.fs, s.name); err != nil {
			return d.writeError(fmt.Errorf("delete %s: %w", id, err))
		}
		return nil
	})
}

// List implements [blobd.Inventory].
func (d *Disk) List(ctx context.Context) ([]blobd.ShardID, error) {
	if err := d.ready(ctx); err != nil {
		return nil, err
	}
	groups, err := d.fs.List(d.path(shardsDir))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("list %s: %w", d.dir, err), d.checkDir())
	}
	var ids []blobd.ShardID
	for _, group := range groups {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		names, err := d.fs.List(d.fs.PathJoin(d.dir, shardsDir, group))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("list %s: %w", d.dir, err), d.checkDir())
		}
		for _, name := range names {
			if id, ok := parseShardName(name); ok {
				ids = append(ids, id)
			}
		}
	}
	// A directory that went away meanwhile is no shorter list.
	return ids, d.checkDir()
}

// Stat implements [blobd.Inventory]. The first Stat of a shard that was not
// made or fenced since the disk was opened reads through the unsealed rest.
func (d *Disk) Stat(ctx context.Context, id blobd.ShardID) (blobd.ShardStat, error) {
	s, err := d.open(ctx, id)
	if err != nil {
		return blobd.ShardStat{}, err
	}
	defer d.release(s)
	return s.stat(ctx)
}

func (s *shard) stat(ctx context.Context) (blobd.ShardStat, error) {
	end, err := s.findEnd(ctx)
	if err != nil {
		return blobd.ShardStat{}, err
	}
	info, err := s.reader.Stat()
	if err != nil {
		return blobd.ShardStat{}, fmt.Errorf("stat %s: %w", s.id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return blobd.ShardStat{
		ID:        s.id,
		Epoch:     s.super.Epoch,
		Sealed:    s.super.Sealed || s.closed != nil,
		Capacity:  s.capacity,
		Allocated: vfs.Allocated(info),
		End:       max(end, s.appended),
	}, nil
}
