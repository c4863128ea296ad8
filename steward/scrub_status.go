package steward

import (
	"context"
	"fmt"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

// ScrubStatus is how far scrub is.
type ScrubStatus struct {
	Off   bool                // no round begins by itself
	Round metadata.ScrubRound // the round under way, or the last one; Number is 0 before the first
	// UnderWay is set while a round is not at its end; Queued is how many partitions it has yet
	// to read, about Left bytes, at Rate bytes in a second, 0 where that is not bounded.
	UnderWay bool
	Queued   int64
	Left     int64
	Rate     int64
	// Next is when the next round begins; zero where none does by itself.
	Next time.Time
	// Partitions is how many there are. Oldest is since when the one that waits longest was
	// not found whole: its last good walk, or its creation. Zero without partitions.
	Partitions int64
	Oldest     time.Time
}

// survey is what is known of all partitions.
type survey struct {
	at         time.Time // when that was so
	partitions int64
	first      time.Time // the oldest was made
	oldest     time.Time // one was not found whole since
}

// look keeps the survey fresh.
func (j *scrub) look(ctx context.Context, now time.Time) error {
	if age := now.Sub(j.known.at); !j.known.at.IsZero() && age >= 0 && age < scrubSurvey {
		return nil
	}
	return j.survey(ctx, nil)
}

// survey reads the rows of all partitions that hold something, and calls fn for each
// with the last round that it was scrubbed in, unless it is nil.
func (j *scrub) survey(ctx context.Context, fn func(w *ward, round uint64)) error {
	found := survey{at: j.opts.Now()}
	for after, more := metadata.PartitionID(0), true; more; {
		var page []*ward
		var rounds []uint64
		err := j.db.View(ctx, class, func(r *metadata.Reader) (err error) {
			page, rounds, err = wardsOf(r, after)
			return err
		})
		if err != nil {
			return fmt.Errorf("list partitions: %w", err)
		}
		for i, w := range page {
			after = w.id
			if !w.holds {
				continue
			}
			found.add(w)
			if fn != nil {
				fn(w, rounds[i])
			}
		}
		more = len(page) == reclaimScan
	}
	j.known = found
	return nil
}

// wardsOf reads the partitions after one, and the last rounds that they were scrubbed in.
func wardsOf(r *metadata.Reader, after metadata.PartitionID) (page []*ward, rounds []uint64, err error) {
	rows, err := r.Partitions(after, reclaimScan)
	if err != nil {
		return nil, nil, err
	}
	page, rounds = make([]*ward, len(rows)), make([]uint64, len(rows))
	for i := range rows {
		p := &rows[i]
		w := &ward{id: p.ID, created: p.Created, holds: p.State != metadata.PartitionCreating && p.State != metadata.PartitionDropped}
		row, err := r.Scrubbed(p.ID)
		if err != nil {
			return nil, nil, err
		}
		if row != nil {
			w.looked, w.verified, rounds[i] = row.Looked, row.Verified, row.Round
		}
		live, err := r.LiveBytes(p.ID)
		if err != nil {
			return nil, nil, err
		}
		w.size = max(live, 0) / int64(p.K) * int64(p.K+p.M)
		page[i] = w
	}
	return page, rounds, nil
}

func (s *survey) add(w *ward) {
	s.partitions++
	if s.first.IsZero() || w.created.Before(s.first) {
		s.first = w.created
	}
	since := w.created
	if w.verified.After(since) {
		since = w.verified
	}
	if s.oldest.IsZero() || since.Before(s.oldest) {
		s.oldest = since
	}
}

// left is about how many bytes the round has yet to read.
func (j *scrub) left() int64 {
	left := j.waiting
	for w := range j.begun {
		left -= min(w.size, w.row.Current.Bytes)
	}
	return left
}

// rate is how many bytes may be read in a second; 0 is no bound. What is not set follows
// from the interval: a round takes three quarters of it at most, but for the bounds.
func (j *scrub) rate(now time.Time) int64 {
	switch {
	case j.opts.ScrubBandwidth > 0:
		return j.opts.ScrubBandwidth
	case j.opts.ScrubBandwidth < 0:
		return 0
	}
	most := int64(scrubDisk * max(1, len(j.store.Status().Disks)))
	seconds := int64(j.round.Started.Add(j.opts.ScrubInterval/4*3).Sub(now) / time.Second)
	if j.round.Hurry || seconds <= 0 {
		return most
	}
	return min(max(j.left()/seconds, scrubFloor), most)
}

// show publishes what is known.
func (j *scrub) show(now time.Time) {
	st := &ScrubStatus{
		Off: j.opts.ScrubInterval <= 0, Round: j.round, UnderWay: j.underWay(), Next: j.due(),
		Partitions: j.known.partitions, Oldest: j.known.oldest,
	}
	if st.UnderWay && j.planned {
		st.Queued, st.Left, st.Rate = int64(len(j.queue)), j.left(), j.rate(now)
		for w := range j.begun {
			st.Round.Tally.Add(&w.row.Current)
		}
	}
	j.shown.Store(st)
}

// Work implements [Meter].
func (j *scrub) Work() Work {
	st := j.shown.Load()
	w := Work{Unit: "bytes"}
	switch {
	case st == nil:
	case st.UnderWay:
		done := st.Round.Tally.Bytes
		w.Done, w.Total, w.Since = done, done+st.Left, st.Round.Started
		w.Note = fmt.Sprintf("round %d: %d of %d partitions are read", st.Round.Number, st.Round.Tally.Partitions, st.Round.Tally.Partitions+st.Queued)
	case st.Off:
		w.Note = "off: frames are verified only when they are read"
	case !st.Next.IsZero():
		w.Note = "the next round begins at " + st.Next.UTC().Format(time.RFC3339)
	}
	return w
}

// Scrub reports how far scrub is; nil before its first step.
func (s *Steward) Scrub() *ScrubStatus {
	for _, l := range s.loops {
		if j, ok := l.job.(*scrub); ok {
			return j.shown.Load()
		}
	}
	return nil
}

// ScrubNow has a round begin at the next step, as [Steward.RunNow] does, but is not
// remembered over a restart.
func (s *Steward) ScrubNow() { s.loopOf("scrub").RunNow() }
