package single

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/undercroft/undercroft/metadata"
)

// RemoveDisk makes the store forget a disk that nothing refers to: one that was drained, or
// never used.
func (s *System) RemoveDisk(ctx context.Context, name string) (Changed, error) {
	return s.changeDisk(ctx, name, s.remove(s.mayRemove))
}

// RemoveLostDisk makes the store forget a disk that is not in service and will not come
// back: its shards are recorded as lost and rebuilt at once. It is refused
// where partitions would become unreadable.
func (s *System) RemoveLostDisk(ctx context.Context, name string) (Changed, error) {
	return s.changeDisk(ctx, name, s.remove(s.mayGiveUp))
}

// remove forgets a disk that allow lets go.
func (s *System) remove(allow func(context.Context, metadata.Disk) error) diskChange {
	return func(ctx context.Context, row metadata.Disk) (Changed, error) {
		if err := allow(ctx, row); err != nil {
			return Changed{}, err
		}
		return s.removeDisk(ctx, row)
	}
}

func (s *System) removeDisk(ctx context.Context, row metadata.Disk) (Changed, error) {
	if err := s.mirror.Retire(ctx, mirrorDir(diskID(row), row.Path)); err != nil {
		return Changed{}, fmt.Errorf("%w: the metadata on %s: %w", ErrRefused, row.Path, err)
	}
	// The parity of new partitions does not fall because a disk is removed.
	row.State, row.Parity = metadata.DiskRemoved, uint8(s.Store.Status().Wanted.M) //nolint:gosec // at most 16
	if err := s.putDisks(ctx, row); err != nil {
		err = s.undecided(ctx, row, err)
		if now, _ := s.roster.row(diskID(row)); now.State != metadata.DiskRemoved {
			return Changed{}, err
		}
	}
	if err := s.forget(ctx, row); err != nil {
		return Changed{}, err
	}
	s.opts.Logger.InfoContext(ctx, "disk is removed", slog.String("path", row.Path), slog.String("disk", diskID(row).String()))
	out := s.changed(row)
	if s.roster.isGiven(row.Path) {
		out.Notes = append(out.Notes, "the next start does not need it: take it out of --data")
	}
	return out, nil
}

// forget lets go of a disk that the metadata say was removed.
func (s *System) forget(ctx context.Context, row metadata.Disk) error {
	// Partitions that were sealed since, without it.
	_, err := s.Store.RecordLost(ctx, row.ID)
	err = errors.Join(err, s.Store.RemoveDisk(row.ID))
	if d := s.roster.get(diskID(row)); d != nil {
		s.roster.detach(diskID(row))
		s.roster.closing(d) // what does not end is not waited for
	}
	return errors.Join(err, s.resize(ctx))
}

// mayRemove refuses a disk that something refers to, and one that others need.
func (s *System) mayRemove(ctx context.Context, row metadata.Disk) error {
	serving := s.roster.serves(diskID(row))
	if serving && row.State != metadata.DiskDraining {
		return fmt.Errorf("%w: %s is in use: undercroft admin disk drain %s first", ErrRefused, row.Path, row.Path)
	}
	o, err := s.occupancy(ctx, row)
	if err != nil {
		return err
	}
	switch {
	case o.Named > 0 && serving:
		return fmt.Errorf("%w: %d shards are still on %s: wait until it is drained", ErrRefused, o.Named, row.Path)
	case o.Named > 0:
		return fmt.Errorf("%w: %d shards are on %s, which is not in service; if it will not come back: undercroft admin disk remove --lost %s",
			ErrRefused, o.Named, row.Path, diskID(row))
	}
	if !serving {
		return nil
	}
	needed, err := s.Store.Needed(ctx, row.ID)
	if err != nil {
		return err
	}
	if needed > 0 {
		return fmt.Errorf("%w: %d shards are still on %s whose new places are out of service, damaged or not looked at yet, so they may be all that there is: "+
			"wait until these are back or repaired, or have them used again: undercroft admin disk drain --cancel %s", ErrRefused, needed, row.Path, row.Path)
	}
	return s.enoughWithout(row)
}

// mayGiveUp refuses a disk that serves, and one without which objects would be lost. It
// records what it holds as lost.
func (s *System) mayGiveUp(ctx context.Context, row metadata.Disk) error {
	if s.roster.serves(diskID(row)) {
		return fmt.Errorf("%w: %s is in service: undercroft admin disk drain %s moves what it holds, and loses nothing", ErrRefused, row.Path, row.Path)
	}
	o, err := s.occupancy(ctx, row)
	if err != nil {
		return err
	}
	if o.Fatal > 0 {
		return fmt.Errorf("%w: %d partitions with a shard on %s are short of more shards than they have parity without it: "+
			"objects in them would be lost for good; bring disks that are missing back first, or delete the objects", ErrRefused, o.Fatal, row.Path)
	}
	if o.Doubtful > 0 {
		return fmt.Errorf("%w: %d partitions with a shard on %s need disks that came into service and were not looked at yet: "+
			"wait for the job repair, undercroft admin repair --watch", ErrRefused, o.Doubtful, row.Path)
	}
	// Nothing new is placed there, whatever is under way.
	if err := s.Store.Leave(row.ID); err != nil {
		return err
	}
	if row.State == metadata.DiskActive {
		row.State = metadata.DiskDraining
		if err := s.putDisks(ctx, row); err != nil {
			return s.undecided(ctx, row, err)
		}
	}
	n, err := s.Store.RecordLost(ctx, row.ID)
	if err != nil {
		return err
	}
	s.opts.Logger.WarnContext(ctx, "shards are given up with their disk", slog.String("path", row.Path), slog.Int("shards", n))
	return nil
}
