package partition

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/metadata"
)

// Options configure a Store. Zero values are usable defaults except for Disks.
type Options struct {
	// Disks are the attached disks. The Store does not own them.
	Disks []blobd.Disk
	// KnownDisks is how many disks the inventory has, missing ones included:
	// the scheme follows it, so that m never falls because a disk is away.
	KnownDisks int
	// Scheme overrides the one for KnownDisks.
	Scheme Scheme
	// Classes are the schemes of the storage classes besides STANDARD; a zero scheme
	// is that of STANDARD.
	Classes map[string]Scheme
	// MinColumn is the height in bytes below which a stripe is not cut into
	// more columns; 0 is 128 KiB.
	MinColumn int
	// Capacity is the bytes of each shard, a multiple of 4096; 0 is 1 GiB.
	Capacity int64
	// BufferMemory bounds the memory of buffers, in bytes; 0 is 160 MiB.
	// Reading, parity and batches being assembled have bounds of their own,
	// together less than as much again.
	BufferMemory int64
	// AppendTimeout is how long an append may lag behind the other frames of
	// its stripe before its disk is set aside; 0 is 10 s.
	AppendTimeout time.Duration
	// Shared says that other processes write to the same metadata and disks: partitions are
	// taken over only from writers whose lease is gone. Else the caller sees to it that
	// there is no other process.
	Shared bool
	// LeaseInterval is how often a shared Store shows that it lives; 0 is 10 s,
	// negative is never by itself: the caller calls [Store.KeepLease].
	LeaseInterval time.Duration
	// Diskless says that other processes have the disks: nothing is taken over, and
	// whatever needs a disk fails with [ErrElsewhere].
	Diskless bool
	// Damaged is told of each frame that a read found missing or corrupt and
	// went around. It must not block.
	Damaged func(Damage)
	Now     func() time.Time
	// Rand is where stripe ids and secrets come from; nil is crypto/rand. It
	// need not be safe for concurrent use.
	Rand   io.Reader
	Logger *slog.Logger
}

// Damage is a frame that could not be used.
type Damage struct {
	Shard  blobd.ShardID
	Stripe int64 // its offset
	Err    error
}

const (
	defaultMinColumn     = 128 << 10
	defaultCapacity      = 1 << 30
	defaultBufferMemory  = 160 << 20
	defaultAppendTimeout = 10 * time.Second
	// minCapacity leaves room for the largest stripe even at k = 1.
	minCapacity = 8 << 20
)

func (o *Options) defaults(db *metadata.DB) {
	o.KnownDisks = max(o.KnownDisks, len(o.Disks))
	if o.Scheme == (Scheme{}) {
		o.Scheme = SchemeFor(o.KnownDisks)
	}
	if o.MinColumn == 0 {
		o.MinColumn = defaultMinColumn
	}
	if o.Capacity == 0 {
		o.Capacity = defaultCapacity
	}
	if o.BufferMemory == 0 {
		o.BufferMemory = defaultBufferMemory
	}
	if o.AppendTimeout == 0 {
		o.AppendTimeout = defaultAppendTimeout
	}
	if o.LeaseInterval == 0 {
		o.LeaseInterval = defaultLeaseInterval
	}
	if o.Damaged == nil {
		o.Damaged = func(Damage) {}
	}
	if o.Now == nil {
		o.Now = db.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func (o *Options) validate() error {
	if err := validSchemes(o.Scheme, o.Classes); err != nil {
		return err
	}
	if o.MinColumn < heightUnit || o.MinColumn > largeBuffer {
		return fmt.Errorf("%w: smallest column of %d bytes", ErrInvalid, o.MinColumn)
	}
	if o.Capacity < minCapacity || o.Capacity%blobd.Align != 0 {
		return fmt.Errorf("%w: capacity of %d bytes is less than %d or no multiple of %d",
			ErrInvalid, o.Capacity, minCapacity, blobd.Align)
	}
	if o.BufferMemory < 0 || o.AppendTimeout < 0 {
		return fmt.Errorf("%w: negative option", ErrInvalid)
	}
	return nil
}

// Store writes and reads blobs. It is safe for concurrent use.
type Store struct {
	opts    Options
	db      *metadata.DB
	disks   *diskSet
	plan    atomic.Pointer[plan]
	slabs   *slabs
	buffers *buffers
	codes   codes
	random  *random
	stats   counters
	views   *viewCache
	reads   *readBudget

	classes  classes
	encode   chan struct{}
	flying   chan struct{} // large stripes between encoding and durability
	rebuilds chan struct{} // frames that repairs are at
	damages  damages
	claims   claims
	moves    moves
	writer   writer
	renewal  sync.WaitGroup // of the lease

	// ctx ends when the Store is closed and its writers are done.
	ctx    context.Context //nolint:containedctx // the life of background work, which belongs to no request
	cancel context.CancelFunc

	mu     sync.Mutex // guards what follows
	closed bool
	parts  map[metadata.PartitionID]*openPartition // written by this process and not sealed, or taken over
	work   sync.WaitGroup                          // writers and background work
}

// Buffer takes a buffer for want bytes from the pool: of 64 KiB, 1 MiB or
// 4 MiB, the smallest that fits; 4 MiB is the most, and under pressure a want
// above 1 MiB gets 1 MiB. A negative want means that nobody knows: 1 MiB. When
// the pool is exhausted it waits for a few seconds at most, in a bounded
// queue, and then returns [ErrOverloaded]; or the context's error.
func (s *Store) Buffer(ctx context.Context, want int64) (*Buffer, error) {
	if err := s.Elsewhere(); err != nil {
		return nil, err
	}
	return s.buffers.get(ctx, want)
}

// Elsewhere returns [ErrElsewhere] where other processes have the disks.
func (s *Store) Elsewhere() error {
	if s.opts.Diskless {
		return ErrElsewhere
	}
	return nil
}

// begin registers work that Close waits for; false once the Store is closed.
func (s *Store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

// Close waits until everything submitted is durable or failed, and stops. The
// partitions stay open in the metadata: the next [Open] takes them over. When
// ctx ends first, it stops the writers and returns the context's error.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.work.Wait()
		close(done)
	}()
	defer s.cancel()
	select {
	case <-done:
		s.cancel()
		s.renewal.Wait()
		s.endLease(context.WithoutCancel(ctx))
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close partitions: %w", ctx.Err())
	}
}

// random draws numbers from one reader.
type random struct {
	mu   sync.Mutex // guards what follows
	src  io.Reader
	pick *mathrand.Rand // for choices that need not be secret
}

func newRandom(src io.Reader) (*random, error) {
	var seed [16]byte
	if _, err := io.ReadFull(src, seed[:]); err != nil {
		return nil, fmt.Errorf("random numbers: %w", err)
	}
	return &random{src: src, pick: mathrand.New(mathrand.NewPCG(be64(seed[:8]), be64(seed[8:])))}, nil
}

// bytes fills b with unpredictable bytes.
func (r *random) bytes(b []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := io.ReadFull(r.src, b); err != nil {
		return fmt.Errorf("random numbers: %w", err)
	}
	return nil
}

func be64(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}
