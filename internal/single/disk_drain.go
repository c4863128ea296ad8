package single

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

func diskID(row metadata.Disk) blobd.DiskID { return blobd.DiskID(row.ID) }

// DrainDisk has everything taken off a disk, named by its id or path, while it serves:
// nothing new is placed there, the steward moves its shards to the others, and
// another directory takes the metadata's files over. It returns at once. Where it could not
// come to an end it is refused.
func (s *System) DrainDisk(ctx context.Context, name string) (Changed, error) {
	return s.changeDisk(ctx, name, s.drain)
}

func (s *System) drain(ctx context.Context, row metadata.Disk) (Changed, error) {
	note := ""
	if row.State == metadata.DiskActive {
		var err error
		if note, err = s.mayDrain(ctx, row); err != nil {
			return Changed{}, err
		}
		// Twice: what was under way before the metadata said so is met by the second.
		if err := s.Store.Leave(row.ID); err != nil {
			return Changed{}, err
		}
		row.State = metadata.DiskDraining
		if err := s.putDisks(ctx, row); err != nil {
			return Changed{}, s.undecided(ctx, row, err)
		}
		s.opts.Logger.InfoContext(ctx, "disk is drained", slog.String("path", row.Path), slog.String("disk", diskID(row).String()))
	}
	if err := s.Store.Leave(row.ID); err != nil {
		return Changed{}, err
	}
	s.retireMirror(row)
	out := s.changed(row)
	if note != "" {
		out.Notes = append(out.Notes, note)
	}
	return out, nil
}

// undecided settles what the store goes by after a write whose outcome may not be
// known: by what the metadata say.
func (s *System) undecided(ctx context.Context, row metadata.Disk, cause error) error {
	ctx = context.WithoutCancel(ctx)
	var now *metadata.Disk
	err := s.DB.View(ctx, "disks", func(r *metadata.Reader) (err error) {
		now, err = r.Disk(row.ID)
		return err
	})
	if err != nil || now == nil {
		return cause
	}
	s.roster.setRow(*now)
	if now.State == metadata.DiskActive {
		_ = s.Store.Stay(row.ID) // closed otherwise
	}
	return cause
}

// CancelDrain makes a disk that is being drained one like the others again. What was moved
// stays where it is.
func (s *System) CancelDrain(ctx context.Context, name string) (Changed, error) {
	return s.changeDisk(ctx, name, s.cancelDrain)
}

func (s *System) cancelDrain(ctx context.Context, row metadata.Disk) (Changed, error) {
	if row.State != metadata.DiskDraining {
		return Changed{}, fmt.Errorf("%w: %s is not being drained", ErrRefused, row.Path)
	}
	row.State = metadata.DiskActive
	if err := s.putDisks(ctx, row); err != nil {
		return Changed{}, s.undecided(ctx, row, err)
	}
	if err := s.Store.Stay(row.ID); err != nil {
		return Changed{}, err
	}
	s.opts.Logger.InfoContext(ctx, "disk is not drained any more", slog.String("path", row.Path), slog.String("disk", diskID(row).String()))
	if d := s.roster.get(diskID(row)); d != nil && d.Failed() == nil {
		if err := s.mirrorAgain(d); err != nil {
			return Changed{}, err
		}
	}
	return s.changed(row), nil
}

// mayDrain refuses to drain a disk where the others cannot take what it holds. It
// says what the administrator should know otherwise.
func (s *System) mayDrain(ctx context.Context, row metadata.Disk) (note string, err error) {
	if !s.roster.serves(diskID(row)) {
		return "", fmt.Errorf("%w: %s is not in service, so nothing can be moved off it; if it will not come back: undercroft admin disk remove --lost %s",
			ErrRefused, row.Path, diskID(row))
	}
	if err := s.enoughWithout(row); err != nil {
		return "", err
	}
	o, err := s.Store.Occupancy(ctx, row.ID)
	if err != nil {
		return "", err
	}
	if o.Homeless > 0 && !o.HasRoom {
		return "", fmt.Errorf("%w: %d of the %d shards on %s have nowhere to go, because every other disk in service holds another shard "+
			"of the same partition, and there is no room to write the %d bytes of objects in them anew with fewer data shards; "+
			"add a disk or delete objects first", ErrRefused, o.Homeless, o.Shards, row.Path, o.Narrow)
	}
	if o.Homeless > 0 {
		note = fmt.Sprintf("%d of the %d shards have nowhere to go, because every other disk in service holds another shard of the same partition: "+
			"the %d bytes of objects in these are written anew with fewer data shards and as much parity, which takes more room; "+
			"a disk that is added now saves that", o.Homeless, o.Shards, o.Narrow)
	}
	if o.Bytes > o.Room {
		return "", fmt.Errorf("%w: the shards on %s may take %d bytes, and the other disks have room for %d; add a disk or delete objects first",
			ErrRefused, row.Path, o.Bytes, o.Room)
	}
	return note, nil
}

// enoughWithout refuses to do without a disk that new partitions need.
func (s *System) enoughWithout(row metadata.Disk) error {
	parity := s.Store.Status().Wanted.M
	for _, c := range s.Store.Classes() {
		parity = max(parity, c.Wanted.M)
	}
	others := 0
	for _, other := range s.roster.inventory() {
		if other.ID != row.ID && other.State == metadata.DiskActive && s.roster.serves(diskID(other)) {
			others++
		}
	}
	if others < parity+1 {
		return fmt.Errorf("%w: without %s only %d disks are in service for new data, and %d parity shards need at least %d: "+
			"add a disk first, or start with a --scheme of less parity", ErrRefused, row.Path, others, parity, parity+1)
	}
	return nil
}

func (s *System) changed(row metadata.Disk) Changed {
	return Changed{ID: diskID(row).String(), Path: row.Path, State: stateText(row.State)}
}

// occupancy is what is on a disk.
func (s *System) occupancy(ctx context.Context, row metadata.Disk) (partition.Occupancy, error) {
	return s.Store.Occupancy(ctx, row.ID)
}
