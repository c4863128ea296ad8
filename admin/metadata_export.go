package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

const (
	pathMetadataExport = "/-/metadata/export"
	// exportTrailer carries the result, which is not known when the body begins.
	exportTrailer = "Undercroft-Export"
	exportWhole   = "whole"
	// exportPatience is how long an export waits for a client that takes nothing: what
	// is overwritten keeps its space as long as it runs.
	exportPatience = 5 * time.Minute
)

// patientWriter fails when the client has taken nothing for some time.
type patientWriter struct {
	w        io.Writer
	control  *http.ResponseController
	patience time.Duration
}

// Write implements io.Writer. A connection without deadlines, as tests have, waits
// for as long as it takes.
func (p *patientWriter) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(p.patience))
	return p.w.Write(b)
}

// end gives the connection back as it was, for its next request.
func (p *patientWriter) end() { _ = p.control.SetWriteDeadline(time.Time{}) }

// metadataExport streams an export. A stream without its trailer was cut off, and
// lacks its own end too.
func (h *handler) metadataExport(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Trailer", exportTrailer)
	result := exportWhole
	out := &patientWriter{w: w, control: http.NewResponseController(w), patience: exportPatience}
	defer out.end()
	if err := h.ExportMetadata(r.Context(), out); err != nil {
		result = oneLine(err.Error())
		h.Logger.WarnContext(r.Context(), "export of the metadata failed", slog.String("error", result))
	}
	w.Header().Set(exportTrailer, result)
}

// ExportMetadata writes an export of the metadata to w. Without an error it is
// whole.
func (c *Client) ExportMetadata(ctx context.Context, w io.Writer) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+pathMetadataExport, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking %s: %w", c.base, err)
	}
	request.Header.Set("Authorization", bearer+c.token)
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("asking %s: %w", c.base, err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
		return errors.Join(fmt.Errorf("metadata export: %w: %s", ErrRefused, oneLine(string(text))), err)
	}
	if err := copyBody(w, response); err != nil {
		return err
	}
	switch result := response.Trailer.Get(exportTrailer); result {
	case exportWhole:
		return nil
	case "":
		return errors.New("metadata export: the server gave no result")
	default:
		return fmt.Errorf("metadata export: %s", result)
	}
}
