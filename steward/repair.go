package steward

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

const (
	// repairQueue is how many shards one look at the partitions queues.
	repairQueue = 1024
	// repairsAtOnce shards are rebuilt at a time, of partitions that share no disk.
	repairsAtOnce = 4
	// repairLook is how old a look may be: what was lost since may come first.
	repairLook = 10 * time.Second
	// minRest and maxRest bound how long a shard rests that could not be
	// repaired; each failure doubles it.
	minRest = time.Minute
	maxRest = time.Hour
)

// Health is what the last look at all partitions found.
type Health struct {
	Redundancy metadata.Redundancy
	Classes    []metadata.ClassUsage // STANDARD first
	Queued     int64                 // shards to be repaired now
	Waiting    int64                 // shards on disks that are away and may come back
	Resting    int64                 // shards that could not be repaired and will be tried again
	NoTarget   int64                 // of them, those that no disk can take
	Unsealed   int64                 // shards short in partitions that are not sealed yet: their time comes
	// Left are shards that are not repaired now, and why; the first of them.
	Left   []LeftShard
	Looked time.Time // when
}

// repair makes shards whole that were lost or damaged, those first whose
// partitions have the least redundancy left.
type repair struct {
	base
	pace    *pace
	report  func(*Health)
	away    map[metadata.DiskID]time.Time // since when a disk does not serve
	gone    map[metadata.DiskID]bool      // disks that will not come back
	rests   map[shardKey]rest
	queue   []patient
	ledger  ledger
	scanned time.Time
	serving int // disks

	asked   bool      // by the administrator
	hurried time.Time // disks that were away then are not waited for
	round   round
}

type shardKey struct {
	partition metadata.PartitionID
	shard     uint8
}

// patient is a shard to repair.
type patient struct {
	shardKey
	left  int               // shards that the partition can still lose
	disks []metadata.DiskID // of the partition
}

// rest is a shard that could not be repaired.
type rest struct {
	until    time.Time
	failures int
	noTarget bool
	why      string
}

func newRepair(b base, report func(*Health)) *repair {
	return &repair{
		base: b, pace: &pace{perSecond: b.opts.RepairBandwidth}, report: report,
		away: map[metadata.DiskID]time.Time{}, rests: map[shardKey]rest{},
	}
}

// Name implements [Job].
func (*repair) Name() string { return "repair" }

// Step records damage that reads met, holds a disk against the metadata that
// was attached since, and repairs one shard.
func (j *repair) Step(ctx context.Context) (Progress, error) {
	noted, p, err := j.attend(ctx)
	if err != nil || p.Done > 0 {
		return p, err
	}
	more := p.More
	now := j.opts.Now()
	if j.asked || noted > 0 || len(j.queue) == 0 || now.Sub(j.scanned) >= repairLook {
		if err := j.look(ctx, now); err != nil {
			return Progress{}, err
		}
	}
	if len(j.queue) == 0 {
		return Progress{More: more}, nil
	}
	batch := j.take()
	results := make([]repaired, len(batch))
	var work sync.WaitGroup
	for i, p := range batch {
		work.Go(func() { results[i].out, results[i].err = j.store.Repair(ctx, p.partition, p.shard, j.pace.wait) })
	}
	work.Wait()
	if ctx.Err() != nil {
		return Progress{}, ctx.Err()
	}
	done, rest := 0, false
	for i, p := range batch {
		done += j.account(ctx, p, results[i].out, results[i].err)
		_, rests := j.rests[p.shardKey] // the next look shows it
		rest = rest || rests
	}
	return Progress{Done: done, More: more || rest || done > 0 || len(j.queue) > 0}, nil
}

// attend does what a process does for itself: with damage that its reads met, with the disks that
// are attached to it, and with partitions that it writes on. It returns how many shards
// it noted as short, and whether there are more disks to look at.
func (j *repair) attend(ctx context.Context) (noted int, p Progress, err error) {
	noted, err = j.store.NoteDamage(ctx)
	j.stats.damaged.Add(int64(noted))
	if err != nil {
		return noted, Progress{}, err
	}
	found, more, err := j.store.Reconcile(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return noted, Progress{}, ctx.Err()
		}
		j.stats.repairFailures.Add(1)
		j.opts.Logger.WarnContext(ctx, "disk is not reconciled yet", slog.Any("error", err))
	}
	j.stats.damaged.Add(int64(found.Missing))
	j.stats.superseded.Add(int64(found.Superseded))
	j.stats.unknown.Add(int64(found.Unknown))
	retired, err := j.store.CheckReopened(ctx)
	if err != nil {
		return noted, Progress{}, err
	}
	if retired {
		j.stats.retired.Add(1)
		return noted, Progress{Done: 1, More: true}, nil
	}
	return noted + found.Missing, Progress{More: more}, nil
}

// repaired is how the repair of one shard ended.
type repaired struct {
	out partition.Repaired
	err error
}

// take takes the first shard from the queue, and with it others, in order, of
// partitions that have no disk in common with those before them.
func (j *repair) take() (batch []patient) {
	busy := map[metadata.DiskID]bool{}
	var left []patient
	for i, p := range j.queue {
		if len(batch) == repairsAtOnce {
			left = append(left, j.queue[i:]...)
			break
		}
		if slices.ContainsFunc(p.disks, func(d metadata.DiskID) bool { return busy[d] }) {
			left = append(left, p)
			continue
		}
		for _, d := range p.disks {
			busy[d] = true
		}
		batch = append(batch, p)
	}
	j.queue = left
	return batch
}

