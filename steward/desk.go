package steward

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

// keepEvery is how often the result of a job is written down while there is a
// new one.
const keepEvery = time.Minute

// errNotNow ends a step of a job that was paused or has lost its lease, and
// answers for one that may not begin.
var errNotNow = errors.New("the job may not run now")

// desk is what a loop was told, and how its job goes.
type desk struct {
	mu sync.Mutex // guards what follows

	row       metadata.Job
	known     bool // the row was read
	held      bool // the lease
	homework  bool // the job has a part that each process does
	allPaused bool
	served    uint64        // wishes for a run that the job was told of
	stop      chan struct{} // closed while the job may not run

	cancel context.CancelCauseFunc // of the step under way; nil: none
	more   bool                    // the next step follows at once
	failed bool                    // the last step
	run    int64                   // things done since the job rested
	next   time.Time
	rate   rate

	steps, errors, done int64
	result              metadata.JobResult // that of the row, with what came since
	unsaved             bool
	answered            uint64 // wishes that a step answered
	saved               time.Time
}

func (d *desk) allowed() bool {
	return d.known && (d.held || d.homework) && !d.row.Paused && !d.allPaused
}

// orders are what a keeper tells a loop.
type orders struct {
	row       metadata.Job
	allPaused bool
	held      bool // this process has the lease
}

// obey takes orders.
func (l *loop) obey(o orders) {
	d, row, held := &l.desk, &o.row, o.held
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.known {
		d.result = row.Last
	}
	// What another process granted is not asked for any more.
	d.served, d.answered = max(d.served, row.Ran), max(d.answered, row.Ran)
	if d.held && !held {
		d.interrupt()
	}
	d.row, d.known, d.held, d.allPaused = *row, true, held, o.allPaused
	if !held && row.Last.Ended.After(d.result.Ended) {
		d.result = row.Last // of the process that has it
	}
	l.changed()
}

func (l *loop) setAllPaused(paused bool) {
	l.desk.mu.Lock()
	defer l.desk.mu.Unlock()
	l.desk.allPaused = paused
	l.changed()
}

// lose gives the lease up.
func (l *loop) lose() {
	l.desk.mu.Lock()
	defer l.desk.mu.Unlock()
	l.desk.held = false
	l.desk.interrupt()
	l.changed()
}

// interrupt ends the step under way.
func (d *desk) interrupt() {
	if d.cancel != nil {
		d.cancel(errNotNow)
	}
}

// changed lets the loop look at the desk, whose lock is held.
func (l *loop) changed() {
	d := &l.desk
	stopped := false
	select {
	case <-d.stop:
		stopped = true
	default:
	}
	allowed := d.allowed()
	if allowed && stopped {
		d.stop = make(chan struct{})
	}
	if !allowed && !stopped {
		close(d.stop)
	}
	if !allowed && d.cancel == nil {
		d.rate.stop(time.Now())
	}
	poke(l.nudge)
}

// asked reports whether somebody wants a run that the job was not told of.
func (d *desk) asked() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known && d.held && d.row.Run > d.served
}

// begin is a turn that begins.
type begin struct {
	stop  <-chan struct{} // closed when the job is paused
	asked bool            // by the administrator
	own   bool            // it is another process that has the job: the part of this one
}

func (d *desk) begin(cancel context.CancelCauseFunc) (begin, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.allowed() {
		return begin{}, false
	}
	if d.cancel = cancel; !d.held {
		return begin{stop: d.stop, own: true}, true
	}
	out := begin{stop: d.stop, asked: d.row.Run > d.served}
	d.served = d.row.Run
	d.rate.start(time.Now())
	return out, true
}

// outcome is how a turn went.
type outcome struct {
	p           Progress
	err         error
	interrupted bool
	own         bool // it says nothing of the job
	at          time.Time
	work        Work
}

func (d *desk) end(o outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.cancel, d.more = nil, o.err == nil && o.p.More
	d.rate.observe(now, o.work)
	if !d.more || !d.allowed() {
		d.rate.stop(now)
	}
	if o.interrupted || o.own {
		return
	}
	d.failed = o.err != nil
	d.run += int64(o.p.Done)
	text := errorText(o.err)
	if o.p.Done > 0 || o.err != nil || text != d.result.Error {
		d.result, d.unsaved = metadata.JobResult{Ended: o.at, Did: d.run, Error: text}, true
	}
	if !d.more {
		d.run = 0
	}
	if o.err == nil && !o.p.More && d.served > d.answered {
		d.answered, d.unsaved, d.result.Ended = d.served, true, o.at
	}
}

// errorText is an error that fits into a row j.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	text := strings.ToValidUTF8(strings.Join(strings.Fields(err.Error()), " "), "?")
	if len(text) > metadata.MaxJobError {
		text = strings.ToValidUTF8(text[:metadata.MaxJobError-3], "") + "..."
	}
	return text
}

// count adds a step with its errors.
func (d *desk) count(p Progress, errors int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps++
	d.done += int64(p.Done)
	d.errors += errors
}

func (d *desk) rests(rest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = time.Now().Add(rest)
}

// keep writes the result down: at once where somebody waits for a run, else when
// the job has come to rest and not more often than once in a while.
func (l *loop) keep(ctx context.Context) {
	d := &l.desk
	d.mu.Lock()
	answered := d.answered > d.row.Ran
	due := d.unsaved && !d.more && (d.saved.IsZero() || time.Since(d.saved) >= keepEvery)
	result, ran := d.result, d.answered
	d.mu.Unlock()
	if !answered && !due {
		return
	}
	err := l.steward.keeper.change(ctx, l.Name(), func(j *metadata.Job) {
		j.Last, j.Ran = result, max(j.Ran, ran)
	})
	if err != nil {
		l.steward.opts.Logger.DebugContext(ctx, "result of a background job is not written down",
			slog.String("job", l.Name()), slog.Any("error", err))
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.saved = time.Now()
	d.unsaved = d.unsaved && d.result != result
}

// status describes the job.
func (l *loop) status(now time.Time) JobStatus {
	work := l.work()
	d := &l.desk
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rate.observe(now, work)
	out := JobStatus{
		Name: l.Name(), State: d.state(), Paused: d.row.Paused, AllPaused: d.allPaused,
		Last: d.result.Ended, Did: d.result.Did, Error: d.result.Error, Steps: d.steps, Errors: d.errors, Done: d.done,
		Asked: d.row.Run, Granted: d.row.Ran, Work: work, Rate: d.rate.perSecond(),
	}
	if out.State == JobResting || out.State == JobFailed {
		out.Next = d.next
	}
	if out.State == JobRunning {
		out.Left = timeLeft(&work, out.Rate)
	}
	return out
}

func (d *desk) state() JobState {
	switch {
	case !d.known:
		return JobStopped
	case (d.row.Paused || d.allPaused) && d.cancel != nil:
		return JobPausing
	case d.row.Paused || d.allPaused:
		return JobPaused
	case !d.held:
		return JobElsewhere
	case d.cancel != nil || d.more:
		return JobRunning
	case d.failed:
		return JobFailed
	default:
		return JobResting
	}
}
