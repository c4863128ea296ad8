package single

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/steward"
)

// jobCollector shows the background jobs to Prometheus.
type jobCollector struct {
	steward *steward.Steward
	state   *prometheus.Desc
	entries []jobEntry
}

// jobEntry is one metric of every job.
type jobEntry struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	get  func(*steward.JobStatus) float64
}

// JobCollector returns the metrics of the background jobs.
func (s *System) JobCollector() prometheus.Collector {
	counter, gauge := prometheus.CounterValue, prometheus.GaugeValue
	metric := func(name, help string, kind prometheus.ValueType, get func(*steward.JobStatus) float64) jobEntry {
		return jobEntry{prometheus.NewDesc("undercroft_job_"+name, help, []string{"job"}, nil), kind, get}
	}
	return &jobCollector{
		steward: s.Steward,
		state: prometheus.NewDesc("undercroft_job_state", "1 for what a background job is at: running, resting, failed, pausing, paused, elsewhere or stopped.",
			[]string{"job", "state"}, nil),
		entries: []jobEntry{
			metric("steps_total", "Steps of a background job.", counter, func(j *steward.JobStatus) float64 { return float64(j.Steps) }),
			metric("errors_total", "Steps of a background job that failed.", counter, func(j *steward.JobStatus) float64 { return float64(j.Errors) }),
			metric("done_total", "Things that a background job did.", counter, func(j *steward.JobStatus) float64 { return float64(j.Done) }),
			metric("last_run_timestamp_seconds", "When a background job last did something or failed, 0 for never.", gauge, lastRun),
			metric("work_total", "Units of work of a background job, done and to be done; 0 where there is none.", gauge, func(j *steward.JobStatus) float64 { return float64(j.Work.Total) }),
			metric("work_done", "Units of work_total that are done.", gauge, func(j *steward.JobStatus) float64 { return float64(j.Work.Done) }),
			metric("work_per_second", "Units of work in a second, over the last minutes of work; 0 where that is not known.", gauge, func(j *steward.JobStatus) float64 { return j.Rate }),
			metric("work_seconds_left", "Time that the rest of the work takes at this rate; 0 where that is not known.", gauge, func(j *steward.JobStatus) float64 { return j.Left.Seconds() }),
		},
	}
}

func lastRun(j *steward.JobStatus) float64 {
	if j.Last.IsZero() {
		return 0
	}
	return float64(j.Last.UnixMilli()) / 1000
}

// Describe implements [prometheus.Collector].
func (c *jobCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.state
	for i := range c.entries {
		ch <- c.entries[i].desc
	}
}

// Collect implements [prometheus.Collector].
func (c *jobCollector) Collect(ch chan<- prometheus.Metric) {
	all := c.steward.Status()
	for i := range all {
		j := &all[i]
		ch <- prometheus.MustNewConstMetric(c.state, prometheus.GaugeValue, 1, j.Name, string(j.State))
		for k := range c.entries {
			e := &c.entries[k]
			ch <- prometheus.MustNewConstMetric(e.desc, e.kind, e.get(j), j.Name)
		}
	}
}
