package single

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/internal/vfs"
	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// directory is a data directory as it was found.
type directory struct {
	path     string
	state    disk.State
	identity disk.Identity
	problem  error // it could not be looked at
}

// directories are all data directories in the order given.
type directories struct {
	all     []*directory
	cluster disk.ClusterID // zero: none is a disk yet
}

// survey looks at all directories and changes nothing.
func survey(fs vfs.FS, paths []string) (*directories, error) {
	d := &directories{}
	seen := map[blobd.DiskID]string{}
	for _, p := range paths {
		dir := &directory{path: p}
		dir.state, dir.identity, dir.problem = disk.Probe(fs, p)
		d.all = append(d.all, dir)
		if dir.problem != nil || dir.state != disk.Identified {
			continue
		}
		id := dir.identity
		if other, ok := seen[id.Disk]; ok {
			return nil, fmt.Errorf("%s and %s are the same disk %s: one is a copy or a second mount; remove one from --data",
				other, p, id.Disk)
		}
		seen[id.Disk] = p
		if d.cluster == (disk.ClusterID{}) {
			d.cluster = id.Cluster
		}
		if id.Cluster != d.cluster {
			return nil, fmt.Errorf("%s belongs to another store (%s, not %s): give each store its own --data",
				p, id.Cluster, d.cluster)
		}
	}
	return d, d.refuseForeign(fs)
}

var errNoIdentity = errors.New("it holds shards of a disk and no undercroft.json to say of which: the disk is damaged, " +
	"put that file back from a copy, or empty the directory and `undercroft admin disk add` it as a new disk")

// refuseForeign stops the start before anything is changed where a directory
// holds something else. One that was a disk and has lost the file that says which is
// as good as missing.
func (d *directories) refuseForeign(fs vfs.FS) error {
	for _, dir := range d.all {
		if dir.state == disk.Foreign && d.cluster != (disk.ClusterID{}) && disk.HasShards(fs, dir.path) {
			dir.problem = errNoIdentity
		}
		if dir.state == disk.Foreign && dir.problem == nil {
			return fmt.Errorf("%s is neither empty nor an Undercroft disk: name an empty directory", dir.path)
		}
		if dir.problem != nil && d.cluster == (disk.ClusterID{}) {
			return fmt.Errorf("%s cannot be used: %w", dir.path, dir.problem)
		}
	}
	return nil
}

// identified are the directories that are disks.
func (d *directories) identified() (paths []string) {
	for _, dir := range d.all {
		if dir.problem == nil && dir.state == disk.Identified {
			paths = append(paths, dir.path)
		}
	}
	return paths
}

func (d *directories) byDisk(id blobd.DiskID) *directory {
	for _, dir := range d.all {
		if dir.state == disk.Identified && dir.identity.Disk == id {
			return dir
		}
	}
	return nil
}

// prepare makes sure that there is a store. A new one is initialised; one whose
// initialisation was cut short is initialised to the end.
func (s *System) prepare(d *directories) error {
	fs := s.opts.FS
	_, err := mirror.Find(s.mirrorOptions(d))
	if !errors.Is(err, mirror.ErrNoRecord) {
		return err
	}
	if d.cluster == (disk.ClusterID{}) {
		_, _ = rand.Read(d.cluster[:]) // never fails
	}
	for _, dir := range d.all {
		if dir.problem != nil {
			return fmt.Errorf("%s cannot be used: %w", dir.path, dir.problem)
		}
		if err := d.format(fs, dir, s.opts.Now()); err != nil {
			return err
		}
	}
	return mirror.Create(s.mirrorOptions(d), s.mirrors(len(d.all)))
}

func (d *directories) format(fs vfs.FS, dir *directory, now time.Time) error {
	if dir.state == disk.Identified {
		return nil
	}
	id := disk.NewIdentity(d.cluster, now)
	if err := disk.Format(fs, dir.path, id); err != nil {
		return err
	}
	dir.state, dir.identity = disk.Identified, id
	return nil
}

// warnSharedDevices says which directories fail together.
func (s *System) warnSharedDevices() {
	byDevice := map[vfs.DeviceID][]string{}
	for _, p := range s.opts.Dirs {
		if id, err := vfs.Device(s.opts.FS, p); err == nil && id != (vfs.DeviceID{}) {
			byDevice[id] = append(byDevice[id], p)
		}
	}
	if id, err := vfs.Device(s.opts.FS, s.opts.Witness); s.opts.Witness != "" && err == nil && len(byDevice[id]) > 0 {
		s.opts.Logger.Warn("the metadata's witness is on a device of the data: losing it loses the vote as well",
			slog.String("witness", s.opts.Witness), slog.String("directory", byDevice[id][0]))
	}
	for _, paths := range byDevice {
		if len(paths) > 1 {
			s.opts.Logger.Warn("data directories on one device are one failure domain: losing it loses them all",
				slog.String("directories", strings.Join(paths, ", ")))
		}
	}
}
