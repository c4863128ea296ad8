package memory

import (
	"maps"
	"slices"
)

// Copy returns a disk of the same identity with what this one holds now, and
// none of its faults: what a snapshot of it would bring back.
func (d *Disk) Copy() *Disk {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := New(d.id)
	out.usage = d.usage
	for id, s := range d.shards {
		c := *s
		c.data, c.punched, c.closed = slices.Clone(s.data), maps.Clone(s.punched), nil
		out.shards[id] = &c
	}
	return out
}
