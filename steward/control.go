package steward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/undercroft/undercroft/metadata"
)

// Meter is what a [Job] implements that knows how far it is. Work may be called
// at any time beside Step, by other goroutines.
type Meter interface {
	Work() Work
}

// Work is how far a job is.
type Work struct {
	Unit  string    // what Done and Total count: "bytes", "shards", "partitions"
	Done  int64     // of Total, since Since
	Total int64     // 0 when there is nothing to do, or it is not known
	Since time.Time // when this round of work began; zero when none is under way
	Note  string    // one line for the administrator: what it is at, or what stops it
}

// Runner is what a [Job] implements that does more than look at once when the
// administrator asks for it. RunNow is called before a Step, by the goroutine that
// calls Step. The wish counts as granted when a Step has said that there is no more
// to do; after a crash before that RunNow is called again.
type Runner interface {
	RunNow()
}

// Punctual is what a [Job] implements that is to look again sooner than after
// Options.Interval when there was nothing to do.
type Punctual interface {
	Rest() time.Duration
}

// AllJobs stands for all jobs where they are paused and resumed. A job that was
// paused by its own name stays so when all are resumed.
const AllJobs = "all"

// ErrNoJob says that there is no job of this name.
var ErrNoJob = errors.New("there is no such job")

// JobState is what a job is at.
type JobState string

// The states of a job.
const (
	JobRunning   JobState = "running"   // a step is under way, or the next follows at once
	JobResting   JobState = "resting"   // there was nothing to do
	JobFailed    JobState = "failed"    // the last step failed; it is tried again
	JobPausing   JobState = "pausing"   // paused, when its step has ended
	JobPaused    JobState = "paused"    // by the administrator
	JobElsewhere JobState = "elsewhere" // another process has its lease
	JobStopped   JobState = "stopped"   // the Steward does not run, or has not read the rows yet
)

// JobStatus describes a job. Counters are since the Steward was made.
type JobStatus struct {
	Name  string
	State JobState
	// Paused is the job's own; AllPaused that of all jobs.
	Paused, AllPaused bool
	// Next is when the job looks again, if it rests or failed.
	Next time.Time
	// Last is when the job last did something or failed, in any process; Did is how
	// many things it did then. Error is that of the last step, empty when it went
	// well.
	Last   time.Time
	Did    int64
	Error  string
	Steps  int64
	Errors int64
	Done   int64 // things freed, ended, sealed, repaired
	// Asked counts the wishes for a run, Granted those that were answered.
	Asked, Granted uint64
	Work           Work
	// Rate is in units of Work a second, measured over the last minutes in
	// which the job worked; 0 is unknown. Left is what the work takes at this rate.
	Rate float64
	Left time.Duration
}

// Status describes the jobs, in the order in which one makes work for the next.
// It does no I/O.
func (s *Steward) Status() []JobStatus {
	out := make([]JobStatus, len(s.loops))
	for i, l := range s.loops {
		out[i] = l.status(time.Now())
	}
	return out
}

// Pause stops a job, or all of them, until Resume: at the end of the step under way,
// or sooner where that waits for its bandwidth. It is kept over restarts.
func (s *Steward) Pause(ctx context.Context, name string) error {
	return s.wish(ctx, name, func(j *metadata.Job) { j.Paused = true })
}

// Resume lets a job, or all of them, go on.
func (s *Steward) Resume(ctx context.Context, name string) error {
	return s.wish(ctx, name, func(j *metadata.Job) { j.Paused = false })
}

// RunNow makes a job run at once, whatever it would wait for. A paused one runs
// when it is resumed. It returns the number of the wish: it is granted when
// [JobStatus.Granted] has reached it.
func (s *Steward) RunNow(ctx context.Context, name string) (wish uint64, err error) {
	if name == AllJobs {
		return 0, fmt.Errorf("%w to run: name one", ErrNoJob)
	}
	err = s.wish(ctx, name, func(j *metadata.Job) {
		j.Run++
		wish = j.Run
	})
	if err == nil {
		s.wakeOthers(s.loopOf(name)) // they may make work for it
	}
	return wish, err
}

func (s *Steward) wish(ctx context.Context, name string, change func(*metadata.Job)) error {
	if name != AllJobs && s.loopOf(name) == nil {
		return fmt.Errorf("%w: %q", ErrNoJob, name)
	}
	if err := s.keeper.change(ctx, name, change); err != nil {
		return fmt.Errorf("job %s: %w", name, err)
	}
	return nil
}

func (s *Steward) loopOf(name string) *loop {
	for _, l := range s.loops {
		if l.Name() == name {
			return l
		}
	}
	return nil
}
