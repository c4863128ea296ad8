package single

import (
	"context"
	"log/slog"
	"maps"

	"github.com/undercroft/undercroft/partition"
)

// parityFor is the most parity that a partition of any storage class has with so many
// disks: the metadata survive the loss of as many.
func (s *System) parityFor(disks int) int {
	most := s.schemeFor(disks).M
	for _, scheme := range s.opts.Classes {
		most = max(most, scheme.M)
	}
	return most
}

// affordableClasses is as affordable, for the storage classes besides STANDARD.
// Zero stays: such a class goes by the scheme of STANDARD.
func (s *System) affordableClasses() map[string]partition.Scheme {
	out := maps.Clone(s.opts.Classes)
	st := s.mirror.Status()
	have := max(st.Reached, len(st.Members))
	for name, scheme := range out {
		if st.Reached > 0 && have <= scheme.M {
			out[name] = partition.Scheme{K: scheme.K, M: have - 1}
		}
	}
	return out
}

// warnOfRetiredClasses says which storage classes have data and are not configured.
func (s *System) warnOfRetiredClasses(ctx context.Context) {
	for _, c := range s.Store.Classes() {
		if c.Retired {
			s.opts.Logger.WarnContext(ctx, "a storage class that holds data is not configured any more: its objects are read as before, nothing new is written to it, "+
				"and what compaction writes anew gets the scheme of STANDARD; configure it again, or copy its objects to another class",
				slog.String("class", c.Name), slog.String("scheme", c.Wanted.String()))
		}
	}
}
