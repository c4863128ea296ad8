package single

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/undercroft/undercroft/blobd"
	"github.com/undercroft/undercroft/blobd/disk"
	"github.com/undercroft/undercroft/metadata"
)

// roster is the disks of the store as they are known now. It is safe for concurrent
// use; the zero value is ready.
type roster struct {
	mu      sync.Mutex                     // guards what follows
	dirs    []string                       // that may hold a disk: those given, then those added
	given   int                            // how many of dirs the next start has too
	open    []*disk.Disk                   // attached; they may have failed
	rows    map[blobd.DiskID]metadata.Disk // the inventory, removed disks included
	why     map[blobd.DiskID]string        // why a disk is not attached
	notes   map[string]string              // by directory: what is odd about it
	back    map[blobd.DiskID]*comebacks    // of disks that failed while running
	closers map[*disk.Disk]*closing        // of disks that are being closed
}

// attached lists the open disks.
func (r *roster) attached() []*disk.Disk {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.open)
}

// attach takes an open disk in, in place of one with the same identity.
func (r *roster) attach(d *disk.Disk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.why, d.ID())
	if i := slices.IndexFunc(r.open, func(o *disk.Disk) bool { return o.ID() == d.ID() }); i >= 0 {
		r.open[i] = d
		return
	}
	r.open = append(r.open, d)
}

// detach forgets an open disk, which its caller closes.
func (r *roster) detach(id blobd.DiskID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = slices.DeleteFunc(r.open, func(o *disk.Disk) bool { return o.ID() == id })
}

// get is an attached disk, nil where it is not.
func (r *roster) get(id blobd.DiskID) *disk.Disk {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.open {
		if d.ID() == id {
			return d
		}
	}
	return nil
}

// serves reports whether a disk is attached and has not failed.
func (r *roster) serves(id blobd.DiskID) bool {
	d := r.get(id)
	return d != nil && d.Failed() == nil
}

// directories are those that may hold a disk.
func (r *roster) directories() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.dirs)
}

// addDirectory takes a directory in that was not given at the start.
func (r *roster) addDirectory(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.dirs, func(dir string) bool { return samePlace(dir, path) }) {
		r.dirs = append(r.dirs, path)
	}
}

// isGiven reports whether the next start looks into a directory, if it is told
// the same as this one.
func (r *roster) isGiven(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.dirs[:r.given], func(dir string) bool { return samePlace(dir, path) })
}

// samePlace reports whether two paths are the same one, one of them relative perhaps.
func samePlace(a, b string) bool {
	if a == b {
		return true
	}
	one, err := filepath.Abs(a)
	other, err2 := filepath.Abs(b)
	return err == nil && err2 == nil && one == other
}

// inventory lists the rows, removed disks left out, by path and id.
func (r *roster) inventory() []metadata.Disk {
	r.mu.Lock()
	defer r.mu.Unlock()
	rows := slices.DeleteFunc(slices.Collect(maps.Values(r.rows)), func(d metadata.Disk) bool { return d.State == metadata.DiskRemoved })
	slices.SortFunc(rows, func(a, b metadata.Disk) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	return rows
}

// row is the row of a disk.
func (r *roster) row(id blobd.DiskID) (metadata.Disk, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	row, ok := r.rows[id]
	return row, ok
}

// wasRemoved reports whether a path was the last place of a disk that was removed.
func (r *roster) wasRemoved(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range r.rows {
		if row.State == metadata.DiskRemoved && samePlace(row.Path, path) {
			return true
		}
	}
	return false
}

func (r *roster) setRow(row metadata.Disk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows == nil {
		r.rows = map[blobd.DiskID]metadata.Disk{}
	}
	r.rows[blobd.DiskID(row.ID)] = row
}

// parity is what the parity of new partitions does not fall below: that which
// removals were not to lower.
func (r *roster) parity() (m int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range r.rows {
		if row.State == metadata.DiskRemoved {
			m = max(m, int(row.Parity))
		}
	}
	return m
}

// find is the disk that an administrator names, by its id or by the path where it is, or was
// last.
func (r *roster) find(name string) (metadata.Disk, error) {
	var found []metadata.Disk
	for _, row := range r.inventory() {
		id := blobd.DiskID(row.ID)
		if id.String() == name {
			return row, nil
		}
		if samePlace(row.Path, name) {
			found = append(found, row)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return metadata.Disk{}, fmt.Errorf("%w: there is no disk %s in this store", ErrRefused, name)
	}
	var ids []string
	for _, row := range found {
		ids = append(ids, blobd.DiskID(row.ID).String())
	}
	return metadata.Disk{}, fmt.Errorf("%w: %s was the place of several disks: name one by its id: %s", ErrRefused, name, strings.Join(ids, ", "))
}

// explain says why a disk is not attached.
func (r *roster) explain(id blobd.DiskID, why string) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.why == nil {
		r.why = map[blobd.DiskID]string{}
	}
	changed = r.why[id] != why
	r.why[id] = why
	return changed
}

// note says what is odd about a directory; "" that nothing is.
func (r *roster) note(path, text string) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.notes == nil {
		r.notes = map[string]string{}
	}
	if r.notes[path] == text {
		return false
	}
	if text == "" {
		delete(r.notes, path)
		return false
	}
	r.notes[path] = text
	return true
}

// oddities are the notes, by directory.
func (r *roster) oddities() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.notes)
}

// missing lists the disks of the inventory that are not in service, and why.
func (r *roster) missing() []Missing {
	var out []Missing
	for _, row := range r.inventory() {
		id := blobd.DiskID(row.ID)
		if d := r.get(id); d == nil {
			out = append(out, Missing{ID: id.String(), Path: row.Path, Reason: r.reason(id)})
		} else if err := d.Failed(); err != nil {
			out = append(out, Missing{ID: id.String(), Path: row.Path, Reason: err.Error() + r.since(id)})
		}
	}
	return out
}

func (r *roster) reason(id blobd.DiskID) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.why[id]
}

// since is what the last look found of a disk that failed, "" where that is
// nothing new.
func (r *roster) since(id blobd.DiskID) string {
	if why := r.reason(id); why != "" {
		return "; now " + why
	}
	return ""
}
