//go:build compat

package compat

import "testing"

// TestObjectLockPage runs the examples of docs/object-lock.md.
func TestObjectLockPage(t *testing.T) {
	t.Parallel()
	runPage(t, startServer(t), "object-lock.md")
}
