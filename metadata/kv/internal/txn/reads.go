package txn

import (
	"github.com/undercroft/undercroft/metadata/kv"
)

// isolation says what a read does to the read set.
type isolation uint8

const (
	serializable isolation = iota // later writes of what was read conflict
	bySnapshot                    // they do not
)

// future is a read that is already done: stored reads take microseconds, so
// they run where they are asked for.
type future struct {
	value []byte
	err   error
}

// Wait returns the result.
func (f *future) Wait() ([]byte, error) { return f.value, f.err }

// newFuture takes a future from the transaction's own slab.
func (t *Tx) newFuture() *future {
	if len(t.futures) == cap(t.futures) {
		t.futures = make([]future, 0, 4)
	}
	t.futures = append(t.futures, future{})
	return &t.futures[len(t.futures)-1]
}

// snapshotReader reads the transaction's version without conflicts.
type snapshotReader struct{ t *Tx }

// Get reads one key.
func (r *snapshotReader) Get(key []byte) kv.Future { return r.t.get(key, bySnapshot) }

// GetRange reads a range.
func (r *snapshotReader) GetRange(rng kv.Range, o kv.RangeOptions) kv.Iterator {
	return r.t.getRange(rng, o, bySnapshot)
}

// ReadVersion is the transaction's version.
func (r *snapshotReader) ReadVersion() (uint64, error) { return r.t.ReadVersion() }

// Generation reads the generation stamp.
func (r *snapshotReader) Generation() kv.Future { return r.t.generation(bySnapshot) }

// Get reads one key and conflicts with later writes of it.
func (t *Tx) Get(key []byte) kv.Future { return t.get(key, serializable) }

// GetRange reads a range and conflicts with later writes in what it covered.
func (t *Tx) GetRange(r kv.Range, o kv.RangeOptions) kv.Iterator {
	return t.getRange(r, o, serializable)
}

// Generation reads the generation stamp and conflicts with later bumps.
func (t *Tx) Generation() kv.Future { return t.generation(serializable) }

func (t *Tx) generation(mode isolation) kv.Future {
	f := t.newFuture()
	if f.err = t.ready(); f.err != nil {
		return f
	}
	if t.bumped {
		f.err = kv.ErrUnreadable
		return f
	}
	if mode == serializable {
		t.readPoints = append(t.readPoints, t.keep([]byte(GenerationKey)))
		t.size += 2*len(GenerationKey) + 1
	}
	if t.remote != nil {
		return &remoteFuture{t: t, pending: t.remote.StartGeneration()}
	}
	f.value = t.snap.Generation()
	return f
}

func (t *Tx) get(key []byte, mode isolation) kv.Future {
	f := t.newFuture()
	if f.err = checkKey(key); f.err != nil {
		return f
	}
	if f.err = t.ready(); f.err != nil {
		return f
	}
	var own Op
	if !t.writes.empty() {
		own = t.writes.lookup(key)
	}
	switch own.Kind {
	case KindSet:
		f.value = own.Value
		return f
	case KindDelete:
		return f
	case KindNone, KindAdd:
	}
	if mode == serializable {
		t.addReadPoint(key)
	}
	if t.remote != nil {
		return t.startRead(key, own)
	}
	f.value, f.err = t.snap.Get(key)
	if own.Kind == KindAdd && f.err == nil {
		f.value = Sum(f.value, own.Delta)
	}
	return f
}

func (t *Tx) addReadPoint(key []byte) {
	t.readPoints = append(t.readPoints, t.keep(key))
	t.size += 2*len(key) + 1
}

// addReadRange makes the stored content of r, which must stay unchanged, part
// of what the transaction depends on.
func (t *Tx) addReadRange(r kv.Range) {
	t.size += len(r.Begin) + len(r.End)
	if t.writes.empty() {
		t.readRanges = append(t.readRanges, r)
		return
	}
	for part := range t.writes.unwritten(r) {
		t.readRanges = append(t.readRanges, part)
	}
}

// AddReadConflictRange makes later commits that write in r conflict.
func (t *Tx) AddReadConflictRange(r kv.Range) {
	kept, ok, err := t.keepRange(r)
	if err != nil {
		t.fail(err)
		return
	}
	if !ok {
		return
	}
	if err := t.ready(); err != nil {
		t.fail(err)
		return
	}
	if t.remote != nil {
		t.remote.Touch()
	}
	t.addReadRange(kept)
}
