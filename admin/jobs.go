package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// The paths of background jobs.
const (
	pathJobs      = "/-/jobs"
	pathJob       = "/-/jobs/{job}"
	pathJobPause  = "/-/jobs/{job}/pause"
	pathJobResume = "/-/jobs/{job}/resume"
	pathJobRun    = "/-/jobs/{job}/run"
)

// ErrNoSuchJob says that there is no background job of this name.
var ErrNoSuchJob = errors.New("there is no such job")

// JobDirectory controls the background jobs. "all" pauses and resumes all of them.
type JobDirectory interface {
	Jobs(ctx context.Context) ([]Job, error)
	// Job describes one job with what is particular to it.
	Job(ctx context.Context, name string) (Job, error)
	PauseJob(ctx context.Context, name string) error
	ResumeJob(ctx context.Context, name string) error
	// RunJob makes a job run now. It is done when Job.Granted has reached wish.
	RunJob(ctx context.Context, name string) (wish uint64, err error)
}

// Job is a background job. Counters are since the server started.
type Job struct {
	Name      string    `json:"name"`
	State     string    `json:"state"` // running, resting, failed, pausing, paused, elsewhere, stopped
	Paused    bool      `json:"paused"`
	AllPaused bool      `json:"all_paused"`
	Next      time.Time `json:"next,omitzero"` // look, while it rests or failed
	Last      time.Time `json:"last,omitzero"` // when it did something or failed
	Did       int64     `json:"last_did"`
	Error     string    `json:"error,omitempty"` // of the last step
	Steps     int64     `json:"steps"`
	Errors    int64     `json:"errors"`
	Done      int64     `json:"done"`
	Asked     uint64    `json:"asked"` // wishes for a run
	Granted   uint64    `json:"granted"`
	Work      *JobWork  `json:"work,omitempty"`
	// Partitions is only in an answer about the job repair alone.
	Partitions *PartitionHealth `json:"partitions,omitempty"`
}

// JobWork is how far a job is.
type JobWork struct {
	Unit  string    `json:"unit"`
	Done  int64     `json:"done"`
	Total int64     `json:"total"` // 0: nothing, or not known
	Since time.Time `json:"since,omitzero"`
	Note  string    `json:"note,omitempty"`
	// Rate is units a second, over the last minutes of work; 0 is not known.
	Rate float64 `json:"per_second,omitempty"`
	// Left is the time that the rest takes at this rate, in seconds.
	Left float64 `json:"seconds_left,omitempty"`
}

// PartitionHealth is what repair has to know of all partitions. Short and what
// follows from it is of now, the rest of the last look of repair.
type PartitionHealth struct {
	Short      []int64     `json:"by_shards_short"` // from 0 on, up to the parity
	Unreadable int64       `json:"unreadable"`
	Looked     time.Time   `json:"looked,omitzero"`
	Queued     int64       `json:"queued_shards"`
	Waiting    int64       `json:"waiting_shards"`  // their disks may come back
	Resting    int64       `json:"resting_shards"`  // failed, to be tried again
	Homeless   int64       `json:"homeless_shards"` // of them, those that no disk can take
	Unsealed   int64       `json:"unsealed_shards"` // of partitions that are not sealed yet
	Left       []LeftShard `json:"left,omitempty"`  // the first of those that are not repaired now
}

// LeftShard is a shard that is not repaired now.
type LeftShard struct {
	Partition string `json:"partition"`
	Shard     int    `json:"shard"`
	Disk      string `json:"disk"` // where it was
	Why       string `json:"why"`
}

// Impaired is how many partitions are not whole.
func (h *PartitionHealth) Impaired() int64 {
	n := h.Unreadable
	for i, partitions := range h.Short {
		if i > 0 {
			n += partitions
		}
	}
	return n
}

// JobList is all background jobs.
type JobList struct {
	Jobs []Job `json:"jobs"`
}

// JobWish is what was asked of a job.
type JobWish struct {
	Job string `json:"job"`
	// Wish is the number of a run that was asked for.
	Wish uint64 `json:"wish,omitempty"`
}

func (h *handler) handleJobs(mux *http.ServeMux) {
	d := h.JobDirectory
	mux.Handle("GET "+pathJobs, call(h, func(r *http.Request, _ empty) (JobList, error) {
		jobs, err := d.Jobs(r.Context())
		return JobList{jobs}, err
	}))
	mux.Handle("GET "+pathJob, call(h, func(r *http.Request, _ empty) (Job, error) {
		return d.Job(r.Context(), r.PathValue("job"))
	}))
	mux.Handle("POST "+pathJobPause, h.wish("job paused", noWish(d.PauseJob)))
	mux.Handle("POST "+pathJobResume, h.wish("job resumed", noWish(d.ResumeJob)))
	mux.Handle("POST "+pathJobRun, h.wish("job asked to run", d.RunJob))
}

func noWish(fn func(ctx context.Context, name string) error) func(context.Context, string) (uint64, error) {
	return func(ctx context.Context, name string) (uint64, error) { return 0, fn(ctx, name) }
}

// wish answers a request that asks something of a job.
func (h *handler) wish(what string, fn func(ctx context.Context, name string) (uint64, error)) http.Handler {
	return call(h, func(r *http.Request, _ empty) (JobWish, error) {
		name := r.PathValue("job")
		wish, err := fn(r.Context(), name)
		if err == nil {
			h.note(r, what, slog.String("job", name))
		}
		return JobWish{name, wish}, err
	})
}
