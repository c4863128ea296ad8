package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// board is a directory of one job.
type board struct{ job Job }

func (b *board) Jobs(context.Context) ([]Job, error) { return []Job{b.job}, nil }

func (b *board) Job(_ context.Context, name string) (Job, error) {
	if name != b.job.Name {
		return Job{}, fmt.Errorf("%w: %q", ErrNoSuchJob, name)
	}
	return b.job, nil
}

func (b *board) PauseJob(ctx context.Context, name string) error {
	_, err := b.Job(ctx, name)
	b.job.Paused = b.job.Paused || err == nil
	return err
}

func (b *board) ResumeJob(ctx context.Context, name string) error {
	_, err := b.Job(ctx, name)
	b.job.Paused = b.job.Paused && err != nil
	return err
}

func (b *board) RunJob(ctx context.Context, name string) (uint64, error) {
	if b.job.State == "stopped" {
		return 0, errors.New("the metadata are\naway")
	}
	_, err := b.Job(ctx, name)
	if err == nil {
		b.job.Asked++
	}
	return b.job.Asked, err
}

func TestJobsThroughTheClient(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := &board{job: Job{
		Name: "repair", State: "running", Last: at, Did: 3, Steps: 4, Work: &JobWork{Unit: "shards", Done: 1, Total: 2, Since: at, Rate: 0.5, Left: 2},
		Partitions: &PartitionHealth{Short: []int64{1, 2}, Unreadable: 3, Left: []LeftShard{{"00", 1, "d", "rests"}}},
	}}
	var log bytes.Buffer
	server := serve(t, Options{JobDirectory: b, Tokens: []string{goodToken}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c = c.WithToken(goodToken)
	ctx := t.Context()
	all, err := c.Jobs(ctx)
	if diff := cmp.Diff([]Job{b.job}, all); err != nil || diff != "" {
		t.Errorf("the list differs, %v:\n%s", err, diff)
	}
	one, err := c.Job(ctx, "repair")
	if diff := cmp.Diff(b.job, one); err != nil || diff != "" {
		t.Errorf("the job differs, %v:\n%s", err, diff)
	}
	if n := one.Partitions.Impaired(); n != 5 {
		t.Errorf("%d partitions are not whole, want 2 and 3", n)
	}
	if err := c.PauseJob(ctx, "repair"); err != nil || !b.job.Paused {
		t.Errorf("paused %v, %v", b.job.Paused, err)
	}
	if err := c.ResumeJob(ctx, "repair"); err != nil || b.job.Paused {
		t.Errorf("paused %v, %v", b.job.Paused, err)
	}
	for range 2 {
		if wish, err := c.RunJob(ctx, "repair"); err != nil || wish != b.job.Asked || wish == 0 {
			t.Errorf("wish %d of %d, %v", wish, b.job.Asked, err)
		}
	}
	for _, want := range []string{`change="job paused" job=repair`, `change="job resumed"`, `change="job asked to run"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, log.String())
		}
	}
}

func TestJobsNeedATokenAndAName(t *testing.T) {
	b := &board{job: Job{Name: "repair", State: "stopped"}}
	server := serve(t, Options{JobDirectory: b, Tokens: []string{goodToken}})
	for _, tt := range []struct {
		method, path, token string
		want                int
	}{
		{http.MethodGet, "/-/jobs", "", http.StatusUnauthorized},
		{http.MethodGet, "/-/jobs/repair", "", http.StatusUnauthorized},
		{http.MethodPost, "/-/jobs/repair/pause", "bad", http.StatusUnauthorized},
		{http.MethodPost, "/-/jobs/repair/run", "", http.StatusUnauthorized},
		{http.MethodGet, "/-/jobs/dance", goodToken, http.StatusNotFound},
		{http.MethodPost, "/-/jobs/dance/pause", goodToken, http.StatusNotFound},
		{http.MethodPost, "/-/jobs/dance/resume", goodToken, http.StatusNotFound},
		{http.MethodPost, "/-/jobs/repair/run", goodToken, http.StatusServiceUnavailable},
		{http.MethodPost, "/-/jobs/repair/dance", goodToken, http.StatusNotFound},
		{http.MethodDelete, "/-/jobs/repair", goodToken, http.StatusMethodNotAllowed},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL+tt.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", bearer+tt.token)
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != tt.want {
			t.Errorf("%s %s: %d, %v, want %d", tt.method, tt.path, res.StatusCode, err, tt.want)
		}
	}
	if b.job.Paused || b.job.Asked > 0 {
		t.Errorf("a refused request changed the job: %+v", b.job)
	}
}
