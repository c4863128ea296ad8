package steward

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/partition"
)

const (
	// compactQueue is how many partitions one look queues.
	compactQueue = 64
	// compactMeasure is how long the measure of a partition holds of which
	// nothing has changed.
	compactMeasure = time.Hour
	// compactMeasures is how many partitions one look measures anew: after a
	// start there may be a hundred thousand. The others wait for the next look.
	compactMeasures = 1024
	// maxMinGain is how many bytes compaction of a partition must give back.
	maxMinGain = 1 << 20
)

// limits say when space is worth the work, in percent of what live bytes need:
// that of one partition, and that of all together.
type limits struct{ one, all int64 }

// limits are tighter while disks are short of space.
func (j *compact) limits(ctx context.Context) limits {
	if j.store.Short(ctx) {
		return limits{one: 105, all: 102}
	}
	return limits{one: 115, all: 115}
}

// choose looks at all sealed partitions and queues those that give back the
// most for what must be moved, until the whole is within its limit; before them
// those that repair cannot make whole.
func (j *compact) choose(ctx context.Context, now time.Time) error {
	limit := j.limits(ctx)
	j.measures = compactMeasures
	var found, short []compacting
	var taken, needed int64
	there := map[metadata.PartitionID]bool{}
	err := j.eachSealed(ctx, func(p *candidate) {
		there[p.ID] = true
		c := compacting{candidate: *p, space: j.measure(ctx, p, false)}
		taken += c.space.Allocated
		needed += c.needed()
		wide := j.wide.has(p.ID) && j.isShort(&p.Partition)
		r, ok := j.rests[p.ID]
		if ok && (r.all || !wide) && now.Before(r.until) && r.live-p.live < p.Capacity*int64(p.K)/sweepDivisor {
			return
		}
		if wide {
			c.all = true
			short = append(short, c)
			return
		}
		c.all = j.whole[p.ID]
		if worthMoving(limit, j.store, &c) {
			found = append(found, c)
		}
	})
	if err != nil {
		return err
	}
	j.forget(there)
	slices.SortFunc(found, func(a, b compacting) int {
		return cmp.Or(cmp.Compare(benefit(j.store, &b), benefit(j.store, &a)), cmp.Compare(a.ID, b.ID))
	})
	queue := j.narrower(ctx, short)
	for i := range found {
		if len(queue) >= compactQueue || taken*100 <= needed*limit.all {
			break
		}
		queue = append(queue, found[i])
		taken -= gain(j.store, &found[i])
	}
	j.queue = queue
	j.report(queue, j.note)
	return nil
}

// narrower are the partitions that repair cannot make whole and for which
// there is room elsewhere.
func (j *compact) narrower(ctx context.Context, short []compacting) (queue []compacting) {
	j.note = ""
	var bytes int64
	for i := range short {
		bytes += short[i].live
		if !j.store.HasRoom(ctx, short[i].Class, bytes) {
			j.note = fmt.Sprintf("%d partitions lack shards that no disk can take, and there is no room to write them anew: add a disk",
				len(short)-i)
			break
		}
		if len(queue) < compactQueue {
			queue = append(queue, short[i])
		}
	}
	return queue
}

// eachSealed calls fn for every sealed partition that holds something.
func (j *compact) eachSealed(ctx context.Context, fn func(*candidate)) error {
	for after, more := metadata.PartitionID(0), true; more; {
		var page []candidate
		err := j.db.View(ctx, class, func(r *metadata.Reader) (err error) {
			page, err = livePage(r, after)
			return err
		})
		if err != nil {
			return fmt.Errorf("list partitions: %w", err)
		}
		for i := range page {
			if after = page[i].ID; page[i].State == metadata.PartitionSealed && page[i].live > 0 {
				fn(&page[i])
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		more = len(page) == reclaimScan
	}
	return nil
}

// livePage reads partitions with their live bytes.
func livePage(r *metadata.Reader, after metadata.PartitionID) ([]candidate, error) {
	rows, err := r.Partitions(after, reclaimScan)
	if err != nil {
		return nil, err
	}
	out := make([]candidate, len(rows))
	for i := range rows {
		out[i].Partition = rows[i]
		if out[i].live, err = r.LiveBytes(rows[i].ID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// forget drops what is remembered of partitions that are no more.
func (j *compact) forget(there map[metadata.PartitionID]bool) {
	for id := range j.known {
		if !there[id] {
			delete(j.known, id)
			delete(j.whole, id)
			delete(j.rests, id)
		}
	}
	j.wide.keep(there)
}

// measure asks the disks for the space of a partition, where something has
// changed since they were asked. One that was not asked about yet counts as what
// it needs.
func (j *compact) measure(ctx context.Context, p *candidate, again bool) partition.Space { //nolint:revive // again is a fact about the caller
	now := j.opts.Now()
	m, ok := j.known[p.ID]
	if !again && ok && m.live == p.live && m.epoch == p.Epoch && now.Sub(m.at) < compactMeasure {
		return m.space
	}
	if j.measures--; !again && j.measures < 0 {
		if ok {
			return m.space
		}
		n := int(p.K + p.M)
		return partition.Space{Allocated: p.live * int64(n) / int64(p.K), Shards: n}
	}
	m = measured{space: j.store.Space(ctx, &p.Partition), live: p.live, epoch: p.Epoch, at: now}
	j.known[p.ID] = m
	return m.space
}

// needed is what the live bytes take at best on the shards that were measured.
func (c *compacting) needed() int64 {
	return c.live * int64(c.space.Shards) / int64(c.K)
}

// gain is about what the disks get back.
func gain(s *partition.Store, c *compacting) int64 {
	return c.space.Allocated - s.Expected(c.K, c.M, c.live, c.space.Shards)
}

// minGain is the least gain that is worth a compaction.
func minGain(p *metadata.Partition) int64 { return min(maxMinGain, p.Capacity/64) }

func worthMoving(limit limits, s *partition.Store, c *compacting) bool {
	return c.space.Allocated*100 > c.needed()*limit.one && gain(s, c) >= minGain(&c.Partition)
}

// benefit is the gain for each byte that is moved.
func benefit(s *partition.Store, c *compacting) float64 {
	return float64(gain(s, c)) / float64(c.live)
}

// reencode is the partitions with lost shards that no disk can take: repair puts
// them in, compaction writes them anew on the disks that there are. It is safe
// for concurrent use.
type reencode struct {
	mu   sync.Mutex // guards what follows
	want map[metadata.PartitionID]bool
}

// add asks for a partition. It goes by itself once that is whole or gone.
func (r *reencode) add(id metadata.PartitionID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.want == nil {
		r.want = map[metadata.PartitionID]bool{}
	}
	r.want[id] = true
}

func (r *reencode) has(id metadata.PartitionID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.want[id]
}

// keep drops all but those that are there.
func (r *reencode) keep(there map[metadata.PartitionID]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.want {
		if !there[id] {
			delete(r.want, id)
		}
	}
}
