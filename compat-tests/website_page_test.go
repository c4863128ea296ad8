//go:build compat

package compat

import "testing"

// TestWebsitePage runs the examples of docs/website.md.
func TestWebsitePage(t *testing.T) {
	t.Parallel()
	runPage(t, startServer(t, "--website-domain", "web.example.com"), "website.md")
}
