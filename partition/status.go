package partition

import (
	"cmp"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/undercroft/undercroft/metadata"
)

// counters count since the start.
type counters struct {
	blobs, bytes, stripes, batches, retries, failedAppends atomic.Int64
	created, reopened, sealed, dropped                     atomic.Int64
	reads, reconstructed, corrupt, missing, unreadable     atomic.Int64
	repaired, repairedBytes, revived                       atomic.Int64
	moved, movedBytes                                      atomic.Int64
	changes                                                atomic.Uint64
}

// Counters are totals since the Store was opened.
type Counters struct {
	Blobs         int64 // submitted
	Bytes         int64 // of them
	Stripes       int64 // made durable
	Batches       int64 // of them, those of small blobs, failed ones included
	Retries       int64 // stripes written again in another partition
	FailedAppends int64
	Refused       int64 // buffers and reads refused for want of memory

	PartitionsCreated  int64
	PartitionsReopened int64
	PartitionsSealed   int64
	PartitionsDropped  int64 // sealed before

	Reads         int64 // chunks
	Reconstructed int64 // blocks
	Corrupt       int64 // frames found corrupt by reads
	Missing       int64 // frames found missing by reads
	Unreadable    int64 // chunks that could not be read
	Hedged        int64 // chunks that were rebuilt because their shard took long
	HedgesWon     int64 // of them, those whose shard took longer than that
	HedgesRefused int64 // chunks that were not hedged because too many were
	ReadsGivenUp  int64 // reads of a disk that nobody waited for any more

	Repaired      int64 // shards written anew
	RepairedBytes int64 // of their frames
	Revived       int64 // lost shards that were found whole
	Moved         int64 // shards taken to another disk
	MovedBytes    int64 // of their frames
}

// DiskStatus is the health of a disk.
type DiskStatus struct {
	ID     metadata.DiskID
	Failed error // why it gets no new partitions; nil while it does, or is to be drained
}

// WriteStatus describes a partition that is not sealed.
type WriteStatus struct {
	ID       metadata.PartitionID
	Scheme   Scheme
	Class    string // "" is STANDARD
	Epoch    metadata.Epoch
	Open     bool // takes stripes
	Used     int64
	Capacity int64
	Held     int // blobs not yet published or given up
}

// Status describes a Store at a moment.
type Status struct {
	Wanted Scheme // for all disks of the inventory
	InUse  Scheme // for the disks in service now; zero where they are too few
	// Degraded says that disks are missing or failed.
	Degraded     bool
	Disks        []DiskStatus // by id
	Partitions   []WriteStatus
	BufferMemory int64 // bytes of buffers in use
	ReadMemory   int64 // bytes of reads in use
	Counters     Counters
}

// Status reports health and totals. It does no I/O.
func (s *Store) Status() Status {
	now := s.opts.Now()
	out := Status{
		Wanted:       s.classes.standard.scheme(),
		BufferMemory: s.buffers.small.used() + s.buffers.large.used(),
		ReadMemory:   s.reads.used(),
		Counters:     s.counters(),
	}
	usable := 0
	for _, d := range s.disks.all() {
		err := d.usable(now)
		if err == nil {
			usable++
		}
		out.Disks = append(out.Disks, DiskStatus{d.id, err})
	}
	out.InUse = s.classes.standard.inUse()
	out.Degraded = usable < max(s.plan.Load().known, len(out.Disks))
	for _, p := range s.tracked() {
		out.Partitions = append(out.Partitions, p.status())
	}
	slices.SortFunc(out.Partitions, func(a, b WriteStatus) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (p *openPartition) status() WriteStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return WriteStatus{
		ID: p.row.ID, Scheme: Scheme{p.k, p.m}, Class: p.row.Class, Epoch: p.row.Epoch, Open: !p.retired,
		Used: p.next, Capacity: p.row.Capacity, Held: p.held,
	}
}

func (s *Store) counters() Counters {
	c, r := &s.stats, &s.reads.stats
	return Counters{
		Blobs: c.blobs.Load(), Bytes: c.bytes.Load(), Stripes: c.stripes.Load(), Batches: c.batches.Load(),
		Retries: c.retries.Load(), FailedAppends: c.failedAppends.Load(),
		Refused:           s.buffers.small.refusals() + s.buffers.large.refusals() + s.reads.refusals(),
		PartitionsCreated: c.created.Load(), PartitionsReopened: c.reopened.Load(), PartitionsSealed: c.sealed.Load(), PartitionsDropped: c.dropped.Load(),
		Reads: c.reads.Load(), Reconstructed: c.reconstructed.Load(), Corrupt: c.corrupt.Load(),
		Missing: c.missing.Load(), Unreadable: c.unreadable.Load(),
		Hedged: r.hedged.Load(), HedgesWon: r.hedgesWon.Load(), HedgesRefused: r.hedgesRefused.Load(), ReadsGivenUp: r.givenUp.Load(),
		Repaired: c.repaired.Load(), RepairedBytes: c.repairedBytes.Load(), Revived: c.revived.Load(),
		Moved: c.moved.Load(), MovedBytes: c.movedBytes.Load(),
	}
}

// encoders is how many stripes are encoded at a time.
func encoders() int { return runtime.GOMAXPROCS(0) }
