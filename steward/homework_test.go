package steward

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// pupil is a job with a part for each process.
type pupil struct {
	mu   sync.Mutex // guards done
	done lessons
}

// lessons is what a pupil did.
type lessons struct{ steps, own, ran int }

func (p *pupil) did() lessons {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

func (*pupil) Name() string { return "pupil" }

func (p *pupil) RunNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done.ran++
}

func (p *pupil) Step(context.Context) (Progress, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done.steps++
	return Progress{Done: 1}, nil
}

func (p *pupil) Own(context.Context) (Progress, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done.own++
	return Progress{Done: 1}, nil
}

// TestHomeworkIsDoneByEachProcess: one has the job, the other does its own part, which answers no
// wish for a run; and a pause holds for both.
func TestHomeworkIsDoneByEachProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := mem.New(mem.Options{})
		jobs, run := []*pupil{{}, {}}, []*Steward{}
		for _, job := range jobs {
			db, err := metadata.Open(engine, metadata.Options{Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			s := stewardOn(db, Options{Interval: time.Second}, job)
			s.Start(t.Context())
			run = append(run, s)
			<-time.After(time.Second)
		}
		<-time.After(time.Minute)
		if a, b := jobs[0].did(), jobs[1].did(); a.steps == 0 || a.own != 0 || b.steps != 0 || b.own == 0 {
			t.Errorf("%+v and %+v, want steps of the first and homework of the second", a, b)
		}
		if s := run[1].Status()[0]; s.State != JobElsewhere {
			t.Errorf("the job is %s where only homework is done", s.State)
		}
		if _, err := run[1].RunNow(t.Context(), "pupil"); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		a, b := jobs[0].did(), jobs[1].did()
		if s := run[1].Status()[0]; a.ran != 1 || b.ran != 0 || s.Granted != s.Asked {
			t.Errorf("%+v and %+v were told to run, %d of %d is granted", a, b, s.Granted, s.Asked)
		}
		if err := run[0].Pause(t.Context(), "pupil"); err != nil {
			t.Fatal(err)
		}
		<-time.After(15 * time.Second)
		before := jobs[1].did()
		<-time.After(time.Minute)
		if now := jobs[1].did(); now != before {
			t.Errorf("homework goes on while the job is paused: %+v, %+v before", now, before)
		}
		for _, s := range run {
			s.Close()
		}
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
}
