package single

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/undercroft/undercroft/internal/vfs/mirror"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
	"github.com/undercroft/undercroft/steward"
)

// collector shows the store's counters to Prometheus.
type collector struct {
	s       *System
	entries []entry
	short   *prometheus.Desc
	disks   *diskMetrics
	classes *classMetrics
}

// entry is one metric and where its value comes from.
type entry struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	get  func(*sample) float64
}

// sample is the state that one collection reads.
type sample struct {
	commits, conflicts, metadataSyncs, metadataBytes float64
	appends, diskSyncs, missing                      float64
	stripes, blobs, bytes, retries                   float64
	reconstructed, corrupt, refused, buffers         float64
	hedged, hedgesWon, hedgesRefused, readsGivenUp   float64
	steward                                          steward.Counters
	health                                           steward.Health
	mirror                                           mirror.Status
	scrubRunning, scrubLeft, scrubAge                float64
	lifecycle                                        steward.LifecycleTotals
	lockBehind                                       float64
}

// Collector returns the store's metrics.
func (s *System) Collector() prometheus.Collector {
	counter, gauge := prometheus.CounterValue, prometheus.GaugeValue
	metric := func(name, help string, kind prometheus.ValueType, get func(*sample) float64) entry {
		return entry{prometheus.NewDesc("undercroft_"+name, help, nil, nil), kind, get}
	}
	return &collector{s: s, entries: append(append(append(scrubMetrics(metric), compactMetrics(metric)...), lifecycleMetrics(metric)...), []entry{
		metric("lock_clock_behind_seconds", "By how much the wall clock is ahead of the clock that retentions end by; 0 while nothing was ever locked.", gauge, func(v *sample) float64 { return v.lockBehind }),
		metric("metadata_commits_total", "Metadata transactions applied.", counter, func(v *sample) float64 { return v.commits }),
		metric("metadata_conflicts_total", "Metadata transactions tried again after a conflict.", counter, func(v *sample) float64 { return v.conflicts }),
		metric("metadata_syncs_total", "Syncs of the metadata log.", counter, func(v *sample) float64 { return v.metadataSyncs }),
		metric("metadata_disk_bytes", "Bytes of the metadata engine's files.", gauge, func(v *sample) float64 { return v.metadataBytes }),
		metric("metadata_mirrors", "Directories that hold all of the metadata.", gauge, func(v *sample) float64 { return float64(len(v.mirror.Members)) }),
		metric("metadata_mirrors_wanted", "Directories that should hold the metadata.", gauge, func(v *sample) float64 { return float64(v.mirror.Wanted) }),
		metric("metadata_membership_epoch", "Epoch of the record of who holds the metadata.", gauge, func(v *sample) float64 { return float64(v.mirror.Epoch) }),
		metric("metadata_mirror_ejections_total", "Mirrors that failed.", counter, func(v *sample) float64 { return float64(v.mirror.Ejected) }),
		metric("metadata_mirror_joins_total", "Directories brought up to date as mirrors.", counter, func(v *sample) float64 { return float64(v.mirror.Joined) }),
		metric("metadata_mirror_healed_total", "Metadata files replaced from another mirror.", counter, func(v *sample) float64 { return float64(v.mirror.Healed) }),
		metric("metadata_scrubbed_bytes_total", "Bytes of metadata files verified, of all mirrors.", counter, func(v *sample) float64 { return float64(v.mirror.ScrubbedBytes) }),
		metric("metadata_scrub_bad_copies_total", "Copies of metadata files that scrub found missing or wrong.", counter, func(v *sample) float64 { return float64(v.mirror.BadCopies) }),
		metric("metadata_scrub_undecided_total", "Metadata files whose copies scrub could not verify.", counter, func(v *sample) float64 { return float64(v.mirror.Undecided) }),
		metric("metadata_resync_bytes", "Bytes copied so far to a directory that becomes a mirror.", gauge, func(v *sample) float64 { return resynced(v.mirror.Resync) }),
		metric("disk_appends_total", "Frames appended to shards.", counter, func(v *sample) float64 { return v.appends }),
		metric("disk_syncs_total", "Syncs of shards.", counter, func(v *sample) float64 { return v.diskSyncs }),
		metric("disks_missing", "Known disks that are not in service.", gauge, func(v *sample) float64 { return v.missing }),
		metric("stripes_written_total", "Stripes made durable.", counter, func(v *sample) float64 { return v.stripes }),
		metric("blobs_written_total", "Blobs submitted to partitions.", counter, func(v *sample) float64 { return v.blobs }),
		metric("blob_bytes_written_total", "Bytes of blobs submitted to partitions.", counter, func(v *sample) float64 { return v.bytes }),
		metric("stripe_retries_total", "Stripes written again in another partition.", counter, func(v *sample) float64 { return v.retries }),
		metric("blocks_reconstructed_total", "Blocks reconstructed for reads.", counter, func(v *sample) float64 { return v.reconstructed }),
		metric("reads_hedged_total", "Reads done again from other shards because a disk took long.", counter, func(v *sample) float64 { return v.hedged }),
		metric("read_hedges_won_total", "Hedged reads that were faster than the disk.", counter, func(v *sample) float64 { return v.hedgesWon }),
		metric("read_hedges_refused_total", "Slow reads not hedged because too many were.", counter, func(v *sample) float64 { return v.hedgesRefused }),
		metric("reads_given_up_total", "Reads of disks that nobody waited for any more.", counter, func(v *sample) float64 { return v.readsGivenUp }),
		metric("frames_corrupt_total", "Frames found corrupt by reads.", counter, func(v *sample) float64 { return v.corrupt }),
		metric("overload_refusals_total", "Requests refused for want of buffer memory.", counter, func(v *sample) float64 { return v.refused }),
		metric("buffer_bytes", "Bytes of body and read buffers in use.", gauge, func(v *sample) float64 { return v.buffers }),
		metric("steward_steps_total", "Steps of background jobs.", counter, func(v *sample) float64 { return float64(v.steward.Steps) }),
		metric("steward_errors_total", "Steps of background jobs that failed.", counter, func(v *sample) float64 { return float64(v.steward.Errors) }),
		metric("steward_collected_total", "Data ids, manifests and uploads freed.", counter, func(v *sample) float64 { return float64(v.steward.Collected) }),
		metric("steward_collected_bytes_total", "Bytes of objects that were freed from partitions.", counter, func(v *sample) float64 { return float64(v.steward.Bytes) }),
		metric("steward_intents_total", "Unfinished writes that were ended.", counter, func(v *sample) float64 { return float64(v.steward.Intents) }),
		metric("steward_partitions_sealed_total", "Partitions sealed.", counter, func(v *sample) float64 { return float64(v.steward.Sealed) }),
		metric("steward_partitions_dropped_total", "Sealed partitions dropped because nothing referred to them.", counter, func(v *sample) float64 { return float64(v.steward.Dropped) }),
		metric("steward_punched_bytes_total", "Bytes that disks got back of partitions that stay.", counter, func(v *sample) float64 { return float64(v.steward.Punched) }),
		metric("repair_damaged_shards_total", "Shards found missing or damaged.", counter, func(v *sample) float64 { return float64(v.steward.Damaged) }),
		metric("repair_shards_total", "Shards rebuilt.", counter, func(v *sample) float64 { return float64(v.steward.Repaired) }),
		metric("repair_bytes_total", "Bytes of shards rebuilt.", counter, func(v *sample) float64 { return float64(v.steward.RepairedBytes) }),
		metric("repair_revived_shards_total", "Lost shards found whole when their disk came back.", counter, func(v *sample) float64 { return float64(v.steward.Revived) }),
		metric("repair_failures_total", "Repairs that failed.", counter, func(v *sample) float64 { return float64(v.steward.RepairFailures) }),
		metric("repair_superseded_shards_total", "Shards removed that were rebuilt elsewhere.", counter, func(v *sample) float64 { return float64(v.steward.Superseded) }),
		metric("repair_unknown_shards_total", "Shards of no known partition that were set aside.", counter, func(v *sample) float64 { return float64(v.steward.Unknown) }),
		metric("repair_queued_shards", "Shards to be repaired now.", gauge, func(v *sample) float64 { return float64(v.health.Queued) }),
		metric("repair_waiting_shards", "Shards on disks that are away and may come back.", gauge, func(v *sample) float64 { return float64(v.health.Waiting) }),
		metric("repair_resting_shards", "Shards that could not be repaired and will be tried again.", gauge, func(v *sample) float64 { return float64(v.health.Resting) }),
		metric("repair_homeless_shards", "Shards to be repaired that no disk can take.", gauge, func(v *sample) float64 { return float64(v.health.NoTarget) }),
		metric("partitions_unreadable", "Partitions short of more shards than they have parity.", gauge, func(v *sample) float64 { return float64(v.health.Redundancy.Beyond) }),
	}...), short: prometheus.NewDesc("undercroft_partitions_short", "Partitions by how many of their shards are lost, damaged or away, up to their parity.",
		[]string{"shards"}, nil), disks: newDiskMetrics(), classes: newClassMetrics()}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for i := range c.entries {
		ch <- c.entries[i].desc
	}
	ch <- c.short
	c.disks.describe(ch)
	c.classes.describe(ch)
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.disks.collect(c.s, ch)
	v := c.s.sample()
	for i := range c.entries {
		e := &c.entries[i]
		ch <- prometheus.MustNewConstMetric(e.desc, e.kind, e.get(v))
	}
	c.classes.collect(v.health.Classes, ch)
	for n, partitions := range v.health.Redundancy.Short {
		ch <- prometheus.MustNewConstMetric(c.short, prometheus.GaugeValue, float64(partitions), strconv.Itoa(n))
	}
}

