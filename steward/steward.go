package steward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

// Job is one kind of background work.
type Job interface {
	Name() string
	// Step does a bounded piece of work. It may be called again after an error.
	// One goroutine calls it at a time.
	Step(ctx context.Context) (Progress, error)
}

// Progress is what a Step did.
type Progress struct {
	Done int  // things freed, ended or sealed
	More bool // there may be more to do at once
}

// Options configure a Steward. Zero values are usable defaults.
type Options struct {
	// Interval is how long a job rests when it found nothing to do; 0 is 10 s.
	Interval time.Duration
	// Grace is how long garbage rests before it is looked at, so that readers
	// under way may end; 0 is 5 min, negative is not at all. Disks that are short
	// of space cut it short.
	Grace time.Duration
	// IntentAge is the age at which an unfinished write is looked at; 0 is 24 h,
	// negative is at once.
	IntentAge time.Duration
	// SweepAfter is how long dead space in a sealed partition may wait when it
	// is too little for a sweep of its own; 0 is 1 h, negative is not at all.
	SweepAfter time.Duration
	// RepairDelay is how long a disk may be away before its shards are rebuilt
	// on others, so that a reboot does not start that; 0 is 15 min, negative is
	// not at all. Shards of disks that were removed or replaced, and files that
	// are missing or damaged on disks that serve, do not wait.
	RepairDelay time.Duration
	// RepairBandwidth bounds the bytes of shards rebuilt in a second, and those
	// of shards moved off disks that are to be drained; 0 is no
	// bound. For what is rebuilt about k times as much is read.
	RepairBandwidth int64
	// ScrubInterval is how often every frame of every partition is verified; 0 is
	// two weeks, negative is never but when asked.
	ScrubInterval time.Duration
	// ScrubBandwidth bounds the bytes of shards verified in a second; 0 follows from
	// the interval, negative is no bound.
	ScrubBandwidth int64
	// Sole says that no other process works on this store, because this one
	// holds the locks of its directories: leases are neither needed nor written, and
	// those of a process that is gone do not count.
	Sole bool
	// LeaseInterval is how often a process that is not sole shows that it lives;
	// 0 is 10 s. After about five of them without that others take its jobs.
	LeaseInterval time.Duration
	// Share is the part of the time, in percent, that a job with bulk I/O may
	// work while requests move; 0 is 25, 100 is no bound.
	Share int
	// Activity rises whenever a request begins or moves bytes; nil: requests are
	// not heeded. It is called often.
	Activity func() int64
	// CompactEvery is how long after a look for partitions worth compacting the
	// next one follows; 0 is 1 min, negative is at once.
	CompactEvery time.Duration
	// CompactBandwidth bounds the bytes of blobs moved in a second; 0 is no bound.
	CompactBandwidth int64
	// Diskless says that other processes have the disks: only what needs none is done.
	Diskless bool
	// ExtraJobs are run besides the Steward's own.
	ExtraJobs []Job
	Now       func() time.Time // nil: the clock of the metadata
	Logger    *slog.Logger
}

