package metadata

import (
	"bytes"
	"slices"

	"github.com/undercroft/undercroft/metadata/kv"
)

// ahead holds reads of one transaction that were sent before they are needed, so
// that they share a round trip. It is there on remote engines only.
//
// In an Update they are sent without conflicts. One that is asked for becomes
// serializable then: what it covers is added to the read conflicts, which makes it
// the read that it stands for, as the version is the same. One that is never asked
// for conflicts with nothing. What the transaction writes is no longer answered
// from here.
type ahead struct {
	plain     kv.Reader    // sends without conflicts
	conflicts kv.Conflicts // nil in a View
	points    []aheadPoint
	ranges    []*aheadRange
}

type aheadPoint struct {
	key    []byte
	future kv.Future
	held   bool // its conflict was added
}

// aheadRange is the beginning of a range, at most limit rows of it.
type aheadRange struct {
	rng     kv.Range
	limit   int
	it      kv.Iterator // nil once it was read
	pairs   []kv.Pair
	covered []byte // the end of what is known
	whole   bool   // all of the range is
	gone    bool   // it was written to: it knows nothing any more
	err     error
}

// sendGet sends a read of key, unless one is under way.
func (a *ahead) sendGet(key []byte) {
	if a.point(key) == nil {
		a.points = append(a.points, aheadPoint{key: key, future: a.plain.Get(key)})
	}
}

// sendRange sends a read of the first rows of a range, unless one is under way.
func (a *ahead) sendRange(rng kv.Range, limit int) {
	if a.first(rng, limit) == nil {
		it := a.plain.GetRange(rng, kv.RangeOptions{Limit: limit})
		a.ranges = append(a.ranges, &aheadRange{rng: rng, limit: limit, it: it})
	}
}

func (a *ahead) point(key []byte) *aheadPoint {
	for i := range a.points {
		if bytes.Equal(a.points[i].key, key) {
			return &a.points[i]
		}
	}
	return nil
}

// first is what was sent of a range, if it is as much as limit.
func (a *ahead) first(rng kv.Range, limit int) *aheadRange {
	for _, r := range a.ranges {
		if r.limit >= limit && bytes.Equal(r.rng.Begin, rng.Begin) && bytes.Equal(r.rng.End, rng.End) {
			return r
		}
	}
	return nil
}

// around is the range that was sent which key lies in.
func (a *ahead) around(key []byte) *aheadRange {
	for _, r := range a.ranges {
		if r.has(key) {
			return r
		}
	}
	return nil
}

// hold adds a conflict with later writes in a range.
func (a *ahead) hold(rng kv.Range) {
	if a.conflicts != nil {
		a.conflicts.AddReadConflictRange(rng)
	}
}

// take answers a read of key, nil where it was not sent.
func (a *ahead) take(key []byte) kv.Future {
	if p := a.point(key); p != nil {
		if !p.held {
			a.hold(kv.Range{Begin: p.key, End: kv.KeyAfter(p.key)})
			p.held = true
		}
		return p.future
	}
	r := a.around(key)
	if r == nil || !r.read() || bytes.Compare(key, r.covered) >= 0 {
		return nil
	}
	a.hold(kv.Range{Begin: key, End: kv.KeyAfter(key)})
	for _, p := range r.pairs {
		if bytes.Equal(p.Key, key) {
			return known(p.Value)
		}
	}
	return known(nil)
}

// takeRange answers a read of a range, nil where not enough of it was sent.
func (a *ahead) takeRange(rng kv.Range, o kv.RangeOptions) kv.Iterator {
	if o.Reverse || o.Limit == 0 {
		return nil
	}
	r := a.first(rng, o.Limit)
	if r == nil || !r.read() || !r.whole && len(r.pairs) < o.Limit {
		return nil
	}
	return &aheadIterator{a: a, r: r, left: o.Limit, from: bytes.Clone(rng.Begin)}
}

// wrote forgets what is known of key.
func (a *ahead) wrote(key []byte) {
	a.drop(key, func(*aheadRange) bool { return false })
}

// deleted is wrote of a row that is known to be gone from now on.
func (a *ahead) deleted(key []byte) {
	a.drop(key, func(r *aheadRange) bool { return r.without(key) })
}

