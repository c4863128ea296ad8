package metadata

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
)

// ErrMoved says that an extent is not where it was, or has gone: another move,
// or the collector, was faster. Nothing was written.
var ErrMoved = errors.New("metadata: extent has moved")

// Move is an extent whose bytes were written again elsewhere.
type Move struct {
	Offset int64 // at which it starts in its data id
	Old    Extent
	New    Placed // of the same length
}

// Home is the key that some data was written for. Where the row of a version
// of it is the home of the data, that may carry the extents itself. Ord is 0,
// or that of a noncurrent version that Reader.Carried found.
type Home struct {
	Bucket BucketID
	Key    string
	Ord    Ord
}

// MoveExtents makes the bytes of a data id be elsewhere: each extent that is
// moved must be as it was, and all those that lie in one stripe belong in one
// call. What is new is published as by Publish, what was old is given up as by
// Unpublish. Extents that the row of a version carries itself move to rows E
// with that: afterwards they are in one place only. ErrMoved leaves the
// transaction as it was; after ErrFenced it must not commit.
func (t *Tx) MoveExtents(id DataID, home Home, moves []Move) error {
	carrier, err := t.carrier(id, home)
	if err != nil {
		return err
	}
	m := &mover{tx: t, id: id, rows: map[string]*extentRow{}}
	if carrier != nil {
		m.carried = &extentRow{key: t.keys.extents(id, carrier.stored()), extents: carrier.Data.Extents}
	}
	placed, old := make([]Placed, len(moves)), make([]Extent, len(moves))
	for i := range moves {
		placed[i], old[i] = moves[i].New, moves[i].Old
		if err := m.replace(&moves[i]); err != nil {
			return err
		}
	}
	if err := m.leavesNone(old); err != nil {
		return err
	}
	if err := t.Publish(id, placed); err != nil {
		return err
	}
	if carrier != nil {
		if err := t.toRows(home.Bucket, carrier); err != nil {
			return err
		}
	}
	for _, row := range m.rows {
		e := newRecord(16 + 24*len(row.extents))
		e.bytes(extentList, appendExtents(nil, row.extents))
		t.set(row.key, e.b)
	}
	return t.Unpublish(id, old)
}

// carrier is the row of a version that carries the extents of a data id, nil
// where none does. It reads the current version's row in any case: a noncurrent
// one that carries its extents may have come to light.
func (t *Tx) carrier(id DataID, home Home) (*Object, error) {
	carries := func(o *Object) bool {
		return o != nil && o.Data.Kind == DataExtents && o.Data.ID == id && !o.Data.Shared
	}
	o, err := t.Object(home.Bucket, home.Key)
	if err != nil || carries(o) || home.Ord == 0 {
		if !carries(o) {
			o = nil
		}
		return o, err
	}
	if o, err = t.Version(home.Bucket, home.Key, home.Ord); err != nil || !carries(o) {
		return nil, err
	}
	return o, nil
}

// toRows rewrites the row of a version that carried its extents. The caller
// writes these to rows E.
func (t *Tx) toRows(b BucketID, o *Object) error {
	rewritten := *o
	rewritten.Data = Data{Kind: DataRows, ID: o.Data.ID, Origin: o.Data.Origin}
	return t.UpdateObject(b, &rewritten)
}

// extentRow is a row E.
type extentRow struct {
	key     []byte
	start   int64
	extents []Extent
}

// mover collects the changes to the rows E of one data id.
type mover struct {
	tx      *Tx
	id      DataID
	carried *extentRow // the row E that extents carried elsewhere will be
	rows    map[string]*extentRow
}

// row is the row E that holds a byte, with the changes so far.
func (m *mover) row(offset int64) (*extentRow, error) {
	if m.carried != nil {
		m.rows[string(m.carried.key)] = m.carried
		return m.carried, nil
	}
	rng := kv.PrefixRange(m.tx.keys.byID(tagExtents, m.id))
	rng.Begin = m.tx.keys.extents(m.id, offset+1)
	var out *extentRow
	err := m.tx.each(rng, 1, func(p kv.Pair) (bool, error) {
		if out = m.rows[string(p.Key)]; out != nil {
			return false, nil
		}
		extents, start, err := decodeExtentRow(p)
		if err != nil {
			return false, err
		}
		out = &extentRow{key: bytes.Clone(p.Key), start: start, extents: extents}
		m.rows[string(out.key)] = out
		return false, nil
	})
	if err == nil && out == nil {
		err = fmt.Errorf("%w: id %x has no row at %d", ErrMoved, m.id[:], offset)
	}
	return out, err
}

