package pebble

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// narrowLimit is the number of keys up to which a cleared range is written as
// deletions of those keys. A range tombstone costs every later read of the
// memtable a rebuild of all its tombstones, which commits that clear a row or
// two by range would pay over and over.
const narrowLimit = 32

// writes is a transaction turned into a batch.
type writes struct {
	batch    *pebble.Batch
	t        *txn.Tx
	narrowed []kv.Range // cleared by single deletions of what the snapshot holds
	err      error
}

// prepare builds the batch, outside the mutex.
func (a *attempt) prepare() (*writes, error) {
	w := &writes{batch: a.e.db.NewBatch(), t: a.t}
	for _, r := range a.t.Cleared() {
		w.clear(a.pinned(), r)
	}
	w.ops()
	return w, w.err
}

// pinned is the snapshot to look for keys in, nil if there can be none.
func (a *attempt) pinned() *snapshot {
	got, err := a.t.Pin()
	if err != nil {
		return nil
	}
	s, _ := got.(*snapshot)
	return s
}

// clear deletes r by its keys if they are few, else as a range.
func (w *writes) clear(s *snapshot, r kv.Range) {
	var found [][]byte
	if s != nil {
		var err error
		if found, err = firstKeys(s, r); err != nil {
			w.note(err)
			return
		}
	}
	if s == nil || len(found) > narrowLimit {
		w.note(w.batch.DeleteRange(r.Begin, r.End, nil))
		return
	}
	w.narrowed = append(w.narrowed, r)
	for _, key := range found {
		w.note(w.batch.Delete(key, nil))
	}
}

// firstKeys returns the keys of r, at most one more than narrowLimit.
func firstKeys(s *snapshot, r kv.Range) ([][]byte, error) {
	it, err := s.iter(r)
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	for valid := it.First(); valid && len(keys) <= narrowLimit; valid = it.Next() {
		keys = append(keys, append([]byte{}, it.Key()...))
	}
	if err := it.Close(); err != nil {
		return nil, readError(err)
	}
	return keys, nil
}

func (w *writes) ops() {
	var operand [8]byte
	w.t.Ops(func(key []byte, op txn.Op) {
		switch op.Kind {
		case txn.KindSet:
			w.note(w.batch.Set(key, op.Value, nil))
		case txn.KindDelete:
			w.note(w.batch.Delete(key, nil))
		case txn.KindAdd:
			binary.LittleEndian.PutUint64(operand[:], op.Delta)
			w.note(w.batch.Merge(key, operand[:], nil))
		case txn.KindNone:
		}
	})
}

func (w *writes) note(err error) {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("build batch: %w", err)
	}
}

// settle runs under the mutex: if a commit after the snapshot wrote in a range
// that was narrowed to the keys of the snapshot, the range is cleared as such.
func (w *writes) settle(o *oracle, version uint64) {
	stale := len(w.narrowed) > 0 && version < o.floor
	for _, r := range w.narrowed {
		stale = stale || o.rangeWritten(r, version)
	}
	if !stale {
		return
	}
	w.batch.Reset()
	w.narrowed = nil
	for _, r := range w.t.Cleared() {
		w.note(w.batch.DeleteRange(r.Begin, r.End, nil))
	}
	w.ops()
}

// seal adds the engine's own rows.
func (w *writes) seal(t *txn.Tx, version uint64) error {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], version)
	w.note(w.batch.Set([]byte(versionKey), b[:], nil))
	if t.Bumped() {
		w.note(w.batch.Set([]byte(stampKey), stamp(version), nil))
	}
	return w.err
}

// free gives the batch back. A batch that Pebble failed on may still be in its
// queues.
func (w *writes) free(e *Engine) {
	if e.Err() != nil {
		return
	}
	if err := w.batch.Close(); err != nil {
		e.fail(fmt.Errorf("close batch: %w", err))
	}
}
