package single

import (
	"context"
	"log/slog"

	"github.com/undercroft/undercroft/partition"
)

// schemeFor is the scheme of new partitions with so many disks in the inventory,
// missing ones included: what the operator set, else that of the table. Its
// parity does not fall when a disk is removed, since a disk may be removed
// because it failed: fewer data shards make up for that, until the operator
// sets a scheme.
func (s *System) schemeFor(disks int) partition.Scheme {
	if s.opts.Scheme != (partition.Scheme{}) {
		return s.opts.Scheme
	}
	scheme := partition.SchemeFor(disks)
	if m := s.roster.parity(); m > scheme.M {
		scheme = partition.Scheme{K: max(1, min(scheme.K, disks-m)), M: m}
	}
	return scheme
}

// affordable is the scheme for so many disks, of which as many may be lost as
// the metadata survives: no partition is made to survive more than that (interleaving
// 50). A mirror that is away counts: it does not lower anything.
func (s *System) affordable(disks int) partition.Scheme {
	want := s.schemeFor(disks)
	st := s.mirror.Status()
	have := max(st.Reached, len(st.Members))
	if st.Reached == 0 || have > want.M { // zero: a store from before that was recorded
		return want
	}
	if s.opts.Scheme != (partition.Scheme{}) {
		return partition.Scheme{K: want.K, M: have - 1}
	}
	for want.M >= have && disks > 1 {
		disks--
		want = partition.SchemeFor(disks)
	}
	return want
}

// keepMirrors makes the store keep as many mirrors as its number of disks
// wants, from now on. Where that number grew it waits for them: no partition may
// be made to survive what its metadata would not.
func (s *System) keepMirrors(ctx context.Context) error {
	if s.opts.External != nil {
		return nil
	}
	want := s.mirrors(len(s.roster.inventory()))
	m := s.mirror.Status()
	if len(m.Members) < want {
		s.opts.Logger.WarnContext(ctx, "metadata has too few mirrors: they are made now, as far as there are directories",
			slog.Int("mirrors", len(m.Members)), slog.Int("wanted", want))
	}
	s.mirror.Maintain(want)
	if m.Reached > 0 && m.Reached < want {
		return s.mirror.Quiet(ctx)
	}
	return nil
}

// resize makes the mirrors and the scheme follow the inventory as it is now. A scheme
// that needs more mirrors than there are waits until a later call finds them.
func (s *System) resize(ctx context.Context) error {
	disks := len(s.roster.inventory())
	if want := s.mirrors(disks); want != s.mirror.Status().Wanted {
		s.mirror.Maintain(want)
	}
	scheme, before := s.affordable(disks), s.Store.Status().Wanted
	if before != scheme {
		s.opts.Logger.InfoContext(ctx, "scheme of new partitions", slog.String("scheme", scheme.String()), slog.String("before", before.String()),
			slog.Int("disks", disks))
	}
	return s.Store.SetInventory(disks, scheme, s.affordableClasses())
}

// resizeWhenMirrored is resize as soon as the mirrors are there that there can
// be.
func (s *System) resizeWhenMirrored() {
	s.background(func(ctx context.Context) {
		if s.mirror.Quiet(ctx) != nil || s.change.take(ctx) != nil {
			return // the store is closed
		}
		defer s.change.give()
		if err := s.resize(ctx); err != nil && ctx.Err() == nil {
			s.opts.Logger.WarnContext(ctx, "scheme of new partitions stays as it is", slog.Any("error", err))
		}
	})
}
