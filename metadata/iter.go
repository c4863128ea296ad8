package metadata

import (
	"bytes"

	"github.com/undercroft/undercroft/metadata/kv"
)

const (
	// defaultPage is how many rows an iterator asks for at a time.
	defaultPage = 1024
	// skipSteps is how many rows a skip passes over one by one before it opens
	// a new range, which costs about as much.
	skipSteps = 16
)

// rowIter walks the rows of a range in pages and can skip ahead.
type rowIter struct {
	kv   kv.Reader
	rng  kv.Range // what is left after the open page
	page int

	it    kv.Iterator // nil between pages
	left  int         // rows that the open page may still have
	pair  kv.Pair
	skip  []byte // rows below it are passed over
	steps int
	err   error
}

func newRowIter(r *Reader, rng kv.Range, page int) rowIter {
	if page <= 0 {
		page = defaultPage
	}
	return rowIter{kv: r.kv, rng: rng, page: page}
}

func (i *rowIter) next() bool {
	for i.err == nil && i.open() {
		if !i.it.Next() {
			i.endPage()
			continue
		}
		i.left--
		i.pair = i.it.Pair()
		if i.left == 0 {
			i.rng.Begin = kv.KeyAfter(i.pair.Key)
		}
		if i.skip == nil || bytes.Compare(i.pair.Key, i.skip) >= 0 {
			i.skip = nil
			return true
		}
		i.steps++
		if i.steps >= skipSteps {
			i.rng.Begin = i.skip
			i.left = 0
			i.close()
		}
	}
	return false
}

// open starts a page unless one is open; it is false at the end.
func (i *rowIter) open() bool {
	if i.it != nil {
		return true
	}
	if bytes.Compare(i.rng.Begin, i.rng.End) >= 0 {
		return false
	}
	i.it, i.left = i.kv.GetRange(i.rng, kv.RangeOptions{Limit: i.page}), i.page
	return true
}

// endPage closes an exhausted page; one with fewer rows than asked for was the
// last.
func (i *rowIter) endPage() {
	i.err = i.it.Err()
	if i.left > 0 {
		i.rng.Begin = i.rng.End
	}
	i.close()
}

func (i *rowIter) skipTo(key []byte) { i.skip, i.steps = key, 0 }

func (i *rowIter) close() {
	if i.it != nil {
		i.it.Close()
		i.it = nil
	}
}
