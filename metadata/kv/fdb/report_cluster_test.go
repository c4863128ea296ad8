//go:build fdb

package fdb_test

import (
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/fdbcluster"
	"github.com/undercroft/undercroft/metadata/kv"
)

// A cluster that is well tells all that alerts are made of, once it has been up for a while.
func TestReport(t *testing.T) {
	c := fdbcluster.Shared(t, shapes()[0])
	e := engineOn(t, c)
	_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error { tx.Set([]byte("k"), nil); return nil })
	must(t, err)
	var missing []string
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); {
		r, err := e.Report(t.Context())
		must(t, err)
		if missing = untold(t, &r); len(missing) == 0 {
			return
		}
	}
	t.Errorf("a cluster does not tell %q", missing)
}

// untold is what a report lacks.
func untold(t *testing.T, r *kv.Report) (missing []string) {
	t.Helper()
	if !r.Available || r.Locked || r.FaultTolerance == nil {
		missing = append(missing, "available, unlocked, fault tolerance")
	}
	told := map[string]bool{}
	for _, g := range r.Gauges {
		if told[g.Name] || g.Help == "" {
			t.Fatalf("%+v, told before: %v", g, told[g.Name])
		}
		told[g.Name] = true
	}
	for _, name := range []string{
		"available", "healthy", "locked", "fault_tolerance", "disk_free_ratio", "storage_queue_bytes", "log_queue_bytes", "storage_lag_seconds",
		"coordinators_unreachable", "generation", "transactions_committed_per_second", "transactions_limit", "probe_commit_seconds",
		"health_batch_limited", "health_transactions_limit", "health_storage_queue_bytes", "health_log_queue_bytes",
	} {
		if !told[name] {
			missing = append(missing, name)
		}
	}
	return missing
}
