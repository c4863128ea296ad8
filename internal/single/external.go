package single

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/pebble"
)

// External is metadata that is not on the data directories: in an engine that others
// keep, or in one other directory.
type External struct {
	// Open opens the engine, which the System closes.
	Open func(ctx context.Context) (kv.Engine, error)
	// Place names the state: to people, and in the data directories, which are
	// used with no other one.
	Place string
	// Shared says that other processes use it at the same time. One of them has the
	// data directories: an Open with directories is refused while another has. One
	// without any serves what needs none.
	Shared bool
	// Process names this process to people, when it is shared.
	Process string
}

// isShared reports whether other processes use the metadata at the same time.
func (o *Options) isShared() bool { return o.External != nil && o.External.Shared }

// isGateway reports whether another process has the data directories.
func (o *Options) isGateway() bool { return o.isShared() && len(o.Dirs) == 0 }

// openExternal opens metadata that is elsewhere.
func (s *System) openExternal(ctx context.Context, dirs *directories) error {
	x := s.opts.External
	if err := s.checkHomes(dirs); err != nil {
		return err
	}
	var err error
	if s.engine, err = x.Open(ctx); err != nil {
		return fmt.Errorf("open the metadata in %s: %w", x.Place, err)
	}
	s.engine = s.guarded(s.engine) //nolint:contextcheck // it is watched until it is closed
	s.pebble, _ = kv.Find[*pebble.Engine](s.engine)
	s.DB, err = metadata.Open(s.wrapped(), metadata.Options{Now: s.opts.Now, MustExist: len(dirs.identified()) > 0 || s.opts.isGateway()}) //nolint:contextcheck // opening is not cut short
	if errors.Is(err, metadata.ErrNoState) && s.opts.isGateway() {
		return fmt.Errorf("there is no store in %s: start `undercroft server` with its data directories first, or look at the prefix: %w", x.Place, err)
	}
	if errors.Is(err, metadata.ErrNoState) {
		return fmt.Errorf("the metadata of the data directories is gone from %s: restore it or import it; "+
			"it is not created again, because that would lose every object: %w", x.Place, err)
	}
	return err
}

// wrapped is the engine as the metadata uses it.
func (s *System) wrapped() kv.Engine {
	if s.opts.Wrap == nil {
		return s.engine
	}
	return s.opts.Wrap(s.engine)
}

// join makes sure that the directories belong to the store of metadata that is elsewhere:
// they hold disks that it knows, or such as were made for it.
func (s *System) join(ctx context.Context, dirs *directories) error {
	own := disk.ClusterID(s.DB.ClusterID())
	if dirs.cluster == (disk.ClusterID{}) {
		dirs.cluster = own
	}
	if dirs.cluster == own {
		return nil
	}
	known := false
	err := s.DB.View(ctx, "open", func(r *metadata.Reader) error {
		for _, dir := range dirs.all {
			if dir.state != disk.Identified || dir.problem != nil {
				continue
			}
			row, err := r.Disk(metadata.DiskID(dir.identity.Disk))
			if err != nil {
				return err
			}
			known = known || row != nil
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !known {
		return s.errOtherStore()
	}
	return nil
}

// refuseDisksElsewhere refuses to serve directories of a store whose disks are all somewhere
// else: a second set of them would be another store.
func (s *System) refuseDisksElsewhere() error {
	if s.opts.External == nil || s.opts.isGateway() || len(s.roster.attached()) > 0 || len(s.roster.inventory()) == 0 {
		return nil
	}
	var places []string
	for _, m := range s.Missing() {
		places = append(places, m.Path)
	}
	return fmt.Errorf("none of the disks of the store in %s is in --data (they were last at %s): name their directories, "+
		"or start `undercroft gateway`, which needs none", s.opts.External.Place, strings.Join(places, ", "))
}
