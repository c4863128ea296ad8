package single_test

import (
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
)

// scrubbing is a store with an object whose scrubs are not bounded.
func scrubbing(t *testing.T, interval time.Duration) *shop {
	t.Helper()
	s := &shop{testcluster.New(t, testcluster.Options{Disks: 4, Edit: func(o *single.Options) {
		o.Steward.ScrubInterval, o.Steward.ScrubBandwidth = interval, -1
	}}), t}
	_, err := s.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: "bucket", Owner: "me"})
	s.must(err)
	s.fill("before")
	s.RunSteward()
	return s
}

// TestStatusShowsScrub follows a round through status and metrics.
func TestStatusShowsScrub(t *testing.T) {
	s := scrubbing(t, time.Hour)
	st, err := s.Status(t.Context())
	if err != nil || st.Scrub == nil || st.Scrub.State != "waiting" || st.Scrub.Round != nil || st.Scrub.Next == nil || st.Scrub.Oldest == nil {
		t.Fatalf("before the first round: %+v, %v", st.Scrub, err)
	}
	s.Steward.ScrubNow()
	for _, j := range s.Steward.Jobs() {
		if j.Name() == "scrub" {
			_, err := j.Step(t.Context())
			s.must(err)
		}
	}
	st, err = s.Status(t.Context())
	if g := s.gauges(); err != nil || st.Scrub.State != "running" || st.Scrub.Round.Ended != nil || st.Scrub.Round.BytesLeft == 0 || st.Scrub.Round.PartitionsLeft == 0 ||
		g["undercroft_scrub_running"] != 1 || g["undercroft_scrub_left_bytes"] != float64(st.Scrub.Round.BytesLeft) {
		t.Errorf("in the middle: %+v, %+v, %v; %v", st.Scrub, st.Scrub.Round, err, g)
	}
	c := s.RunSteward()
	st, err = s.Status(t.Context())
	if r := st.Scrub.Round; err != nil || !st.Healthy || st.Scrub.State != "waiting" || r.Number != 1 || r.Ended == nil || r.Frames == 0 || r.Bytes == 0 ||
		r.PartitionsLeft+r.BytesLeft+r.Damaged+r.Passed+r.Mismatched+r.Unreadable != 0 || st.Scrub.Partitions == 0 {
		t.Errorf("at its end: %+v, %+v, %v", st.Scrub, st.Scrub.Round, err)
	}
	g := s.gauges()
	if g["undercroft_scrub_frames_total"] != float64(c.ScrubFrames) || c.ScrubFrames == 0 || g["undercroft_scrub_rounds_total"] != 1 || g["undercroft_scrub_running"] != 0 {
		t.Errorf("metrics at its end: %v", g)
	}
	s.Advance(30 * time.Minute)
	if age := s.gauges()["undercroft_scrub_oldest_unverified_seconds"]; age < 1800 || age > 2000 {
		t.Errorf("after half an hour the oldest is %v s old", age)
	}
}

// TestStatusOfScrubTurnedOff says so.
func TestStatusOfScrubTurnedOff(t *testing.T) {
	s := scrubbing(t, -1)
	s.Advance(10_000 * time.Hour)
	s.RunSteward()
	if st, err := s.Status(t.Context()); err != nil || st.Scrub.State != "off" || st.Scrub.Next != nil || st.Scrub.Round != nil || st.Scrub.Oldest == nil {
		t.Errorf("%+v, %v", st.Scrub, err)
	}
}

// TestContradictionsAreNotHealthy: what no repair makes right is no health, also while the next
// round is under way.
func TestContradictionsAreNotHealthy(t *testing.T) {
	s := scrubbing(t, time.Hour)
	for _, round := range []metadata.ScrubRound{
		{Number: 7, Ended: s.Now(), Tally: metadata.ScrubTally{Mismatched: 1}},
		{Number: 8, Hurry: true, Last: metadata.ScrubTally{Unreadable: 1}},
	} {
		round.Started = s.Now()
		s.must(s.DB.Update(t.Context(), "test", func(tx *metadata.Tx) error { return tx.PutScrubRound(&round) }))
		for _, j := range s.Steward.Jobs() {
			if j.Name() == "scrub" {
				_, err := j.Step(t.Context())
				s.must(err)
			}
		}
		if st, err := s.Status(t.Context()); err != nil || st.Healthy {
			t.Errorf("round %d: %+v, %v", round.Number, st.Scrub, err)
		}
		s.Restart()
		if st, err := s.Status(t.Context()); err != nil || st.Healthy {
			t.Errorf("round %d, before a look after a start: %+v, %v", round.Number, st.Scrub, err)
		}
	}
	if s.RunSteward(); s.Steward.Scrub().UnderWay {
		t.Fatal("the round has no end")
	}
	if st, err := s.Status(t.Context()); err != nil || !st.Healthy {
		t.Errorf("after a round without: %+v, %+v, %v", st, st.Scrub.Round, err)
	}
}
