package testcluster

import (
	"context"
	"os"
	"testing"

	"github.com/undercroft/undercroft/internal/fdbcluster/fdbengine"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/mem"
)

// outside opens the engine of a cluster whose metadata is not on its disks; nil:
// it is. [fdbengine.Variable] chooses: "mem" is an engine in memory, "fdb" a
// FoundationDB that is started for it.
type outside func(ctx context.Context) (kv.Engine, error)

func newOutside(tb testing.TB) outside {
	tb.Helper()
	switch name := os.Getenv(fdbengine.Variable); name {
	case "":
		return nil
	case "mem":
		e := mem.New(mem.Options{Remote: true})
		tb.Cleanup(func() { _ = e.Close() }) // the last use of it
		return func(context.Context) (kv.Engine, error) { return staying{e}, nil }
	case "fdb":
		open := fdbengine.New(tb)
		return func(context.Context) (kv.Engine, error) { return open() }
	default:
		tb.Fatalf("%s=%s is none of mem and fdb", fdbengine.Variable, name)
		return nil
	}
}

// staying is an engine that outlives the stores on it.
type staying struct{ kv.Engine }

// Close implements [kv.Engine].
func (staying) Close() error { return nil }

// Unwrap is how optional interfaces of the engine are found.
func (s staying) Unwrap() kv.Engine { return s.Engine }

// external is where the metadata is that Options.Edit says nothing about.
func (c *Cluster) external() *single.External {
	if c.outside == nil {
		c.outside = newOutside(c.t)
	}
	if c.outside == nil {
		return nil
	}
	return &single.External{Open: c.outside, Place: "the test's metadata"}
}

// onDisksOnly skips a test of what happens to metadata together with the disks.
func onDisksOnly(tb testing.TB) {
	tb.Helper()
	if name := os.Getenv(fdbengine.Variable); name != "" {
		tb.Skipf("%s=%s: the metadata is not on the disks of the test", fdbengine.Variable, name)
	}
}
