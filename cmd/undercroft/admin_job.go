package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/undercroft/undercroft/admin"
)

func jobVerbs() []verb {
	return []verb{
		{"jobs", nil, nil, listJobs},
		{"pause", []string{"JOB"}, nil, pauseJob},
		{"resume", []string{"JOB"}, nil, resumeJob},
		{"repair", nil, []string{"now", "watch"}, workJob("repair")},
		{"scrub", nil, []string{"now", "watch"}, workJob("scrub")},
		{"compact", nil, []string{"now", "watch"}, workJob("compact")},
		{"lifecycle", nil, []string{"now", "watch"}, workJob("lifecycle")},
	}
}

func listJobs(ctx context.Context, c *admin.Client, in *verbInput) error {
	all, err := c.Jobs(ctx)
	if err != nil {
		return err
	}
	return in.show(admin.JobList{Jobs: all}, func(w io.Writer) {
		line(w, "JOB", "STATE", "LAST RUN", "DONE", "ERRORS", "PROGRESS")
		for i := range all {
			j := &all[i]
			line(w, j.Name, j.State, ago(j.Last), fmt.Sprint(j.Done), fmt.Sprint(j.Errors), progress(j))
		}
	})
}

// ago is a time in the past for people.
func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return short(time.Since(t)) + " ago"
}

// short is a duration with as many digits as people need.
func short(d time.Duration) string {
	d = max(d, 0)
	hours, minutes, seconds := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", hours/24, hours%24)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", hours, minutes)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%02ds", minutes, seconds)
	default:
		return fmt.Sprintf("%ds", seconds)
	}
}

// progress is how far a job is, and what stops it.
func progress(j *admin.Job) string {
	var parts []string
	if w := j.Work; w != nil && w.Total > 0 {
		text := fmt.Sprintf("%s of %s (%d%%)", amount(w.Done, ""), amount(w.Total, w.Unit), percent(w.Done, w.Total))
		if w.Unit == "bytes" {
			text = fmt.Sprintf("%s of %s (%d%%)", amount(w.Done, w.Unit), amount(w.Total, w.Unit), percent(w.Done, w.Total))
		}
		parts = append(parts, text)
		if w.Rate > 0 {
			parts = append(parts, speed(w.Rate, w.Unit))
		}
		if w.Left > 0 {
			parts = append(parts, "about "+short(time.Duration(w.Left*float64(time.Second)))+" left")
		}
	}
	if j.Work != nil && j.Work.Note != "" {
		parts = append(parts, j.Work.Note)
	}
	if j.State == "failed" {
		parts = append(parts, "failed, tried again in "+short(time.Until(j.Next)))
	}
	if j.AllPaused {
		parts = append(parts, "all jobs are paused")
	}
	if j.Error != "" {
		parts = append(parts, "error: "+j.Error)
	}
	return strings.Join(parts, ", ")
}

// percent is 100 only when all is done.
func percent(done, total int64) int64 {
	return min(int64(float64(done)/float64(total)*100), 100)
}

// amount is a number of a unit for people.
func amount(n int64, unit string) string {
	if unit == "bytes" {
		return bytesText(float64(n))
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", n, unit))
}

func speed(perSecond float64, unit string) string {
	if unit == "bytes" {
		return bytesText(perSecond) + "/s"
	}
	if perSecond < 1 {
		return fmt.Sprintf("%.1f %s a minute", perSecond*60, unit)
	}
	return fmt.Sprintf("%.1f %s a second", perSecond, unit)
}

func bytesText(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; n >= 1024 && i < len(units)-1; i++ {
		n /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}

func pauseJob(ctx context.Context, c *admin.Client, in *verbInput) error {
	name := in.argument(0)
	if err := c.PauseJob(ctx, name); err != nil {
		return err
	}
	return in.show(admin.JobWish{Job: name}, func(w io.Writer) { line(w, "job "+name+" is paused until it is resumed") })
}

func resumeJob(ctx context.Context, c *admin.Client, in *verbInput) error {
	name := in.argument(0)
	if err := c.ResumeJob(ctx, name); err != nil {
		return err
	}
	return in.show(admin.JobWish{Job: name}, func(w io.Writer) { line(w, "job "+name+" is resumed") })
}

// workJob is what there is to do with a job that works in bulk.
func workJob(name string) func(context.Context, *admin.Client, *verbInput) error {
	return func(ctx context.Context, c *admin.Client, in *verbInput) error {
		_, now := in.given["now"]
		_, follow := in.given["watch"]
		var wish uint64
		if now {
			var err error
			if wish, err = c.RunJob(ctx, name); err != nil {
				return err
			}
		}
		if follow {
			return (&watch{client: c, in: in, name: name, wish: wish}).run(ctx)
		}
		j, err := c.Job(ctx, name)
		if err != nil {
			return err
		}
		return in.show(j, func(w io.Writer) {
			line(w, "state", j.State)
			line(w, "last run", ago(j.Last))
			if text := progress(&j); text != "" {
				line(w, "progress", text)
			}
			if j.Partitions != nil {
				line(w, "partitions", partitionsText(j.Partitions))
				showLeft(w, j.Partitions)
			}
			if now && j.Granted < wish {
				line(w, "asked", "it runs now; --watch shows how far it is")
			}
		})
	}
}

func partitionsText(h *admin.PartitionHealth) string {
	whole := int64(0)
	if len(h.Short) > 0 {
		whole = h.Short[0]
	}
	parts := []string{fmt.Sprintf("%d whole", whole)}
	for i, n := range h.Short {
		if i > 0 && n > 0 {
			parts = append(parts, fmt.Sprintf("%d short of %d of their shards", n, i))
		}
	}
	if h.Unreadable > 0 {
		parts = append(parts, fmt.Sprintf("%d unreadable", h.Unreadable))
	}
	return strings.Join(parts, ", ")
}

// showLeft prints the shards that are not repaired now.
func showLeft(w io.Writer, h *admin.PartitionHealth) {
	for _, l := range h.Left {
		line(w, "left", fmt.Sprintf("partition %s shard %d on disk %s: %s", l.Partition, l.Shard, l.Disk, l.Why))
	}
	if n := h.Waiting + h.Resting - int64(len(h.Left)); n > 0 && len(h.Left) > 0 {
		line(w, "left", fmt.Sprintf("and %d more", n))
	}
}
