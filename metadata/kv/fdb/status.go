package fdb

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/undercroft/undercroft/metadata/kv"
)

// nothingLimits is the reason of a cluster that could do more.
const nothingLimits = "workload"

// ParseStatus makes a report of FoundationDB's status document, the value of
// \xff\xff/status/json. Its schema is no interface: every field may be missing, or be
// something else than it was, and is then missing from the report.
func ParseStatus(document []byte) (kv.Report, error) {
	var root any
	if err := json.Unmarshal(document, &root); err != nil {
		return kv.Report{}, fmt.Errorf("status of FoundationDB: %w", err)
	}
	s := field{root}
	r := kv.Report{
		Available: s.at("client.database_status.available").isTrue() && !s.at("cluster.database_available").isFalse(),
		State:     s.at("cluster.recovery_state.name").text(),
		Locked:    s.at("cluster.database_lock_state.locked").isTrue(),
		LimitedBy: s.at("cluster.qos.performance_limited_by.name").text(),
		Messages:  append(s.at("client.messages").messages(), s.at("cluster.messages").messages()...),
		Gauges:    statusGauges(s),
	}
	if r.LimitedBy == nothingLimits {
		r.LimitedBy = ""
	}
	if healthy := s.at("client.database_status.healthy"); healthy.isTrue() || healthy.isFalse() {
		yes := healthy.isTrue()
		r.Healthy = &yes
	}
	if n, ok := tolerance(s); ok {
		r.FaultTolerance = &n
	}
	for _, g := range r.Gauges {
		if g.Name == "storage_lag_seconds" {
			r.LagSeconds = &g.Value
		}
	}
	return r, nil
}

// tolerance is how many more zones may fail before data or availability suffers.
func tolerance(s field) (n int64, ok bool) {
	for _, what := range []string{"data", "availability"} {
		for _, of := range []string{
			"cluster.fault_tolerance.max_zone_failures_without_losing_", "cluster.fault_tolerance.max_machine_failures_without_losing_",
			"cluster.data.max_machine_failures_without_losing_",
		} {
			if v, found := s.at(of + what).number(); found {
				if !ok || int64(v) < n {
					n = int64(v)
				}
				ok = true
				break
			}
		}
	}
	return n, ok
}

// ParseHealth makes gauges of the document at \xff\xff/metrics/health/aggregate, which
// is cheap to ask for and absent while the cluster recovers.
func ParseHealth(document []byte) ([]kv.Gauge, error) {
	var root any
	if err := json.Unmarshal(document, &root); err != nil {
		return nil, fmt.Errorf("health of FoundationDB: %w", err)
	}
	return gauges(field{root}, healthTable()), nil
}

// source says where in a document a gauge is.
type source struct{ path, name, help string }

func healthTable() []source {
	return []source{
		{"batch_limited", "health_batch_limited", "Whether transactions of background work are held back."},
		{"tps_limit", "health_transactions_limit", "Transactions that may begin in a second."},
		{"worst_storage_queue", "health_storage_queue_bytes", "The longest queue of a storage server."},
		{"worst_log_queue", "health_log_queue_bytes", "The longest queue of a log server."},
		{"worst_storage_durability_lag", "health_durability_lag_versions", "By how many versions the slowest storage server's disk is behind."},
	}
}

