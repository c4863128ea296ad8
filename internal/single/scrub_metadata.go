package single

import (
	"context"
	"sync"
	"time"

	"github.com/undercroft/undercroft/internal/vfs/mirror"
	"github.com/undercroft/undercroft/steward"
)

const (
	// The bytes in a second at which copies of the metadata's files are verified follow
	// from the interval, between these.
	metadataScrubFloor = 4 << 20
	metadataScrubMost  = 32 << 20
	// resyncRate is how many bytes in a second are copied to a directory that becomes
	// a mirror while requests are served.
	resyncRate = 64 << 20
)

// MetadataScrub is how far the verification of the metadata's copies is, and what
// it found.
type MetadataScrub struct {
	Started   *time.Time `json:"started,omitempty"` // the round under way, or the last one
	Ended     *time.Time `json:"ended,omitempty"`
	Files     int64      `json:"files"`
	Bytes     int64      `json:"bytes"` // of all copies
	Total     int64      `json:"bytes_total"`
	Bad       int64      `json:"bad_copies"`
	Healed    int64      `json:"healed_copies"`
	Undecided int64      `json:"undecided_files"`
}

// scrubRest is how long a store is open before the first round, so that a start is
// not slowed down.
const scrubRest = 10 * time.Minute

func newScrubMetadata(set *mirror.Set, interval time.Duration, now func() time.Time) *scrubMetadata {
	if interval == 0 {
		interval = 14 * 24 * time.Hour
	}
	return &scrubMetadata{set: set, interval: interval, now: now, opened: now()}
}

// scrubMetadata verifies all copies of the metadata's tables in rounds: job
// "scrub-metadata". A restart begins a new round.
type scrubMetadata struct {
	set      *mirror.Set
	interval time.Duration // negative: never by itself
	now      func() time.Time
	opened   time.Time

	mu    sync.Mutex // guards what follows
	asked bool
	round MetadataScrub
	after string
}

// Name implements [steward.Job].
func (j *scrubMetadata) Name() string { return "scrub-metadata" }

// RunNow implements [steward.Runner].
func (j *scrubMetadata) RunNow() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = j.asked || j.round.Started == nil || j.round.Ended != nil
}

// Step implements [steward.Job]: it verifies one file.
func (j *scrubMetadata) Step(ctx context.Context) (steward.Progress, error) {
	if !j.begin() {
		return steward.Progress{}, nil
	}
	found, err := j.set.ScrubNext(ctx, j.after, j.pace)
	if err != nil {
		return steward.Progress{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.after = found.File
	if found.File == "" {
		now := j.now()
		j.round.Ended = &now
		return steward.Progress{}, nil
	}
	j.round.Files++
	j.round.Bytes += found.Bytes
	j.round.Bad += int64(found.Bad)
	j.round.Healed += int64(found.Healed)
	if found.Undecided {
		j.round.Undecided++
	}
	return steward.Progress{Done: found.Healed, More: true}, nil
}

// begin begins a round when it is time, and reports whether one is under way.
func (j *scrubMetadata) begin() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	under := j.round.Started != nil && j.round.Ended == nil
	next := j.opened.Add(min(j.interval, scrubRest))
	if j.round.Started != nil {
		next = j.round.Started.Add(j.interval)
	}
	due := j.interval > 0 && !now.Before(next)
	if under || !j.asked && !due {
		return under
	}
	j.asked, j.after = false, ""
	j.round = MetadataScrub{Started: &now, Total: j.set.ScrubSize()}
	return true
}

// pace spreads a round over the interval, within bounds.
func (j *scrubMetadata) pace(ctx context.Context, bytes int64) error {
	j.mu.Lock()
	rate := float64(j.round.Total) / max(j.interval, time.Second).Seconds()
	j.mu.Unlock()
	rate = min(max(rate, metadataScrubFloor), metadataScrubMost)
	timer := time.NewTimer(time.Duration(float64(bytes) / rate * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (j *scrubMetadata) status() *MetadataScrub {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.round.Started == nil {
		return nil
	}
	round := j.round
	return &round
}

// Work implements [steward.Meter].
func (j *scrubMetadata) Work() steward.Work {
	r := j.status()
	if r == nil || r.Ended != nil {
		return steward.Work{}
	}
	return steward.Work{Unit: "bytes", Done: r.Bytes, Total: max(r.Total, r.Bytes), Since: *r.Started}
}
