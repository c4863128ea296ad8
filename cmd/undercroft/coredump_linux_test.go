package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// It is for good, so another process does it.
func TestMemoryIsHidden(t *testing.T) {
	const marker = "UNDERCROFT_TEST_HIDES_MEMORY"
	if os.Getenv(marker) == "" {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMemoryIsHidden$", "-test.v")
		command.Env = append(os.Environ(), marker+"=1")
		out, err := command.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "hidden, as it should be") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := hideMemory(); err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Cur != 0 || limit.Max != 0 {
		t.Errorf("RLIMIT_CORE is %+v, %v", limit, err)
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("PR_GET_DUMPABLE is %d, %v", dumpable, err)
	}
	t.Log("hidden, as it should be")
}
