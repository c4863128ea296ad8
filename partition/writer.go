package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

const (
	defaultLeaseInterval = 10 * time.Second
	// leaseTimeout bounds one renewal, and farewell the end of a lease: a process that stops
	// waits no longer for metadata that are away.
	leaseTimeout = 10 * time.Second
	farewell     = 2 * time.Second
)

// errLeaseLost says that others think this process is gone: its row l is not there.
var errLeaseLost = errors.New("partition: the lease of this process is gone")

// writer is this process among several that share metadata and disks. Each has a row l, whose
// stamp it raises at intervals, and names itself in the partitions that it makes or takes over.
// The steward's keepers remove rows whose stamps stand still; what such a writer wrote
// to is taken over by [Store.TakeOver] of any process. Who finds his row gone begins
// again under another id, and leaves his partitions to that.
//
// A lease keeps others away, and no more: what is safe rests on epochs. The
// zero value is that of a Store which is alone.
type writer struct {
	taking  sync.Mutex // held by a takeover
	joining sync.Mutex // held while a lease begins

	mu       sync.Mutex                        // guards what follows
	id       metadata.HolderID                 // zero: there is no row l of this process
	creating map[metadata.PartitionID]struct{} // partitions that nobody tracks yet
}

func (w *writer) current() metadata.HolderID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.id
}

func (w *writer) set(id metadata.HolderID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.id = id
}

// begin notes a partition that is being created.
func (w *writer) begin(id metadata.PartitionID) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.creating == nil {
		w.creating = map[metadata.PartitionID]struct{}{}
	}
	w.creating[id] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.creating, id)
	}
}

func (w *writer) isCreating(id metadata.PartitionID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.creating[id]
	return ok
}

// Shared reports whether other processes may write to the same metadata and disks.
func (s *Store) Shared() bool { return s.opts.Shared }

// Writer names this process in the rows of its partitions; zero where the Store is not
// shared, or has no lease at the moment.
func (s *Store) Writer() metadata.HolderID { return s.writer.current() }

// KeepLease shows the others that this process lives, and takes up what they decided
// about the disks. A shared Store does so by itself once in an interval, unless
// Options.LeaseInterval is negative. Where the others have ended the lease it begins
// a new one: what it wrote to before takes no more stripes, and is taken over.
func (s *Store) KeepLease(ctx context.Context) error {
	if !s.opts.Shared {
		return nil
	}
	if !s.begin() {
		return ErrClosed
	}
	defer s.work.Done()
	id := s.writer.current()
	err := errLeaseLost
	if id != (metadata.HolderID{}) {
		err = s.db.Update(ctx, class, func(tx *metadata.Tx) error {
			me, err := tx.Holder(id)
			if err == nil && me == nil {
				err = errLeaseLost
			}
			if err != nil {
				return err
			}
			me.Stamp++
			return tx.PutHolder(me)
		})
	}
	if errors.Is(err, errLeaseLost) {
		s.loseLease(id)
		_, err = s.lease(ctx)
	}
	if err != nil {
		return fmt.Errorf("show that this process lives: %w", err)
	}
	return s.followDisks(ctx)
}

// lease is the id of this process, which begins to be one where it is none; zero
// where the Store is not shared.
func (s *Store) lease(ctx context.Context) (metadata.HolderID, error) {
	id := s.writer.current()
	if !s.opts.Shared || id != (metadata.HolderID{}) {
		return id, nil
	}
	s.writer.joining.Lock()
	defer s.writer.joining.Unlock()
	if id = s.writer.current(); id != (metadata.HolderID{}) {
		return id, nil
	}
	id = s.db.NewHolderID()
	err := s.settled(ctx, func(tx *metadata.Tx) error { return tx.PutHolder(&metadata.Holder{ID: id, Stamp: 1}) })
	if err != nil {
		return metadata.HolderID{}, fmt.Errorf("begin a lease: %w", err)
	}
	s.writer.set(id)
	return id, nil
}

// loseLease gives up what was written under a lease that is gone. Blobs that are on their
// way may still be published, until somebody takes their partition over.
func (s *Store) loseLease(id metadata.HolderID) {
	if id == (metadata.HolderID{}) || s.writer.current() != id {
		return
	}
	s.writer.set(metadata.HolderID{})
	s.opts.Logger.Warn("others took this process for gone: it leaves its partitions to them, and begins new ones")
	for _, p := range s.tracked() {
		s.orphan(p)
	}
}

// orphan ends the stripes of a partition whose writer has another lease by now.
func (s *Store) orphan(p *openPartition) {
	if s.opts.Shared && p.row.Writer != s.writer.current() {
		p.fence()
		p.retire()
	}
}

// holdsLease fails a transaction of a process whose lease is gone. It adds no conflict: the
// lease may end right after.
func (s *Store) holdsLease(tx *metadata.Tx, id metadata.HolderID) error {
	if !s.opts.Shared {
		return nil
	}
	me, err := tx.Snapshot().Holder(id)
	if err == nil && me == nil {
		err = errLeaseLost
	}
	return err
}

