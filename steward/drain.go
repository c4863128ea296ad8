package steward

import (
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
	// drainQueue is how many shards one look at the partitions queues.
	drainQueue = 64
	// drainLook is how old a look may be.
	drainLook = 10 * time.Second
)

// drain takes the shards off the disks that the administrator wants empty, one
// after the other.
type drain struct {
	base
	pace    *pace
	rests   map[shardKey]rest
	queue   []shardKey
	scanned time.Time
	targets int // disks that take shards

	mu   sync.Mutex // guards work
	work Work
}

// drainFound is what one look at all partitions found on disks to be drained.
type drainFound struct {
	disks   int
	left    int64 // shards on them
	open    int64 // of them, those of partitions that are not sealed yet
	short   int64 // those that repair takes care of
	resting int64
	homes   int64 // of the resting ones, those that no disk can take
}

func newDrain(b base) *drain {
	return &drain{base: b, pace: &pace{perSecond: b.opts.RepairBandwidth}, rests: map[shardKey]rest{}}
}

// Name implements [Job].
func (*drain) Name() string { return "drain" }

// Work implements [Meter].
func (j *drain) Work() Work {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.work
}

// Step moves one shard. It first ends the stripes of open partitions on disks
// to be drained, so that they can be sealed.
func (j *drain) Step(ctx context.Context) (Progress, error) {
	now := j.opts.Now()
	retired := j.store.RetireLeaving()
	if len(j.queue) == 0 || now.Sub(j.scanned) >= drainLook {
		if err := j.look(ctx, now); err != nil {
			return Progress{}, err
		}
	}
	if len(j.queue) == 0 {
		return Progress{Done: retired}, nil
	}
	next := j.queue[0]
	j.queue = j.queue[1:]
	done, err := j.move(ctx, next)
	return Progress{Done: retired + done, More: done > 0 || len(j.queue) > 0}, err
}

// move moves one shard. What fails rests, and does not stop the others.
func (j *drain) move(ctx context.Context, key shardKey) (int, error) {
	out, err := j.store.Move(ctx, key.partition, key.shard, j.pace.wait)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if errors.Is(err, partition.ErrBusy) {
		return 0, nil // met again by a later look
	}
	if err != nil {
		j.stats.moveFailures.Add(1)
		r := j.rests[key]
		r.noTarget = errors.Is(err, partition.ErrNoTarget)
		if r.noTarget {
			j.wide.add(key.partition) // compaction writes it anew where there is room
		}
		r.until = j.opts.Now().Add(min(minRest<<min(r.failures, 10), maxRest))
		r.failures++
		j.rests[key] = r
		j.opts.Logger.WarnContext(ctx, "shard is not moved and rests", slog.Any("error", err))
		return 0, nil
	}
	if !out.Done {
		return 0, nil // somebody else was faster
	}
	delete(j.rests, key)
	j.stats.moved.Add(1)
	j.stats.movedBytes.Add(out.Bytes)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.work.Done++
	return 1, nil
}

// look finds the disks to be drained and queues what is on them.
func (j *drain) look(ctx context.Context, now time.Time) error {
	from, err := j.sources(ctx)
	if err != nil {
		return err
	}
	j.queue, j.scanned = nil, now
	if len(from) == 0 {
		clear(j.rests)
		j.report(now, &drainFound{})
		return nil
	}
	found := drainFound{disks: len(from)}
	there := map[shardKey]bool{}
	err = j.db.EachPartition(ctx, class, func(row *metadata.Partition) error {
		for i, id := range row.Shards {
			if from[id] {
				key := shardKey{row.ID, uint8(i)}
				there[key] = true
				j.count(row, key, now, &found)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for key := range j.rests {
		if !there[key] {
			delete(j.rests, key)
		}
	}
	j.report(now, &found)
	return nil
}

// sources are the disks to be drained that serve. What is on others is lost, or
// comes back with them.
func (j *drain) sources(ctx context.Context) (map[metadata.DiskID]bool, error) {
	var rows []metadata.Disk
	err := j.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		rows, err = r.Disks()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	from := map[metadata.DiskID]bool{}
	targets := 0
	for i := range rows {
		switch {
		case !j.store.Serves(rows[i].ID):
		case rows[i].State == metadata.DiskDraining:
			from[rows[i].ID] = true
		case rows[i].State == metadata.DiskActive:
			targets++
		}
	}
	if targets > j.targets { // there may be room now
		maps.DeleteFunc(j.rests, func(_ shardKey, r rest) bool { return r.noTarget })
	}
	j.targets = targets
	return from, nil
}

// count counts a shard on a disk to be drained, and queues it where it can be
// moved now.
func (j *drain) count(row *metadata.Partition, key shardKey, now time.Time, found *drainFound) {
	if row.State == metadata.PartitionDropped || row.State == metadata.PartitionCreating {
		return
	}
	found.left++
	r, failed := j.rests[key]
	switch {
	case row.State != metadata.PartitionSealed:
		found.open++
	case slices.Contains(row.Lost, key.shard), slices.Contains(row.Damaged, key.shard):
		found.short++
	case failed && now.Before(r.until):
		found.resting++
		if r.noTarget {
			found.homes++
		}
	case len(j.queue) < drainQueue:
		j.queue = append(j.queue, key)
	}
}

// report says how far the round is: it begins when there is something on a disk to be
// drained, and ends when there is nothing.
func (j *drain) report(now time.Time, found *drainFound) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if found.left == 0 {
		j.work = Work{Unit: "shards"}
		return
	}
	if j.work.Since.IsZero() {
		j.work = Work{Unit: "shards", Since: now}
	}
	j.work.Total = j.work.Done + found.left
	j.work.Note = found.note()
}

func (f *drainFound) note() string {
	text := fmt.Sprintf("%d shards are left on %d disks", f.left, f.disks)
	if f.open > 0 {
		text += fmt.Sprintf("; %d wait until their partitions are sealed", f.open)
	}
	if f.short > 0 {
		text += fmt.Sprintf("; %d are damaged or lost and wait for repair", f.short)
	}
	if f.resting > 0 {
		text += fmt.Sprintf("; %d failed and rest", f.resting)
	}
	if f.homes > 0 {
		text += fmt.Sprintf(", %d of them because no other disk can take them: what they hold is written anew while there is room, or add a disk", f.homes)
	}
	return text
}
