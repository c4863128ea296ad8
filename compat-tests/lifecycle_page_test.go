//go:build compat

package compat

import "testing"

// TestLifecyclePage runs the examples of docs/lifecycle.md.
func TestLifecyclePage(t *testing.T) {
	t.Parallel()
	runPage(t, startServer(t, "--storage-class", "COLD"), "lifecycle.md")
}
