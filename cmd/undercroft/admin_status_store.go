package main

import (
	"fmt"
	"strings"

	"github.com/undercroft/undercroft/internal/single"
)

// storeText says how a metadata store is that is reached over a network; each part
// begins with a separator.
func storeText(st *single.MetadataStoreStatus) string {
	if st == nil {
		return ""
	}
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, "; "+format, args...) }
	if st.Available {
		say("available")
	} else {
		say("has not answered for %.0f s", st.Silence)
	}
	if st.Locked {
		say("locked, so that all requests are refused")
	}
	if r := st.Report; r != nil {
		if r.State != "" && r.State != "fully_recovered" {
			say("%s", strings.ReplaceAll(r.State, "_", " "))
		}
		if r.FaultTolerance != nil {
			say("fault tolerance %d", *r.FaultTolerance)
		}
		if r.LagSeconds != nil {
			say("lag %.1f s", *r.LagSeconds)
		}
		if r.LimitedBy != "" {
			say("limited by %s", strings.ReplaceAll(r.LimitedBy, "_", " "))
		}
	}
	say("%d conflicts in %d commits", st.Conflicts, st.Commits)
	return b.String()
}

// storeComplaints are what keeps a metadata store from being healthy.
func storeComplaints(st *single.MetadataStoreStatus) []string {
	if st == nil {
		return nil
	}
	var out []string
	if !st.Available {
		out = append(out, fmt.Sprintf("the metadata store has not answered for %.0f s: %s", st.Silence, st.Reason))
	}
	if st.Locked {
		out = append(out, "the metadata store is locked: all requests are refused")
	}
	if r := st.Report; r != nil {
		if st.Available && !r.Available {
			out = append(out, "the metadata store says that it is not available")
		}
		if r.Healthy != nil && !*r.Healthy {
			out = append(out, "the metadata store does not have all the copies that it wants")
		}
		for _, m := range r.Messages {
			out = append(out, "the metadata store: "+m)
		}
	}
	return out
}
