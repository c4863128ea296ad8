package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata/kv"
)

func TestStatusOfAMetadataStore(t *testing.T) {
	two, lag, no := int64(2), 0.25, false
	tests := map[string]struct {
		status     *single.MetadataStoreStatus
		text       string
		complaints []string
	}{
		"none": {},
		"well": {
			&single.MetadataStoreStatus{
				Available: true, Commits: 7, Conflicts: 1,
				Report: &kv.Report{Available: true, State: "fully_recovered", FaultTolerance: &two, LagSeconds: &lag},
			},
			"; available; fault tolerance 2; lag 0.2 s; 1 conflicts in 7 commits", nil,
		},
		"unwell": {
			&single.MetadataStoreStatus{Available: true, Locked: true, Report: &kv.Report{
				Healthy: &no, LimitedBy: "log_server_write_queue", State: "accepting_commits", Messages: []string{"unreachable_processes: some"},
			}},
			"; available; locked, so that all requests are refused; accepting commits; limited by log server write queue; 0 conflicts in 0 commits",
			[]string{
				"the metadata store is locked: all requests are refused", "the metadata store says that it is not available",
				"the metadata store does not have all the copies that it wants", "the metadata store: unreachable_processes: some",
			},
		},
		"away": {
			&single.MetadataStoreStatus{Silence: 12.3, Reason: "timed out"},
			"; has not answered for 12 s; 0 conflicts in 0 commits",
			[]string{"the metadata store has not answered for 12 s: timed out"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := storeText(test.status); got != test.text {
				t.Errorf("got %q, want %q", got, test.text)
			}
			if got := storeComplaints(test.status); !slices.Equal(got, test.complaints) {
				t.Errorf("got %q, want %q", got, test.complaints)
			}
			st := single.Status{Metadata: single.MetadataStatus{Place: "elsewhere", Store: test.status}}
			var b strings.Builder
			writeStatus(&b, &st)
			if !strings.Contains(b.String(), "elsewhere"+test.text) {
				t.Errorf("got\n%s", b.String())
			}
		})
	}
}
