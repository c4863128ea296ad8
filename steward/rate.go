package steward

import "time"

const (
	// rateWindow is the time worked over which a rate is measured.
	rateWindow = 5 * time.Minute
	// rateGap is the least time worked between two samples.
	rateGap = time.Second
)

// rate measures how fast a job gets on while it works: pauses and rests do not
// count. It is used under a lock.
type rate struct {
	since   time.Time     // of the round of work that the samples are of
	worked  time.Duration // up to begun
	begun   time.Time     // zero while the job does not work
	samples []sample      // oldest first
}

// sample is how far a job was after a time worked.
type sample struct {
	worked time.Duration
	done   int64
}

// start lets the clock run.
func (r *rate) start(now time.Time) {
	if r.begun.IsZero() {
		r.begun = now
	}
}

// stop lets the clock stand still.
func (r *rate) stop(now time.Time) {
	r.worked = r.clock(now)
	r.begun = time.Time{}
}

func (r *rate) clock(now time.Time) time.Duration {
	if r.begun.IsZero() {
		return r.worked
	}
	return r.worked + now.Sub(r.begun)
}

// observe notes how far the job is now.
func (r *rate) observe(now time.Time, w Work) {
	at := r.clock(now)
	n := len(r.samples)
	if w.Since.IsZero() || !w.Since.Equal(r.since) || n > 0 && w.Done < r.samples[n-1].done {
		r.since, r.samples = w.Since, nil
		if !w.Since.IsZero() {
			r.samples = append(r.samples, sample{at, w.Done})
		}
		return
	}
	s := sample{at, w.Done}
	if n > 1 && at-r.samples[n-2].worked < rateGap {
		r.samples[n-1] = s // the newest is always exact
		return
	}
	r.samples = append(r.samples, s)
	drop := 0
	for drop < len(r.samples)-2 && at-r.samples[drop+1].worked >= rateWindow {
		drop++
	}
	r.samples = append(r.samples[:0], r.samples[drop:]...)
}

// perSecond is units a second of work, 0 where it is not known.
func (r *rate) perSecond() float64 {
	if len(r.samples) < 2 {
		return 0
	}
	first, last := r.samples[0], r.samples[len(r.samples)-1]
	if last.worked <= first.worked {
		return 0
	}
	return float64(last.done-first.done) / (last.worked - first.worked).Seconds()
}

// maxLeft is the longest time that is still told.
const maxLeft = 365 * 24 * time.Hour

// timeLeft is how long what is left takes at a rate, 0 where that is not known.
func timeLeft(w *Work, perSecond float64) time.Duration {
	left := w.Total - w.Done
	if left <= 0 || perSecond <= 0 {
		return 0
	}
	seconds := float64(left) / perSecond
	if seconds >= maxLeft.Seconds() {
		return maxLeft
	}
	return max(time.Duration(seconds*float64(time.Second)), time.Second)
}
