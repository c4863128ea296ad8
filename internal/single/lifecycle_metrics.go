package single

import "github.com/prometheus/client_golang/prometheus"

// lifecycleMetrics are those of lifecycle rules.
func lifecycleMetrics(metric func(name, help string, kind prometheus.ValueType, get func(*sample) float64) entry) []entry {
	counter := prometheus.CounterValue
	return []entry{
		metric("lifecycle_rounds_total", "Rounds over all buckets with lifecycle rules that came to their end.", counter, func(v *sample) float64 { return float64(v.lifecycle.Rounds) }),
		metric("lifecycle_evaluated_total", "Versions, delete markers and uploads that lifecycle rules were applied to.", counter, func(v *sample) float64 { return float64(v.lifecycle.Evaluated) }),
		metric("lifecycle_expired_total", "Current versions that expired.", counter, func(v *sample) float64 { return float64(v.lifecycle.Expired) }),
		metric("lifecycle_noncurrent_deleted_total", "Noncurrent versions and delete markers that expired.", counter, func(v *sample) float64 { return float64(v.lifecycle.Noncurrent) }),
		metric("lifecycle_delete_markers_deleted_total", "Delete markers removed because they were alone.", counter, func(v *sample) float64 { return float64(v.lifecycle.Markers) }),
		metric("lifecycle_transitions_total", "Versions moved to another storage class.", counter, func(v *sample) float64 { return float64(v.lifecycle.Transitions) }),
		metric("lifecycle_uploads_aborted_total", "Multipart uploads aborted.", counter, func(v *sample) float64 { return float64(v.lifecycle.Aborted) }),
		metric("lifecycle_locked_total", "Versions that were due and are locked.", counter, func(v *sample) float64 { return float64(v.lifecycle.Locked) }),
		metric("lifecycle_failed_total", "Versions that were due and are left to the next round.", counter, func(v *sample) float64 { return float64(v.lifecycle.Failed) }),
	}
}
