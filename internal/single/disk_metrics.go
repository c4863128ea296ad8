package single

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/metadata"
)

// diskMetrics are the metrics that there are one of for each disk, and those of
// drains.
type diskMetrics struct {
	state, failed          *prometheus.Desc
	moved, bytes, failures *prometheus.Desc
}

func newDiskMetrics() *diskMetrics {
	total := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("undercroft_drain_"+name+"_total", help, nil, nil)
	}
	return &diskMetrics{
		state: prometheus.NewDesc("undercroft_disk_state", "1 for the state that a disk is in: active, draining, missing or failed.",
			[]string{"disk", "path", "state"}, nil),
		failed: prometheus.NewDesc("undercroft_disk_failed", "1 for a disk that failed while it was in service, by why: read_only, io, directory or other.",
			[]string{"disk", "path", "why"}, nil),
		moved:    total("shards", "Shards moved off disks that are drained."),
		bytes:    total("bytes", "Bytes of shards moved off disks that are drained."),
		failures: total("failures", "Moves of shards that failed."),
	}
}

func (m *diskMetrics) describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.state, m.failed, m.moved, m.bytes, m.failures} {
		ch <- d
	}
}

func (m *diskMetrics) collect(s *System, ch chan<- prometheus.Metric) {
	c := s.Steward.Counters()
	for desc, n := range map[*prometheus.Desc]int64{m.moved: c.Moved, m.bytes: c.MovedBytes, m.failures: c.MoveFailures} {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n))
	}
	for _, row := range s.roster.inventory() {
		id, state := diskID(row).String(), s.stateOf(row)
		for _, other := range []string{stateActive, stateDraining, stateMissing, stateFailed} {
			value := 0.0
			if other == state {
				value = 1
			}
			ch <- prometheus.MustNewConstMetric(m.state, prometheus.GaugeValue, value, id, row.Path, other)
		}
		if state == stateFailed {
			if d := s.roster.get(diskID(row)); d != nil {
				ch <- prometheus.MustNewConstMetric(m.failed, prometheus.GaugeValue, 1, id, row.Path, whyFailed(d.Failed()))
			}
		}
	}
}

// stateOf is the state of a disk, without a look at it.
func (s *System) stateOf(row metadata.Disk) string {
	d := s.roster.get(diskID(row))
	switch {
	case d == nil:
		return stateMissing
	case d.Failed() != nil:
		return stateFailed
	}
	return stateText(row.State)
}

// whyFailed sorts why a disk failed, for alerts.
func whyFailed(err error) string {
	switch {
	case errors.Is(err, syscall.EROFS):
		return "read_only"
	case errors.Is(err, syscall.EIO):
		return "io"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, disk.ErrWrongDisk), errors.Is(err, disk.ErrMissing), errors.Is(err, disk.ErrNotFormatted):
		return "directory"
	}
	return "other"
}
