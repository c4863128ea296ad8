package partition

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// plan is what new partitions go by.
type plan struct {
	known   int // disks of the inventory, missing ones included
	scheme  Scheme
	classes map[string]Scheme
}

// of is the scheme of a storage class.
func (p *plan) of(class string) Scheme { return cmp.Or(p.classes[class], p.scheme) }

// SetInventory says how many disks the inventory has from now on, missing ones
// included, and the schemes of new partitions, of STANDARD and of other storage
// classes. Open partitions that would be made
// otherwise now take no more stripes. The metadata must survive the loss of as
// many disks as the scheme does before this is called.
func (s *Store) SetInventory(known int, scheme Scheme, classes map[string]Scheme) error {
	if err := validSchemes(scheme, classes); err != nil {
		return err
	}
	if !s.begin() {
		return ErrClosed
	}
	defer s.work.Done()
	s.plan.Store(&plan{known, scheme, maps.Clone(classes)})
	s.retireUnfit()
	return nil
}

// AddDisk attaches a disk, in place of an attached one with the same identity:
// a disk that was away, or a new one. Partitions that could be wider with it
// take no more stripes. It does not reconcile what the disk holds; but what
// this process wrote to a disk of that identity is looked for before it is
// counted on, since what comes back may be an old copy.
func (s *Store) AddDisk(d blobd.Disk) error {
	if !s.begin() {
		return ErrClosed
	}
	defer s.work.Done()
	s.disks.add(d)
	s.views.clear()
	id := metadata.DiskID(d.ID())
	for _, p := range s.tracked() {
		p.postpone(time.Time{})
		if slices.Contains(p.row.Shards, id) {
			p.doubt()
			s.retire(p)
		}
	}
	s.retireUnfit()
	return nil
}

// RemoveDisk detaches a disk: its shards are as good as away. The caller closes it.
func (s *Store) RemoveDisk(id metadata.DiskID) error {
	if !s.begin() {
		return ErrClosed
	}
	defer s.work.Done()
	s.retireOn(id)
	s.disks.remove(id)
	s.views.clear()
	return nil
}

// Leave keeps new partitions and shards off a disk that is to be drained: open
// ones that use it take no more stripes. What it holds is served as before. The metadata
// must say [metadata.DiskDraining] first, so that nothing under way puts
// anything there afterwards.
func (s *Store) Leave(id metadata.DiskID) error {
	if !s.begin() {
		return ErrClosed
	}
	defer s.work.Done()
	s.disks.setLeaving(id)
	s.retireOn(id)
	return nil
}

// Stay ends what Leave began.
func (s *Store) Stay(id metadata.DiskID) error {
	if !s.begin() {
		return ErrClosed
	}
	defer s.work.Done()
	s.disks.setStaying(id)
	s.retireUnfit()
	return nil
}

// findLeaving reads which disks are to be drained.
func (s *Store) findLeaving(ctx context.Context) error {
	return s.db.View(ctx, class, func(r *metadata.Reader) error {
		rows, err := r.Disks()
		for i := range rows {
			if rows[i].State != metadata.DiskActive {
				s.disks.setLeaving(rows[i].ID)
			}
		}
		return err
	})
}

// RetireLeaving ends the stripes of open partitions on disks that are to be
// drained: one may have been under way when [Store.Leave] was called. It returns
// how many.
func (s *Store) RetireLeaving() int {
	if !s.begin() {
		return 0
	}
	defer s.work.Done()
	n := 0
	for _, id := range s.disks.allLeaving() {
		n += s.retireOn(id)
	}
	return n
}

func (s *Store) retireOn(id metadata.DiskID) (n int) {
	for _, p := range s.tracked() {
		if slices.Contains(p.row.Shards, id) && !p.isRetired() {
			s.retire(p)
			n++
		}
	}
	return n
}

// retireUnfit ends the stripes of open partitions that a new one would not be
// like: narrower than it could be, or of other parity.
func (s *Store) retireUnfit() {
	for _, l := range s.lanes() {
		want := l.class.inUse()
		for _, p := range l.open() {
			if p.k < want.K || want.K > 0 && p.m != want.M {
				s.retire(p)
			}
		}
	}
}