// account draws the consequences of a repair. What failed rests, and does not stop the others.
func (j *repair) account(ctx context.Context, p patient, out partition.Repaired, err error) (done int) {
	if errors.Is(err, partition.ErrBusy) {
		return 0 // met again by a later look
	}
	if err != nil {
		j.stats.repairFailures.Add(1)
		r := j.rests[p.shardKey]
		r.noTarget, r.why = errors.Is(err, partition.ErrNoTarget), errorText(err)
		if r.noTarget {
			j.wide.add(p.partition)
		}
		r.until = j.opts.Now().Add(min(minRest<<min(r.failures, 10), maxRest))
		r.failures++
		j.rests[p.shardKey] = r
		j.opts.Logger.WarnContext(ctx, "shard is not repaired and rests", slog.Any("error", err))
		return 0
	}
	if !out.Done {
		return 0 // somebody else was faster
	}
	delete(j.rests, p.shardKey)
	j.round.did()
	if out.Unreadable > 0 {
		j.rests[p.shardKey] = rest{until: j.opts.Now().Add(maxRest), why: fmt.Sprintf("%d of its stripes are unreadable", out.Unreadable)}
	}
	j.stats.repairedBytes.Add(out.Bytes)
	if out.Revived {
		j.stats.revived.Add(1)
	} else {
		j.stats.repaired.Add(1)
	}
	return 1
}

// look reads all partitions, queues those with the least redundancy left, and
// reports how they are.
func (j *repair) look(ctx context.Context, now time.Time) error {
	serving, err := j.lookAtDisks(ctx, now)
	if err == nil {
		err = j.refresh(ctx, now, serving)
	}
	if err != nil {
		return err
	}
	j.hurry(now)
	h := Health{Looked: now}
	var found []patient
	short := map[shardKey]bool{}
	h.Redundancy, h.Classes = j.ledger.counts, j.ledger.classes
	for n := range j.ledger.short {
		row := &j.ledger.short[n]
		missing := row.Missing(j.isAway)
		if row.State != metadata.PartitionSealed {
			h.unsealed(row, missing)
			continue
		}
		for _, i := range missing {
			p := patient{shardKey{row.ID, i}, int(row.M) - len(missing), row.Shards}
			short[p.shardKey] = true
			if j.isDue(p, row.Shards[i], now, &h) {
				found = append(found, p)
			}
		}
	}
	j.ledger.forgetMany()
	for key := range j.rests {
		if !short[key] {
			delete(j.rests, key)
		}
	}
	slices.SortFunc(found, func(a, b patient) int {
		return cmp.Or(cmp.Compare(urgency(a), urgency(b)), cmp.Compare(a.partition, b.partition), cmp.Compare(a.shard, b.shard))
	})
	h.Queued = int64(len(found))
	j.round.looked(now, &h)
	j.queue, j.scanned = slices.Clone(found[:min(len(found), repairQueue)]), now
	j.report(&h)
	return nil
}

// urgency orders shards: the fewer that can still be lost the sooner, and those last
// that are too few to rebuild anything from.
func urgency(p patient) int {
	if p.left < 0 {
		return 1 << 10
	}
	return p.left
}

// isDue decides whether a shard is to be repaired now, and counts it.
func (j *repair) isDue(p patient, on metadata.DiskID, now time.Time, h *Health) bool {
	if r, ok := j.rests[p.shardKey]; ok && now.Before(r.until) {
		h.Resting++
		if r.noTarget {
			h.NoTarget++
		}
		h.leave(p.shardKey, on, r.why)
		return false
	}
	since, away := j.away[on]
	if away && !j.gone[on] && since.After(j.hurried) && now.Sub(since) < j.opts.RepairDelay {
		h.Waiting++
		h.leave(p.shardKey, on, "waits for its disk until "+since.Add(j.opts.RepairDelay).UTC().Format(time.RFC3339))
		return false
	}
	return true
}

func (j *repair) isAway(id metadata.DiskID) bool { return !j.store.Serves(id) }

// lookAtDisks notes since when disks are away, and which will not come back:
// those that the administrator removed, and those whose place another disk has
// taken since.
func (j *repair) lookAtDisks(ctx context.Context, now time.Time) (serving []metadata.DiskID, err error) {
	var rows []metadata.Disk
	err = j.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		rows, err = r.Disks()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	j.gone = map[metadata.DiskID]bool{}
	defer func() { j.countServing(len(serving)) }()
	for i := range rows {
		d := &rows[i]
		if j.store.Serves(d.ID) {
			serving = append(serving, d.ID)
			delete(j.away, d.ID)
			continue
		}
		if _, ok := j.away[d.ID]; !ok {
			j.away[d.ID] = now
		}
		j.gone[d.ID] = d.State == metadata.DiskRemoved || slices.ContainsFunc(rows, func(other metadata.Disk) bool {
			return other.ID != d.ID && other.Path == d.Path && other.Added.After(d.Added) && j.store.Serves(other.ID)
		})
	}
	return serving, nil
}

// countServing ends the rests of shards that no disk could take when there is
// one more.
func (j *repair) countServing(n int) {
	if n > j.serving {
		maps.DeleteFunc(j.rests, func(_ shardKey, r rest) bool { return r.noTarget })
	}
	j.serving = n
}
