package admin

import (
	"context"
	"net/http"
)

var _ JobDirectory = (*Client)(nil)

// Jobs implements [JobDirectory], as the methods below do theirs.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	list, err := exchange[JobList](ctx, c, http.MethodGet, pathJobs, empty{})
	return list.Jobs, err
}

// Job implements [JobDirectory].
func (c *Client) Job(ctx context.Context, name string) (Job, error) {
	return exchange[Job](ctx, c, http.MethodGet, pathOf(pathJob, name), empty{})
}

// PauseJob implements [JobDirectory].
func (c *Client) PauseJob(ctx context.Context, name string) error {
	_, err := exchange[JobWish](ctx, c, http.MethodPost, pathOf(pathJobPause, name), empty{})
	return err
}

// ResumeJob implements [JobDirectory].
func (c *Client) ResumeJob(ctx context.Context, name string) error {
	_, err := exchange[JobWish](ctx, c, http.MethodPost, pathOf(pathJobResume, name), empty{})
	return err
}

// RunJob implements [JobDirectory].
func (c *Client) RunJob(ctx context.Context, name string) (wish uint64, err error) {
	out, err := exchange[JobWish](ctx, c, http.MethodPost, pathOf(pathJobRun, name), empty{})
	return out.Wish, err
}
