// Command undercroft is the one binary of Undercroft, and the only place that
// joins the packages.
//
// `undercroft server` runs everything in one process: the S3 gateway, the local
// disks and the embedded metadata. `undercroft admin` asks a running server, or
// looks at its directories while it is stopped. Exit codes are 0 for success, 1
// for a failure and 2 for a command line or configuration that cannot be used.
//
// assemble.go joins the storage packages; server.go and its neighbours put
// listeners, TLS, deadlines and the drain around them. Nothing may import this
// package.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// version is what `git describe` said; the linker sets it.
var version = "" // -ldflags -X can set nothing but a package variable

// process is what a command sees of the world around it.
type process struct {
	args    []string // after the program's name
	environ []string
	stdout  io.Writer
	// terminal says that stdout is one: a line that was written may be rewritten.
	terminal bool
	stderr   io.Writer
	now      func() time.Time
	// restoreSignals gives signals their default meaning back: the next one
	// kills. It may be called more than once.
	restoreSignals func()
	// notifyHangup makes SIGHUP arrive in a channel in place of ending the process;
	// nil: it never comes.
	notifyHangup func(chan<- os.Signal)
	// hideMemory keeps the keys in memory out of core files; nil: it is left as it
	// is.
	hideMemory func() error
	// assemble joins the storage; tests put a smaller system in its place.
	assemble assembler
}

func main() {
	serveProcess(assemble)
}

// serveProcess runs the command line of this process and exits.
func serveProcess(join assembler) {
	// The first signal ends the context and begins the drain; the second one
	// kills, whether the server is draining or still opening its store.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, process{
		args: os.Args[1:], environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr, terminal: isTerminal(os.Stdout),
		now: time.Now, restoreSignals: stop, assemble: join,
		hideMemory:   hideMemory,
		notifyHangup: func(c chan<- os.Signal) { signal.Notify(c, syscall.SIGHUP) },
	}))
}
