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

// Pages of iterators that are told what to expect across a network, where a range
// costs a round trip and the rows of a reply nothing more. A reply has about as many
// rows as the first page.
const (
	farFirstPage = 200
	farLeastPage = 16
	farSkipSteps = 200
	// farRanges is how many ranges a listing opens before it is said to be spent.
	farRanges = 300
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
	far   *farPages // nil: pages stay as they are
}

// farPages fits the pages to what is used of them.
type farPages struct {
	expect int // rows that may be asked for still
	ranges int // opened
	passed int // rows of the page that were passed over
	steps  int // before a skip opens a new range
}

func newRowIter(r *Reader, rng kv.Range, page int) rowIter {
	if page <= 0 {
		page = defaultPage
	}
	return rowIter{kv: r.kv, rng: rng, page: page}
}

// expect says how many rows will be asked for at most. It is for iterators across a
// network, before their first row.
func (i *rowIter) expect(rows int) {
	i.far = &farPages{expect: rows, steps: farSkipSteps}
	i.page = min(rows, farFirstPage)
	i.open() // the range is under way while others are opened
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
			i.used()
			return true
		}
		if i.passes() {
			i.rng.Begin = i.skip
			i.fit()
			i.left = 0
			i.close()
		}
	}
	return false
}

// passes counts a row that is passed over, and says whether that is enough of them.
func (i *rowIter) passes() bool {
	i.steps++
	if i.far == nil {
		return i.steps >= skipSteps
	}
	i.far.passed++
	return i.steps >= i.far.steps
}

// used counts a row that was asked for.
func (i *rowIter) used() {
	if i.far != nil {
		i.far.expect--
	}
}

// fit fits the next page to what was used of the one that ends: all that may be asked
// for where nothing was passed over, less where hardly a row was used.
func (i *rowIter) fit() {
	f := i.far
	if f == nil {
		return
	}
	switch used := i.page - i.left - f.passed; {
	case f.passed == 0:
		i.page = max(f.expect, farLeastPage)
	case used <= 1:
		i.page = max(min(i.page, farFirstPage)/2, farLeastPage)
	case used > 2:
		i.page = min(2*i.page, farFirstPage)
	}
	f.passed = 0
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
	if i.far != nil {
		i.far.ranges++
	}
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
	if i.skip != nil && bytes.Compare(i.skip, i.rng.Begin) > 0 && i.far != nil {
		i.rng.Begin = i.skip // what is between need not come
	}
	i.fit()
}

func (i *rowIter) skipTo(key []byte) { i.skip, i.steps = key, 0 }

func (i *rowIter) close() {
	if i.it != nil {
		i.it.Close()
		i.it = nil
	}
}

// opened is how many ranges were opened, where that is counted.
func (i *rowIter) opened() int {
	if i.far == nil {
		return 0
	}
	return i.far.ranges
}
