// Package fdbengine opens engines for the tests of layers above: where
// UNDERCROFT_TEST_METADATA is fdb, on a FoundationDB that is started for the
// test binary, each under a prefix of its own.
//
// It may be imported by tests only. What it opens needs a binary with the tag
// fdb; in others the tests that ask for it are skipped.
package fdbengine

import (
	"context"
	"os"
	"testing"

	"github.com/undercroft/undercroft/internal/fdbcluster"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/fdb"
)

// Variable names the engine that suites run on: "fdb", "remote" for one in memory
// whose reads are sent ahead as if it were far away, or "" for their usual one.
const Variable = "UNDERCROFT_TEST_METADATA"

// Remote reports whether suites shall run on an engine that says it is remote.
func Remote() bool { return os.Getenv(Variable) == "remote" }

// Wanted reports whether suites shall run on FoundationDB.
func Wanted() bool { return os.Getenv(Variable) == "fdb" }

// Opener opens engines of one prefix.
type Opener func() (kv.Engine, error)

// New is an opener of an empty prefix of the cluster that the tests of the
// binary share. The prefix is cleared when the test ends.
func New(tb testing.TB) Opener {
	tb.Helper()
	if !fdb.Available {
		tb.Skipf("%s=fdb needs a test binary with the tag fdb: make test-fdb", Variable)
	}
	return On(tb, fdbcluster.Shared(tb, fdbcluster.One(fdbcluster.Redwood)))
}

// On is New on another cluster.
func On(tb testing.TB, c *fdbcluster.Cluster) Opener {
	tb.Helper()
	o := fdb.Options{ClusterFile: c.ClusterFile(), Prefix: fdbcluster.Prefix()}
	open := func() (kv.Engine, error) {
		e, err := fdb.Open(o)
		if err != nil {
			return nil, err // and not an engine that is a nil of its own kind
		}
		return e, nil
	}
	ctx := context.WithoutCancel(tb.Context())
	tb.Cleanup(func() {
		e, err := open()
		if err != nil {
			tb.Errorf("clear the test's prefix: %v", err)
			return
		}
		if err := Empty(ctx, e); err != nil {
			tb.Errorf("clear the test's prefix: %v", err)
		}
		if err := e.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return open
}

// Empty deletes everything, also from a database that recovers meanwhile.
func Empty(ctx context.Context, e kv.Engine) error {
	const attempts = 20 // each waits as long as a transaction may take
	var err error
	for range attempts {
		_, err = e.Update(ctx, kv.TxOptions{}, func(tx kv.Tx) error {
			tx.DeleteRange(kv.PrefixRange(nil))
			return nil
		})
		if err == nil {
			break
		}
	}
	return err
}

// Engine is an open engine of an empty prefix, which the test closes.
func Engine(tb testing.TB) kv.Engine {
	tb.Helper()
	e, err := New(tb)()
	if err != nil {
		tb.Fatal(err)
	}
	return e
}