func statusTable() []source {
	return []source{
		{"client.database_status.available", "available", "Whether the database takes transactions."},
		{"client.database_status.healthy", "healthy", "Whether the database has all the copies that it wants."},
		{"cluster.database_lock_state.locked", "locked", "Whether somebody has locked the database."},
		{"cluster.generation", "generation", "Number of the recovery that the cluster is in; it rises with each."},
		{"cluster.degraded_processes", "degraded_processes", "Processes that are thought to be slow."},

		{"cluster.latency_probe.transaction_start_seconds", "probe_start_seconds", "Time that the cluster's own probe needed for a read version."},
		{"cluster.latency_probe.batch_priority_transaction_start_seconds", "probe_batch_start_seconds", "Likewise, of background priority."},
		{"cluster.latency_probe.immediate_priority_transaction_start_seconds", "probe_immediate_start_seconds", "Likewise, of the cluster's own priority."},
		{"cluster.latency_probe.read_seconds", "probe_read_seconds", "Time that the probe needed for a read."},
		{"cluster.latency_probe.commit_seconds", "probe_commit_seconds", "Time that the probe needed for a commit."},

		{"cluster.workload.transactions.started.hz", "transactions_started_per_second", "Transactions that began, of all clients."},
		{"cluster.workload.transactions.committed.hz", "transactions_committed_per_second", "Transactions that committed."},
		{"cluster.workload.transactions.conflicted.hz", "transactions_conflicted_per_second", "Transactions that conflicted."},
		{"cluster.workload.transactions.rejected_for_queued_too_long.hz", "transactions_rejected_per_second", "Transactions that waited too long to begin."},
		{"cluster.workload.operations.reads.hz", "reads_per_second", "Reads, of all clients."},
		{"cluster.workload.operations.writes.hz", "writes_per_second", "Writes, of all clients."},
		{"cluster.workload.bytes.read.hz", "read_bytes_per_second", "Bytes read, of all clients."},
		{"cluster.workload.bytes.written.hz", "written_bytes_per_second", "Bytes written, of all clients."},
		{"cluster.workload.keys.read.hz", "keys_read_per_second", "Keys read, of all clients."},

		{"cluster.qos.transactions_per_second_limit", "transactions_limit", "Transactions that may begin in a second."},
		{"cluster.qos.released_transactions_per_second", "transactions_released_per_second", "Transactions that were let begin."},
		{"cluster.qos.worst_queue_bytes_storage_server", "storage_queue_bytes", "The longest queue of a storage server."},
		{"cluster.qos.limiting_queue_bytes_storage_server", "storage_queue_limiting_bytes", "The queue of a storage server that limits all."},
		{"cluster.qos.worst_queue_bytes_log_server", "log_queue_bytes", "The longest queue of a log server."},
		{"cluster.qos.worst_data_lag_storage_server.seconds", "storage_lag_seconds", "By how much the slowest storage server is behind."},
		{"cluster.qos.worst_durability_lag_storage_server.seconds", "durability_lag_seconds", "By how much the slowest storage server's disk is behind."},
		{"cluster.qos.throttled_tags.auto.count", "throttled_classes", "Classes of transactions that the cluster throttles by itself."},
		{"cluster.qos.throttled_tags.manual.count", "throttled_classes_by_hand", "Classes of transactions that somebody throttles."},

		{"cluster.data.total_kv_size_bytes", "data_bytes", "Bytes of keys and values, once."},
		{"cluster.data.total_disk_used_bytes", "disk_used_bytes", "Bytes on disks."},
		{"cluster.data.moving_data.in_flight_bytes", "moving_bytes", "Bytes on their way to other storage servers."},
		{"cluster.data.moving_data.in_queue_bytes", "moving_queued_bytes", "Bytes that wait to be moved."},
		{"cluster.data.state.min_replicas_remaining", "replicas_remaining", "Copies of what has the fewest."},
		{"cluster.data.least_operating_space_bytes_storage_server", "storage_free_bytes", "Space that the fullest storage server may still use."},
		{"cluster.data.least_operating_space_bytes_log_server", "log_free_bytes", "Space that the fullest log server may still use."},
		{"cluster.data.least_operating_space_ratio_storage_server", "storage_free_ratio", "Likewise, as a share of its disk."},

		{"cluster.clients.count", "clients", "Clients of the cluster."},
		{"cluster.layers.backup.instances_running", "backup_agents", "Backup agents that run."},
	}
}

// statusGauges are the numbers of a status document.
func statusGauges(s field) []kv.Gauge {
	out := gauges(s, statusTable())
	if n, ok := tolerance(s); ok {
		out = append(out, kv.Gauge{Name: "fault_tolerance", Help: "Zones that may fail before data or availability suffers.", Value: float64(n)})
	}
	if limited := s.at("cluster.qos.performance_limited_by.name").text(); limited != "" {
		out = append(out, kv.Gauge{Name: "limited", Help: "Whether something else than the workload limits the cluster.", Value: limits(limited)})
	}
	if list, ok := s.at("cluster.incompatible_connections").value.([]any); ok {
		out = append(out, kv.Gauge{Name: "incompatible_connections", Help: "Clients and servers of another version that cannot talk to the cluster.", Value: float64(len(list))})
	}
	if list, ok := s.at("client.coordinators.coordinators").value.([]any); ok {
		out = append(out, kv.Gauge{Name: "coordinators_unreachable", Help: "Coordinators that do not answer.", Value: float64(unreachable(list))})
	}
	return append(append(out, backupGauges(s)...), processGauges(s)...)
}

