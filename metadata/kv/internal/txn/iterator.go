package txn

import (
	"bytes"
	"slices"

	"github.com/undercroft/undercroft/metadata/kv"
)

// checkEvery is the number of pairs between checks of age and context.
const checkEvery = 64

// iterator merges a cursor over the snapshot with the transaction's writes.
//
// The part of the range that it has covered becomes a read range when the
// iterator ends, and before any write of the transaction, so that rows which
// are read and then deleted still conflict.
type iterator struct {
	t    *Tx
	rng  kv.Range // what is still to be read; shrinks as the merge passes keys
	todo kv.Range // what is not yet in the read set
	opts kv.RangeOptions

	base    Cursor
	pair    kv.Pair
	passed  []byte // the last key that the merge passed, a copy
	count   int
	settled int  // pairs already in the read set
	ahead   bool // base stands on a pair that was not yet returned
	drained bool // base has no more pairs
	ended   bool // the whole range was read
	closed  bool
	mode    isolation
	err     error
}

func (t *Tx) getRange(r kv.Range, o kv.RangeOptions, mode isolation) kv.Iterator {
	it := &iterator{t: t, opts: o, mode: mode}
	if it.err = t.ready(); it.err != nil {
		it.closed = true
		return it
	}
	kept, ok, err := t.keepRange(r)
	if !ok || err != nil {
		it.err, it.closed = err, true
		return it
	}
	it.rng, it.todo = kept, kept
	switch {
	case t.remote != nil:
		it.base = t.remote.Scan(kept, o)
	case o.Reverse:
		it.base, it.err = t.snap.Backward(kept)
	default:
		it.base, it.err = t.snap.Forward(kept)
	}
	if it.err != nil {
		it.closed = true
		return it
	}
	t.open = append(t.open, it)
	return it
}

// Next moves to the next pair.
func (it *iterator) Next() bool {
	if it.closed || it.ended {
		return false
	}
	if it.opts.Limit > 0 && it.count >= it.opts.Limit {
		it.Close()
		return false
	}
	if it.count%checkEvery == checkEvery-1 {
		if it.err = it.t.ready(); it.err != nil {
			it.Close()
			return false
		}
	}
	var found bool
	if it.t.writes.empty() && !it.ahead && it.passed == nil {
		found = it.base.Next()
		if found {
			it.pair = it.base.Pair()
		}
	} else {
		found = it.merge()
	}
	if !found {
		it.end()
		return false
	}
	it.count++
	return true
}

// end closes the iterator after the last pair or on the cursor's error.
func (it *iterator) end() {
	if err := it.base.Err(); err != nil {
		it.err = err
	} else {
		it.ended = true
	}
	it.Close()
}

// merge finds the next pair among the snapshot and the own writes.
func (it *iterator) merge() bool {
	if it.count > 0 {
		it.pass(it.pair.Key)
	}
	for {
		if !it.ahead && !it.drained {
			it.ahead = it.base.Next()
			it.drained = !it.ahead
		}
		own, hasOwn := it.nextOwn()
		if !it.ahead && !hasOwn {
			return false
		}
		if it.baseFirst(own, hasOwn) {
			if it.takeBase() {
				return true
			}
			continue
		}
		if it.takeOwn(own) {
			return true
		}
		it.pass(own.key)
	}
}

// baseFirst reports whether the snapshot's pair comes before the own write.
func (it *iterator) baseFirst(own ownOp, hasOwn bool) bool {
	switch {
	case !hasOwn:
		return true
	case !it.ahead:
		return false
	default:
		return it.compare(it.base.Pair().Key, own.key) < 0
	}
}

// takeBase returns the snapshot's pair unless it lies in a cleared range.
func (it *iterator) takeBase() bool {
	pair := it.base.Pair()
	it.ahead = false
	r := it.t.writes.clearedAfter(pair.Key) - 1
	if r < 0 || bytes.Compare(pair.Key, it.t.writes.cleared[r].End) >= 0 {
		it.pair = pair
		return true
	}
	if it.opts.Reverse {
		it.base.Skip(it.t.writes.cleared[r].Begin)
	} else {
		it.base.Skip(it.t.writes.cleared[r].End)
	}
	return false
}

// takeOwn returns the pair that an own write makes, if it makes one. The cursor
// may stand on the same key.
func (it *iterator) takeOwn(own ownOp) bool {
	var base []byte
	if it.ahead && bytes.Equal(it.base.Pair().Key, own.key) {
		base = it.base.Pair().Value
		it.ahead = false
	}
	switch own.op.Kind {
	case KindSet:
		it.pair = kv.Pair{Key: own.key, Value: own.op.Value}
		return true
	case KindAdd:
		it.pair = kv.Pair{Key: own.key, Value: Sum(base, own.op.Delta)}
		return true
	case KindNone, KindDelete:
	}
	return false
}

type ownOp struct {
	key []byte
	op  Op
}

// nextOwn is the nearest own write in what is left of the range.
func (it *iterator) nextOwn() (ownOp, bool) {
	ops := &it.t.writes.ops
	if it.opts.Reverse {
		p, _ := ops.Find(it.rng.End)
		e := ops.At(ops.Prev(p))
		if e == nil || bytes.Compare(e.Key, it.rng.Begin) < 0 {
			return ownOp{}, false
		}
		return ownOp{e.Key, e.Value}, true
	}
	p, _ := ops.Find(it.rng.Begin)
	e := ops.At(p)
	if e == nil || bytes.Compare(e.Key, it.rng.End) >= 0 {
		return ownOp{}, false
	}
	return ownOp{e.Key, e.Value}, true
}

// pass takes key and what is before it out of the range that is left.
func (it *iterator) pass(key []byte) {
	if it.opts.Reverse {
		it.passed = append(it.passed[:0], key...)
		it.rng.End = it.passed
		return
	}
	it.passed = append(append(it.passed[:0], key...), 0)
	it.rng.Begin = it.passed
}

func (it *iterator) compare(a, b []byte) int {
	if it.opts.Reverse {
		return bytes.Compare(b, a)
	}
	return bytes.Compare(a, b)
}

// settle adds what was covered since the last time to the read set.
func (it *iterator) settle() {
	if it.mode == bySnapshot || (it.count == it.settled && !it.ended) || it.todo.Begin == nil && it.todo.End == nil {
		return
	}
	covered := it.todo
	switch {
	case it.ended:
		it.todo = kv.Range{}
	case it.opts.Reverse:
		covered.Begin = it.t.keep(it.pair.Key)
		it.todo.End = covered.Begin
	default:
		covered.End = it.t.keep(kv.KeyAfter(it.pair.Key))
		it.todo.Begin = covered.End
	}
	it.settled = it.count
	if bytes.Compare(covered.Begin, covered.End) < 0 {
		it.t.addReadRange(covered)
	}
}

// Pair is the current pair.
func (it *iterator) Pair() kv.Pair { return it.pair }

// Err is the error that ended the iteration.
func (it *iterator) Err() error { return it.err }

// Close settles the read set and frees the cursor.
func (it *iterator) Close() {
	if it.closed {
		return
	}
	it.closed = true
	it.settle()
	it.pair = kv.Pair{}
	if err := it.base.Err(); err != nil && it.err == nil {
		it.err = err
	}
	it.base.Close()
	if i := slices.Index(it.t.open, it); i >= 0 {
		it.t.open = slices.Delete(it.t.open, i, i+1)
	}
}
