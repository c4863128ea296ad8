//go:build fdb

package single_test

import (
	"context"
	"testing"

	"github.com/undercroft/undercroft/internal/fdbcluster"
	"github.com/undercroft/undercroft/internal/fdbcluster/fdbengine"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata/kv"
)

// TestMoveToFoundationDB is TestMoveBetweenEngines with FoundationDB.
func TestMoveToFoundationDB(t *testing.T) {
	open := fdbengine.On(t, fdbcluster.Shared(t, fdbcluster.One(fdbcluster.Redwood)))
	movesBetween(t, func(o *single.Options) {
		o.InlineLimit = 1 << 10
		o.External = &single.External{
			Open:  func(context.Context) (kv.Engine, error) { return open() },
			Place: "shared", Shared: true, Process: "a process",
		}
	})
}
