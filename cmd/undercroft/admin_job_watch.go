package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/undercroft/undercroft/admin"
)

const (
	// watchTick is how often a watched job is asked about.
	watchTick = time.Second / 2
	// settled is after how many looks of repair at all partitions, one every ten
	// seconds, nothing more is expected.
	settled = 2
	// patience is the same for partitions that are not sealed yet.
	patience = 5
)

// The ends of a watch that are no success.
var (
	errUnwatched = errors.New("no longer watched; the job goes on")
	errStopped   = errors.New("the job does not run")
	errNotWhole  = errors.New("not every partition is whole, and nothing can be done now")
)

// watch follows a job until its work is done.
type watch struct {
	client *admin.Client
	in     *verbInput
	name   string
	wish   uint64 // a run that was asked for, 0 for none
	looks  int    // of repair that ended since
	looked time.Time
}

// run shows the job until its work is done, which is no error, or cannot be.
func (w *watch) run(ctx context.Context) error {
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for {
		j, err := w.client.Job(ctx, w.name)
		if ctx.Err() != nil {
			return errors.Join(w.in.screen.end(), errUnwatched)
		}
		if err != nil {
			return errors.Join(w.in.screen.end(), err)
		}
		if err := w.show(&j); err != nil {
			return err
		}
		if ended, err := w.ended(&j); ended {
			return errors.Join(w.in.screen.end(), w.tell(&j, err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(w.in.screen.end(), errUnwatched)
		}
	}
}

// show shows how far the job is.
func (w *watch) show(j *admin.Job) error {
	if w.in.asJSON {
		body, err := json.Marshal(j)
		if err != nil {
			return fmt.Errorf("encoding the answer: %w", err)
		}
		text := string(body)
		if text == w.in.screen.last {
			return nil
		}
		w.in.screen.last = text
		return write(w.in.stdout, text+"\n")
	}
	text := j.Name + ": " + j.State
	if more := progress(j); more != "" {
		text += ", " + more
	}
	return w.in.screen.show(text)
}

// ended decides whether there is more to see.
func (w *watch) ended(j *admin.Job) (bool, error) {
	h := j.Partitions
	if h != nil && !h.Looked.Equal(w.looked) {
		w.looks++
		w.looked = h.Looked
	}
	granted := j.Granted >= w.wish
	switch {
	case h != nil && h.Impaired() == 0 && granted:
		return true, nil
	case j.State == "paused":
		return true, fmt.Errorf("%w: it is paused; `undercroft admin resume %s` lets it go on", errStopped, pausedBy(j))
	case j.State == "elsewhere":
		return true, fmt.Errorf("%w in this server but in another, which knows how far it is", errStopped)
	case j.State == "stopped":
		return true, errStopped
	case j.State != "resting" || !granted:
		return false, nil
	case h != nil:
		return w.stuck(h), errNotWhole
	default:
		return j.Work == nil || j.Work.Done >= j.Work.Total, nil
	}
}

func pausedBy(j *admin.Job) string {
	if j.AllPaused && !j.Paused {
		return "all"
	}
	return j.Name
}

// stuck reports whether repair has looked since, at rest, and found nothing to do.
func (w *watch) stuck(h *admin.PartitionHealth) bool {
	if h.Queued > 0 {
		return false
	}
	switch {
	case h.Unsealed > 0:
		return w.looks > patience
	case w.wish > 0:
		return true // the run that was granted has looked
	default:
		return w.looks > settled
	}
}

// tell says what is left where the watch ended with an error.
func (w *watch) tell(j *admin.Job, err error) error {
	if err == nil || w.in.asJSON || j.Partitions == nil {
		return err
	}
	table := tabwriter.NewWriter(w.in.stdout, 0, 8, 2, ' ', 0)
	line(table, "partitions", partitionsText(j.Partitions))
	showLeft(table, j.Partitions)
	return errors.Join(table.Flush(), err)
}
