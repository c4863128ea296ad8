package partition

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// openPartition is a partition that this process writes, or has written and
// not sealed yet.
type openPartition struct {
	row   metadata.Partition // as it was opened; never changed
	disks []*disk            // of the shards
	scheme
	inherited bool // another process wrote to it

	mu      sync.Mutex // guards what follows
	next    int64      // the offset of the next stripe; only rises
	retired bool       // takes no more stripes
	closing bool       // and the metadata say so
	fenced  bool       // somebody else took it over
	held    int        // blobs not yet published or given up
	after   time.Time  // not to be sealed before: a stripe could not be read
	checked bool       // every frame was looked for
	doubted bool       // what a disk of it holds may be older than what was written
	spoiled []uint8    // shards of which a read found frames missing or corrupt
	absent  []uint8    // shards that could not be fenced when that was last tried

	unreadable bool // a stripe could not be read when the partition was to be sealed
}

// scheme embeds the numbers that every computation needs.
type scheme struct{ k, m int }

func newOpenPartition(row metadata.Partition, disks []*disk, next int64) *openPartition {
	return &openPartition{row: row, disks: disks, scheme: scheme{int(row.K), int(row.M)}, next: next}
}

func (p *openPartition) shard(i int) blobd.ShardID {
	return blobd.ShardID{Partition: blobd.PartitionID(p.row.ID), Index: uint8(i)}
}

// reserve takes the next size bytes of every shard for a stripe of so many
// blobs. It reports false when the partition is full or retired.
func (p *openPartition) reserve(size int64, blobs int) (offset int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired || p.next+size > p.row.Capacity {
		return 0, false
	}
	offset = p.next
	p.next += size
	p.held += blobs
	return offset, true
}

// release gives up the hold of blobs that were published or will not be.
func (p *openPartition) release(blobs int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held -= blobs
}

// retire ends stripes; false when they were ended before.
func (p *openPartition) retire() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.retired
	p.retired = true
	return !was
}

func (p *openPartition) isRetired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.retired
}

// isFilling reports whether a successor should be made ready.
func (p *openPartition) isFilling() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next > p.row.Capacity/4*3
}

// doubt makes the seal look for what this process wrote.
func (p *openPartition) doubt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubted = true
}

func (p *openPartition) uses(d *disk) bool { return slices.Contains(p.disks, d) }

// lane is the open partition of one kind of work, of a storage class, and its
// successor.
type lane struct {
	name  string
	class *storageClass
	store *Store
	// leaves is what divides the space that is kept free, to give what new partitions leave.
	leaves uint64

	mu      sync.Mutex // guards what follows
	current *openPartition
	next    *openPartition
	making  *making   // under way
	warned  time.Time // of too little space
}

// making is the creation of a partition that writers may wait for.
type making struct {
	done chan struct{} // closed when err is set
	err  error
}

// get returns the partition to write to, waiting for a new one where there is
// none. It is called by work that Close waits for.
func (l *lane) get(ctx context.Context) (*openPartition, error) {
	for {
		p, m := l.look()
		if p != nil {
			return p, nil
		}
		select {
		case <-m.done:
		case <-ctx.Done():
			return nil, ErrClosed
		}
		if m.err != nil {
			return nil, m.err
		}
	}
}

// look returns the open partition, or else the creation to wait for.
func (l *lane) look() (*openPartition, *making) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil || l.current.isRetired() {
		l.current, l.next = l.next, nil
	}
	if l.current != nil && l.current.isRetired() {
		l.current = nil
	}
	wanted := l.current == nil || l.next == nil && l.current.isFilling()
	if wanted && l.making == nil {
		m := &making{done: make(chan struct{})}
		l.making = m
		l.store.spawn(func() { l.make(m) })
	}
	return l.current, l.making
}

// make creates a partition and puts it where it is missing.
func (l *lane) make(m *making) {
	p, err := l.store.create(l.store.ctx, l)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		m.err = err
		l.warn(err)
	case l.current == nil:
		l.current = p
	default:
		l.next = p
	}
	l.making = nil
	close(m.done)
}

// adopt takes a partition of an earlier process; false when there is no need.
func (l *lane) adopt(p *openPartition) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.current == nil:
		l.current = p
	case l.next == nil:
		l.next = p
	default:
		return false
	}
	return true
}

// open lists the partitions of the lane that take stripes.
func (l *lane) open() []*openPartition {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*openPartition
	for _, p := range []*openPartition{l.current, l.next} {
		if p != nil && !p.isRetired() {
			out = append(out, p)
		}
	}
	return out
}

// warn says why there is no new partition, of full disks once a minute. Called with mu held.
func (l *lane) warn(err error) {
	if errors.Is(err, ErrNoSpace) {
		now := l.store.opts.Now()
		if now.Sub(l.warned) < time.Minute {
			return
		}
		l.warned = now
	}
	l.store.opts.Logger.Warn("no new partition", slog.String("lane", l.name),
		slog.String("storage_class", l.class.name), slog.Any("error", err))
}