func resynced(r *mirror.Resync) float64 {
	if r == nil {
		return 0
	}
	return float64(r.Bytes)
}

func (s *System) sample() *sample {
	var e pebble.Stats
	if s.pebble != nil {
		e = s.pebble.Stats()
	}
	st := s.Store.Status()
	v := &sample{
		commits: float64(e.Commits), conflicts: float64(e.Conflicts),
		metadataSyncs: float64(e.Syncs), metadataBytes: float64(e.DiskBytes),
		missing: float64(len(s.Missing())),
		stripes: float64(st.Counters.Stripes), blobs: float64(st.Counters.Blobs), bytes: float64(st.Counters.Bytes),
		retries: float64(st.Counters.Retries), reconstructed: float64(st.Counters.Reconstructed),
		corrupt: float64(st.Counters.Corrupt), refused: float64(st.Counters.Refused),
		hedged: float64(st.Counters.Hedged), hedgesWon: float64(st.Counters.HedgesWon),
		hedgesRefused: float64(st.Counters.HedgesRefused), readsGivenUp: float64(st.Counters.ReadsGivenUp),
		buffers: float64(st.BufferMemory + st.ReadMemory),
		steward: s.Steward.Counters(), mirror: s.mirror.Status(),
	}
	if h := s.Steward.Health(); h != nil {
		v.health = *h
	}
	v.lifecycle = s.lifecycle.Totals()
	v.lockBehind = s.DB.LockTimeBehind().Seconds()
	v.addScrub(s.Steward.Scrub(), s.opts.Now())
	for _, d := range s.roster.attached() {
		n := d.Stats()
		v.appends += float64(n.Appends)
		v.diskSyncs += float64(n.Syncs)
	}
	return v
}
