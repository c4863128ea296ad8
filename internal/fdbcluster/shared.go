package fdbcluster

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
)

// shared are the clusters of a test binary.
var shared = struct { // starting one takes longer than most tests
	mu       sync.Mutex // guards what follows
	said     bool       // why tests are skipped
	clusters map[Shape]*Cluster
	failed   map[Shape]error
}{clusters: map[Shape]*Cluster{}, failed: map[Shape]error{}}

// programs are those of this machine; the test is skipped where there are none.
func programs(tb testing.TB) Programs {
	tb.Helper()
	p, err := Find()
	if err == nil {
		return p
	}
	shared.mu.Lock()
	said := shared.said
	shared.said = true
	shared.mu.Unlock()
	if said {
		tb.SkipNow()
	}
	tb.Skipf("%v; docs/operations/foundationdb.md says how to install it", err)
	return p
}

// Shared is a cluster that the tests of a binary have in common, each under a
// prefix of its own. It is started by the first that asks, which must not be
// inside a bubble of synctest.
func Shared(tb testing.TB, s Shape) *Cluster {
	tb.Helper()
	p := programs(tb)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	c, err := shared.clusters[s], shared.failed[s]
	if c == nil && err == nil {
		// It lives as long as the binary.
		c, err = start(context.WithoutCancel(tb.Context()), p, s)
		shared.clusters[s], shared.failed[s] = c, err
	}
	if err != nil {
		tb.Fatalf("start FoundationDB: %v", err)
	}
	return c
}

// Prefix is a prefix that no other test uses.
func Prefix() []byte { return []byte("test-" + rand.Text()[:16] + "-") }
