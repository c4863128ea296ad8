package pebble

import (
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A flush that finds the disk full is tried again every fullPause, and after
// maxFullErrors the engine stops: memtables pile up and would block commits.
const (
	fullPause     = 100 * time.Millisecond
	maxFullErrors = 600
)

// pebbleLogger passes Pebble's messages on. Pebble expects Fatalf not to
// return; here it stops the engine instead, whose closed gate then keeps
// Pebble from changing any file.
type pebbleLogger struct{ e *Engine }

// Infof drops the message: the events that matter come by the listener.
func (l *pebbleLogger) Infof(string, ...any) {}

// Errorf logs the message.
func (l *pebbleLogger) Errorf(format string, args ...any) {
	l.e.opts.Logger.Error("pebble error", slog.String("message", fmt.Sprintf(format, args...)))
}

// Fatalf stops the engine.
func (l *pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, arg := range args {
		if cause, ok := arg.(error); ok {
			err = fmt.Errorf("%s: %w", format, cause)
		}
	}
	l.e.fail(err)
}

func (e *Engine) events() *pebble.EventListener {
	log := e.opts.Logger
	l := &pebble.EventListener{
		BackgroundError: e.backgroundError,
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			log.Error("metadata file is corrupt", slog.String("path", info.Path), slog.Any("error", info.Details))
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			log.Warn("disk is slow", slog.String("path", info.Path),
				slog.String("operation", info.OpType.String()), slog.Duration("duration", info.Duration))
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			log.Warn("metadata writes stall", slog.String("reason", info.Reason))
		},
		WriteStallEnd: func() { log.Info("metadata writes go on") },
		LowDiskSpace: func(info pebble.LowDiskSpaceInfo) {
			log.Warn("metadata disk is filling up", slog.Uint64("available", info.AvailBytes))
		},
		FlushEnd: func(info pebble.FlushInfo) {
			if info.Err == nil {
				e.fullErrors.Store(0)
			}
		},
		CompactionEnd: func(info pebble.CompactionInfo) {
			log.Debug("compaction ended", slog.Duration("duration", info.Duration), slog.Any("error", info.Err))
		},
	}
	l.EnsureDefaults(&pebbleLogger{e})
	return l
}

// backgroundError handles a failed flush or compaction. A full disk is
// survived for a while, because space may come back and the log still works.
//
// Pebble calls it on the job's own goroutine, usually under its mutex, and
// starts the job again as soon as it returns. Hence the pause, and hence the
// goroutine ends here once the engine has stopped: otherwise the job would fail
// and be started again without end.
func (e *Engine) backgroundError(err error) {
	e.opts.Logger.Error("metadata background error", slog.Any("error", err))
	if vfs.IsNoSpaceError(err) && e.opened.Load() {
		e.space.short.Store(true)
		if e.fullErrors.Add(1) < maxFullErrors {
			e.pause(fullPause)
			return
		}
	}
	e.fail(fmt.Errorf("background error: %w", err))
	runtime.Goexit()
}

// pause waits for d or until the engine stops.
func (e *Engine) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.failed:
	}
}
