package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

const (
	partitionPage    = 512
	fenceConcurrency = 16
)

// Open takes over the partitions in db and makes a Store that writes to
// o.Disks. The caller holds the locks of the disks' directories: whoever wrote
// to the partitions before is dead, and what it had not published is fenced. Where
// Options.Shared says otherwise, those of writers that live are left alone.
// Partitions that are less than half full and whole are written on; of the
// rest, those without references that nobody wrote to are dropped, and the
// others wait to be sealed. The Store owns neither db nor the disks.
func Open(ctx context.Context, db *metadata.DB, o Options) (*Store, error) {
	o.defaults(db)
	if err := o.validate(); err != nil {
		return nil, err
	}
	random, err := newRandom(o.Rand)
	if err != nil {
		return nil, err
	}
	memory := &slabs{}
	s := &Store{
		opts: o, db: db, disks: newDiskSet(o.Disks), slabs: memory, random: random,
		buffers:  newBuffers(memory, o.BufferMemory),
		reads:    newReadBudget(),
		encode:   make(chan struct{}, encoders()),
		flying:   make(chan struct{}, maxFlying),
		rebuilds: make(chan struct{}, maxRebuilds),
		parts:    map[metadata.PartitionID]*openPartition{},
	}
	s.plan.Store(&plan{o.KnownDisks, o.Scheme, maps.Clone(o.Classes)})
	s.views = newViewCache(s)
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.classes = newClasses(s, o.Classes)
	if err := s.findLeaving(ctx); err != nil {
		s.cancel()
		return nil, err
	}
	if o.Diskless {
		return s, nil
	}
	if err := s.takeOver(ctx); err != nil {
		s.cancel()
		return nil, fmt.Errorf("take over partitions: %w", err)
	}
	if o.Shared && o.LeaseInterval > 0 {
		s.renewal.Go(func() { s.keepLease(o.LeaseInterval) }) //nolint:contextcheck // until the Store is closed
	}
	return s, nil
}

// takeOver fences every partition that an earlier process may have written.
func (s *Store) takeOver(ctx context.Context) error {
	if _, err := s.lease(ctx); err != nil {
		return err
	}
	rows, err := s.unsealed(ctx, func(row *metadata.Partition) { s.classes.meet(s, row.Class) })
	if err == nil && s.opts.Shared {
		rows, err = s.orphaned(ctx, rows)
	}
	if err != nil {
		return err
	}
	return s.takeAll(ctx, rows)
}

