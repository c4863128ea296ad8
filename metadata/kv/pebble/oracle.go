package pebble

import (
	"bytes"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/sorted"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// maxHistory bounds the write spans that the oracle remembers. Past it the
// oldest are forgotten and transactions that would need them are too old.
const maxHistory = 1 << 20

// oracle knows what recent commits wrote, as far back as some running
// transaction reads. Guarded by Engine.mu.
//
// Single keys map to the version of their last write. Cleared ranges are steps:
// each boundary key maps to the version of the last range written from it up to
// the next boundary. Both keep a version mark per chunk, so that a check of a
// wide range passes over what is older than the reader.
type oracle struct {
	points  sorted.Map[uint64]
	steps   sorted.Map[uint64]
	history []record // by version; history[:gone] is forgotten
	gone    int
	spans   int
	newest  uint64 // version of the last record
	floor   uint64 // reads of versions below it cannot be checked

	readers []readers // by version; the first has n > 0
}

// record is what one commit wrote. The keys are copies.
type record struct {
	version uint64
	points  [][]byte
	ranges  []kv.Range
}

// readers counts the running transactions of one read version.
type readers struct {
	version uint64
	n       int
	joined  time.Time // when the last one joined
}

// enter registers a transaction that reads version, which is the latest one.
func (o *oracle) enter(version uint64, now time.Time) {
	if n := len(o.readers); n > 0 && o.readers[n-1].version == version {
		o.readers[n-1].n++
		o.readers[n-1].joined = now
		return
	}
	o.readers = append(o.readers, readers{version, 1, now})
}

// leave takes a transaction out again.
func (o *oracle) leave(version uint64) {
	lo, hi := 0, len(o.readers)
	for lo < hi {
		if mid := (lo + hi) / 2; o.readers[mid].version < version {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	o.readers[lo].n--
	drop := 0
	for drop < len(o.readers) && o.readers[drop].n == 0 {
		drop++
	}
	if drop == len(o.readers) {
		o.readers = o.readers[:0]
		return
	}
	o.readers = o.readers[drop:]
}

// conflicts reports whether a commit after version wrote what t read.
func (o *oracle) conflicts(t *txn.Tx, version uint64) bool {
	if o.newest <= version {
		return false
	}
	for _, key := range t.ReadPoints() {
		if o.pointWritten(key, version) {
			return true
		}
	}
	for _, r := range t.ReadRanges() {
		if o.rangeWritten(r, version) {
			return true
		}
	}
	return false
}

func (o *oracle) pointWritten(key []byte, version uint64) bool {
	if p, found := o.points.Find(key); found && o.points.At(p).Value > version {
		return true
	}
	return stepAt(&o.steps, key) > version
}

// rangeWritten reports whether any key of r was written after version.
func (o *oracle) rangeWritten(r kv.Range, version uint64) bool {
	if o.newest <= version {
		return false
	}
	return newerIn(&o.points, r, version) || newerIn(&o.steps, r, version) || stepAt(&o.steps, r.Begin) > version
}

// newerIn reports whether an entry with its key in r is newer than version.
func newerIn(m *sorted.Map[uint64], r kv.Range, version uint64) bool {
	p, _ := m.Find(r.Begin)
	for {
		p = m.SkipBelow(p, version)
		e := m.At(p)
		if e == nil || bytes.Compare(e.Key, r.End) >= 0 {
			return false
		}
		if e.Value > version {
			return true
		}
		p = m.Next(p)
	}
}

// stepAt is the version of the last range written over key.
func stepAt(m *sorted.Map[uint64], key []byte) uint64 {
	p, found := m.Find(key)
	if !found {
		p = m.Prev(p)
	}
	if e := m.At(p); e != nil {
		return e.Value
	}
	return 0
}

// commit remembers what a commit wrote, if a running transaction reads an older
// version, and forgets what nobody needs any more.
func (o *oracle) commit(t *txn.Tx, version uint64, now time.Time) {
	limit := version
	for _, r := range o.readers {
		if r.n > 0 && now.Sub(r.joined) <= kv.MaxAge {
			limit = r.version
			break
		}
	}
	o.forget(limit)
	if limit >= version {
		return
	}
	rec := copyWrites(t, version)
	for _, key := range rec.points {
		p, found := o.points.Find(key)
		if !found {
			p = o.points.Insert(p, key, version)
		}
		o.points.At(p).Value = version
		o.points.Raise(p, version)
	}
	for _, r := range rec.ranges {
		o.setStep(r, version)
	}
	o.history = append(o.history, rec)
	o.spans += len(rec.points) + len(rec.ranges)
	o.newest = version
	for o.spans > maxHistory {
		o.forget(o.history[o.gone].version)
	}
}

// copyWrites collects the write set of t into memory of its own, because the
// transaction's memory holds its values too.
func copyWrites(t *txn.Tx, version uint64) record {
	size := 0
	t.Ops(func(key []byte, _ txn.Op) { size += len(key) })
	for _, list := range [][]kv.Range{t.Cleared(), t.ExplicitWrites()} {
		for _, r := range list {
			size += len(r.Begin) + len(r.End)
		}
	}
	slab := make([]byte, 0, size)
	keep := func(b []byte) []byte {
		n := len(slab)
		slab = append(slab, b...)
		return slab[n:len(slab):len(slab)]
	}
	rec := record{version: version, points: make([][]byte, 0, t.OpCount()+1)}
	t.Ops(func(key []byte, _ txn.Op) { rec.points = append(rec.points, keep(key)) })
	if t.Bumped() {
		rec.points = append(rec.points, []byte(txn.GenerationKey))
	}
	for _, list := range [][]kv.Range{t.Cleared(), t.ExplicitWrites()} {
		for _, r := range list {
			rec.ranges = append(rec.ranges, kv.Range{Begin: keep(r.Begin), End: keep(r.End)})
		}
	}
	return rec
}

// setStep gives the keys of r a version newer than all others.
func (o *oracle) setStep(r kv.Range, version uint64) {
	m := &o.steps
	p, found := m.Find(r.End)
	if !found {
		after := stepAt(m, r.End)
		p = m.Insert(p, r.End, after)
		m.Raise(p, after)
	}
	p, _ = m.Find(r.Begin)
	for e := m.At(p); e != nil && bytes.Compare(e.Key, r.End) < 0; e = m.At(p) {
		p = m.Remove(p)
	}
	p, _ = m.Find(r.Begin)
	p = m.Insert(p, r.Begin, version)
	m.Raise(p, version)
}

// forget drops the writes of commits up to version.
func (o *oracle) forget(version uint64) {
	o.floor = max(o.floor, version)
	for o.gone < len(o.history) && o.history[o.gone].version <= version {
		rec := &o.history[o.gone]
		for _, key := range rec.points {
			if p, found := o.points.Find(key); found && o.points.At(p).Value <= version {
				o.points.Remove(p)
			}
		}
		for _, r := range rec.ranges {
			o.flatten(r)
		}
		o.spans -= len(rec.points) + len(rec.ranges)
		*rec = record{}
		o.gone++
	}
	if o.gone == len(o.history) {
		o.history, o.gone = o.history[:0], 0
	} else if o.gone > 64 && o.gone > len(o.history)/2 {
		n := copy(o.history, o.history[o.gone:])
		clear(o.history[n:])
		o.history, o.gone = o.history[:n], 0
	}
}

// flatten removes the boundaries in r between steps that are all forgotten.
func (o *oracle) flatten(r kv.Range) {
	m := &o.steps
	p, _ := m.Find(r.Begin)
	before := m.At(m.Prev(p))
	low := before == nil || before.Value <= o.floor
	for e := m.At(p); e != nil && bytes.Compare(e.Key, r.End) <= 0; e = m.At(p) {
		if e.Value > o.floor {
			low = false
			p = m.Next(p)
			continue
		}
		if low {
			p = m.Remove(p)
			continue
		}
		low = true
		p = m.Next(p)
	}
}
