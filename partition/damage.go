package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

const (
	// maxDamages bounds the shards that wait for a second look. What does not
	// fit is reported again by the next read.
	maxDamages = 1024
	// damageBatch is how many of them one call looks at.
	damageBatch = 64
)

// damages are shards of which reads found frames missing or corrupt, with the
// offset of one. The zero value is ready.
type damages struct {
	mu   sync.Mutex // guards what follows
	wait map[blobd.ShardID]int64
}

// add notes a frame, unless the shard is known to be short or its disk does not serve.
func (q *damages) add(v *view, shard int, stripe int64, err error) {
	if !ofTheFrame(err) || slices.Contains(v.short, uint8(shard)) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wait == nil {
		q.wait = make(map[blobd.ShardID]int64)
	}
	if len(q.wait) < maxDamages {
		q.wait[v.shard(shard)] = stripe
	}
}

// ofTheFrame reports whether an error says something of the frame or its
// shard, and not of the disk as a whole or of the one who asks.
func ofTheFrame(err error) bool {
	for _, other := range []error{
		errSlow, errMissing, blobd.ErrDiskFailed, blobd.ErrClosed, context.Canceled, context.DeadlineExceeded,
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// take removes some of them.
func (q *damages) take(limit int) map[blobd.ShardID]int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make(map[blobd.ShardID]int64)
	for id, stripe := range q.wait {
		if len(out) == limit {
			break
		}
		out[id] = stripe
		delete(q.wait, id)
	}
	return out
}

func (q *damages) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.wait)
}

// NoteDamage looks again at frames that reads could not use, and records the
// shards of those that are still referenced and still cannot be: a sealed
// partition's in its row, another's when it is sealed, which it is to be soon: it
// takes no more stripes. It returns how many it recorded.
func (s *Store) NoteDamage(ctx context.Context) (noted int, err error) {
	if !s.begin() {
		return 0, ErrClosed
	}
	defer s.work.Done()
	for id, stripe := range s.damages.take(damageBatch) {
		done, err := s.noteDamage(ctx, metadata.PartitionID(id.Partition), id.Index, stripe)
		if err != nil {
			return noted, fmt.Errorf("note damage of %s: %w", id, err)
		}
		if done {
			noted++
		}
	}
	return noted, nil
}

func (s *Store) noteDamage(ctx context.Context, id metadata.PartitionID, shard uint8, stripe int64) (bool, error) {
	row, referenced, err := s.stripeRow(ctx, id, stripe)
	if err != nil || row == nil || !referenced || slices.Contains(slices.Concat(row.Lost, row.Damaged), shard) {
		return false, err
	}
	v := s.readView(row)
	err = s.checkFrame(ctx, v, int(shard), stripe)
	if errors.Is(err, ErrUnreadable) { // what others lack says nothing of this one
		err = s.checkFrameAlone(ctx, v, int(shard), stripe)
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err == nil || !ofTheFrame(err) {
		return false, nil
	}
	if row.State != metadata.PartitionSealed {
		s.mu.Lock()
		p := s.parts[id]
		s.mu.Unlock()
		if p != nil {
			p.spoil(shard)
			s.changed()
			s.retire(p) // repair is of what is sealed
		}
		return p != nil, nil
	}
	return s.recordShort(ctx, row, shard, errors.Is(err, blobd.ErrShardNotFound))
}

// stripeRow reads a partition's row and whether a stripe of it is referenced.
func (s *Store) stripeRow(ctx context.Context, id metadata.PartitionID, stripe int64) (row *metadata.Partition, referenced bool, err error) {
	err = s.db.View(ctx, class, func(r *metadata.Reader) error {
		var err error
		if row, err = r.Partition(id); err != nil || row == nil {
			return err
		}
		refs, err := r.Refs(id, stripe, 1)
		referenced = len(refs) > 0 && refs[0].Stripe == stripe
		return err
	})
	return row, referenced, err
}

// checkFrame reads the frame that a shard has of a stripe, if it has one.
func (s *Store) checkFrame(ctx context.Context, v *view, shard int, stripe int64) error {
	f, err := s.survivors(ctx, v, stripe)
	if err != nil {
		return err
	}
	column := columnOf(shard, stripe, v.k)
	if !slices.Contains(f.expected(), column) {
		return nil
	}
	if !slices.Contains(f.present, column) {
		if _, err := v.header(ctx, shard, stripe); err != nil {
			return err
		}
		return fmt.Errorf("%w: %s has a frame of another stripe at %d", blobd.ErrCorrupt, v.shard(shard), stripe)
	}
	m := s.slabs.get(readBuffer)
	defer s.slabs.put(m)
	return f.verifyColumn(ctx, column, m.b[:readBuffer])
}

// checkFrameAlone reads the frame that a shard has of a stripe without a look at the others.
func (s *Store) checkFrameAlone(ctx context.Context, v *view, shard int, stripe int64) error {
	h, err := v.header(ctx, shard, stripe)
	if err != nil {
		return err
	}
	m := s.slabs.get(readBuffer)
	defer s.slabs.put(m)
	f := &frameSet{view: v, stripe: stripe, header: h, columns: int(h.Columns), height: h.Height}
	return f.verifyColumn(ctx, int(h.Column), m.b[:readBuffer])
}

// recordShort adds a shard of a sealed partition to the lost or the damaged
// ones, unless the row has changed hands since it was read.
func (s *Store) recordShort(ctx context.Context, row *metadata.Partition, shard uint8, lost bool) (bool, error) { //nolint:revive // lost is a fact about the shard
	noted := false
	err := s.settled(ctx, func(tx *metadata.Tx) error {
		noted = false
		now, err := tx.Partition(row.ID)
		if err != nil || now == nil || now.State != metadata.PartitionSealed || now.Epoch != row.Epoch ||
			slices.Contains(slices.Concat(now.Lost, now.Damaged), shard) {
			return err
		}
		if lost {
			now.Lost = append(now.Lost, shard)
		} else {
			now.Damaged = append(now.Damaged, shard)
		}
		noted = true
		return tx.PutPartition(now)
	})
	if noted {
		s.views.forget(row.ID)
	}
	return noted, err
}

// Annotate adds to the row of a partition that is not sealed which shards this
// process knows to be missing or to lack frames. The row itself says so once it
// is sealed.
func (s *Store) Annotate(row *metadata.Partition) {
	if row.State == metadata.PartitionSealed {
		return
	}
	s.mu.Lock()
	p := s.parts[row.ID]
	s.mu.Unlock()
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range row.Shards {
		n := uint8(i)
		switch {
		case slices.Contains(slices.Concat(row.Lost, row.Damaged), n):
		case slices.Contains(p.absent, n):
			row.Lost = append(row.Lost, n)
		case p.unreadable || slices.Contains(p.spoiled, n):
			row.Damaged = append(row.Damaged, n)
		}
	}
}