func (m *mover) replace(v *Move) error {
	if v.New.Extent.Length != v.Old.Length || v.Offset < 0 {
		return fmt.Errorf("%w: move of %+v to %+v", ErrInvalid, v.Old, v.New.Extent)
	}
	row, err := m.row(v.Offset)
	if err != nil {
		return err
	}
	at := row.start
	for i := range row.extents {
		if at == v.Offset && row.extents[i] == v.Old {
			row.extents[i] = v.New.Extent
			return nil
		}
		at += int64(row.extents[i].Length)
	}
	return fmt.Errorf("%w: id %x at %d", ErrMoved, m.id[:], v.Offset)
}

// leavesNone requires that no extent stays in a stripe that others leave: the
// stripe has one row R for all of them.
func (m *mover) leavesNone(old []Extent) error {
	left := make(map[place]struct{}, len(old))
	for i := range old {
		left[place{old[i].Partition, old[i].Stripe}] = struct{}{}
	}
	for _, row := range m.rows {
		for i := range row.extents {
			if _, ok := left[place{row.extents[i].Partition, row.extents[i].Stripe}]; ok {
				return fmt.Errorf("%w: another extent of id %x stays in the stripe", ErrMoved, m.id[:])
			}
		}
	}
	return nil
}

// Located is an extent and where it starts in its data id.
type Located struct {
	Offset int64
	Extent Extent
}

// FindExtents looks for the extents of a data id that lie in a stripe, through
// at most so many rows E from the byte at fromOffset on. It returns all of the
// first row that has any, and where the search goes on, -1 at the end.
func (r *Reader) FindExtents(id DataID, p PartitionID, stripe, fromOffset int64, rows int) (found []Located, next int64, err error) {
	rng := kv.PrefixRange(r.keys.byID(tagExtents, id))
	rng.Begin = r.keys.extents(id, fromOffset+1)
	seen := 0
	next = -1
	err = r.each(rng, rows, func(pair kv.Pair) (bool, error) {
		row, at, err := decodeExtentRow(pair)
		if err != nil {
			return false, err
		}
		for i := range row {
			if row[i].Partition == p && row[i].Stripe == stripe {
				found = append(found, Located{at, row[i]})
			}
			at += int64(row[i].Length)
		}
		if seen++; seen == rows || len(found) > 0 {
			next = at
		}
		return len(found) == 0, nil
	})
	return found, next, err
}

// Carried lists the noncurrent versions of a key whose rows carry their extents
// themselves, by data id, among at most limit (0: all) of those older than below (0:
// from the newest on). It returns where the next call goes on, 0 at the end. Rows written by
// Demote do not: only those of earlier programs, so that a data id that is not among them
// never will be.
func (r *Reader) Carried(id BucketID, key string, below Ord, limit int) (out map[DataID]Ord, next Ord, err error) {
	out = map[DataID]Ord{}
	rng := kv.PrefixRange(r.keys.versions(tagVersion, id, key))
	if below != 0 {
		rng.Begin = r.keys.version(id, key, below-1)
	}
	seen := 0
	err = r.each(rng, limit, func(p kv.Pair) (bool, error) {
		o, err := decodeObject(p.Value)
		if err != nil {
			return false, fmt.Errorf("key %q: %w", p.Key, err)
		}
		if o.Data.Kind == DataExtents {
			out[o.Data.ID] = o.Ord
		}
		if seen++; seen == limit && o.Ord > 1 {
			next = o.Ord
		}
		return true, nil
	})
	return out, next, err
}

// asNoncurrent is a version as a row V keeps it: its extents are in rows E,
// which this writes, so that a data id alone says where its bytes lie.
func (t *Tx) asNoncurrent(o *Object) *Object {
	if o.Data.Kind != DataExtents {
		return o
	}
	t.putExtents(o.Data.ID, 0, o.Data.Extents)
	out := *o
	out.Data = Data{Kind: DataRows, ID: o.Data.ID, Origin: o.Data.Origin}
	return &out
}
