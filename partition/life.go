package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
)

const (
	// maxCreations is how many sets of disks are tried for one new partition.
	maxCreations = 4
	// maxSettles is how often a transaction is run whose outcome is unknown.
	maxSettles = 4
	// dropTimeout bounds the removal of a partition that was not opened.
	dropTimeout = 10 * time.Second
	// firstEpoch is that of a new partition.
	firstEpoch = 1
	// class labels the transactions of this package in metrics.
	class = "partition"
)

// fence notes that another process took the partition over.
func (p *openPartition) fence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fenced = true
}

// create makes a partition on disks in service: its row commits as creating
// before any file exists, and as open once every shard does.
func (s *Store) create(ctx context.Context, l *lane) (*openPartition, error) {
	var failed error
	sc := l.class
	for range maxCreations {
		disks, err := s.choose(ctx, l)
		if err != nil {
			return nil, errors.Join(err, failed)
		}
		row, err := s.newRow(ctx, sc, disks)
		if err != nil {
			return nil, err
		}
		defer s.writer.begin(row.ID)() // until it is tracked: there are few
		if err := s.putRow(ctx, &row); errors.Is(err, errMoved) {
			failed = err // a disk is to be drained since
			continue
		} else if errors.Is(err, errLeaseLost) {
			s.loseLease(row.Writer)
			failed = err
			continue
		} else if err != nil {
			return nil, fmt.Errorf("create partition: %w", err)
		}
		if failed = s.createShards(ctx, &row, disks); failed == nil {
			failed = s.transition(ctx, &row, metadata.PartitionOpen)
		}
		if failed == nil {
			p := newOpenPartition(row, disks, 0)
			s.track(p)
			s.stats.created.Add(1)
			return p, nil
		}
		s.opts.Logger.WarnContext(ctx, "partition abandoned", slog.String("partition", pid(row.ID)), slog.Any("error", failed))
		s.abandon(ctx, &row)
		if ctx.Err() != nil {
			break
		}
	}
	if errors.Is(failed, errMoved) || errors.Is(failed, errLeaseLost) {
		return nil, fmt.Errorf("create partition: %w: %w", metadata.ErrFenced, failed) // others were faster, again and again
	}
	if errors.Is(failed, blobd.ErrNoSpace) { // less than the room that choose saw
		return nil, fmt.Errorf("create partition: %w: %w", ErrNoSpace, failed)
	}
	return nil, fmt.Errorf("create partition: %w", failed)
}

func (s *Store) newRow(ctx context.Context, sc *storageClass, disks []*disk) (metadata.Partition, error) {
	me, err := s.lease(ctx)
	if err != nil {
		return metadata.Partition{}, err
	}
	m := min(sc.scheme().M, len(disks)-1)
	row := metadata.Partition{
		ID: s.db.NewPartitionID(), State: metadata.PartitionCreating, Epoch: firstEpoch,
		K: uint8(len(disks) - m), M: uint8(m), Capacity: s.opts.Capacity, Class: sc.name, Created: s.opts.Now(),
		Writer: me,
	}
	for _, d := range disks {
		row.Shards = append(row.Shards, d.id)
	}
	return row, s.random.bytes(row.Secret[:])
}

// putRow announces a partition before any file of it exists.
func (s *Store) putRow(ctx context.Context, row *metadata.Partition) error {
	return s.settled(ctx, func(tx *metadata.Tx) error {
		if err := mayHold(tx, row.Shards...); err != nil {
			return err
		}
		if s.opts.Shared {
			if err := s.mayPutRow(tx, row); err != nil {
				return err
			}
		}
		return tx.PutPartition(row) // the id is ours alone
	})
}

// settled runs a transaction that may be applied twice, again while its outcome
// is unknown. Every change of a partition's row goes through it.
func (s *Store) settled(ctx context.Context, fn func(*metadata.Tx) error) error {
	defer s.changed() // even if it says that it failed
	var err error
	for range maxSettles {
		err = s.db.Update(ctx, class, fn)
		if !errors.Is(err, kv.ErrUnknownCommit) {
			return err
		}
	}
	return err
}

// Changes counts what this process did that may change what the rows of partitions
// say, or what it knows of them beside that: while it stays, they stay, as far as this
// process is concerned. Disks that come and go are not counted.
func (s *Store) Changes() uint64 { return s.stats.changes.Load() }

func (s *Store) changed() { s.stats.changes.Add(1) }

