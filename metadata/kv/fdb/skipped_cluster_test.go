//go:build !fdb

package fdb_test

import "testing"

// TestOnClusters stands for all tests that need FoundationDB, so that they are
// counted as skipped.
func TestOnClusters(t *testing.T) {
	t.Skip("no tag fdb: this binary has no tests on FoundationDB; `make test-fdb` runs them where it is installed")
}