// backupGauges are the worst of all backups that run, whatever their tags are.
func backupGauges(s field) []kv.Gauge {
	tags, _ := s.at("cluster.layers.backup.tags").value.(map[string]any)
	if len(tags) == 0 {
		return nil
	}
	running, restorable, behind := 0.0, 1.0, -1.0
	for _, t := range tags {
		tag := field{t}
		if !tag.at("running_backup").isTrue() {
			continue
		}
		running++
		if !tag.at("running_backup_is_restorable").isTrue() {
			restorable = 0
		}
		if n, ok := tag.at("last_restorable_seconds_behind").number(); ok {
			behind = max(behind, n)
		}
	}
	out := []kv.Gauge{{Name: "backups_running", Help: "Backups that run.", Value: running}}
	if running > 0 {
		out = append(out, kv.Gauge{Name: "backup_restorable", Help: "Whether all backups that run can be restored.", Value: restorable})
	}
	if behind >= 0 {
		out = append(out, kv.Gauge{Name: "backup_behind_seconds", Help: "How old the newest state is that a backup which runs can restore, of the one that is farthest behind.", Value: behind})
	}
	return out
}

func unreachable(coordinators []any) (n int) {
	for _, c := range coordinators {
		if (field{c}).at("reachable").isFalse() {
			n++
		}
	}
	return n
}

// processGauges are the worst of all processes.
func processGauges(s field) []kv.Gauge {
	processes, _ := s.at("cluster.processes").value.(map[string]any)
	free, queue := -1.0, -1.0
	for _, p := range processes {
		total, ok := (field{p}).at("disk.total_bytes").number()
		left, ok2 := (field{p}).at("disk.free_bytes").number()
		if share := left / max(total, 1); ok && ok2 && (free < 0 || share < free) {
			free = share
		}
		roles, _ := (field{p}).at("roles").value.([]any)
		for _, role := range roles {
			if n, ok := (field{role}).at("query_queue_max").number(); ok {
				queue = max(queue, n)
			}
		}
	}
	var out []kv.Gauge
	if free >= 0 {
		out = append(out, kv.Gauge{Name: "disk_free_ratio", Help: "Free space of the fullest disk, as a share of it.", Value: free})
	}
	if queue >= 0 {
		out = append(out, kv.Gauge{Name: "query_queue", Help: "The longest queue of reads before a storage server.", Value: queue})
	}
	return out
}

func gauges(s field, table []source) []kv.Gauge {
	var out []kv.Gauge
	for _, from := range table {
		f := s.at(from.path)
		v, ok := f.number()
		switch {
		case f.isTrue():
			v, ok = 1, true
		case f.isFalse():
			v, ok = 0, true
		}
		if ok {
			out = append(out, kv.Gauge{Name: from.name, Help: from.help, Value: v})
		}
	}
	return out
}

// limits is 1 for what limits a cluster, other than what is asked of it.
func limits(reason string) float64 {
	if reason == nothingLimits {
		return 0
	}
	return 1
}

// field is a part of a document, or nothing.
type field struct{ value any }

// at is the part at a path of names with dots between.
func (f field) at(path string) field {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := f.value.(map[string]any)
		f = field{object[name]}
	}
	return f
}

func (f field) number() (float64, bool) {
	n, ok := f.value.(float64)
	return n, ok
}

func (f field) text() string {
	s, _ := f.value.(string)
	return s
}

func (f field) isTrue() bool  { return f.value == true }
func (f field) isFalse() bool { return f.value == false }

// maxMessages and maxMessage bound what a report repeats of a document.
const (
	maxMessages = 20
	maxMessage  = 300
)

// messages are the names and descriptions of a list of messages.
func (f field) messages() []string {
	list, _ := f.value.([]any)
	var out []string
	for _, m := range list {
		text := strings.Trim((field{m}).at("name").text()+": "+(field{m}).at("description").text(), ": ")
		if text != "" && len(out) < maxMessages && !slices.Contains(out, text) {
			out = append(out, strings.ToValidUTF8(text[:min(len(text), maxMessage)], ""))
		}
	}
	return out
}
