package single

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// mirrorOptions are those of the metadata's mirrors on the directories that are
// disks.
func (s *System) mirrorOptions(dirs *directories) mirror.Options {
	o := mirror.Options{
		FS: s.opts.FS, AcceptLoss: s.opts.AcceptLoss, Logger: s.opts.Logger,
		Witness: s.opts.Witness, Store: fmt.Sprintf("%x", dirs.cluster),
		Verify: func(d mirror.Dir) error { return sameDisk(s.opts.FS, d) },
	}
	for _, dir := range dirs.all {
		if dir.problem == nil && dir.state == disk.Identified {
			o.Dirs = append(o.Dirs, dir.mirror())
		}
	}
	return o
}

func (dir *directory) mirror() mirror.Dir {
	return mirror.Dir{Disk: dir.identity.Disk.String(), Path: dir.path}
}

// sameDisk reports whether a directory still holds the disk that it held.
func sameDisk(fsys vfs.FS, d mirror.Dir) error {
	state, id, err := disk.Probe(fsys, d.Path)
	switch {
	case err != nil:
		return err
	case state != disk.Identified || id.Disk.String() != d.Disk:
		return fmt.Errorf("%s no longer holds disk %s", d.Path, d.Disk)
	}
	return nil
}

// mirrors is how many copies of the metadata a store of so many disks keeps:
// as many disks may be lost as of the data, of whatever storage class.
func (s *System) mirrors(disks int) int { return s.parityFor(disks) + 1 }

// refused says what to do about mirrors that do not open.
func refused(err error, paths []string) error {
	var quorum *mirror.QuorumError
	switch {
	case errors.As(err, &quorum):
		return fmt.Errorf("%w: mount them and start again; if they are lost for good, start once with --metadata-accept-loss, "+
			"which goes on with epoch %d and loses what was written after it", quorum, quorum.Epoch)
	case errors.Is(err, mirror.ErrNoMember):
		return fmt.Errorf("%w, which is not among %s or has lost its files: mount it and start again, or restore the metadata from a backup; "+
			"it is not created again, because that would lose every object", err, strings.Join(paths, ", "))
	}
	return err
}

// BackupMetadata writes a consistent copy of the metadata into dir, which must
// be an absolute path that does not exist, while the store runs.
func (s *System) BackupMetadata(_ context.Context, dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("%s is not an absolute path on the server", dir)
	}
	if s.pebble == nil {
		return fmt.Errorf("the metadata is in %s: back it up there, or export it", s.opts.External.Place)
	}
	for _, data := range s.roster.directories() {
		abs, err := filepath.Abs(data)
		if err == nil && strings.HasPrefix(filepath.Clean(dir)+"/", abs+"/") {
			return fmt.Errorf("%s is in a data directory: it would be lost together with it", dir)
		}
	}
	return s.pebble.Backup(dir)
}

// MetadataStatus describes the mirrors of the metadata.
type MetadataStatus struct {
	Engine string `json:"engine"`
	// Place is where it is, where that is not on the data directories.
	Place  string `json:"place,omitempty"`
	Shared bool   `json:"shared,omitempty"` // with other processes
	// Store is what is known of a store that is reached over a network.
	Store    *MetadataStoreStatus `json:"store,omitempty"`
	Epoch    uint64               `json:"epoch"`
	Mirrors  []string             `json:"mirrors"` // directories that hold all of it
	Wanted   int                  `json:"mirrors_wanted"`
	Degraded bool                 `json:"degraded"`
	Problems []MirrorProblem      `json:"problems,omitempty"`
	Resync   *MirrorResync        `json:"resync,omitempty"`
	Witness  *MirrorProblem       `json:"witness,omitempty"`  // without a reason while it votes
	Scrub    *MetadataScrub       `json:"scrub,omitempty"`    // of the copies; absent before the first
	Records  int                  `json:"membership_records"` // directories that know this epoch
	Counts   map[string]int64     `json:"counts"`             // since the start
}

// MirrorProblem is a directory that cannot be a mirror now.
type MirrorProblem struct {
	Path   string `json:"path"`
	Reason string `json:"reason,omitempty"`
}

// MirrorResync is the progress of a directory that becomes a mirror.
type MirrorResync struct {
	Path       string `json:"path"`
	Files      int    `json:"files"`
	FilesTotal int    `json:"files_total"`
	Bytes      int64  `json:"bytes"`
	BytesTotal int64  `json:"bytes_total"`
}

// isWhole reports whether there are as many copies as there should be, and scrub found
// none of a file that only bad ones are left of.
func (m *MetadataStatus) isWhole() bool {
	return !m.Degraded && (m.Scrub == nil || m.Scrub.Undecided == 0)
}

func (s *System) metadataStatus() MetadataStatus {
	m := s.mirror.Status()
	out := MetadataStatus{
		Epoch: m.Epoch, Wanted: m.Wanted, Degraded: m.Degraded, Records: m.Voters,
		Counts: map[string]int64{
			"ejected": int64(m.Ejected), "joined": int64(m.Joined), "healed": int64(m.Healed), "reads_from_another": int64(m.OtherReads),
		},
	}
	out.Engine, out.Store = s.engine.Name(), s.remote.status()
	if x := s.opts.External; x != nil {
		out.Place, out.Shared = x.Place, x.Shared
	}
	for _, d := range m.Members {
		out.Mirrors = append(out.Mirrors, d.Path)
	}
	for _, d := range m.Outside {
		out.Problems = append(out.Problems, MirrorProblem{d.Path, d.Problem})
	}
	if s.scrubbing != nil {
		out.Scrub = s.scrubbing.status()
	}
	if w := m.Witness; w != nil {
		out.Witness = &MirrorProblem{w.Path, w.Problem}
	}
	if r := m.Resync; r != nil {
		out.Resync = &MirrorResync{r.Directory, r.Files, r.FilesTotal, r.Bytes, r.BytesTotal}
	}
	return out
}
