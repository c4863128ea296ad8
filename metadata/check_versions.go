package metadata

import (
	"bytes"
	"context"
	"errors"

	"github.com/undercroft/undercroft/metadata/kv"
)

// walkVersions calls check for every row O and V. The rows V of a key are read
// at one version with its row O: a version that is demoted or promoted
// meanwhile is seen in one of the two tables, or in both.
func (c *checker) walkVersions(ctx context.Context, check rowCheck) error {
	var current kv.Pair // the row O that was visited last
	return c.pages(c.db.keys.all(tagVersion), func(rng kv.Range, rows int) (next []byte, err error) {
		var page *pageCheck
		last := current
		err = c.view(ctx, func(r *Reader) error {
			page, last = c.newPage(r), current
			next, err = page.versions(rng, rows, &last, check)
			return err
		})
		if err == nil {
			c.merge(page)
			current = last
		}
		return next, err
	})
}

// versions visits as many rows at most and returns where the next page begins.
// A page within the versions of a key reads the row O of that key again, and
// visits it if it is another than current, the one visited last.
func (c *pageCheck) versions(rng kv.Range, rows int, current *kv.Pair, check rowCheck) (next []byte, err error) {
	m := c.mergeVersions(rng)
	defer m.close()
	for m.next() {
		row, at := m.row()
		live := row.Key[len(c.keys.root)] == tagObject
		again := live && bytes.Compare(at, rng.Begin) <= 0
		if again && bytes.Equal(row.Key, current.Key) && bytes.Equal(row.Value, current.Value) {
			continue
		}
		if live {
			*current = kv.Pair{Key: bytes.Clone(row.Key), Value: bytes.Clone(row.Value)}
		} else {
			at = kv.KeyAfter(at)
		}
		if err := check(c, row); err != nil {
			return nil, err
		}
		if rows--; rows <= 0 && !again {
			return at, nil
		}
	}
	return rng.End, m.err()
}

// versionMerge walks the rows O and V together, in the order of the keys of V:
// the row O of a key comes before its rows V.
type versionMerge struct {
	keys    keyspace
	o, v    versionCursor
	current *versionCursor // has the row that next came to
}

// versionCursor is one of the two tables; at is the place of its row among the
// keys of V, nil at the end.
type versionCursor struct {
	it kv.Iterator
	at []byte
}

// mergeVersions starts at a place among the keys of V, with the row O of the
// key there.
func (r *Reader) mergeVersions(rng kv.Range) *versionMerge {
	objects := r.keys.all(tagObject)
	objects.Begin = append(r.keys.tag(tagObject, len(rng.Begin)), r.keys.objectAt(rng.Begin)...)
	m := &versionMerge{keys: r.keys}
	m.o.it = r.kv.GetRange(objects, kv.RangeOptions{})
	m.v.it = r.kv.GetRange(rng, kv.RangeOptions{})
	m.advance(&m.o)
	m.advance(&m.v)
	return m
}

func (m *versionMerge) advance(c *versionCursor) {
	c.at = nil
	if !c.it.Next() {
		return
	}
	key := c.it.Pair().Key
	if c == &m.v {
		c.at = bytes.Clone(key)
		return
	}
	if id, name, err := m.keys.parsePlain(key); err == nil {
		c.at = m.keys.versions(tagVersion, id, name)
		return
	}
	c.at = append(m.keys.tag(tagVersion, len(key)), m.keys.body(key)...)
}

// next moves to the next row. It returns false at the end and on error.
func (m *versionMerge) next() bool {
	if m.current != nil {
		m.advance(m.current)
	}
	m.current = &m.o
	if m.o.at == nil || m.v.at != nil && bytes.Compare(m.v.at, m.o.at) < 0 {
		m.current = &m.v
	}
	return m.current.at != nil && m.err() == nil
}

// row is the current row and its place among the keys of V.
func (m *versionMerge) row() (row kv.Pair, at []byte) { return m.current.it.Pair(), m.current.at }

func (m *versionMerge) err() error { return errors.Join(m.o.it.Err(), m.v.it.Err()) }

func (m *versionMerge) close() {
	m.o.it.Close()
	m.v.it.Close()
}

// objectAt is the key, after its tag, of the row O to which a place among the
// keys of V belongs, or of one before it.
func (s keyspace) objectAt(place []byte) []byte {
	body := s.body(place)
	if k, _, err := s.parseEscaped(place); err == nil {
		return append(body[:8:8], k.key...)
	}
	if len(body) > 8 {
		text, _, _ := bytes.Cut(body[8:], []byte{0})
		return append(body[:8:8], text...)
	}
	return body
}
