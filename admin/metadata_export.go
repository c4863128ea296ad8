package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
)

const (
	pathMetadataExport = "/-/metadata/export"
	// exportTrailer carries the result, which is not known when the body begins.
	exportTrailer = "Undercroft-Export"
	exportWhole   = "whole"
)

// metadataExport streams an export. A stream without its trailer was cut off, and
// lacks its own end too.
func (h *handler) metadataExport(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Trailer", exportTrailer)
	result := exportWhole
	if err := h.ExportMetadata(r.Context(), w); err != nil {
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
