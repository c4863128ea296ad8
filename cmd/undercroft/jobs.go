package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/steward"
)

// jobs shows the background jobs of a store to administrators.
type jobs struct{ store *single.System }

var _ admin.JobDirectory = jobs{}

// Jobs implements [admin.JobDirectory], as the methods below do theirs.
func (j jobs) Jobs(context.Context) ([]admin.Job, error) {
	var out []admin.Job
	for _, s := range j.store.Steward.Status() {
		out = append(out, showJob(&s))
	}
	return out, nil
}

// Job implements [admin.JobDirectory].
func (j jobs) Job(ctx context.Context, name string) (admin.Job, error) {
	for _, s := range j.store.Steward.Status() {
		if s.Name != name {
			continue
		}
		out := showJob(&s)
		var err error
		if name == "repair" {
			out.Partitions, err = j.partitions(ctx)
		}
		return out, err
	}
	return admin.Job{}, j.named(name, steward.ErrNoJob)
}

// PauseJob implements [admin.JobDirectory].
func (j jobs) PauseJob(ctx context.Context, name string) error {
	return j.named(name, j.store.Steward.Pause(ctx, name))
}

// ResumeJob implements [admin.JobDirectory].
func (j jobs) ResumeJob(ctx context.Context, name string) error {
	return j.named(name, j.store.Steward.Resume(ctx, name))
}

// RunJob implements [admin.JobDirectory].
func (j jobs) RunJob(ctx context.Context, name string) (uint64, error) {
	wish, err := j.store.Steward.RunNow(ctx, name)
	return wish, j.named(name, err)
}

// named says which jobs there are to whoever asked for another.
func (j jobs) named(name string, err error) error {
	if !errors.Is(err, steward.ErrNoJob) {
		return err
	}
	var names []string
	for _, job := range j.store.Steward.Jobs() {
		names = append(names, job.Name())
	}
	return fmt.Errorf("%w: %q; the jobs are %s", admin.ErrNoSuchJob, name, strings.Join(names, ", "))
}

// partitions is how all partitions are now, and what repair last found.
func (j jobs) partitions(ctx context.Context) (*admin.PartitionHealth, error) {
	now, err := j.store.Store.Redundancy(ctx)
	if err != nil {
		return nil, err
	}
	out := &admin.PartitionHealth{Short: now.Short, Unreadable: now.Beyond}
	h := j.store.Steward.Health()
	if h == nil {
		return out, nil
	}
	out.Looked, out.Queued, out.Waiting, out.Resting = h.Looked, h.Queued, h.Waiting, h.Resting
	out.Homeless, out.Unsealed = h.NoTarget, h.Unsealed
	for _, l := range h.Left {
		out.Left = append(out.Left, admin.LeftShard{
			Partition: fmt.Sprintf("%016x", uint64(l.Partition)), Shard: int(l.Shard), Disk: fmt.Sprintf("%x", l.Disk[:]), Why: l.Why,
		})
	}
	return out, nil
}

func showJob(s *steward.JobStatus) admin.Job {
	out := admin.Job{
		Name: s.Name, State: string(s.State), Paused: s.Paused, AllPaused: s.AllPaused, Next: s.Next,
		Last: s.Last, Did: s.Did, Error: s.Error, Steps: s.Steps, Errors: s.Errors, Done: s.Done,
		Asked: s.Asked, Granted: s.Granted,
	}
	if w := &s.Work; w.Unit != "" {
		out.Work = &admin.JobWork{
			Unit: w.Unit, Done: w.Done, Total: w.Total, Since: w.Since, Note: w.Note, Rate: s.Rate, Left: s.Left.Seconds(),
		}
	}
	return out
}
