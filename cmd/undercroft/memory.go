package main

import (
	"runtime/debug"
	"slices"
	"strings"

	"github.com/undercroft/undercroft/internal/config"
)

// restMemory is what everything but body buffers may take together: metadata
// caches and memtables, connections, stacks, the heap's own slack.
const restMemory = 128 * config.MiB

// limitMemory tells the garbage collector how much memory the process means
// to use, so that a full buffer pool makes it work harder and does not double
// the heap. The limit is soft: nothing fails at it. GOMEMLIMIT wins.
func limitMemory(buffers config.Size, environ []string) {
	if slices.ContainsFunc(environ, func(pair string) bool { return strings.HasPrefix(pair, "GOMEMLIMIT=") }) {
		return
	}
	debug.SetMemoryLimit(int64(buffers + restMemory))
}
