package admin

import (
	"context"
	"fmt"
	"net/http"
)

const pathMetadataBackup = "/-/metadata/backup"

// backup says where the copy goes, on the server.
type backup struct {
	Directory string `json:"directory"`
}

// metadataBackup answers when the backup is durable.
func (h *handler) metadataBackup(w http.ResponseWriter, r *http.Request) {
	var in backup
	if err := decode(w, r, &in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if in.Directory == "" {
		http.Error(w, "it needs a directory", http.StatusBadRequest)
		return
	}
	if err := h.BackupMetadata(r.Context(), in.Directory); err != nil {
		http.Error(w, oneLine(err.Error()), http.StatusConflict)
		return
	}
	h.writeJSON(w, r, http.StatusOK, in)
}

// BackupMetadata makes the server write a consistent copy of its metadata into
// a directory of its own machine, which must not exist.
func (c *Client) BackupMetadata(ctx context.Context, directory string) error {
	if _, err := exchange[backup](ctx, c, http.MethodPost, pathMetadataBackup, backup{directory}); err != nil {
		return fmt.Errorf("metadata backup: %w", err)
	}
	return nil
}
