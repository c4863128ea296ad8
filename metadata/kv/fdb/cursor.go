//go:build fdb

package fdb

import (
	"bytes"

	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
)

// A storage server replies with at most 80,000 bytes. A page is meant to be one
// reply: its number of pairs follows from the size of those before it.
const (
	replyBytes = 76_000
	firstPage  = 200
	smallPage  = 8
	largePage  = 2000
	pairBytes  = 24 // of the reply, besides key and value
)

// pager is what a cursor needs of its transaction.
type pager interface {
	// page sends a request for the pairs of r, in FoundationDB's keys.
	page(r kv.Range, o fdb.RangeOptions) reply
	// strip makes a key kv's.
	strip(key fdb.Key) []byte
	// failed is what a reply's error means.
	failed(err error) error
}

// reply is a request that is under way.
type reply interface {
	GetSliceWithError() ([]fdb.KeyValue, error)
}

// refused is a request that could not be sent.
type refused struct{ err error }

func (r refused) GetSliceWithError() ([]fdb.KeyValue, error) { return nil, r.err }

// cursor walks a range in pages. The request for the next one is under way while
// one is walked: at once where the caller asked for more pairs than there are in
// it, else from the middle on.
type cursor struct {
	from pager
	left kv.Range // what was not asked for
	opts kv.RangeOptions

	page  []fdb.KeyValue
	at    int // the next pair of page
	reply reply
	asked int  // the pairs that reply may have, 0 when none is under way
	ended bool // no page after this one

	seen  int // pairs of the pages so far
	bytes int // and their bytes
	skip  []byte
	pair  kv.Pair
	err   error
}

func newCursor(from pager, r kv.Range, o kv.RangeOptions) *cursor {
	c := &cursor{from: from, left: r, opts: o}
	c.ask()
	return c
}

// pairs is how many the next request asks for.
func (c *cursor) pairs() int {
	n := firstPage
	if c.seen > 0 {
		n = min(max(replyBytes/(c.bytes/c.seen+pairBytes), smallPage), largePage)
	}
	if c.opts.Limit > 0 {
		n = min(n, max(c.opts.Limit-c.seen, smallPage))
		if c.seen == 0 {
			n = min(n, c.opts.Limit)
		}
	}
	return n
}

// ask sends a request, unless one is under way or there is nothing left.
func (c *cursor) ask() {
	if c.asked > 0 || c.ended {
		return
	}
	if c.skip != nil {
		c.skipLeft()
	}
	if bytes.Compare(c.left.Begin, c.left.End) >= 0 {
		c.ended = true
		return
	}
	c.asked = c.pairs()
	c.reply = c.from.page(c.left, fdb.RangeOptions{
		Limit: c.asked, Mode: fdb.StreamingModeExact, Reverse: c.opts.Reverse,
	})
}

func (c *cursor) skipLeft() {
	if c.opts.Reverse {
		if bytes.Compare(c.skip, c.left.End) < 0 {
			c.left.End = c.skip
		}
		return
	}
	if bytes.Compare(c.skip, c.left.Begin) > 0 {
		c.left.Begin = c.skip
	}
}

// take waits for the reply and makes it the page.
func (c *cursor) take() bool {
	page, err := c.reply.GetSliceWithError()
	asked := c.asked
	c.asked, c.reply = 0, nil
	if err != nil {
		c.err, c.ended = c.from.failed(err), true
		return false
	}
	c.page, c.at = page, 0
	if len(page) < asked {
		c.ended = true
		return len(page) > 0
	}
	last := c.from.strip(page[len(page)-1].Key)
	if c.opts.Reverse {
		c.left.End = last
	} else {
		c.left.Begin = kv.KeyAfter(last)
	}
	c.seen += len(page)
	for _, p := range page {
		c.bytes += len(p.Key) + len(p.Value)
	}
	if c.opts.Limit > c.seen {
		c.ask()
	}
	return true
}

// Next moves on by one pair.
func (c *cursor) Next() bool {
	for c.err == nil {
		if c.at == len(c.page) {
			c.ask()
			if c.asked == 0 || !c.take() {
				return false
			}
		}
		p := c.page[c.at]
		c.at++
		if c.opts.Limit == 0 && c.at == len(c.page)/2 {
			c.ask()
		}
		if key := c.from.strip(p.Key); !c.skipped(key) {
			c.pair = kv.Pair{Key: key, Value: p.Value}
			return true
		}
	}
	return false
}

func (c *cursor) skipped(key []byte) bool {
	switch {
	case c.skip == nil:
		return false
	case c.opts.Reverse:
		return bytes.Compare(key, c.skip) >= 0
	default:
		return bytes.Compare(key, c.skip) < 0
	}
}

// Skip makes Next go on at key, or just before it.
func (c *cursor) Skip(key []byte) { c.skip = key }

// Pair is the current pair.
func (c *cursor) Pair() kv.Pair { return c.pair }

// Err is the error that ended the walk.
func (c *cursor) Err() error { return c.err }

// Close drops the pages. A reply that is under way comes for nothing.
func (c *cursor) Close() {
	c.page, c.at, c.reply, c.asked, c.ended = nil, 0, nil, 0, true
}
