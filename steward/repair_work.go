package steward

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

// maxLeftShards bounds Health.Left.
const maxLeftShards = 64

// LeftShard is a shard that repair leaves as it is for now.
type LeftShard struct {
	Partition metadata.PartitionID
	Shard     uint8
	Disk      metadata.DiskID // where it was
	Why       string
}

func (h *Health) unsealed(row *metadata.Partition, missing []uint8) {
	if row.State == metadata.PartitionOpen || row.State == metadata.PartitionClosing {
		h.Unsealed += int64(len(missing))
	}
}

func (h *Health) leave(key shardKey, on metadata.DiskID, why string) {
	if len(h.Left) < maxLeftShards {
		h.Left = append(h.Left, LeftShard{Partition: key.partition, Shard: key.shard, Disk: on, Why: why})
	}
}

// round is how far repair is with what it has found. It begins with the first
// shard that can be repaired, and ends when there is none.
type round struct {
	mu   sync.Mutex // guards work
	work Work
}

// did counts a repaired shard.
func (r *round) did() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.work.Done++
}

// looked takes in what was found.
func (r *round) looked(now time.Time, h *Health) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case h.Queued == 0:
		r.work = Work{}
	case r.work.Since.IsZero():
		r.work = Work{Since: now, Total: h.Queued}
	default:
		r.work.Total = r.work.Done + h.Queued
	}
	r.work.Unit, r.work.Note = "shards", h.note()
}

func (r *round) get() Work {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.work
}

// note is what is left, in one line.
func (h *Health) note() string {
	var parts []string
	add := func(n int64, text string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(text, n))
		}
	}
	add(h.Redundancy.Beyond, "%d partitions are short of more shards than they have parity")
	add(h.Unsealed, "%d shards are of partitions that are not sealed yet")
	add(h.Waiting, "%d shards wait for disks that may come back")
	add(h.Resting-h.NoTarget, "%d shards failed and rest")
	add(h.NoTarget, "%d shards fit on no other disk: add one")
	return strings.Join(parts, "; ")
}

// Work implements [Meter].
func (j *repair) Work() Work { return j.round.get() }

// RunNow implements [Runner]: what rests is tried again, and disks that are away
// are not waited for.
func (j *repair) RunNow() { j.asked = true }

// hurry does what RunNow asked for, once the disks were looked at.
func (j *repair) hurry(now time.Time) {
	if !j.asked {
		return
	}
	j.asked, j.hurried = false, now
	clear(j.rests)
}
