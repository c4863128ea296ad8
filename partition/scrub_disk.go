package partition

import (
	"context"
	"fmt"

	"github.com/undercroft/undercroft/metadata"
)

// ScrubDisk takes away what lies on a disk and does not belong there, as
// [Store.Reconcile] does for a disk that was attached. It may be called at any time:
// the rows are read after the files are listed, and a row precedes the files of its
// partition. A disk that does not serve, or is yet to be reconciled, is left alone.
func (s *Store) ScrubDisk(ctx context.Context, id metadata.DiskID) (Reconciled, error) {
	if !s.begin() {
		return Reconciled{}, ErrClosed
	}
	defer s.work.Done()
	d := s.disks.get(id)
	if d == nil || !d.isKnown() || d.usable(s.opts.Now()) != nil {
		return Reconciled{Disk: id}, nil
	}
	out, err := s.tidy(ctx, d)
	if err != nil {
		return out, fmt.Errorf("scrub of disk %s: %w", d.ID(), err)
	}
	return out, nil
}
