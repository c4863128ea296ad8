package single

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/steward"
)

// Scrub is how far the verification of all data is.
type Scrub struct {
	State string     `json:"state"`          // off, waiting or running
	Next  *time.Time `json:"next,omitempty"` // when the next round begins by itself
	// Oldest is since when the partition that waits longest was not found whole: its last
	// good walk, or its creation.
	Oldest     *time.Time  `json:"oldest_unverified,omitempty"`
	Partitions int64       `json:"partitions"`
	Round      *ScrubRound `json:"round,omitempty"` // under way, or the last one
}

// ScrubRound is what a round over all partitions met so far.
type ScrubRound struct {
	Number         uint64     `json:"number"`
	Started        time.Time  `json:"started"`
	Ended          *time.Time `json:"ended,omitempty"`
	Partitions     int64      `json:"partitions"`
	PartitionsLeft int64      `json:"partitions_left"`
	Frames         int64      `json:"frames"`
	Bytes          int64      `json:"bytes"`
	BytesLeft      int64      `json:"bytes_left"` // about
	Rate           int64      `json:"bytes_per_second_at_most,omitempty"`
	Damaged        int64      `json:"damaged_frames"`
	Passed         int64      `json:"frames_not_read"` // of shards known to be short, or out of service
	Mismatched     int64      `json:"mismatched_stripes"`
	Unreadable     int64      `json:"unreadable_stripes"`
}

// scrubStatus is nil until the first look.
func scrubStatus(st *steward.ScrubStatus) *Scrub {
	if st == nil {
		return nil
	}
	out := &Scrub{State: "waiting", Next: orNil(st.Next), Oldest: orNil(st.Oldest), Partitions: st.Partitions}
	switch {
	case st.UnderWay:
		out.State = "running"
	case st.Off:
		out.State = "off"
	}
	if c := &st.Round; c.Number > 0 {
		out.Round = &ScrubRound{
			Number: c.Number, Started: c.Started, Ended: orNil(c.Ended),
			Partitions: c.Tally.Partitions, PartitionsLeft: st.Queued,
			Frames: c.Tally.Frames, Bytes: c.Tally.Bytes, BytesLeft: st.Left, Rate: st.Rate,
			Damaged: c.Tally.Damaged, Passed: c.Tally.Passed,
			Mismatched: c.Tally.Mismatched, Unreadable: c.Tally.Unreadable,
		}
	}
	return out
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// contradicts reports whether the last whole round, or the one under way, met stripes that no
// repair makes right. Before the steward's first look that is in the metadata.
func (s *System) contradicts(ctx context.Context, st *steward.ScrubStatus) bool {
	if st == nil {
		st = &steward.ScrubStatus{}
		err := s.DB.View(ctx, "status", func(r *metadata.Reader) error {
			round, err := r.ScrubRound()
			if round != nil {
				st.Round, st.UnderWay = *round, round.Ended.IsZero()
			}
			return err
		})
		if err != nil {
			return true
		}
	}
	found := st.Round.Tally
	if st.UnderWay {
		found.Add(&st.Round.Last)
	}
	return found.Mismatched+found.Unreadable > 0
}

// scrubMetrics are the metrics of scrub.
func scrubMetrics(metric func(name, help string, kind prometheus.ValueType, get func(*sample) float64) entry) []entry {
	counter, gauge := prometheus.CounterValue, prometheus.GaugeValue
	return []entry{
		metric("scrub_frames_total", "Frames verified and good.", counter, func(v *sample) float64 { return float64(v.steward.ScrubFrames) }),
		metric("scrub_bytes_total", "Bytes of frames verified and good.", counter, func(v *sample) float64 { return float64(v.steward.ScrubBytes) }),
		metric("scrub_damaged_frames_total", "Frames found missing or damaged by scrub.", counter, func(v *sample) float64 { return float64(v.steward.ScrubDamaged) }),
		metric("scrub_mismatched_stripes_total", "Stripes whose frames verify and contradict each other.", counter, func(v *sample) float64 { return float64(v.steward.ScrubMismatched) }),
		metric("scrub_unreadable_stripes_total", "Stripes found to have too few good frames.", counter, func(v *sample) float64 { return float64(v.steward.ScrubUnreadable) }),
		metric("scrub_rounds_total", "Rounds over all partitions that came to their end.", counter, func(v *sample) float64 { return float64(v.steward.ScrubRounds) }),
		metric("scrub_running", "Whether a round is under way.", gauge, func(v *sample) float64 { return v.scrubRunning }),
		metric("scrub_left_bytes", "Bytes that the round under way has yet to verify, about.", gauge, func(v *sample) float64 { return v.scrubLeft }),
		metric("scrub_oldest_unverified_seconds", "Age of the oldest partition's last good verification, or of the partition.", gauge, func(v *sample) float64 { return v.scrubAge }),
	}
}

// addScrub fills in what the metrics of scrub show.
func (v *sample) addScrub(st *steward.ScrubStatus, now time.Time) {
	if st == nil {
		return
	}
	v.scrubLeft = float64(st.Left)
	if st.UnderWay {
		v.scrubRunning = 1
	}
	if !st.Oldest.IsZero() {
		v.scrubAge = max(now.Sub(st.Oldest).Seconds(), 0)
	}
}
