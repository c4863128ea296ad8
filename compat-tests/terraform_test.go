//go:build compat

package compat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTerraform lets Terraform's AWS provider make a bucket with all that it
// may have, find nothing to change, and remove it. It needs terraform in PATH
// and the provider: from a directory TERRAFORM_PLUGINS, laid out as a file
// system mirror, or from the registry.
func TestTerraform(t *testing.T) {
	t.Parallel()
	terraform := tool(t, "terraform")
	s := startServer(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("terraform")); err != nil {
		t.Fatal(err)
	}
	config := ""
	if plugins := os.Getenv("TERRAFORM_PLUGINS"); plugins != "" {
		config = "provider_installation {\n  filesystem_mirror { path = \"" + plugins + "\" }\n}\n"
	}
	rc := filepath.Join(dir, "terraform.rc")
	if err := os.WriteFile(rc, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"TF_CLI_CONFIG_FILE=" + rc, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1",
		"TF_VAR_endpoint=" + s.endpoint, "TF_VAR_access_key=" + s.accessKey, "TF_VAR_secret_key=" + s.secretKey,
	}
	if out, err := tryTool(t, env, terraform, "-chdir="+dir, "init", "-no-color"); err != nil {
		skip(t, "the AWS provider of terraform cannot be had: "+firstError(out))
	}
	run := func(args ...string) string {
		t.Helper()
		return runTool(t, env, terraform, append([]string{"-chdir=" + dir}, args...)...)
	}
	run("apply", "-auto-approve", "-no-color")
	// 2 is the exit status of a plan that would change something.
	run("plan", "-detailed-exitcode", "-no-color")
	wantContains(t, "output", run("output", "-no-color"), `"hello"`)
	run("destroy", "-auto-approve", "-no-color")
	if out := run("state", "list"); strings.TrimSpace(out) != "" {
		t.Errorf("left behind:\n%s", out)
	}
}

// firstError is what Terraform says went wrong, on one line.
func firstError(out string) string {
	_, after, found := strings.Cut(out, "Error: ")
	if !found {
		after = out
	}
	words := strings.Join(strings.Fields(after), " ")
	return words[:min(len(words), 400)]
}