// Occupancy is what is on a disk, by the rows of partitions.
type Occupancy struct {
	Shards int64 // of partitions that hold anything, lost ones left out
	Bytes  int64 // that those may take which are not Homeless
	Open   int64 // of them, those of partitions that are not sealed
	// Homeless is how many of them no other disk can take: those that are active
	// and serve hold other shards of the partition, or are too few for it and for
	// what else of it is lost, away or to be moved.
	Homeless int64
	// Narrow is the bytes of objects in their partitions: those may be written
	// anew on the other disks, with as much parity and less data shards. HasRoom
	// says whether these have room for it.
	Narrow  int64
	HasRoom bool
	// Fatal is how many partitions are short of more shards than they have
	// parity without the disk: also those that are so with it, for a shard that
	// counts as lost may be whole where it was. Doubtful are those that would be if
	// disks that were not held against the metadata yet held nothing: one that came
	// back may be an old copy.
	Fatal, Doubtful int64
	// Named is how many rows name the disk, those of lost shards included.
	Named int64
	Room  int64 // bytes on the other active disks
}

// Occupancy looks at all partitions for what the loss or the draining of a disk
// would mean.
func (s *Store) Occupancy(ctx context.Context, id metadata.DiskID) (out Occupancy, err error) {
	others, rooms := s.targets(ctx, id, &out)
	narrow := map[string]bool{"": true} // storage classes to be written anew
	err = s.db.EachPartition(ctx, class, func(row *metadata.Partition) error {
		shard := slices.Index(row.Shards, id)
		if shard < 0 {
			return nil
		}
		if row.State == metadata.PartitionDropped {
			return nil // its files go with the disk
		}
		out.Named++
		s.countFatal(row, id, &out)
		if row.State == metadata.PartitionCreating || slices.Contains(row.Lost, uint8(shard)) {
			return nil
		}
		out.Shards++
		size := row.End
		if row.State != metadata.PartitionSealed {
			out.Open++
			size = row.Capacity
		}
		if inNeed(row, others) > freeOf(row, others) {
			out.Homeless++
			live, err := s.liveBytes(ctx, row.ID)
			if err != nil {
				return err
			}
			out.Narrow += live
			narrow[row.Class] = true
		} else {
			out.Bytes += min(size, row.Capacity)
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("look for what is on disk %s: %w", blobd.DiskID(id), err)
	}
	out.HasRoom = true
	for name := range narrow { // as if all of it were of the class
		out.HasRoom = out.HasRoom && hasRoom(s.classes.of(name).scheme(), rooms, out.Narrow)
	}
	return out, err
}

// countFatal counts a partition that is lost without a disk.
func (s *Store) countFatal(row *metadata.Partition, id metadata.DiskID, out *Occupancy) {
	if row.State == metadata.PartitionCreating {
		return // it holds nothing
	}
	now := *row
	s.Annotate(&now)
	gone := func(d metadata.DiskID) bool { return d == id || !s.disks.serves(d) }
	switch {
	case len(now.Missing(gone)) > int(row.M):
		out.Fatal++
	case len(now.Missing(func(d metadata.DiskID) bool { return gone(d) || !s.disks.isKnown(d) })) > int(row.M):
		out.Doubtful++
	}
}

// Needed counts the shards on a disk that the metadata place on another one, where
// they are not whole or not within reach: they may be all that there is.
func (s *Store) Needed(ctx context.Context, id metadata.DiskID) (n int, err error) {
	d := s.disks.get(id)
	if d == nil {
		return 0, nil
	}
	if !s.begin() {
		return 0, ErrClosed
	}
	defer s.work.Done()
	strays, _, err := s.strays(ctx, d)
	if err != nil {
		return 0, fmt.Errorf("look for what is on disk %s: %w", d.ID(), err)
	}
	for i := range strays {
		if !strays[i].covered {
			n++
		}
	}
	return n, nil
}

func (s *Store) liveBytes(ctx context.Context, id metadata.PartitionID) (live int64, err error) {
	err = s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		live, err = r.LiveBytes(id)
		return err
	})
	return live, err
}

