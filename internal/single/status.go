package single

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/undercroft/undercroft/metadata"
)

// Status describes a store to an administrator.
type Status struct {
	Cluster string `json:"cluster"`
	Healthy bool   `json:"healthy"`
	// Gateway says that another process has the data directories: nothing is known here
	// of how those are.
	Gateway    bool              `json:"gateway,omitempty"`
	Scheme     string            `json:"scheme"`          // for all known disks
	InUse      string            `json:"scheme_in_use"`   // for those in service
	Missing    []Missing         `json:"missing_disks"`   // known and not in service
	Classes    []ClassStatus     `json:"storage_classes"` // STANDARD first
	Disks      []DiskStatus      `json:"disks"`           // attached
	Partitions []PartitionStatus `json:"open_partitions"` // not sealed
	Redundancy Redundancy        `json:"redundancy"`
	Scrub      *Scrub            `json:"scrub,omitempty"` // absent until the first look
	Metadata   MetadataStatus    `json:"metadata"`
	Buffers    int64             `json:"buffer_bytes"`
	// LeftAlone says of directories that are not used why.
	LeftAlone map[string]string `json:"directories_left_alone,omitempty"`
	// Advice is what the administrator should do about the disks.
	Advice []string `json:"advice,omitempty"`
}

// Redundancy counts partitions by their shards that are lost, damaged or on
// disks that are not in service.
type Redundancy struct {
	Short      []int64 `json:"partitions_by_shards_short"` // from 0 on, up to the parity
	Critical   int64   `json:"partitions_without_parity_left"`
	Unreadable int64   `json:"partitions_unreadable"`
	Repair     *Repair `json:"repair,omitempty"` // absent until the first look
}

// Repair is what repair has before it, in shards.
type Repair struct {
	Queued   int64 `json:"queued_shards"`
	Waiting  int64 `json:"waiting_shards"`  // their disks may come back
	Resting  int64 `json:"resting_shards"`  // failed, to be tried again
	Homeless int64 `json:"homeless_shards"` // of them, those that no disk can take: add one
}

// PartitionStatus describes a partition that is not sealed.
type PartitionStatus struct {
	ID       string `json:"id"`
	Class    string `json:"storage_class"`
	Scheme   string `json:"scheme"`
	Open     bool   `json:"open"`
	Used     int64  `json:"used_bytes"` // of each shard
	Capacity int64  `json:"capacity_bytes"`
}

// Status reports the health of the store. Healthy is said only when every
// known disk is in service, every shard of every partition is there, and scrub met
// nothing that repair cannot make right.
func (s *System) Status(ctx context.Context) (Status, error) {
	st := s.Store.Status()
	out := Status{
		Cluster: fmt.Sprintf("%x", s.DB.ClusterID()),
		Scheme:  schemeText(st.Wanted.K, st.Wanted.M), InUse: schemeText(st.InUse.K, st.InUse.M),
		Missing: s.Missing(), Buffers: st.BufferMemory + st.ReadMemory,
		Metadata: s.metadataStatus(),
	}
	out.Gateway = s.opts.isGateway()
	found, err := s.redundancy(ctx)
	out.Redundancy = Redundancy{Short: found.Short, Critical: found.Critical, Unreadable: found.Beyond}
	if h := s.Steward.Health(); h != nil {
		out.Redundancy.Repair = &Repair{Queued: h.Queued, Waiting: h.Waiting, Resting: h.Resting, Homeless: h.NoTarget}
	}
	out.Healthy = len(out.Missing) == 0 && !st.Degraded && s.Err() == nil && err == nil && found.Whole() && out.Metadata.isWhole() && out.Metadata.Store.isWhole()
	scrub := s.Steward.Scrub()
	out.Scrub, out.Healthy = scrubStatus(scrub), out.Healthy && !s.contradicts(ctx, scrub)
	disks, e := s.Disks(ctx)
	out.Healthy = out.Healthy && e == nil
	for _, d := range disks {
		if d.State != stateMissing {
			out.Disks = append(out.Disks, d)
		}
	}
	classes, e := s.classStatus(ctx)
	out.Classes, out.Healthy = classes, out.Healthy && e == nil
	out.LeftAlone, out.Advice = s.roster.oddities(), append(advice(&out, disks), retiredAdvice(classes)...)
	for _, p := range st.Partitions {
		out.Partitions = append(out.Partitions, PartitionStatus{
			ID: fmt.Sprintf("%016x", uint64(p.ID)), Class: className(p.Class), Scheme: schemeText(p.Scheme.K, p.Scheme.M),
			Open: p.Open, Used: p.Used, Capacity: p.Capacity,
		})
	}
	return out, nil
}

// redundancy is empty where another process has the disks.
func (s *System) redundancy(ctx context.Context) (metadata.Redundancy, error) {
	if s.opts.isGateway() {
		return metadata.Redundancy{}, nil
	}
	return s.Store.Redundancy(ctx)
}

func schemeText(k, m int) string { return fmt.Sprintf("%d+%d", k, m) }

// Ready answers why the store should get no requests, nil when it serves.
func (s *System) Ready(context.Context) error { return cmp.Or(s.Err(), s.remote.ready()) }

// Writable answers why the store takes no data, nil when it does.
func (s *System) Writable(context.Context) error {
	st := s.Store.Status()
	if st.InUse.K > 0 || s.opts.isGateway() {
		return nil
	}
	var why []string
	for _, m := range s.Missing() {
		why = append(why, m.Path+": "+m.Reason)
	}
	return fmt.Errorf("too few disks are in service (%s)", strings.Join(why, "; "))
}

// Directories are the data directories in service.
func (s *System) Directories() []string {
	var out []string
	for _, d := range s.roster.attached() {
		out = append(out, d.Dir())
	}
	return out
}

// CheckOffline checks the metadata of a stopped store, without opening its
// partitions.
func CheckOffline(ctx context.Context, o Options, w io.Writer) error {
	s := &System{opts: o}
	defer func() { _ = s.Close(ctx) }() // nothing was written
	if err := s.openStopped(ctx); err != nil {
		return err
	}
	return s.Check(ctx, w)
}
