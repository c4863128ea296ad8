// Package observability makes what the other packages are given to be watched
// with: a logger, a metrics registry, request ids and the build's version.
//
// Nothing here is global: each call makes a new thing, and cmd hands it on.
// Loggers and generators may be used by many goroutines at a time. The package
// decides no metric or log line of anyone else; those belong to who knows what
// they mean.
//
// It imports nothing of ours, and cmd, gateway and admin may import it.
package observability

import (
	"context"
	"io"
	"log/slog"
)

// Format is the shape of a log line.
type Format string

// The formats: key=value text and one JSON object a line.
const (
	Text Format = "text"
	JSON Format = "json"
)

// NewLogger returns a logger that writes lines of at least level to w, which
// must take whole lines atomically (a file or a pipe does). A line logged with
// a context that came from [WithRequestID] carries the id as request_id.
func NewLogger(w io.Writer, level slog.Leveler, format Format) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == JSON {
		return slog.New(requestHandler{slog.NewJSONHandler(w, options)})
	}
	return slog.New(requestHandler{slog.NewTextHandler(w, options)})
}

// requestIDKey is the context key of the request id.
type requestIDKey struct{}

// WithRequestID returns a context whose log lines carry id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that [WithRequestID] put into ctx, or "".
func RequestID(ctx context.Context) string {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok {
		return id
	}
	return ""
}

// requestHandler adds the context's request id to each record.
type requestHandler struct {
	next slog.Handler
}

// Enabled implements slog.Handler.
func (h requestHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h requestHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := RequestID(ctx); id != "" {
		record.AddAttrs(slog.String("request_id", id))
	}
	return h.next.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.next.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.next.WithGroup(name)}
}
