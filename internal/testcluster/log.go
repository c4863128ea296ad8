package testcluster

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// logLines is how many of the last warnings a test that fails shows.
const logLines = 100

// lastLines keeps the last lines that are written to it.
type lastLines struct {
	mu    sync.Mutex // guards lines
	lines []string
}

// Write implements [io.Writer]; each call is a line.
func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == logLines {
		l.lines = append(l.lines[:0], l.lines[1:]...)
	}
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

// newLogger keeps warnings and errors, and shows them where the test fails.
func newLogger(tb testing.TB) *slog.Logger {
	tb.Helper()
	last := &lastLines{}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the last warnings of the store:\n%s", last)
		}
	})
	return slog.New(slog.NewTextHandler(last, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
