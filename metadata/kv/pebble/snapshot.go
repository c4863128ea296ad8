package pebble

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// snapshot is one version of the content, shared by all transactions that read
// it and freed with the last reference.
type snapshot struct {
	version    uint64
	generation []byte
	snap       *pebble.Snapshot
	refs       atomic.Int32
}

var _ txn.Snapshot = (*snapshot)(nil)

func newSnapshot(db *pebble.DB, version uint64, generation []byte) *snapshot {
	s := &snapshot{version: version, generation: generation, snap: db.NewSnapshot()}
	s.refs.Store(1)
	return s
}

// release drops one reference. It must not be called under Engine.mu: freeing
// takes Pebble's own lock.
func (s *snapshot) release() error {
	if s == nil || s.refs.Add(-1) > 0 {
		return nil
	}
	if err := s.snap.Close(); err != nil {
		return fmt.Errorf("close snapshot: %w", err)
	}
	return nil
}

// Version is the version of the last commit that the snapshot shows.
func (s *snapshot) Version() uint64 { return s.version }

// Generation is the generation stamp at that version.
func (s *snapshot) Generation() []byte { return s.generation }

// Get returns a copy of the value of key.
func (s *snapshot) Get(key []byte) ([]byte, error) {
	value, closer, err := s.snap.Get(key)
	if err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			return nil, nil
		}
		return nil, readError(err)
	}
	out := make([]byte, len(value))
	copy(out, value)
	if err := closer.Close(); err != nil {
		return nil, readError(err)
	}
	return out, nil
}

// Forward walks r in ascending order.
func (s *snapshot) Forward(r kv.Range) (txn.Cursor, error) {
	it, err := s.iter(r)
	if err != nil {
		return nil, err
	}
	return &forward{cursor{it: it}}, nil
}

// Backward walks r in descending order.
func (s *snapshot) Backward(r kv.Range) (txn.Cursor, error) {
	it, err := s.iter(r)
	if err != nil {
		return nil, err
	}
	return &backward{cursor{it: it}}, nil
}

func (s *snapshot) iter(r kv.Range) (*pebble.Iterator, error) {
	it, err := s.snap.NewIter(&pebble.IterOptions{LowerBound: r.Begin, UpperBound: r.End})
	if err != nil {
		return nil, readError(err)
	}
	return it, nil
}

func readError(err error) error { return fmt.Errorf("%w: read: %w", kv.ErrUnavailable, err) }

// cursor is what both directions share.
type cursor struct {
	it      *pebble.Iterator
	started bool
	skip    []byte
	pair    kv.Pair
	err     error
}

// take loads the pair that the iterator stands on.
func (c *cursor) take() bool {
	c.started, c.skip = true, nil
	if !c.it.Valid() {
		if err := c.it.Error(); err != nil {
			c.err = readError(err)
		}
		return false
	}
	value, err := c.it.ValueAndErr()
	if err != nil {
		c.err = readError(err)
		return false
	}
	c.pair = kv.Pair{Key: c.it.Key(), Value: value}
	return true
}

// Skip makes Next go on at key.
func (c *cursor) Skip(key []byte) { c.skip = key }

// Pair is the current pair.
func (c *cursor) Pair() kv.Pair { return c.pair }

// Err is the error that ended the walk.
func (c *cursor) Err() error { return c.err }

// Close frees the iterator.
func (c *cursor) Close() {
	if c.it == nil {
		return
	}
	if err := c.it.Close(); err != nil && c.err == nil {
		c.err = readError(err)
	}
	c.it = nil
}

type forward struct{ cursor }

// Next moves to the next larger key.
func (c *forward) Next() bool {
	switch {
	case c.skip != nil:
		c.it.SeekGE(c.skip)
	case !c.started:
		c.it.First()
	default:
		c.it.Next()
	}
	return c.take()
}

type backward struct{ cursor }

// Next moves to the next smaller key.
func (c *backward) Next() bool {
	switch {
	case c.skip != nil:
		c.it.SeekLT(c.skip)
	case !c.started:
		c.it.Last()
	default:
		c.it.Prev()
	}
	return c.take()
}
