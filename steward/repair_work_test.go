package steward_test

import (
	"strings"
	"testing"

	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/steward"
)

// status is that of one job.
func (e *env) status(name string) steward.JobStatus {
	e.t.Helper()
	for _, s := range e.Steward.Status() {
		if s.Name == name {
			return s
		}
	}
	e.t.Fatalf("there is no job %s", name)
	return steward.JobStatus{}
}

// runNow tells a job what the administrator does.
func (e *env) runNow(name string) {
	e.t.Helper()
	for _, job := range e.Steward.Jobs() {
		if r, ok := job.(steward.Runner); ok && job.Name() == name {
			r.RunNow()
		}
	}
}

// TestRepairNowWaitsForNoDisk asks for repair while a disk is away for less than
// the delay.
func TestRepairNowWaitsForNoDisk(t *testing.T) {
	e := newEnv(t, scheme(5, partition.Scheme{K: 2, M: 1}))
	s := e.fillShelf(4)
	dir := e.busiest()
	e.Stop()
	e.unmount(dir)
	e.Start()
	c := e.RunSteward()
	h, w := e.Steward.Health(), e.status("repair").Work
	if c.Repaired != 0 || h.Waiting == 0 || len(h.Left) != int(h.Waiting) || h.Looked.IsZero() || !strings.Contains(h.Left[0].Why, "waits for its disk until 20") {
		t.Fatalf("at once %d shards were rebuilt: %+v", c.Repaired, h)
	}
	if w.Total != 0 || !strings.Contains(w.Note, "wait for disks that may come back") {
		t.Errorf("work %+v", w)
	}
	e.runNow("repair")
	c = e.RunSteward()
	h, w = e.Steward.Health(), e.status("repair").Work
	whole := e.redundancy()
	if c.Repaired == 0 || h.Waiting != 0 || len(h.Left) != 0 || !whole.Whole() {
		t.Errorf("asked for, %d shards were rebuilt: %+v", c.Repaired, h)
	}
	if w.Total != 0 || !w.Since.IsZero() || w.Note != "" {
		t.Errorf("work after the end: %+v", w)
	}
	if st := e.status("repair"); st.State != steward.JobStopped || st.Done != c.Repaired || st.Errors != 0 {
		t.Errorf("a steward at rest shows %+v", st)
	}
	e.holdsShelf(s)
}

// TestRepairSaysHowFarItIs steps through a repair.
func TestRepairSaysHowFarItIs(t *testing.T) {
	e := newEnv(t, scheme(5, partition.Scheme{K: 2, M: 1}))
	e.fillShelf(4)
	dir := e.busiest()
	e.Stop()
	e.unmount(dir)
	e.Start()
	e.RunSteward() // seals
	e.runNow("repair")
	total, done := int64(0), int64(0)
	for _, job := range e.Steward.Jobs() {
		if job.Name() != "repair" {
			continue
		}
		for more := true; more; {
			p, err := job.Step(t.Context())
			e.must(err)
			more = p.More
			w := e.status("repair").Work
			if w.Total == 0 {
				continue
			}
			if w.Done < done || w.Done > w.Total || w.Unit != "shards" || w.Since.IsZero() {
				t.Errorf("after %d of %d: %+v", done, total, w)
			}
			done, total = w.Done, max(total, w.Total)
		}
	}
	if total < 1 || done != total {
		t.Errorf("%d of %d shards were counted", done, total)
	}
}