func (o *Options) defaults(db *metadata.DB) {
	o.Interval = orDefault(o.Interval, 10*time.Second)
	o.Grace = orDefault(o.Grace, 5*time.Minute)
	o.IntentAge = orDefault(o.IntentAge, 24*time.Hour)
	o.SweepAfter = orDefault(o.SweepAfter, time.Hour)
	o.RepairDelay = orDefault(o.RepairDelay, 15*time.Minute)
	o.ScrubInterval = orDefault(o.ScrubInterval, 14*24*time.Hour)
	o.LeaseInterval = orDefault(o.LeaseInterval, 10*time.Second)
	if o.Share <= 0 {
		o.Share = defaultShare
	}
	o.CompactEvery = orDefault(o.CompactEvery, time.Minute)
	if o.Now == nil {
		o.Now = db.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return max(d, 0)
}

// Counters are totals since the Steward was made.
type Counters struct {
	Steps, Errors int64 // of all jobs

	Collected int64 // data ids, manifests and uploads freed
	Kept      int64 // looked at and still owned
	Extents   int64 // freed
	Bytes     int64 // of objects, freed from partitions
	Parts     int64 // of uploads, freed
	Intents   int64 // ended

	Retired int64 // open partitions given up because disks were short of space, or lack frames
	Sealed  int64 // partitions
	Dropped int64 // partitions
	Sweeps  int64 // of partitions, complete
	Punched int64 // bytes that disks got back of partitions that stay

	Compactions    int64 // of partitions, complete
	CompactedBlobs int64 // moved
	CompactedBytes int64 // of them
	CompactLost    int64 // blobs written again in vain: they changed meanwhile
	CompactFailed  int64 // stripes that could not be read

	Damaged        int64 // shards found missing or damaged
	Repaired       int64 // shards rebuilt
	RepairedBytes  int64 // of them
	Revived        int64 // lost shards that were found whole where they were
	RepairFailures int64
	Moved          int64 // shards taken off disks that are to be drained
	MovedBytes     int64 // of them
	MoveFailures   int64
	Superseded     int64 // shards removed that were rebuilt elsewhere
	Unknown        int64 // shards set aside that metadata do not know

	ScrubFrames     int64 // read and good
	ScrubBytes      int64 // of them
	ScrubDamaged    int64 // frames found missing or damaged
	ScrubMismatched int64 // stripes whose frames verify and contradict each other
	ScrubUnreadable int64 // stripes of which too few frames verify
	ScrubRounds     int64 // rounds over all partitions, complete
}

type counters struct {
	steps, errors                                   atomic.Int64
	collected, kept, extents, bytes, parts, intents atomic.Int64
	retired, sealed, dropped, sweeps, punched       atomic.Int64
	damaged, repaired, repairedBytes, revived       atomic.Int64
	repairFailures, superseded, unknown             atomic.Int64
	scrubFrames, scrubBytes, scrubDamaged           atomic.Int64
	scrubMismatched, scrubUnreadable, scrubRounds   atomic.Int64
	moved, movedBytes, moveFailures                 atomic.Int64
	compactions, compactedBlobs, compactedBytes     atomic.Int64
	compactLost, compactFailed                      atomic.Int64
}

// Steward runs the jobs. It is safe for concurrent use.
type Steward struct {
	db     *metadata.DB
	opts   Options
	stats  counters
	loops  []*loop
	keeper *keeper
	health atomic.Pointer[Health]

	mu     sync.Mutex // guards what follows
	cancel context.CancelFunc
	leave  func() // gives the leases back
	closed bool
	work   sync.WaitGroup
}

// New returns a Steward over a store, at rest. It owns neither argument; store must
// stay open until Close has returned.
func New(db *metadata.DB, store *partition.Store, o Options) *Steward {
	s := newSteward(db, o)
	base := base{db: db, store: store, opts: &s.opts, stats: &s.stats, wide: &reencode{}}
	own := []Job{&collect{base: base, batch: collectBatch}, &intents{base: base}, &tokens{base: base}}
	if o.Diskless {
		own = own[1:] // who has the disks also says how long what was deleted rests
	}
	if store.Shared() && !o.Diskless {
		own = append(own, &takeover{base: base})
	}
	if !o.Diskless {
		own = append(own, &seal{base: base}, &reclaim{base: base, swept: map[metadata.PartitionID]swept{}},
			newRepair(base, s.health.Store), newDrain(base), newCompact(base), newScrub(base))
	}
	for _, job := range append(own, o.ExtraJobs...) {
		s.add(job)
	}
	return s
}

// newSteward returns a Steward without jobs.
func newSteward(db *metadata.DB, o Options) *Steward {
	o.defaults(db)
	s := &Steward{db: db, opts: o}
	s.keeper = newKeeper(s)
	return s
}

func (s *Steward) add(job Job) { s.loops = append(s.loops, newLoop(s, job)) }

// base is what every job works with.
type base struct {
	db    *metadata.DB
	store *partition.Store
	opts  *Options
	stats *counters
	wide  *reencode // from repair to compact
}

// Start runs the jobs until Close. It does nothing the second time.
func (s *Steward) Start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.cancel != nil {
		return
	}
	after := context.WithoutCancel(ctx)
	s.leave = func() { s.keeper.leave(after) }
	ctx, s.cancel = context.WithCancel(after)
	s.work.Go(func() { s.keeper.run(ctx) })
	for _, l := range s.loops {
		s.work.Go(func() { l.run(ctx) })
	}
}

// Close stops the jobs and waits for the steps under way. It may be called
// repeatedly, and on a Steward that was never started.
func (s *Steward) Close() {
	s.mu.Lock()
	s.closed = true
	leave := func() {}
	if s.cancel != nil {
		s.cancel()
		leave = s.leave
	}
	s.mu.Unlock()
	s.work.Wait()
	leave()
}

// Jobs are the jobs, in the order in which one makes work for the next.
func (s *Steward) Jobs() []Job {
	out := make([]Job, len(s.loops))
	for i, l := range s.loops {
		out[i] = l
	}
	return out
}

// Drain runs every job until none finds anything to do, and returns how much
// they did. It may be called beside running jobs.
func (s *Steward) Drain(ctx context.Context) (int, error) {
	total := 0
	for {
		done := 0
		var errs []error
		for _, l := range s.loops {
			n, err := l.drain(ctx)
			done += n
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", l.Name(), err))
			}
		}
		total += done
		if err := errors.Join(errs...); err != nil || done == 0 {
			return total, err
		}
	}
}

// Health is what the repair job found when it last looked at all partitions: at
// most an interval and a repair ago while the Steward runs. It is nil before.
func (s *Steward) Health() *Health { return s.health.Load() }

// Counters reports totals.
func (s *Steward) Counters() Counters {
	c := &s.stats
	return Counters{
		Steps: c.steps.Load(), Errors: c.errors.Load(), Collected: c.collected.Load(), Kept: c.kept.Load(),
		Extents: c.extents.Load(), Bytes: c.bytes.Load(), Parts: c.parts.Load(), Intents: c.intents.Load(),
		Retired: c.retired.Load(), Sealed: c.sealed.Load(), Dropped: c.dropped.Load(),
		Sweeps: c.sweeps.Load(), Punched: c.punched.Load(),
		Damaged: c.damaged.Load(), Repaired: c.repaired.Load(), RepairedBytes: c.repairedBytes.Load(), Revived: c.revived.Load(),
		Compactions: c.compactions.Load(), CompactedBlobs: c.compactedBlobs.Load(), CompactedBytes: c.compactedBytes.Load(),
		CompactLost: c.compactLost.Load(), CompactFailed: c.compactFailed.Load(),
		RepairFailures: c.repairFailures.Load(), Superseded: c.superseded.Load(), Unknown: c.unknown.Load(),
		ScrubFrames: c.scrubFrames.Load(), ScrubBytes: c.scrubBytes.Load(), ScrubDamaged: c.scrubDamaged.Load(),
		ScrubMismatched: c.scrubMismatched.Load(), ScrubUnreadable: c.scrubUnreadable.Load(), ScrubRounds: c.scrubRounds.Load(),
		Moved: c.moved.Load(), MovedBytes: c.movedBytes.Load(), MoveFailures: c.moveFailures.Load(),
	}
}