// createShards creates the files of a partition, all at once. Disks that
// refuse are set aside.
func (s *Store) createShards(ctx context.Context, row *metadata.Partition, disks []*disk) error {
	var g errgroup.Group
	for i, d := range disks {
		g.Go(func() error {
			spec := blobd.ShardSpec{
				ID: shardID(row.ID, i), Epoch: blobd.Epoch(row.Epoch),
				Secret: blobd.Secret(row.Secret), Capacity: row.Capacity,
			}
			err := s.attend(d, func() error { return d.Create(ctx, spec) })
			if err == nil {
				d.restore()
				return nil
			}
			err = fmt.Errorf("create shard %d on disk %s: %w", i, d.ID(), err)
			if ctx.Err() == nil && !errors.Is(err, errSlow) {
				s.setAside(d, err)
			}
			return err
		})
	}
	return g.Wait()
}

// errMoved says that a partition's row is not what this process made it.
var errMoved = errors.New("partition changed hands")

// transition moves a partition of ours to another state; row is brought up to
// date. It fails where the row has another epoch.
func (s *Store) transition(ctx context.Context, row *metadata.Partition, to metadata.PartitionState) error {
	err := s.settled(ctx, func(tx *metadata.Tx) error {
		now, err := tx.Partition(row.ID)
		if err != nil {
			return err
		}
		if now == nil || now.Epoch != row.Epoch {
			return errMoved
		}
		if now.State == to {
			return nil
		}
		now.State = to
		return tx.PutPartition(now)
	})
	if err != nil {
		return fmt.Errorf("partition %s to state %d: %w", pid(row.ID), to, err)
	}
	row.State = to
	return nil
}

// abandon drops a partition that nobody wrote to. What fails is left to the
// next takeover.
func (s *Store) abandon(ctx context.Context, row *metadata.Partition) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	if err := s.drop(ctx, row); err != nil {
		s.opts.Logger.WarnContext(ctx, "abandoned partition is left to the next start",
			slog.String("partition", pid(row.ID)), slog.Any("error", err))
	}
}

// drop removes a partition without references: state dropped, then its files,
// then the row. The row stays while a disk of it is missing or fails.
func (s *Store) drop(ctx context.Context, row *metadata.Partition) error {
	if row.State != metadata.PartitionDropped {
		err := s.transition(ctx, row, metadata.PartitionDropped)
		if errors.Is(err, errMoved) && s.opts.Shared && s.isDropped(ctx, row.ID) {
			return s.removeFiles(ctx, row) // what was created after another process had dropped it
		}
		if err != nil {
			return err
		}
	}
	if err := s.removeFiles(ctx, row); err != nil {
		return err
	}
	return s.removeRow(ctx, row)
}

// track makes a partition known to SealIdle and Status.
func (s *Store) track(p *openPartition) {
	s.mu.Lock()
	s.parts[p.row.ID] = p
	s.mu.Unlock()
	s.orphan(p) // the lease may be gone since
}

func (s *Store) forget(p *openPartition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.parts, p.row.ID)
}

// tracked lists the partitions that are not sealed.
func (s *Store) tracked() []*openPartition {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*openPartition, 0, len(s.parts))
	for _, p := range s.parts {
		out = append(out, p)
	}
	return out
}

// retire ends the stripes of a partition. Its state follows in the background;
// what fails there SealIdle repeats. It is called by work that Close waits for.
func (s *Store) retire(p *openPartition) {
	if !p.retire() {
		return
	}
	s.spawn(func() {
		if err := s.close(s.ctx, p); err != nil && s.ctx.Err() == nil {
			s.opts.Logger.WarnContext(s.ctx, "partition is not closing yet",
				slog.String("partition", pid(p.row.ID)), slog.Any("error", err))
		}
	})
}

// close records that a retired partition takes no more stripes.
func (s *Store) close(ctx context.Context, p *openPartition) error {
	p.mu.Lock()
	over := p.closing || p.fenced
	p.mu.Unlock()
	if over {
		return nil
	}
	row := p.row
	err := s.transition(ctx, &row, metadata.PartitionClosing)
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(err, errMoved) {
		p.fenced = true
		return nil
	}
	p.closing = err == nil
	return err
}

func shardID(id metadata.PartitionID, i int) blobd.ShardID {
	return blobd.ShardID{Partition: blobd.PartitionID(id), Index: uint8(i)}
}

func pid(id metadata.PartitionID) string { return blobd.PartitionID(id).String() }
