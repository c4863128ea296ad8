//go:build compat

package compat

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runPage runs the shell examples of a page of docs/ one after another, in one
// shell that ends at the first failure. They find the server by the environment
// variables that AWS's clients read.
func runPage(t *testing.T, s *server, page string) {
	t.Helper()
	aws := tool(t, "aws-pypi")
	text, err := os.ReadFile(filepath.Join("..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	bin, err := builtBinary()
	if err == nil {
		bin, err = filepath.Abs(bin)
	}
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -eu\naws() { " + aws + ` "$@"; }` + "\n")
	script.WriteString("undercroft() { " + bin + ` "$@" --admin "$COMPAT_ADMIN"; }` + "\n")
	blocks := 0
	for rest := string(text); ; blocks++ {
		_, after, found := strings.Cut(rest, "```sh\n")
		if !found {
			break
		}
		block, after, _ := strings.Cut(after, "```")
		script.WriteString(block)
		rest = after
	}
	if blocks == 0 {
		t.Fatalf("%s has no examples", page)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-x", "-c", script.String())
	cmd.Dir = t.TempDir()
	cmd.Env = append(append(toolEnviron(), s.awsEnv(t)...), "AWS_ENDPOINT_URL="+s.endpoint, "COMPAT_ADMIN="+s.admin,
		"UNDERCROFT_ROOT_ACCESS_KEY="+s.accessKey, "UNDERCROFT_ROOT_SECRET_KEY="+s.secretKey)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", page, err, out[max(0, len(out)-8000):])
	}
}

// TestEncryptionPage runs the examples of docs/encryption.md.
func TestEncryptionPage(t *testing.T) {
	t.Parallel()
	runPage(t, startServer(t), "encryption.md")
}
