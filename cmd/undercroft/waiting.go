package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/internal/observability"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// A start whose shared metadata does not answer, or is locked, is tried again until it does:
// who ended would be started again, and nothing else. Meanwhile the admin listener says that
// the process lives and is not ready, and clients are told to come back.
const (
	// The time between two tries doubles up to the longest.
	waitingPause, longestWaitingPause = 100 * time.Millisecond, 2 * time.Second
	// waitingEvery is the time between two lines of the log that say so.
	waitingEvery = time.Minute
	// waitingAway is how many seconds a client is asked to stay away, at most.
	waitingAway = 5
)

// assemble assembles the system, and waits for its metadata where others keep that.
func (s *server) assemble(ctx context.Context, front *front, p parts) (*system, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	once := &sayOnce{Handler: s.logger.Handler(), state: &sayState{said: map[string]int64{}}}
	if s.cfg.Metadata.Shared() {
		p.logger = slog.New(once)
		front.serve(waiting{p.requestIDs}) // a try takes ten seconds where nobody answers
	}
	defer once.state.over.Store(true)
	began, said := s.process.now(), time.Time{}
	for pause := waitingPause; ; pause = min(2*pause, longestWaitingPause) {
		if err := front.pause(ctx, timer); err != nil {
			return nil, err
		}
		sys, err := s.process.assemble(ctx, s.cfg, p)
		if err == nil || !s.cfg.Metadata.Shared() || !objects.Passes(err) {
			return sys, err
		}
		s.phase.wait(fmt.Errorf("waiting for the metadata: %w", err))
		if said.IsZero() {
			defer holdConnection(s.cfg.Metadata, p)()
		}
		now := s.process.now()
		if said.IsZero() || now.Sub(said) >= waitingEvery {
			said = now
			s.logger.WarnContext(ctx, "waiting for the metadata", slog.String("metadata", s.cfg.Metadata.String()),
				slog.Duration("since", now.Sub(began).Round(time.Second)), slog.Any("error", err))
		}
		once.state.tries.Add(1)
		timer.Reset(pause)
	}
}

// pause waits for the timer.
func (f *front) pause(ctx context.Context, timer *time.Timer) error {
	for {
		select {
		case <-timer.C:
			return nil
		case <-f.hangups:
			f.certificates.reload(ctx)
		case err := <-f.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// holdConnection keeps the connection that the tries share: FoundationDB's client does not give
// back all of the memory of one that never came about. It returns what ends that.
func holdConnection(m config.Metadata, p parts) (release func()) {
	e, err := openFDB(m, p)
	if err != nil {
		return func() {} // the tries say why
	}
	return func() { _ = e.Close() } // nothing was done with it
}

// sayOnce holds back what an earlier try has said, until the last one: each has the same to say.
type sayOnce struct {
	slog.Handler
	state *sayState
}

type sayState struct {
	over  atomic.Bool
	tries atomic.Int64     // that failed
	mu    sync.Mutex       // guards said
	said  map[string]int64 // by message and path the try that said it first
}

// Handle implements [slog.Handler], as the methods below do.
func (h *sayOnce) Handle(ctx context.Context, r slog.Record) error {
	what := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "path" {
			what += " " + a.Value.String()
		}
		return true
	})
	if !h.state.over.Load() && h.state.saidBefore(what) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h *sayOnce) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sayOnce{h.Handler.WithAttrs(attrs), h.state}
}

// WithGroup implements [slog.Handler].
func (h *sayOnce) WithGroup(name string) slog.Handler {
	return &sayOnce{h.Handler.WithGroup(name), h.state}
}

func (s *sayState) saidBefore(message string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tries.Load()
	first, ok := s.said[message]
	if !ok {
		s.said[message] = now
	}
	return ok && first < now
}

// waiting answers S3 clients before there is a system.
type waiting struct{ ids *observability.RequestIDs }

// ServeHTTP implements [http.Handler].
func (h waiting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, id := s3.NewError(s3.ServiceUnavailable), h.ids.NewID()
	header := w.Header()
	header.Set("Retry-After", strconv.Itoa(1+rand.IntN(waitingAway))) //nolint:gosec // so that not all come back at once
	header.Set("X-Amz-Request-Id", id)
	header.Set("X-Amz-Id-2", h.ids.HostID())
	header.Set("Connection", "close") // and a body is not read
	header.Set(s3.HeaderContentType, "application/xml")
	w.WriteHeader(e.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(e.AppendXML(nil, r.URL.Path, id, h.ids.HostID())) // the client is gone, or not
	}
}
