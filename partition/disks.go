package partition

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

const (
	// minAside and maxAside bound how long a disk that failed gets no new
	// partitions; each failure doubles it.
	minAside = 30 * time.Second
	maxAside = 10 * time.Minute
	// fullAside is how long a full disk gets none.
	fullAside = 5 * time.Second
	// reserveDivisor: a disk keeps this fraction of its space, at most
	// maxReserve, free of new partitions.
	reserveDivisor = 20
	maxReserve     = 10 << 30
	// lastDivisor: of that, compaction leaves this fraction.
	lastDivisor = 4
)

// disk is an attached disk with what the writer knows of its health.
type disk struct {
	blobd.Disk
	id metadata.DiskID

	reads diskReads

	mu       sync.Mutex // guards what follows
	until    time.Time  // no new partitions before
	failures int
	cause    error
	// What it holds is held against the metadata: what is missing first, and
	// then, when that is known of all disks, what should not be there.
	known, tidied bool
	inspected     metadata.PartitionID // how far the look for what is missing has come
	look          time.Time            // not before
}

// usable returns nil when new partitions may be placed on the disk.
func (d *disk) usable(now time.Time) error {
	if err := d.Failed(); err != nil {
		return err
	}
	if d.reads.hangs(now) {
		return errSlow
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Before(d.until) {
		return d.cause
	}
	return nil
}

// setAside keeps new partitions off the disk for a while.
func (d *disk) setAside(now time.Time, cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(cause, blobd.ErrNoSpace) {
		d.until, d.cause = now.Add(fullAside), cause
		return
	}
	d.until = now.Add(min(minAside<<min(d.failures, 8), maxAside))
	d.failures++
	d.cause = cause
}

// restore says that the disk did what was asked of it.
func (d *disk) restore() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.restoreLocked()
}

func (d *disk) restoreLocked() { d.failures, d.cause, d.until = 0, nil, time.Time{} }

// diskSet is the attached disks. It is safe for concurrent use.
type diskSet struct {
	mu      sync.RWMutex // guards what follows
	byID    map[metadata.DiskID]*disk
	leaving map[metadata.DiskID]bool // to be drained: nothing new is placed there
}

func newDiskSet(disks []blobd.Disk) *diskSet {
	s := &diskSet{byID: make(map[metadata.DiskID]*disk, len(disks)), leaving: map[metadata.DiskID]bool{}}
	for _, d := range disks {
		s.add(d)
	}
	return s
}

// add attaches a disk, in place of one with the same identity.
func (s *diskSet) add(d blobd.Disk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := metadata.DiskID(d.ID())
	s.byID[id] = &disk{Disk: d, id: id}
}

func (s *diskSet) remove(id metadata.DiskID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
	delete(s.leaving, id)
}

func (s *diskSet) setLeaving(id metadata.DiskID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving[id] = true
}

func (s *diskSet) setStaying(id metadata.DiskID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leaving, id)
}

func (s *diskSet) isLeaving(id metadata.DiskID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.leaving[id]
}

func (s *diskSet) allLeaving() []metadata.DiskID {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.leaving))
}

// get returns an attached disk or nil.
func (s *diskSet) get(id metadata.DiskID) *disk {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byID[id]
}

// resolve returns the disks of a partition's shards, nil for those missing.
func (s *diskSet) resolve(row *metadata.Partition) []*disk {
	out := make([]*disk, len(row.Shards))
	for i, id := range row.Shards {
		if !slices.Contains(row.Lost, uint8(i)) {
			out[i] = s.get(id)
		}
	}
	return out
}

// attached returns the disks of a partition's shards, the lost ones included,
// for readers: a frame that verifies is right wherever it lies.
func (s *diskSet) attached(row *metadata.Partition) []*disk {
	out := make([]*disk, len(row.Shards))
	for i, id := range row.Shards {
		out[i] = s.get(id)
	}
	return out
}