// takeAll fences partitions, and writes on those that are worth it.
func (s *Store) takeAll(ctx context.Context, rows []metadata.Partition) error {
	for page := range slices.Chunk(rows, partitionPage) {
		if err := s.raiseEpochs(ctx, page); err != nil {
			return err
		}
	}
	adopted := make([]*openPartition, len(rows))
	var g errgroup.Group
	g.SetLimit(fenceConcurrency)
	for i := range rows {
		g.Go(func() error {
			var err error
			adopted[i], err = s.takeOne(ctx, &rows[i])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return s.reopen(ctx, adopted)
}

// unsealed lists the partitions in any state but sealed, and shows all to each.
func (s *Store) unsealed(ctx context.Context, each func(*metadata.Partition)) ([]metadata.Partition, error) {
	var out []metadata.Partition
	err := s.db.EachPartition(ctx, class, func(row *metadata.Partition) error {
		each(row)
		if row.State != metadata.PartitionSealed {
			out = append(out, *row)
		}
		return nil
	})
	return out, err
}

// raiseEpochs gives partitions their next epoch, so that nothing written under
// an earlier one is published any more. rows are brought up to date. After an
// ambiguous commit it raises them again, which is as good. Partitions that this process
// may not take count as sealed.
func (s *Store) raiseEpochs(ctx context.Context, rows []metadata.Partition) error {
	me := s.writer.current()
	return s.settled(ctx, func(tx *metadata.Tx) error {
		if err := s.holdsLease(tx, me); err != nil {
			return err
		}
		for i := range rows {
			row, err := tx.Partition(rows[i].ID)
			if err != nil {
				return err
			}
			may, err := s.mayTake(tx, row, me)
			if err != nil {
				return err
			}
			if !may {
				rows[i].State = metadata.PartitionSealed // by somebody who was late; or taken by one who was faster
				continue
			}
			row.Epoch++
			row.Writer = me
			if err := tx.PutPartition(row); err != nil {
				return err
			}
			rows[i] = *row
		}
		return nil
	})
}

// takeOne fences the shards of a partition whose epoch was raised. It returns
// nil when the partition is gone. Only an error of the metadata is an error.
func (s *Store) takeOne(ctx context.Context, row *metadata.Partition) (*openPartition, error) {
	if row.State == metadata.PartitionSealed {
		return nil, nil //nolint:nilnil // there is nothing to take over
	}
	if row.State == metadata.PartitionCreating || row.State == metadata.PartitionDropped {
		err := s.disownWritten(ctx, row)
		if err == nil {
			err = s.drop(ctx, row)
		}
		if err != nil {
			s.opts.Logger.WarnContext(ctx, "partition is not dropped yet", slog.String("partition", pid(row.ID)), slog.Any("error", err))
		}
		return nil, ctx.Err()
	}
	disks := s.disks.resolve(row)
	f := s.fenceShards(ctx, row, disks)
	// Nobody raises the epoch of a shard before that of its row, and nobody moves a
	// shard before the seal: then the metadata are older than the disks.
	if found := s.findMoved(ctx, row, f.lost); len(found) > 0 || errors.Is(f.err, blobd.ErrStaleEpoch) {
		err := s.outrank(ctx, row, found)
		if errors.Is(err, errMoved) {
			return nil, nil //nolint:nilnil // it is somebody else's
		}
		if err != nil {
			return nil, err
		}
		disks = s.disks.resolve(row)
		f = s.fenceShards(ctx, row, disks)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	p := newOpenPartition(*row, disks, f.end)
	p.inherited, p.absent = true, f.lost
	p.retired = len(f.lost) > 0 || f.sealed || row.State != metadata.PartitionOpen || !s.worthReopening(ctx, p)
	p.closing = row.State == metadata.PartitionClosing
	if len(f.lost) > 0 {
		s.opts.Logger.WarnContext(ctx, "partition is taken over without some of its shards",
			slog.String("partition", pid(row.ID)), slog.Any("error", f.err))
	}
	s.track(p)
	return p, nil
}

// disownWritten sets the shards aside of a partition that was never opened, as the metadata
// say, and that was written to all the same: these metadata are older than the disks.
func (s *Store) disownWritten(ctx context.Context, row *metadata.Partition) error {
	for i, d := range s.disks.resolve(row) {
		if d == nil || row.State != metadata.PartitionCreating {
			continue
		}
		id := shardID(row.ID, i)
		st, err := s.statShard(ctx, d, id)
		if err != nil || st.End == 0 && !st.Sealed && st.Epoch <= firstEpoch {
			continue
		}
		if err := s.disown(ctx, d, id, &Reconciled{}); err != nil {
			return fmt.Errorf("set shard %s aside: %w", id, err)
		}
	}
	return nil
}

// findMoved looks for the lost shards of a partition on disks where its row places none.
func (s *Store) findMoved(ctx context.Context, row *metadata.Partition, lost []uint8) map[uint8]*disk {
	found := map[uint8]*disk{}
	now := s.opts.Now()
	for _, d := range s.disks.all() {
		if d.Failed() != nil || d.hangs(now) || slices.Contains(row.Shards, d.id) {
			continue
		}
		for _, i := range lost {
			if _, err := s.statShard(ctx, d, shardID(row.ID, int(i))); err == nil && found[i] == nil {
				found[i] = d
				break
			}
		}
	}
	return found
}

// outrank raises a partition's epoch above those of its shards, and places those
// that moved where they are; row is brought up to date.
func (s *Store) outrank(ctx context.Context, row *metadata.Partition, moved map[uint8]*disk) error {
	shards := slices.Clone(row.Shards)
	for i, d := range moved {
		shards[i] = d.id
	}
	highest := row.Epoch
	for i, id := range shards {
		d := s.disks.get(id)
		if d == nil {
			continue
		}
		if st, err := s.statShard(ctx, d, shardID(row.ID, i)); err == nil {
			highest = max(highest, metadata.Epoch(st.Epoch))
		}
	}
	s.opts.Logger.WarnContext(ctx, "shards of a partition are younger than the metadata: these were restored from a copy, it seems",
		slog.String("partition", pid(row.ID)), slog.Any("epoch", row.Epoch), slog.Any("shards", highest))
	return s.settled(ctx, func(tx *metadata.Tx) error {
		now, err := tx.Partition(row.ID)
		if err != nil {
			return err
		}
		if now == nil || now.State != row.State || now.Writer != row.Writer || now.Epoch != row.Epoch && now.Epoch != highest+1 {
			return errMoved
		}
		now.Epoch, now.Shards = highest+1, shards
		if err := tx.PutPartition(now); err != nil {
			return err
		}
		*row = *now
		return nil
	})
}

// worthReopening reports whether a partition is as good as a new one.
func (s *Store) worthReopening(ctx context.Context, p *openPartition) bool {
	c := s.classes.of(p.row.Class)
	if p.next >= p.row.Capacity/2 || p.m != c.scheme().M {
		return false
	}
	now := s.opts.Now()
	if want := c.inUse(); p.k < want.K {
		return false
	}
	for _, d := range p.disks {
		if d == nil || d.usable(now) != nil || s.disks.isLeaving(d.id) {
			return false
		}
		if _, err := d.room(ctx, now); errors.Is(err, blobd.ErrNoSpace) {
			return false // compaction may have made it of what is kept free of requests
		}
	}
	return true
}

// fenced is what the shards of a partition say once they are fenced.
type fenced struct {
	end    int64   // from which on all of them are empty
	sealed bool    // one of them takes no appends
	lost   []uint8 // missing or failing
	err    error   // why, of all of those
}

// fenceShards raises the epoch on every shard within reach.
func (s *Store) fenceShards(ctx context.Context, row *metadata.Partition, disks []*disk) fenced {
	stats := make([]blobd.ShardStat, len(disks))
	errs := make([]error, len(disks))
	var g errgroup.Group
	for i, d := range disks {
		if d == nil {
			errs[i] = fmt.Errorf("shard %d is lost or on a disk that is not attached", i)
			continue
		}
		g.Go(func() error {
			var st blobd.ShardStat
			err := s.attend(d, func() (err error) {
				st, err = d.Fence(ctx, shardID(row.ID, i), blobd.Epoch(row.Epoch))
				return err
			})
			if err != nil {
				errs[i] = fmt.Errorf("shard %d on disk %s: %w", i, d.ID(), err)
				return nil
			}
			stats[i] = st
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs
	var f fenced
	for i := range stats {
		f.end = max(f.end, stats[i].End)
		f.sealed = f.sealed || stats[i].Sealed
		if errs[i] != nil {
			f.lost = append(f.lost, uint8(i))
		}
	}
	f.err = errors.Join(errs...)
	return f
}

// reopen gives the fullest of the partitions that can be written on to the
// lanes of their storage class, and closes the rest.
func (s *Store) reopen(ctx context.Context, parts []*openPartition) error {
	parts = slices.DeleteFunc(parts, func(p *openPartition) bool { return p == nil })
	slices.SortFunc(parts, func(a, b *openPartition) int { return int(min(max(b.next-a.next, -1), 1)) })
	lanes := map[*storageClass][]*lane{}
	for _, c := range s.classes.all {
		lanes[c] = c.lanes()
	}
	for _, p := range parts {
		of := lanes[s.classes.of(p.row.Class)]
		if !p.retired && of[0].class.name == p.row.Class && (of[0].adopt(p) || of[1].adopt(p)) {
			slices.Reverse(of)
			s.stats.reopened.Add(1)
			continue
		}
		p.retire()
		if err := s.close(ctx, p); err != nil {
			return err
		}
	}
	return nil
}
