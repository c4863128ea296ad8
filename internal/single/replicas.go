package single

import (
	"context"

	"github.com/undercroft/undercroft/internal/vfs/mirror"
)

// replicas are the files of the embedded engine on the data directories. There are
// none of metadata that is elsewhere: then nothing is done, and nothing is missing.
type replicas struct{ set *mirror.Set }

// Status is the zero value where there are none.
func (r replicas) Status() mirror.Status {
	if r.set == nil {
		return mirror.Status{}
	}
	return r.set.Status()
}

// Holds reports where a disk holds one.
func (r replicas) Holds(disk string) (path string, ok bool) {
	if r.set == nil {
		return "", false
	}
	return r.set.Holds(disk)
}

// Add makes a directory known.
func (r replicas) Add(d mirror.Dir) error {
	if r.set == nil {
		return nil
	}
	return r.set.Add(d)
}

// Eject does without a directory.
func (r replicas) Eject(d mirror.Dir, cause error) error {
	if r.set == nil {
		return nil
	}
	return r.set.Eject(d, cause)
}

// Retire takes the files off a directory.
func (r replicas) Retire(ctx context.Context, d mirror.Dir) error {
	if r.set == nil {
		return nil
	}
	return r.set.Retire(ctx, d)
}

// Maintain sets how many there should be.
func (r replicas) Maintain(n int) {
	if r.set != nil {
		r.set.Maintain(n)
	}
}

// Quiet waits until there are as many as there can be.
func (r replicas) Quiet(ctx context.Context) error {
	if r.set == nil {
		return nil
	}
	return r.set.Quiet(ctx)
}

// Throttle bounds the bytes that are copied in a second.
func (r replicas) Throttle(rate int64) {
	if r.set != nil {
		r.set.Throttle(rate)
	}
}

// Initialised reports whether they hold a state.
func (r replicas) Initialised() bool { return r.set != nil && r.set.Initialised() }

// SetInitialised records that they do.
func (r replicas) SetInitialised() error {
	if r.set == nil {
		return nil
	}
	return r.set.SetInitialised()
}

// Close lets the directories go.
func (r replicas) Close() error {
	if r.set == nil {
		return nil
	}
	return r.set.Close()
}
