package metadata

import "fmt"

// String is the problem in one line.
func (p Problem) String() string {
	severity := "problem"
	if p.Warning {
		severity = "warning"
	}
	return fmt.Sprintf("%s: %s: %s: %s", severity, p.Kind, p.Key, p.Detail)
}

// String is what was seen, in one line.
func (s Summary) String() string {
	return fmt.Sprintf("checked %d buckets, %d objects, %d noncurrent versions, %d uploads with %d parts; "+
		"%d data ids with %d extents, %d manifests, %d references, %d pins; %d bytes live in %d partitions on %d disks; "+
		"%d intents, %d to collect; %d accounts, %d users, %d access keys: %d problems, %d warnings",
		s.Buckets, s.Objects, s.Versions, s.Uploads, s.Parts,
		s.DataIDs, s.Extents, s.Manifests, s.Refs, s.Pins, s.LiveBytes, s.Partitions, s.Disks,
		s.Intents, s.Garbage, s.Accounts, s.Users, s.AccessKeys, s.Problems, s.Warnings)
}
