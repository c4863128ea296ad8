package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/undercroft/undercroft/admin"
	"github.com/undercroft/undercroft/internal/single"
)

// systemStatus is all that a server says of itself.
type systemStatus struct {
	single.Status
	Jobs []admin.Job `json:"jobs"`
}

// describe describes a store to administrators.
func describe(ctx context.Context, store *single.System) (systemStatus, error) {
	st, err := store.Status(ctx)
	if err != nil {
		return systemStatus{}, err
	}
	out := systemStatus{Status: st}
	if out.Jobs, err = (jobs{store}).Jobs(ctx); err != nil && store.RemoteMetadata() {
		err = nil // what is known without the metadata is told
	}
	return out, err
}

// statusCommand is `undercroft admin status`: for people, or all of it as JSON.
func statusCommand(ctx context.Context, p process, client *admin.Client, flags adminFlags) error {
	if flags.asJSON {
		return client.Status(ctx, p.stdout) // it names the request
	}
	var body bytes.Buffer
	if err := client.Status(ctx, &body); err != nil {
		return err // it names the request
	}
	var st systemStatus
	if err := json.Unmarshal(body.Bytes(), &st); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	table := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	writeStatus(table, &st.Status)
	for i := range st.Jobs {
		if j := &st.Jobs[i]; j.State == "failed" || j.State == "pausing" || j.State == "paused" {
			line(table, "job", strings.TrimSuffix(j.Name+" "+j.State+", "+progress(j), ", "))
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func writeStatus(w io.Writer, st *single.Status) {
	if st.Healthy {
		line(w, "healthy", "yes")
	} else {
		line(w, "healthy", "no")
		for _, why := range complaints(st) {
			line(w, "", why)
		}
	}
	for _, text := range st.Advice {
		line(w, "advice", text)
	}
	line(w, "cluster", st.Cluster)
	if st.Gateway {
		line(w, "metadata", metadataText(&st.Metadata))
		line(w, "gateway", "the data directories are at another server")
		return
	}
	scheme := st.Scheme + " for all disks"
	if st.InUse != st.Scheme {
		scheme += ", " + st.InUse + " in use"
	}
	line(w, "scheme", scheme)
	line(w, "partitions", redundancyText(&st.Redundancy))
	for i := range st.Classes {
		line(w, "class", classText(&st.Classes[i]))
	}
	if r := st.Redundancy.Repair; r != nil && r.Queued+r.Waiting+r.Resting > 0 {
		line(w, "repair", fmt.Sprintf("%d shards to repair, %d wait for their disks, %d rest after a failure", r.Queued, r.Waiting, r.Resting))
	}
	line(w, "metadata", metadataText(&st.Metadata))
	if st.Scrub != nil {
		line(w, "scrub", scrubText(st.Scrub))
	}
	for i := range st.Disks {
		line(w, "disk", diskText(&st.Disks[i]))
	}
	for _, m := range st.Missing {
		line(w, "missing", m.Path+" ("+m.ID+"): "+m.Reason)
	}
	for _, path := range slices.Sorted(maps.Keys(st.LeftAlone)) {
		line(w, "left alone", path+": "+st.LeftAlone[path])
	}
}

// complaints are what keeps a store from being healthy.
func complaints(st *single.Status) []string {
	var out []string
	add := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	r := &st.Redundancy
	add(len(st.Missing) > 0, "disks that are not in service: %d", len(st.Missing))
	add(r.Unreadable > 0, "partitions that cannot be read, because too many of their shards are gone: %d", r.Unreadable)
	add(r.Critical > 0, "partitions that would lose data with the next disk: %d", r.Critical)
	for n, partitions := range r.Short {
		add(n > 0 && partitions > 0, "partitions short of %d of their shards: %d", n, partitions)
	}
	if r.Repair != nil {
		add(r.Repair.Homeless > 0, "shards that no other disk can take: %d", r.Repair.Homeless)
	}
	add(st.Metadata.Degraded, "mirrors of the metadata: %d of %d", len(st.Metadata.Mirrors), st.Metadata.Wanted)
	if st.Scrub != nil && st.Scrub.Round != nil {
		found := st.Scrub.Round
		add(found.Unreadable+found.Mismatched > 0, "stripes that scrub met and that no repair makes right: %d", found.Unreadable+found.Mismatched)
	}
	for i := range st.Disks {
		d := &st.Disks[i]
		add(d.Problem != "", "disk %s: %s", d.Path, d.Problem)
	}
	out = append(out, storeComplaints(st.Metadata.Store)...)
	add(len(out) == 0, "--json and the log of the server say more")
	return out
}

func redundancyText(r *single.Redundancy) string {
	return partitionsText(&admin.PartitionHealth{Short: r.Short, Unreadable: r.Unreadable})
}

// classText says what a storage class holds and what it takes.
func classText(c *single.ClassStatus) string {
	text := c.Name + " " + c.Scheme
	if c.InUse != c.Scheme {
		text += ", " + c.InUse + " in use"
	}
	text += fmt.Sprintf(", %s in %d partitions, %.2f bytes stored for each", amount(c.Bytes, "bytes"), c.Partitions, c.Ratio)
	if c.Retired {
		text += ", not configured any more"
	}
	return text
}

func metadataText(m *single.MetadataStatus) string {
	if m.Place != "" {
		return m.Place + storeText(m.Store)
	}
	parts := []string{fmt.Sprintf("%d of %d mirrors: %s", len(m.Mirrors), m.Wanted, strings.Join(m.Mirrors, ", "))}
	for _, p := range m.Problems {
		parts = append(parts, p.Path+": "+p.Reason)
	}
	if r := m.Resync; r != nil {
		parts = append(parts, fmt.Sprintf("%s of %s are copied to %s", amount(r.Bytes, "bytes"), amount(r.BytesTotal, "bytes"), r.Path))
	}
	if w := m.Witness; w != nil && w.Reason == "" {
		parts = append(parts, "witness "+w.Path)
	} else if w != nil {
		parts = append(parts, fmt.Sprintf("witness %s does not vote: %s", w.Path, w.Reason))
	}
	return strings.Join(parts, "; ")
}

func scrubText(s *single.Scrub) string {
	text := s.State
	if s.Round == nil {
		return text
	}
	r := s.Round
	text += fmt.Sprintf(", round %d", r.Number)
	if r.Ended == nil {
		text += fmt.Sprintf(" read %s of about %s", amount(r.Bytes, "bytes"), amount(r.Bytes+r.BytesLeft, "bytes"))
	} else {
		text += fmt.Sprintf(" ended %s with %s read", ago(*r.Ended), amount(r.Bytes, "bytes"))
	}
	return text + fmt.Sprintf(", %d damaged frames", r.Damaged)
}

func diskText(d *single.DiskStatus) string {
	text := d.Path + " " + d.State
	if d.Total > 0 {
		text += fmt.Sprintf(", %s of %s free", amount(int64(d.Free), "bytes"), amount(int64(d.Total), "bytes"))
	}
	if d.Problem != "" {
		text += ", " + d.Problem
	}
	return text
}