// OnLeaving reports whether a shard of a partition is on a disk that is to be drained.
func (s *Store) OnLeaving(row *metadata.Partition) bool {
	for i, id := range row.Shards {
		if s.disks.isLeaving(id) && !slices.Contains(row.Lost, uint8(i)) {
			return true
		}
	}
	return false
}

// inNeed counts the shards of a partition that are on none of the disks.
func inNeed(row *metadata.Partition, disks []metadata.DiskID) (n int) {
	for _, on := range row.Shards {
		if !slices.Contains(disks, on) {
			n++
		}
	}
	return n
}

// freeOf counts the disks that hold no shard of a partition.
func freeOf(row *metadata.Partition, disks []metadata.DiskID) (n int) {
	for _, d := range disks {
		if !slices.Contains(row.Shards, d) {
			n++
		}
	}
	return n
}

// targets are the other disks that take shards.
func (s *Store) targets(ctx context.Context, id metadata.DiskID, out *Occupancy) (others []metadata.DiskID, rooms []uint64) {
	for _, d := range s.disks.all() {
		if d.id == id || s.disks.isLeaving(d.id) || d.Failed() != nil {
			continue
		}
		others = append(others, d.id)
		if room, err := d.room(ctx, s.opts.Now()); err == nil {
			out.Room += int64(room) //nolint:gosec // of a disk
			rooms = append(rooms, room)
		}
	}
	return others, rooms
}

// Named reports for every disk how many rows name it, as [Occupancy] does.
func (s *Store) Named(ctx context.Context) (map[metadata.DiskID]int64, error) {
	out := map[metadata.DiskID]int64{}
	err := s.db.EachPartition(ctx, class, func(row *metadata.Partition) error {
		for _, id := range row.Shards {
			if row.State != metadata.PartitionDropped {
				out[id]++
			}
		}
		return nil
	})
	return out, err
}

// RecordLost records the shards of sealed partitions on a disk that will not
// come back as lost, so that they are rebuilt at once. It returns how many.
// Partitions that are not sealed record them when they are.
func (s *Store) RecordLost(ctx context.Context, id metadata.DiskID) (n int, err error) {
	if !s.begin() {
		return 0, ErrClosed
	}
	defer s.work.Done()
	s.retireOn(id)
	var rows []metadata.Partition
	err = s.db.EachPartition(ctx, class, func(row *metadata.Partition) error {
		if row.State == metadata.PartitionSealed && slices.Contains(row.Shards, id) {
			rows = append(rows, metadata.Partition{ID: row.ID})
		}
		return nil
	})
	for i := range rows {
		if err != nil {
			break
		}
		var noted bool
		if noted, err = s.recordGone(ctx, rows[i].ID, id); noted {
			n++
		}
	}
	return n, err
}

// recordGone adds a partition's shard on a disk to the lost ones.
func (s *Store) recordGone(ctx context.Context, id metadata.PartitionID, on metadata.DiskID) (noted bool, err error) {
	err = s.settled(ctx, func(tx *metadata.Tx) error {
		noted = false
		row, err := tx.Partition(id)
		if err != nil || row == nil || row.State != metadata.PartitionSealed {
			return err
		}
		shard := uint8(slices.Index(row.Shards, on)) //nolint:gosec // 255 where it is not found: no shard has that number
		if int(shard) >= len(row.Shards) || slices.Contains(row.Lost, shard) {
			return nil
		}
		row.Lost = append(row.Lost, shard)
		row.Damaged = slices.DeleteFunc(row.Damaged, func(i uint8) bool { return i == shard })
		noted = true
		return tx.PutPartition(row)
	})
	if noted {
		s.views.forget(id)
	}
	return noted, err
}

// mayHold fails where the metadata does not let a new shard onto one of the disks any
// more. A disk that is not in the inventory passes.
func mayHold(tx *metadata.Tx, disks ...metadata.DiskID) error {
	for _, id := range disks {
		d, err := tx.Disk(id)
		if err != nil {
			return err
		}
		if d != nil && d.State != metadata.DiskActive {
			return fmt.Errorf("%w: disk %s takes no new shards", errMoved, blobd.DiskID(id))
		}
	}
	return nil
}
