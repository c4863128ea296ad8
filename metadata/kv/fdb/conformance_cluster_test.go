//go:build fdb

package fdb_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/undercroft/undercroft/internal/fdbcluster"
	"github.com/undercroft/undercroft/internal/fdbcluster/fdbengine"
	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/fdb"
	"github.com/undercroft/undercroft/metadata/kv/kvtest"
)

// shapes are the clusters that the contract is held against: with -short, the
// one that starts soonest.
func shapes() []fdbcluster.Shape {
	all := []fdbcluster.Shape{
		fdbcluster.One(fdbcluster.Redwood),
		fdbcluster.One(fdbcluster.SQLite),
		fdbcluster.Triple(fdbcluster.Redwood),
		fdbcluster.Triple(fdbcluster.SQLite),
	}
	if testing.Short() {
		return all[:1]
	}
	return all
}

// onEach runs a test on a cluster of each shape, one after the other.
func onEach(t *testing.T, run func(t *testing.T, c *fdbcluster.Cluster)) {
	t.Helper()
	for _, s := range shapes() {
		t.Run(s.String(), func(t *testing.T) { run(t, fdbcluster.Shared(t, s)) })
	}
}

// openUnder opens an engine under a prefix.
func openUnder(t *testing.T, c *fdbcluster.Cluster, prefix []byte, now func() time.Time) *fdb.Engine {
	t.Helper()
	e, err := fdb.Open(fdb.Options{ClusterFile: c.ClusterFile(), Prefix: prefix, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// clearing clears a prefix when its test ends.
func clearing(t *testing.T, c *fdbcluster.Cluster, prefix []byte) []byte {
	t.Helper()
	t.Cleanup(func() {
		e := openUnder(t, c, prefix, nil)
		if err := fdbengine.Empty(context.WithoutCancel(t.Context()), e); err != nil {
			t.Errorf("clear the prefix: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return prefix
}

func TestConformanceOnClusters(t *testing.T) {
	onEach(t, func(t *testing.T, c *fdbcluster.Cluster) {
		t.Helper()
		kvtest.Run(t, func(t *testing.T) kv.Engine {
			t.Helper()
			return openUnder(t, c, clearing(t, c, fdbcluster.Prefix()), nil)
		})
	})
}

func TestExpiryOnClusters(t *testing.T) {
	onEach(t, func(t *testing.T, c *fdbcluster.Cluster) {
		t.Helper()
		kvtest.RunExpiry(t, func(t *testing.T, now func() time.Time) kv.Engine {
			t.Helper()
			return openUnder(t, c, clearing(t, c, fdbcluster.Prefix()), now)
		})
	})
}

func TestDurabilityOnClusters(t *testing.T) {
	onEach(t, func(t *testing.T, c *fdbcluster.Cluster) {
		t.Helper()
		kvtest.RunDurable(t, func(t *testing.T) func(*testing.T) kv.Engine {
			t.Helper()
			prefix := clearing(t, c, fdbcluster.Prefix())
			return func(t *testing.T) kv.Engine {
				t.Helper()
				return openUnder(t, c, prefix, nil)
			}
		})
	})
}

// Engines of one cluster do not see each other's keys, as long as no prefix begins another.
func TestPrefixesAreApart(t *testing.T) {
	c := fdbcluster.Shared(t, shapes()[0])
	root := fdbcluster.Prefix()
	engines := map[string]*fdb.Engine{}
	for _, name := range []string{"a", "b\x00", "b\xff"} {
		engines[name] = openUnder(t, c, clearing(t, c, slices.Concat(root, []byte(name))), nil)
	}
	for name, e := range engines {
		_, err := e.Update(t.Context(), kv.TxOptions{}, func(tx kv.Tx) error {
			tx.Set(nil, []byte(name))
			tx.Set([]byte{0xfe, 0xff}, []byte(name))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, e := range engines {
		var got []string
		err := e.View(t.Context(), kv.TxOptions{}, func(r kv.Reader) error {
			got = nil
			it := r.GetRange(kv.PrefixRange(nil), kv.RangeOptions{})
			defer it.Close()
			for it.Next() {
				got = append(got, string(it.Pair().Key)+"="+string(it.Pair().Value))
			}
			return it.Err()
		})
		if err != nil || len(got) != 2 || got[0] != "="+name || got[1] != "\xfe\xff="+name {
			t.Errorf("prefix %q: %q, %v", name, got, err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
