package steward

import (
	"context"
	"fmt"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

// takeoverLook is how old the last look at all partitions may be while no process is gone.
const takeoverLook = 10 * time.Minute

// takeover takes over the partitions of writers that are gone, where several processes share
// a store. Which those are the keepers decide: they remove the rows l of processes whose
// stamps stand still.
type takeover struct {
	base
	seen   map[metadata.HolderID]bool // who lived at the last look
	looked time.Time
}

// Name implements [Job].
func (*takeover) Name() string { return "takeover" }

// Own implements [Homework]: a process may have lost sight of partitions of its own, and not all
// reach the same disks.
func (j *takeover) Own(ctx context.Context) (Progress, error) { return j.Step(ctx) }

// Step looks at all partitions when a process is gone that was there before, and now and then.
func (j *takeover) Step(ctx context.Context) (Progress, error) {
	now := j.opts.Now()
	var holders []metadata.Holder
	err := j.db.View(ctx, class, func(r *metadata.Reader) (err error) {
		holders, err = r.Holders()
		return err
	})
	if err != nil {
		return Progress{}, fmt.Errorf("list processes: %w", err)
	}
	there := make(map[metadata.HolderID]bool, len(holders))
	for _, h := range holders {
		there[h.ID] = true
	}
	if !j.looked.IsZero() && now.Sub(j.looked) < takeoverLook && !j.isSomeGone(there) {
		return Progress{}, nil
	}
	n, err := j.store.TakeOver(ctx)
	if err != nil {
		return Progress{}, err
	}
	j.seen, j.looked = there, now
	return Progress{Done: n}, nil
}

func (j *takeover) isSomeGone(there map[metadata.HolderID]bool) bool {
	for id := range j.seen {
		if !there[id] {
			return true
		}
	}
	return false
}
