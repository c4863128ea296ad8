package compat

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// runTool runs a program to its end and returns what it printed; any exit status
// but 0 fails the test.
func runTool(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	out, err := tryTool(t, env, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out[max(0, len(out)-4000):])
	}
	return out
}

func tryTool(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(toolEnviron(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// toolEnviron is this process's environment without what AWS's clients and the
// proxies of the machine read from it.
func toolEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(strings.ToUpper(v), "=")
		return strings.HasPrefix(name, "AWS_") || strings.HasSuffix(name, "_PROXY")
	})
}
