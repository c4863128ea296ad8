package single_test

import (
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/steward"
)

// TestClasses: what a metadata store does with leases when it is busy or full. A job must not
// lose its lease because it has much to do, nor must one that frees space.
func TestClasses(t *testing.T) {
	for class, want := range map[string]struct{ background, freesSpace bool }{
		"collect":          {true, true},
		steward.LeaseClass: {false, true},
		"put":              {false, false},
	} {
		if single.Background(class) != want.background || single.FreesSpace(class) != want.freesSpace {
			t.Errorf("%s: background %v, frees space %v", class, single.Background(class), single.FreesSpace(class))
		}
	}
}