func (a *ahead) drop(key []byte, keep func(*aheadRange) bool) {
	a.points = slices.DeleteFunc(a.points, func(p aheadPoint) bool { return bytes.Equal(p.key, key) })
	a.ranges = slices.DeleteFunc(a.ranges, func(r *aheadRange) bool {
		if !r.has(key) || keep(r) {
			return false
		}
		r.close()
		return true
	})
}

// forget forgets everything.
func (a *ahead) forget() {
	for _, r := range a.ranges {
		r.close()
	}
	a.points, a.ranges = nil, nil
}

// has says whether key lies in the range.
func (r *aheadRange) has(key []byte) bool {
	return bytes.Compare(r.rng.Begin, key) <= 0 && bytes.Compare(key, r.rng.End) < 0
}

// read waits for the rows. It is false where they are not to be had.
func (r *aheadRange) read() bool {
	if r.it == nil {
		return r.err == nil && !r.gone
	}
	for r.it.Next() {
		p := r.it.Pair()
		r.pairs = append(r.pairs, kv.Pair{Key: bytes.Clone(p.Key), Value: append([]byte{}, p.Value...)})
	}
	r.err = r.it.Err()
	r.it.Close()
	r.it = nil
	if r.whole = len(r.pairs) < r.limit; r.whole {
		r.covered = r.rng.End
	} else {
		r.covered = kv.KeyAfter(r.pairs[len(r.pairs)-1].Key)
	}
	return r.err == nil
}

// without takes out a row that was deleted. It is false where the rows have not
// come yet.
func (r *aheadRange) without(key []byte) bool {
	if r.it != nil || r.err != nil {
		return false
	}
	r.pairs = slices.DeleteFunc(r.pairs, func(p kv.Pair) bool { return bytes.Equal(p.Key, key) })
	return true
}

func (r *aheadRange) close() {
	r.gone = true
	if r.it != nil {
		r.it.Close()
		r.it = nil
	}
}

// known is a read whose value is known.
type known []byte

// Wait returns the value.
func (k known) Wait() ([]byte, error) { return k, nil }

// aheadIterator walks rows that were sent ahead. What it has covered conflicts at
// once, before any write may come.
type aheadIterator struct {
	a    *ahead
	r    *aheadRange
	left int
	from []byte // what is not covered yet begins here
	pair kv.Pair
	rest kv.Iterator // of the engine, from where the rows were written to
}

// Next moves to the next pair.
func (i *aheadIterator) Next() bool {
	switch {
	case i.rest != nil:
		return i.rest.Next()
	case i.left == 0:
		return false
	case i.r.gone:
		return i.goOn()
	}
	n, _ := slices.BinarySearchFunc(i.r.pairs, i.from, func(p kv.Pair, from []byte) int { return bytes.Compare(p.Key, from) })
	if n < len(i.r.pairs) {
		p := i.r.pairs[n]
		next := kv.KeyAfter(p.Key)
		i.a.hold(kv.Range{Begin: i.from, End: next})
		i.pair, i.from = p, next
		i.left--
		return true
	}
	if !i.r.whole { // rows went meanwhile
		return i.goOn()
	}
	i.a.hold(kv.Range{Begin: i.from, End: i.r.rng.End})
	i.left = 0
	return false
}

// goOn reads the rest from the engine.
func (i *aheadIterator) goOn() bool {
	i.rest = i.a.serializable().GetRange(kv.Range{Begin: i.from, End: i.r.rng.End}, kv.RangeOptions{Limit: i.left})
	return i.rest.Next()
}

// serializable reads as the transaction does.
func (a *ahead) serializable() kv.Reader {
	if tx, ok := a.conflicts.(kv.Tx); ok {
		return tx
	}
	return a.plain
}

// Pair is the current pair.
func (i *aheadIterator) Pair() kv.Pair {
	if i.rest != nil {
		return i.rest.Pair()
	}
	return i.pair
}

// Err is the error that ended the iteration.
func (i *aheadIterator) Err() error {
	if i.rest != nil {
		return i.rest.Err()
	}
	return nil
}

// Close frees the iterator.
func (i *aheadIterator) Close() {
	if i.rest != nil {
		i.rest.Close()
	}
	i.left = 0
}
