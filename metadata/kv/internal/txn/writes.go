package txn

import (
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
)

// fail records the first error of a call that cannot return one. The commit
// returns it.
func (t *Tx) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// writable prepares for a write: open iterators first settle what they have
// read, because a key read and then written must still conflict.
func (t *Tx) writable(err error) bool {
	if err == nil && t.finished {
		err = fmt.Errorf("transaction used after its end: %w", kv.ErrClosed)
	}
	if err != nil {
		t.fail(err)
		return false
	}
	for _, it := range t.open {
		it.settle()
	}
	return true
}

// Set writes key.
func (t *Tx) Set(key, value []byte) {
	err := checkKey(key)
	if err == nil && len(value) > kv.MaxValue {
		err = fmt.Errorf("%w: %d bytes", kv.ErrValueTooLarge, len(value))
	}
	if !t.writable(err) {
		return
	}
	t.size += 3*len(key) + 1 + len(value)
	kept := t.keep(value)
	if kept == nil {
		kept = []byte{}
	}
	t.writes.put(t.keep(key), Op{Kind: KindSet, Value: kept})
}

// Delete removes key.
func (t *Tx) Delete(key []byte) {
	if !t.writable(checkKey(key)) {
		return
	}
	t.size += 3*len(key) + 1
	t.writes.put(t.keep(key), Op{Kind: KindDelete})
}

// DeleteRange removes every key of r.
func (t *Tx) DeleteRange(r kv.Range) {
	kept, ok, err := t.keepRange(r)
	if !t.writable(err) || !ok {
		return
	}
	t.size += 2 * (len(r.Begin) + len(r.End))
	t.writes.clearRange(kept)
}

// Add adds delta to the integer at key without reading it.
func (t *Tx) Add(key []byte, delta int64) {
	if !t.writable(checkKey(key)) {
		return
	}
	t.size += 3*len(key) + 1 + 8
	if !t.writes.add(key, uint64(delta)) {
		t.writes.put(t.keep(key), Op{Kind: KindAdd, Delta: uint64(delta)})
	}
}

// BumpGeneration changes the generation stamp at the commit.
func (t *Tx) BumpGeneration() {
	if !t.writable(nil) {
		return
	}
	if !t.bumped {
		t.size += 3*len(GenerationKey) + 1 + 10
	}
	t.bumped = true
}

// AddWriteConflictRange makes other transactions that read in r conflict.
func (t *Tx) AddWriteConflictRange(r kv.Range) {
	kept, ok, err := t.keepRange(r)
	if !t.writable(err) || !ok {
		return
	}
	t.size += len(r.Begin) + len(r.End)
	t.explicit = append(t.explicit, kept)
}
