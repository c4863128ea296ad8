package partition

import (
	"errors"
	"time"

	"github.com/undercroft/undercroft/internal/awake"
)

// patience is how many append timeouts a call that changes a shard may take
// before its disk is given up: making a shard writes more than an append does.
const patience = 3

// attend runs a call to a disk and stops waiting for it when it takes too
// long: a blocked system call does not end with its context. The disk is then set
// aside, and while that lasts it is not asked again. The call itself goes on, so it may
// touch nothing that its caller reads after an error. It is called by work that
// Close waits for.
func (s *Store) attend(d *disk, call func() error) error {
	if d.hangs(s.opts.Now()) {
		return errSlow
	}
	done := make(chan error, 1)
	s.spawn(func() { done <- call() })
	timer := awake.NewTimer(patience * s.opts.AppendTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		s.setAside(d, errSlow)
		return errSlow
	}
}

// hangs reports whether the disk was set aside for not answering, or has not
// answered reads for long.
func (d *disk) hangs(now time.Time) bool {
	return d.asideAsSlow(now) || d.reads.hangs(now)
}

// asideAsSlow reports whether writers have set the disk aside for not answering.
func (d *disk) asideAsSlow(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.Before(d.until) && errors.Is(d.cause, errSlow)
}
