package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// hideMemory keeps the memory of this process, which holds keys, out of core
// files and away from debuggers of the same user. The limit alone would not do:
// the system hands cores to a program where it is told to, whatever the limit.
func hideMemory() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("RLIMIT_CORE: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_DUMPABLE: %w", err)
	}
	return nil
}
