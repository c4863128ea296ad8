package txn

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
	"sort"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/sorted"
)

// Kind is what an operation does to its key.
type Kind uint8

// Kinds of operation.
const (
	// KindNone is the operation on a key that the transaction did not write.
	KindNone Kind = iota
	// KindSet writes Value.
	KindSet
	// KindDelete removes the key.
	KindDelete
	// KindAdd adds Delta to the stored integer.
	KindAdd
)

// Op is the net effect of a transaction on one key.
type Op struct {
	Kind  Kind
	Value []byte
	Delta uint64
}

// overlay is the net effect of a transaction's writes: cleared ranges first,
// then one operation per key. Keys and values belong to the overlay.
type overlay struct {
	ops     sorted.Map[Op]
	cleared []kv.Range // sorted, disjoint, not adjacent
	sets    int        // number of ops that are a set
}

func (o *overlay) empty() bool { return o.ops.Len() == 0 && len(o.cleared) == 0 }

// lookup is the operation that decides key, KindNone when nothing does.
func (o *overlay) lookup(key []byte) Op {
	if p, found := o.ops.Find(key); found {
		return o.ops.At(p).Value
	}
	if o.clearedUntil(key) != nil {
		return Op{Kind: KindDelete}
	}
	return Op{}
}

// clearedUntil is the end of the cleared range that holds key, or nil.
func (o *overlay) clearedUntil(key []byte) []byte {
	i := o.clearedAfter(key)
	if i > 0 && bytes.Compare(key, o.cleared[i-1].End) < 0 {
		return o.cleared[i-1].End
	}
	return nil
}

// clearedAfter is the index of the first cleared range that begins after key.
func (o *overlay) clearedAfter(key []byte) int {
	return sort.Search(len(o.cleared), func(i int) bool { return bytes.Compare(o.cleared[i].Begin, key) > 0 })
}

// put stores the net operation of key. The overlay keeps key and op.Value.
func (o *overlay) put(key []byte, op Op) {
	p, found := o.ops.Find(key)
	if !found {
		o.count(op, 1)
		o.ops.Insert(p, key, op)
		return
	}
	e := o.ops.At(p)
	o.count(e.Value, -1)
	o.count(op, 1)
	e.Value = op
}

func (o *overlay) count(op Op, n int) {
	if op.Kind == KindSet {
		o.sets += n
	}
}

// add folds delta into the operation of key. It returns false when there is
// none yet; the caller then stores a KindAdd under a key of its own.
func (o *overlay) add(key []byte, delta uint64) bool {
	switch op := o.lookup(key); op.Kind {
	case KindNone:
		return false
	case KindAdd:
		p, _ := o.ops.Find(key)
		o.ops.At(p).Value.Delta += delta
	case KindSet, KindDelete:
		o.put(bytes.Clone(key), Op{Kind: KindSet, Value: Sum(op.Value, delta)})
	}
	return true
}

// clearRange removes what was written in r and remembers the range, which the
// overlay keeps.
func (o *overlay) clearRange(r kv.Range) {
	p, _ := o.ops.Find(r.Begin)
	for e := o.ops.At(p); e != nil && bytes.Compare(e.Key, r.End) < 0; e = o.ops.At(p) {
		o.count(e.Value, -1)
		p = o.ops.Remove(p)
	}
	// Ranges that overlap or touch r become one with it.
	first := sort.Search(len(o.cleared), func(i int) bool { return bytes.Compare(o.cleared[i].End, r.Begin) >= 0 })
	last := o.clearedAfter(r.End)
	if first < last {
		if bytes.Compare(o.cleared[first].Begin, r.Begin) < 0 {
			r.Begin = o.cleared[first].Begin
		}
		if bytes.Compare(o.cleared[last-1].End, r.End) > 0 {
			r.End = o.cleared[last-1].End
		}
	}
	o.cleared = slices.Replace(o.cleared, first, last, r)
}

// unwritten yields the parts of r whose stored content a read of r depends on:
// all of it but keys that this transaction set or deleted.
func (o *overlay) unwritten(r kv.Range) iter.Seq[kv.Range] {
	return func(yield func(kv.Range) bool) {
		at := r.Begin
		p, _ := o.ops.Find(at)
		for bytes.Compare(at, r.End) < 0 {
			if end := o.clearedUntil(at); end != nil {
				at = end
				p, _ = o.ops.Find(at)
				continue
			}
			var stop, next []byte
			stop, next, p = o.writtenFrom(p, kv.Range{Begin: at, End: r.End})
			if bytes.Compare(at, stop) < 0 && !yield(kv.Range{Begin: at, End: stop}) {
				return
			}
			at = next
		}
	}
}

// writtenFrom finds the first part of r that was set, deleted or cleared: from
// stop to before next. p is the place of r.Begin among the operations, and the
// place of next is returned. Without such a part both keys are r.End.
func (o *overlay) writtenFrom(p sorted.Pos, r kv.Range) (stop, next []byte, after sorted.Pos) {
	for e := o.ops.At(p); e != nil && e.Value.Kind == KindAdd; e = o.ops.At(p) {
		p = o.ops.Next(p)
	}
	stop, next = r.End, r.End
	if e := o.ops.At(p); e != nil && bytes.Compare(e.Key, stop) < 0 {
		stop, next = e.Key, kv.KeyAfter(e.Key)
	}
	if i := o.clearedAfter(r.Begin); i < len(o.cleared) && bytes.Compare(o.cleared[i].Begin, stop) <= 0 {
		return o.cleared[i].Begin, o.cleared[i].Begin, p
	}
	return stop, next, o.ops.Next(p)
}

// Sum adds delta to the little-endian integer in value, which counts as zero
// when absent, is extended with zeros when short and cut when long. The result
// is a new slice of 8 bytes.
func Sum(value []byte, delta uint64) []byte {
	var b [8]byte
	copy(b[:], value)
	out := make([]byte, 8)
	binary.LittleEndian.PutUint64(out, binary.LittleEndian.Uint64(b[:])+delta)
	return out
}
