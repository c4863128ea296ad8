package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written 4096, 8KiB, 192MiB, 1GiB, 64kB or 1GB.
type Size int64

// The binary units.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// unit is a suffix and its factor.
type unit struct {
	suffix string
	factor Size
}

// units lists the suffixes; the longer ones come first because "B" ends them.
func units() []unit {
	return []unit{
		{"TiB", TiB},
		{"GiB", GiB},
		{"MiB", MiB},
		{"KiB", KiB},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"KB", 1e3},
		{"B", 1},
	}
}

// ParseSize reads a whole number of bytes with an optional unit.
func ParseSize(s string) (Size, error) {
	digits, factor := strings.TrimSpace(s), Size(1)
	for _, u := range units() {
		if rest, found := strings.CutSuffix(digits, u.suffix); found {
			digits, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	// ParseUint refuses a sign, which Atoi would take.
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size such as 4096, 8KiB or 192MiB", s)
	}
	if Size(n) > math.MaxInt64/factor {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return Size(n) * factor, nil
}

// String returns the size in the largest binary unit that keeps it whole.
func (s Size) String() string {
	for _, u := range units()[:4] {
		if s >= u.factor && s%u.factor == 0 {
			return fmt.Sprintf("%d%s", s/u.factor, u.suffix)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