// mayPutRow fails the announcement of a partition by a process whose lease is gone; and a second
// one, after an unknown commit, where somebody has taken the partition over since.
func (s *Store) mayPutRow(tx *metadata.Tx, row *metadata.Partition) error {
	if err := s.holdsLease(tx, row.Writer); err != nil {
		return err
	}
	there, err := tx.Partition(row.ID)
	if err == nil && there != nil && (there.Epoch != row.Epoch || there.Writer != row.Writer) {
		err = errMoved
	}
	return err
}

// keepLease renews the lease until the Store is closed.
func (s *Store) keepLease(every time.Duration) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
		}
		ctx, cancel := context.WithTimeout(s.ctx, leaseTimeout)
		err := s.KeepLease(ctx)
		cancel()
		rest := every
		if err != nil && s.ctx.Err() == nil && !errors.Is(err, ErrClosed) {
			rest = every / 4
			s.opts.Logger.Warn("lease of this process is not renewed", slog.Any("error", err))
		}
		timer.Reset(rest)
	}
}

// endLease lets the others take over at once. What fails is left to run out.
func (s *Store) endLease(ctx context.Context) {
	id := s.writer.current()
	if id == (metadata.HolderID{}) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	s.writer.set(metadata.HolderID{})
	if err := s.db.Update(ctx, class, func(tx *metadata.Tx) error { return tx.DeleteHolder(id) }); err != nil {
		s.opts.Logger.InfoContext(ctx, "lease of this process is left to run out", slog.Any("error", err))
	}
}

// followDisks takes up which disks others have begun to drain, or ceased to.
func (s *Store) followDisks(ctx context.Context) error {
	var rows []metadata.Disk
	err := s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		rows, err = r.Disks()
		return err
	})
	if err != nil {
		return fmt.Errorf("list disks: %w", err)
	}
	for i := range rows {
		id, leaves := rows[i].ID, rows[i].State != metadata.DiskActive
		switch {
		case leaves && !s.disks.isLeaving(id):
			s.disks.setLeaving(id)
			s.retireOn(id)
		case !leaves && s.disks.isLeaving(id):
			s.disks.setStaying(id)
			s.retireUnfit()
		}
	}
	return nil
}

// TakeOver takes over the partitions of writers that are gone: those whose rows name a process
// without a row l, or nobody; and those of this process that it lost sight of. What
// is whole and less than half full may be written on, the rest waits to be sealed. It
// returns how many there were, and does nothing unless the Store is shared.
func (s *Store) TakeOver(ctx context.Context) (int, error) {
	if !s.opts.Shared {
		return 0, nil
	}
	if !s.begin() {
		return 0, ErrClosed
	}
	defer s.work.Done()
	s.writer.taking.Lock()
	defer s.writer.taking.Unlock()
	id, err := s.lease(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := s.unsealed(ctx, func(*metadata.Partition) {})
	if err == nil {
		rows, err = s.orphaned(ctx, rows)
	}
	if err == nil && len(rows) > 0 {
		s.opts.Logger.InfoContext(ctx, "partitions of writers that are gone are taken over", slog.Int("partitions", len(rows)))
		err = s.takeAll(ctx, rows)
	}
	if errors.Is(err, errLeaseLost) {
		s.loseLease(id)
	}
	if err != nil {
		return 0, fmt.Errorf("take over partitions: %w", err)
	}
	return len(rows), nil
}

// orphaned are those of the rows that nobody writes to who lives, and whose disks this process
// reaches: others it could not seal.
func (s *Store) orphaned(ctx context.Context, rows []metadata.Partition) (out []metadata.Partition, err error) {
	var holders []metadata.Holder
	err = s.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		holders, err = r.Holders()
		return err
	})
	if err != nil {
		return nil, err
	}
	alive := make(map[metadata.HolderID]bool, len(holders))
	for _, h := range holders {
		alive[h.ID] = true
	}
	me := s.writer.current()
	for i := range rows {
		switch row := &rows[i]; {
		case row.State == metadata.PartitionDropped: // reclaim's
		case row.Writer == me && (s.isTracked(row.ID) || s.writer.isCreating(row.ID)):
		case row.Writer != me && alive[row.Writer]:
		case !s.reaches(row):
		default:
			out = append(out, *row)
		}
	}
	return out, nil
}

// reaches reports whether the disks are attached that it takes to read a partition.
func (s *Store) reaches(row *metadata.Partition) bool {
	n := 0
	for _, d := range s.disks.attached(row) {
		if d != nil {
			n++
		}
	}
	return n >= int(row.K)
}

func (s *Store) isTracked(id metadata.PartitionID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts[id] != nil
}

// mayTake says whether a partition is not sealed, and nobody who lives writes to it. It is decided
// in the transaction that takes it.
func (s *Store) mayTake(tx *metadata.Tx, row *metadata.Partition, me metadata.HolderID) (bool, error) {
	if row == nil || row.State == metadata.PartitionSealed {
		return false, nil
	}
	if !s.opts.Shared || row.Writer == me || row.Writer == (metadata.HolderID{}) {
		return true, nil
	}
	h, err := tx.Holder(row.Writer)
	return h == nil, err
}
