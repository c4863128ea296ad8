// Package sorted holds an ordered map of byte keys for the engines below
// metadata/kv: a transaction's own writes, and what recent commits wrote.
//
// It promises lookups, insertions and steps in either direction in logarithmic
// time with little memory per entry. It copies no keys and is not safe for
// concurrent use. Only packages below metadata/kv may import it.
package sorted

import (
	"bytes"
	"slices"
)

// maxChunk bounds the entries moved by one insertion or removal.
const maxChunk = 128

// Entry is one key with its value. The key belongs to the map and is never
// changed.
type Entry[V any] struct {
	Key   []byte
	Value V
}

// chunk is a run of entries. mark is an upper bound over them that the owner
// of the map keeps by Raise; it lets a scan pass over whole chunks.
type chunk[V any] struct {
	entries []Entry[V]
	mark    uint64
}

// Map is a two-level sorted array: chunks in order, entries in order inside
// each chunk, and no chunk is empty. The zero Map is ready to use.
type Map[V any] struct {
	chunks []*chunk[V]
	n      int
}

// Pos is a place in a Map, valid until the next insertion or removal.
type Pos struct{ chunk, index int }

// Len is the number of entries.
func (m *Map[V]) Len() int { return m.n }

// Find is the place of the first entry whose key is not less than key, and
// whether that entry's key equals key.
func (m *Map[V]) Find(key []byte) (Pos, bool) {
	if m.n == 0 {
		return Pos{}, false
	}
	// The chunk to search is the last one that starts at or before key.
	lo, hi := 0, len(m.chunks)
	for lo < hi {
		mid := (lo + hi) / 2
		if bytes.Compare(m.chunks[mid].entries[0].Key, key) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	c := max(lo-1, 0)
	entries := m.chunks[c].entries
	lo, hi = 0, len(entries)
	for lo < hi {
		mid := (lo + hi) / 2
		switch order := bytes.Compare(entries[mid].Key, key); {
		case order == 0:
			return Pos{c, mid}, true
		case order < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return Pos{c, lo}, false
}

// At is the entry at p, or nil when p is past the end or before the start.
func (m *Map[V]) At(p Pos) *Entry[V] {
	p = m.settle(p)
	if p.chunk < 0 || p.chunk >= len(m.chunks) {
		return nil
	}
	return &m.chunks[p.chunk].entries[p.index]
}

// settle moves a place at the end of a chunk to the start of the next one.
func (m *Map[V]) settle(p Pos) Pos {
	if p.chunk >= 0 && p.chunk < len(m.chunks) && p.index >= len(m.chunks[p.chunk].entries) {
		return Pos{p.chunk + 1, 0}
	}
	return p
}

// Next is the place after p.
func (m *Map[V]) Next(p Pos) Pos {
	p = m.settle(p)
	return m.settle(Pos{p.chunk, p.index + 1})
}

// Prev is the place before p. Before the first entry, At answers nil.
func (m *Map[V]) Prev(p Pos) Pos {
	if p.index > 0 {
		return Pos{p.chunk, p.index - 1}
	}
	if p.chunk == 0 || m.n == 0 {
		return Pos{-1, 0}
	}
	return Pos{p.chunk - 1, len(m.chunks[p.chunk-1].entries) - 1}
}

// Insert puts a new entry at p, which Find answered for an absent key, and
// returns the place of the entry.
func (m *Map[V]) Insert(p Pos, key []byte, value V) Pos {
	m.n++
	if len(m.chunks) == 0 {
		m.chunks = append(m.chunks, &chunk[V]{entries: make([]Entry[V], 0, 8)})
	}
	if p.chunk >= len(m.chunks) {
		p = Pos{len(m.chunks) - 1, len(m.chunks[len(m.chunks)-1].entries)}
	}
	c := m.chunks[p.chunk]
	if len(c.entries) >= maxChunk {
		p = m.split(p)
		c = m.chunks[p.chunk]
	}
	c.entries = slices.Insert(c.entries, p.index, Entry[V]{key, value})
	return p
}

// split halves the chunk of p, or opens a new one when p is at the very end so
// that ascending insertions leave full chunks.
func (m *Map[V]) split(p Pos) Pos {
	c := m.chunks[p.chunk]
	at := maxChunk / 2
	if p.index == len(c.entries) && p.chunk == len(m.chunks)-1 {
		at = len(c.entries)
	}
	right := &chunk[V]{entries: make([]Entry[V], 0, maxChunk), mark: c.mark}
	right.entries = append(right.entries, c.entries[at:]...)
	clear(c.entries[at:])
	c.entries = c.entries[:at]
	m.chunks = slices.Insert(m.chunks, p.chunk+1, right)
	if p.index >= at {
		return Pos{p.chunk + 1, p.index - at}
	}
	return p
}

// Put sets the value of key, which the map keeps when the key is new.
func (m *Map[V]) Put(key []byte, value V) {
	p, found := m.Find(key)
	if found {
		m.At(p).Value = value
		return
	}
	m.Insert(p, key, value)
}

// Remove deletes the entry at p and returns the place of the one after it.
func (m *Map[V]) Remove(p Pos) Pos {
	p = m.settle(p)
	c := m.chunks[p.chunk]
	m.n--
	if len(c.entries) == 1 {
		m.chunks = slices.Delete(m.chunks, p.chunk, p.chunk+1)
		return Pos{p.chunk, 0}
	}
	c.entries = slices.Delete(c.entries, p.index, p.index+1)
	return m.settle(p)
}

// Raise lifts the mark of p's chunk to at least mark.
func (m *Map[V]) Raise(p Pos, mark uint64) {
	p = m.settle(p)
	c := m.chunks[p.chunk]
	c.mark = max(c.mark, mark)
}

// SkipBelow is the first place at or after p that is in a chunk whose mark is
// above mark. At answers nil for it when there is none.
func (m *Map[V]) SkipBelow(p Pos, mark uint64) Pos {
	p = m.settle(p)
	for p.chunk >= 0 && p.chunk < len(m.chunks) && m.chunks[p.chunk].mark <= mark {
		p = Pos{p.chunk + 1, 0}
	}
	return p
}

// Reset empties the map.
func (m *Map[V]) Reset() {
	m.chunks, m.n = nil, 0
}
