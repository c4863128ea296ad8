package fdb_test

import (
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/fdb"
)

func document(t *testing.T) []byte {
	t.Helper()
	doc, err := os.ReadFile("testdata/status.json")
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func gauge(t *testing.T, gauges []kv.Gauge, name string) float64 {
	t.Helper()
	i := slices.IndexFunc(gauges, func(g kv.Gauge) bool { return g.Name == name })
	if i < 0 {
		t.Errorf("no gauge %q", name)
		return -1
	}
	return gauges[i].Value
}

func TestStatusOfACluster(t *testing.T) {
	r, err := fdb.ParseStatus(document(t))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Available || r.Healthy == nil || *r.Healthy || !r.Locked || r.State != "fully_recovered" ||
		r.LimitedBy != "storage_server_write_queue_size" {
		t.Errorf("got %+v", r)
	}
	if r.FaultTolerance == nil || *r.FaultTolerance != 0 || r.LagSeconds == nil || *r.LagSeconds != 1.5 {
		t.Errorf("got %+v", r)
	}
	want := []string{"inconsistent_cluster_file: The cluster file is not up to date.", "unreachable_processes: The cluster has some unreachable processes."}
	if !slices.Equal(r.Messages, want) {
		t.Errorf("got %q", r.Messages)
	}
	for name, want := range map[string]float64{
		"available": 1, "healthy": 0, "locked": 1, "generation": 7, "probe_start_seconds": 0.003, "probe_commit_seconds": 0.012,
		"transactions_conflicted_per_second": 3.5, "read_bytes_per_second": 7.5, "limited": 1, "log_queue_bytes": 50,
		"durability_lag_seconds": 6.5, "disk_free_ratio": 0.1, "query_queue": 9, "replicas_remaining": 1, "clients": 3,
		"incompatible_connections": 0, "coordinators_unreachable": 1, "backup_behind_seconds": 4.5, "backup_restorable": 1, "backups_running": 1,
		"fault_tolerance": 0, "throttled_classes": 1, "moving_queued_bytes": 2000,
	} {
		if got := gauge(t, r.Gauges, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	names := map[string]bool{}
	for _, g := range r.Gauges {
		if names[g.Name] || g.Help == "" {
			t.Errorf("%q comes twice or says nothing of itself", g.Name)
		}
		names[g.Name] = true
	}
}

func TestStatusWithoutFields(t *testing.T) {
	for _, doc := range []string{
		`{}`, `[]`, `null`, `7`, `{"cluster":null,"client":[]}`, `{"client":{"database_status":{"available":"yes"}},"cluster":{"qos":7,"processes":[1],"messages":{}}}`,
	} {
		r, err := fdb.ParseStatus([]byte(doc))
		if err != nil || r.Available || r.Locked || r.Healthy != nil || r.FaultTolerance != nil || len(r.Gauges) != 0 || len(r.Messages) != 0 {
			t.Errorf("%s: %+v, %v", doc, r, err)
		}
	}
	if r, err := fdb.ParseStatus([]byte(`{"client":{"database_status":{"available":true}},"cluster":{"qos":{"performance_limited_by":{"name":"workload"}}}}`)); err != nil || !r.Available || r.LimitedBy != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := fdb.ParseStatus([]byte(`{"client":{"database_status":{"available":true}},"cluster":{"database_available":false}}`)); err != nil || r.Available {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := fdb.ParseStatus([]byte(`{"client":`)); err == nil {
		t.Error("half a document is one")
	}
}

func TestBackupsOfACluster(t *testing.T) {
	const ends = `"b.d":{"running_backup":false,"running_backup_is_restorable":false,"last_restorable_seconds_behind":900}`
	for _, c := range []struct {
		tags string
		want map[string]float64
	}{
		{``, map[string]float64{}},
		{ends, map[string]float64{"backups_running": 0}},
		{
			ends + `,"shop":{"running_backup":true,"running_backup_is_restorable":true,"last_restorable_seconds_behind":4.5}`,
			map[string]float64{"backups_running": 1, "backup_restorable": 1, "backup_behind_seconds": 4.5},
		},
		{
			`"shop":{"running_backup":true,"running_backup_is_restorable":true,"last_restorable_seconds_behind":4.5},
			"default":{"running_backup":true,"running_backup_is_restorable":false}, "odd":7`,
			map[string]float64{"backups_running": 2, "backup_restorable": 0, "backup_behind_seconds": 4.5},
		},
	} {
		r, err := fdb.ParseStatus([]byte(`{"cluster":{"layers":{"backup":{"tags":{` + c.tags + `}}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, g := range r.Gauges {
			got[g.Name] = g.Value
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.tags, got, c.want)
		}
	}
}

func TestHealthOfACluster(t *testing.T) {
	got, err := fdb.ParseHealth([]byte(`{"batch_limited":true,"tps_limit":457.5,"worst_storage_queue":2030,"worst_log_queue":156,"limiting_storage_queue":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if gauge(t, got, "health_batch_limited") != 1 || gauge(t, got, "health_transactions_limit") != 457.5 || len(got) != 4 {
		t.Errorf("got %+v", got)
	}
	if _, err := fdb.ParseHealth(nil); err == nil {
		t.Error("nothing is a document")
	}
}

func FuzzParseStatus(f *testing.F) {
	doc, err := os.ReadFile("testdata/status.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Add([]byte(`{"cluster":{"processes":{"a":{"roles":[1,null,{}],"disk":7}}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := fdb.ParseStatus(doc)
		if err != nil && len(r.Gauges) > 0 {
			t.Error("a document that is none has gauges")
		}
		for _, m := range r.Messages {
			if len(m) > 300 {
				t.Errorf("a message of %d bytes", len(m))
			}
		}
	})
}
