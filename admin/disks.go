package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// The paths of disks. A disk is named in the body, by its id or its path.
const (
	pathDisks      = "/-/disks"
	pathDiskDrain  = "/-/disks/drain"
	pathDiskRemove = "/-/disks/remove"
)

// ErrDisk says that a change of the disks is not possible as things are.
var ErrDisk = errors.New("not possible")

// DiskDirectory keeps the disks of a store. Paths are of the server's machine. Errors are one
// line for whoever asked, and wrap [ErrDisk] where the request is at fault, or what the
// disks are like.
type DiskDirectory interface {
	Disks(ctx context.Context) ([]Disk, error)
	AddDisk(ctx context.Context, path string) (DiskChange, error)
	// DrainDisk begins to take everything off a disk; cancel ends that.
	DrainDisk(ctx context.Context, ask DrainDisk) (DiskChange, error)
	// RemoveDisk forgets a disk that was drained, or one that is lost.
	RemoveDisk(ctx context.Context, ask RemoveDisk) (DiskChange, error)
}

// Disk describes a disk of the inventory.
type Disk struct {
	ID       string `json:"id"`
	Path     string `json:"path"`
	State    string `json:"state"` // active, draining, missing, failed
	Problem  string `json:"problem,omitempty"`
	Total    uint64 `json:"total_bytes"`
	Free     uint64 `json:"free_bytes"`
	Shards   int64  `json:"shards"`
	Mirror   bool   `json:"metadata_mirror"`
	Drained  bool   `json:"drained,omitempty"`     // it may be removed
	Unlisted bool   `json:"not_in_data,omitempty"` // the next start has to be told of it
}

// DiskList is all disks.
type DiskList struct {
	Disks []Disk `json:"disks"`
}

// DiskChange says what became of a disk, and what to know of it.
type DiskChange struct {
	ID    string   `json:"id"`
	Path  string   `json:"path"`
	State string   `json:"state"`
	Notes []string `json:"notes,omitempty"`
}

// AddDisk names the directory that is to be a disk.
type AddDisk struct {
	Path string `json:"path"`
}

// DrainDisk names the disk that everything is to be taken off, or not any more.
type DrainDisk struct {
	Disk   string `json:"disk"`
	Cancel bool   `json:"cancel,omitempty"`
}

// RemoveDisk names the disk that is to be forgotten. Lost says that it will not come
// back with what it holds.
type RemoveDisk struct {
	Disk string `json:"disk"`
	Lost bool   `json:"lost,omitempty"`
}

func (h *handler) handleDisks(mux *http.ServeMux) {
	d := h.DiskDirectory
	mux.Handle("GET "+pathDisks, call(h, func(r *http.Request, _ empty) (DiskList, error) {
		disks, err := d.Disks(r.Context())
		return DiskList{disks}, err
	}))
	mux.Handle("POST "+pathDisks, call(h, func(r *http.Request, in AddDisk) (DiskChange, error) {
		out, err := d.AddDisk(r.Context(), in.Path)
		return h.noteDisk(r, "disk added", out, err)
	}))
	mux.Handle("POST "+pathDiskDrain, call(h, func(r *http.Request, in DrainDisk) (DiskChange, error) {
		out, err := d.DrainDisk(r.Context(), in)
		what := "disk is to be drained"
		if in.Cancel {
			what = "disk is not to be drained"
		}
		return h.noteDisk(r, what, out, err)
	}))
	mux.Handle("POST "+pathDiskRemove, call(h, func(r *http.Request, in RemoveDisk) (DiskChange, error) {
		out, err := d.RemoveDisk(r.Context(), in)
		return h.noteDisk(r, "disk removed", out, err)
	}))
}

func (h *handler) noteDisk(r *http.Request, what string, out DiskChange, err error) (DiskChange, error) {
	if err == nil {
		h.note(r, what, slog.String("disk", out.ID), slog.String("path", out.Path))
	}
	return out, err
}

var _ DiskDirectory = (*Client)(nil)

// Disks implements [DiskDirectory], as the methods below do theirs.
func (c *Client) Disks(ctx context.Context) ([]Disk, error) {
	list, err := exchange[DiskList](ctx, c, http.MethodGet, pathDisks, empty{})
	return list.Disks, err
}

// AddDisk implements [DiskDirectory].
func (c *Client) AddDisk(ctx context.Context, path string) (DiskChange, error) {
	return exchange[DiskChange](ctx, c, http.MethodPost, pathDisks, AddDisk{path})
}

// DrainDisk implements [DiskDirectory].
func (c *Client) DrainDisk(ctx context.Context, ask DrainDisk) (DiskChange, error) {
	return exchange[DiskChange](ctx, c, http.MethodPost, pathDiskDrain, ask)
}

// RemoveDisk implements [DiskDirectory].
func (c *Client) RemoveDisk(ctx context.Context, ask RemoveDisk) (DiskChange, error) {
	return exchange[DiskChange](ctx, c, http.MethodPost, pathDiskRemove, ask)
}
