package single

import "github.com/prometheus/client_golang/prometheus"

// compactMetrics are those of compaction.
func compactMetrics(metric func(name, help string, kind prometheus.ValueType, get func(*sample) float64) entry) []entry {
	counter := prometheus.CounterValue
	return []entry{
		metric("compact_partitions_total", "Partitions of which compaction has moved what was worth it.", counter, func(v *sample) float64 { return float64(v.steward.Compactions) }),
		metric("compact_blobs_total", "Blobs moved to give space back.", counter, func(v *sample) float64 { return float64(v.steward.CompactedBlobs) }),
		metric("compact_bytes_total", "Bytes of blobs moved to give space back.", counter, func(v *sample) float64 { return float64(v.steward.CompactedBytes) }),
		metric("compact_lost_races_total", "Blobs written again in vain, because they were changed or freed meanwhile.", counter, func(v *sample) float64 { return float64(v.steward.CompactLost) }),
		metric("compact_unreadable_stripes_total", "Stripes that compaction could not read and left.", counter, func(v *sample) float64 { return float64(v.steward.CompactFailed) }),
	}
}
