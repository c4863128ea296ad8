package mem

import (
	"bytes"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// snapshot is one version of the content.
type snapshot struct {
	version    uint64
	generation []byte
	tree       tree
}

var _ txn.Snapshot = (*snapshot)(nil)

// Version is the snapshot's version.
func (s *snapshot) Version() uint64 { return s.version }

// Generation is the generation stamp at that version.
func (s *snapshot) Generation() []byte { return s.generation }

// Get returns the value of key.
func (s *snapshot) Get(key []byte) ([]byte, error) { return s.tree.get(key), nil }

// Forward walks r in ascending order.
func (s *snapshot) Forward(r kv.Range) (txn.Cursor, error) {
	return &cursor{s: s, r: r}, nil
}

// Backward walks r in descending order.
func (s *snapshot) Backward(r kv.Range) (txn.Cursor, error) {
	return &backward{cursor{s: s, r: r}}, nil
}

// cursor walks forward; r is what is left.
type cursor struct {
	s    *snapshot
	r    kv.Range
	pair kv.Pair
}

// Next moves to the next larger key.
func (c *cursor) Next() bool {
	n := c.s.tree.ceiling(c.r.Begin)
	if n == nil || bytes.Compare(n.key, c.r.End) >= 0 {
		return false
	}
	c.pair = kv.Pair{Key: n.key, Value: n.value}
	c.r.Begin = kv.KeyAfter(n.key)
	return true
}

// Skip makes Next go on at key.
func (c *cursor) Skip(key []byte) { c.r.Begin = key }

// Pair is the current pair.
func (c *cursor) Pair() kv.Pair { return c.pair }

// Err is nil: memory does not fail.
func (c *cursor) Err() error { return nil }

// Close does nothing.
func (c *cursor) Close() {}

type backward struct{ cursor }

// Next moves to the next smaller key.
func (c *backward) Next() bool {
	n := c.s.tree.below(c.r.End)
	if n == nil || bytes.Compare(n.key, c.r.Begin) < 0 {
		return false
	}
	c.pair = kv.Pair{Key: n.key, Value: n.value}
	c.r.End = n.key
	return true
}

// Skip makes Next go on just before key.
func (c *backward) Skip(key []byte) { c.r.End = key }
