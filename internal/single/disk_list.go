package single

import (
	"context"
	"fmt"

	"github.com/undercroft/undercroft/metadata"
)

// The states of a disk, for administrators.
const (
	stateActive   = "active"
	stateDraining = "draining"
	stateRemoved  = "removed"
	stateMissing  = "missing" // it was not opened
	stateFailed   = "failed"  // it was, and failed since
)

// DiskStatus describes a disk of the inventory.
type DiskStatus struct {
	ID      string `json:"id"`
	Path    string `json:"path"`
	State   string `json:"state"` // active, draining, missing or failed
	Problem string `json:"problem,omitempty"`
	Total   uint64 `json:"total_bytes"`
	Free    uint64 `json:"free_bytes"`
	Shards  int64  `json:"shards"`          // that the metadata place there
	Mirror  bool   `json:"metadata_mirror"` // it holds all of the metadata
	// Drained says of a disk that is being drained that nothing refers to it any
	// more: it may be removed.
	Drained bool `json:"drained,omitempty"`
	// Unlisted says that the next start has to be told of it: it is not among the
	// directories that this one was given.
	Unlisted bool `json:"not_in_data,omitempty"`
}

func stateText(s metadata.DiskState) string {
	switch s {
	case metadata.DiskActive:
		return stateActive
	case metadata.DiskDraining:
		return stateDraining
	case metadata.DiskRemoved:
		return stateRemoved
	}
	return "unknown"
}

// Disks lists the disks of the inventory. It reads all rows of partitions.
func (s *System) Disks(ctx context.Context) ([]DiskStatus, error) {
	shards, err := s.Store.Named(ctx)
	if err != nil {
		return nil, err
	}
	out := []DiskStatus{}
	for _, row := range s.roster.inventory() {
		d := s.diskStatus(ctx, row)
		d.Shards = shards[row.ID]
		d.Drained = d.State == stateDraining && d.Shards == 0 && !d.Mirror
		out = append(out, d)
	}
	return out, nil
}

func (s *System) diskStatus(ctx context.Context, row metadata.Disk) DiskStatus {
	id := diskID(row)
	out := DiskStatus{ID: id.String(), Path: row.Path, State: stateText(row.State), Unlisted: !s.roster.isGiven(row.Path)}
	_, out.Mirror = s.mirror.Holds(out.ID)
	d := s.roster.get(id)
	if d == nil {
		out.State, out.Problem = stateMissing, s.roster.reason(id)
		return out
	}
	if err := d.Failed(); err != nil {
		out.State, out.Problem = stateFailed, err.Error()+s.roster.since(id)
	}
	if u, err := d.Usage(ctx); err == nil {
		out.Total, out.Free = u.Total, u.Free
	} else if out.Problem == "" {
		out.Problem = err.Error()
	}
	return out
}

// advice is what to do about the disks, in lines for people.
func advice(st *Status, disks []DiskStatus) (out []string) {
	if r := st.Redundancy.Repair; r != nil && r.Homeless > 0 {
		out = append(out, fmt.Sprintf("add a disk: %d shards are lost or away and no disk can take them", r.Homeless))
	}
	for i := range disks {
		d := &disks[i]
		switch {
		case d.Drained:
			out = append(out, fmt.Sprintf("%s is drained: undercroft admin disk remove %s", d.Path, d.Path))
		case d.State == stateMissing, d.State == stateFailed:
			out = append(out, fmt.Sprintf("%s is %s: bring it back, or if it will not come back: undercroft admin disk remove --lost %s", d.Path, d.State, d.ID))
		case d.Unlisted:
			out = append(out, fmt.Sprintf("the next start needs %s: add it to --data", d.Path))
		}
	}
	return out
}
