package admin

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// checkTrailer carries the result, which is not known when the body begins.
const checkTrailer = "Undercroft-Check"

// checkClean is the trailer of a check that found nothing wrong.
const checkClean = "clean"

// check streams what the checker writes. The status is 200 as soon as the
// check began; the trailer says how it ended, and a connection cut before it
// is no result.
func (h *handler) check(w http.ResponseWriter, r *http.Request) {
	select {
	case h.checking <- struct{}{}:
		defer func() { <-h.checking }()
	default:
		http.Error(w, "a check is running already", http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Trailer", checkTrailer)
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		h.gone(r, err)
		return
	}
	result := checkClean
	if err := h.Checker.Check(r.Context(), flushWriter{w}); err != nil {
		result = oneLine(err.Error())
		if _, err := fmt.Fprintln(w, result); err != nil {
			h.gone(r, err)
		}
		h.Logger.WarnContext(r.Context(), "check failed", slog.String("error", result))
	}
	w.Header().Set(checkTrailer, result)
}

// oneLine makes a text fit into a header.
func oneLine(s string) string {
	return strings.Join(strings.Fields(s), " ")
}

// flushWriter sends each write at once, so that progress is seen as it happens.
type flushWriter struct {
	to http.ResponseWriter
}

var _ io.Writer = flushWriter{}

// Write implements io.Writer.
func (f flushWriter) Write(p []byte) (int, error) {
	n, err := f.to.Write(p)
	if err != nil {
		return n, fmt.Errorf("sending findings: %w", err)
	}
	if err := http.NewResponseController(f.to).Flush(); err != nil {
		return n, fmt.Errorf("sending findings: %w", err)
	}
	return n, nil
}
