package partition

import (
	"cmp"
	"fmt"
)

// Scheme says how many data (K) and parity (M) shards a partition has.
type Scheme struct{ K, M int }

// Bounds of a scheme: what a stripe's slack in a buffer and the frame header
// allow.
const (
	maxK = 32
	maxM = 16
)

// SchemeFor is the scheme for a number of disks in the inventory.
func SchemeFor(disks int) Scheme {
	switch {
	case disks <= 1:
		return Scheme{1, 0}
	case disks == 2:
		return Scheme{1, 1}
	case disks == 3:
		return Scheme{2, 1}
	case disks <= 5:
		return Scheme{2, 2}
	case disks <= 8:
		return Scheme{4, 2}
	case disks <= 11:
		return Scheme{6, 3}
	default:
		return Scheme{8, 4}
	}
}

// String returns "k+m".
func (s Scheme) String() string { return fmt.Sprintf("%d+%d", s.K, s.M) }

// validSchemes holds a scheme and those of storage classes, which may be zero,
// against the bounds.
func validSchemes(standard Scheme, classes map[string]Scheme) error {
	if err := standard.valid(); err != nil {
		return err
	}
	for name, s := range classes {
		if name == "" {
			return fmt.Errorf("%w: a storage class without a name", ErrInvalid)
		}
		if err := cmp.Or(s, standard).valid(); err != nil {
			return fmt.Errorf("storage class %s: %w", name, err)
		}
	}
	return nil
}

func (s Scheme) valid() error {
	if s.K < 1 || s.K > maxK || s.M < 0 || s.M > maxM {
		return fmt.Errorf("%w: scheme %s, 1 to %d data and 0 to %d parity shards are possible", ErrInvalid, s, maxK, maxM)
	}
	return nil
}

// on is the scheme on fewer usable disks: m stays, k shrinks. It is zero where
// even k = 1 does not fit.
func (s Scheme) on(usable int) Scheme {
	k := min(s.K, usable-s.M)
	if k < 1 {
		return Scheme{}
	}
	return Scheme{k, s.M}
}