// serves reports whether a disk is attached and has not failed.
func (s *diskSet) serves(id metadata.DiskID) bool {
	d := s.get(id)
	return d != nil && d.Failed() == nil
}

// isKnown reports whether what a disk holds was held against the metadata.
func (s *diskSet) isKnown(id metadata.DiskID) bool {
	d := s.get(id)
	return d != nil && d.isKnown()
}

func (s *diskSet) all() []*disk {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*disk, 0, len(s.byID))
	for _, d := range s.byID {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *disk) int { return slices.Compare(a.id[:], b.id[:]) })
	return out
}

// placeable counts the disks in service that new partitions may be placed on.
func (s *diskSet) placeable(now time.Time) (n int) {
	for _, d := range s.all() {
		if d.usable(now) == nil && !s.isLeaving(d.id) {
			n++
		}
	}
	return n
}

// candidate is a disk with its chance to be chosen.
type candidate struct {
	*disk
	rank float64
}

// choose picks disks for a new partition in the order of its shards: at random,
// weighted by free space. It keeps m and shrinks k where disks are out of
// service. Errors are ErrNoDisks and ErrNoSpace.
func (s *Store) choose(ctx context.Context, l *lane) ([]*disk, error) {
	now := s.opts.Now()
	var found []candidate
	var cause error
	full := 0
	for _, d := range s.disks.all() {
		if s.disks.isLeaving(d.id) {
			continue
		}
		free, err := d.roomBeyond(ctx, now, l.leaves)
		switch {
		case err == nil:
			found = append(found, candidate{d, s.random.rank(free)})
		case errors.Is(err, blobd.ErrNoSpace):
			full++
			cause = err
		default:
			cause = err
		}
	}
	plan := s.plan.Load()
	wanted := plan.of(l.class.name)
	scheme := wanted.on(len(found))
	if l == l.class.spare && scheme.K < wanted.on(len(found)+full).K {
		scheme.K = 0 // a narrower one takes more than it gives back
	}
	if scheme.K == 0 {
		if wanted.on(len(found)+full).K > 0 {
			return nil, fmt.Errorf("%w: %d of %d disks have room: %w", ErrNoSpace, len(found), plan.known, cause)
		}
		return nil, fmt.Errorf("%w: %d of %d, scheme %s: %w", ErrNoDisks, len(found), plan.known, wanted, cause)
	}
	slices.SortFunc(found, func(a, b candidate) int {
		if a.rank > b.rank {
			return -1
		}
		return 1
	})
	out := make([]*disk, scheme.K+scheme.M)
	for i := range out {
		out[i] = found[i].disk
	}
	s.random.shuffle(out)
	return out, nil
}

// room returns the bytes that may be used for new partitions.
func (d *disk) room(ctx context.Context, now time.Time) (uint64, error) {
	return d.roomBeyond(ctx, now, 1)
}

// roomBeyond is the space beyond a fraction of what is kept free, and beyond what the
// disk itself keeps.
func (d *disk) roomBeyond(ctx context.Context, now time.Time, divisor uint64) (uint64, error) {
	if err := d.usable(now); err != nil {
		return 0, fmt.Errorf("disk %s: %w", d.ID(), err)
	}
	u, err := d.Usage(ctx)
	if err != nil {
		return 0, fmt.Errorf("disk %s: %w", d.ID(), err)
	}
	reserve := max(min(u.Total/reserveDivisor, maxReserve)/divisor, u.Reserve)
	if u.Free <= reserve {
		return 0, fmt.Errorf("disk %s: %d of %d bytes are free: %w", d.ID(), u.Free, u.Total, blobd.ErrNoSpace)
	}
	return u.Free - reserve, nil
}

// rank draws a number such that the largest of several is that of each
// candidate with a probability in proportion to its weight.
func (r *random) rank(weight uint64) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return math.Pow(1-r.pick.Float64(), 1/float64(weight>>20+1))
}

func (r *random) shuffle(disks []*disk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pick.Shuffle(len(disks), func(i, j int) { disks[i], disks[j] = disks[j], disks[i] })
}
