package metadata

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/undercroft/undercroft/metadata/kv"
)

// scan visits the rows of a range: all at one version, or a page per version.
type scan func(rng kv.Range, check rowCheck) error

// tooLong says that a state is too large to be read at one version.
func tooLong(err error) bool { return errors.Is(err, kv.ErrTooOld) || errors.Is(err, kv.ErrTimeout) }

// counted are counters as they are stored and as the rows say.
type counted struct {
	have, want []int64
	settled    bool // both are of one version, as far as can be told
}

// recount computes counters from rows and holds them against those stored.
// It does so at one version; where that takes too long it counts page by page
// and trusts the result only if the counters stayed the same meanwhile.
func (c *checker) recount(ctx context.Context, stored func(*Reader) ([]int64, error), count func(scan) ([]int64, error)) (out counted, err error) {
	out.settled = true
	err = c.view(ctx, func(r *Reader) error {
		if out.have, err = stored(r); err != nil {
			return err
		}
		page := c.newPage(r)
		page.once = true
		out.want, err = count(func(rng kv.Range, check rowCheck) error {
			return r.each(rng, 0, func(p kv.Pair) (bool, error) {
				err := check(page, p)
				return err == nil, err
			})
		})
		return err
	})
	if !tooLong(err) {
		return out, err
	}
	if err = c.view(ctx, func(r *Reader) error { out.have, err = stored(r); return err }); err != nil {
		return out, err
	}
	out.want, err = count(func(rng kv.Range, check rowCheck) error { return c.walk(ctx, rng, check) })
	if err != nil {
		return out, err
	}
	var after []int64
	err = c.view(ctx, func(r *Reader) error { after, err = stored(r); return err })
	out.settled = slices.Equal(out.have, after)
	return out, err
}

// compare reports the counter i of n, whose key is key.
func (c *checker) compare(n *counted, i int, key []byte) {
	if n.have[i] == n.want[i] {
		return
	}
	c.tell(Problem{
		Kind: WrongCounter, Key: readableKey(c.db.keys, key),
		Detail: fmt.Sprintf("is %d, the rows say %d", n.have[i], n.want[i]), Warning: !n.settled,
	})
}

// bucketCounters checks the counters of every bucket, deleted ones included.
func (c *checker) bucketCounters(ctx context.Context) error {
	buckets := make(map[BucketID]struct{})
	for _, rng := range []kv.Range{c.db.keys.all(tagBucket), kv.PrefixRange(append(c.db.keys.tag(tagCounter, 1), counterBucket))} {
		err := c.walk(ctx, rng, func(page *pageCheck, p kv.Pair) error {
			b := page.keys.body(p.Key)
			if p.Key[len(page.keys.root)] == tagCounter {
				b = b[1:min(len(b), 9)]
			}
			id, err := parseUint(b)
			buckets[BucketID(id)] = struct{}{}
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(buckets)) {
		if err := c.bucketCounter(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) bucketCounter(ctx context.Context, id BucketID) error {
	n, err := c.recount(ctx, func(r *Reader) ([]int64, error) {
		n, err := r.BucketCount(id)
		if errors.Is(err, ErrCorrupt) {
			err = nil // rows has reported it
		}
		return []int64{n.Objects, n.Bytes, n.Uploads, n.PartBytes}, err
	}, func(each scan) ([]int64, error) {
		n := make([]int64, countPartBytes)
		for _, table := range countedTables() {
			if err := each(kv.PrefixRange(c.db.keys.inBucket(table.tag, id, 0)), table.count(n)); err != nil {
				return nil, err
			}
		}
		return n, nil
	})
	if err != nil {
		return err
	}
	for i := range n.want {
		c.compare(&n, i, c.db.keys.bucketCounter(id, byte(i+countObjects)))
	}
	return nil
}

// countedTable is a table whose rows or sizes are counted.
type countedTable struct {
	tag         byte
	rows, bytes int // counters, 0 for none
	size        func([]byte) (int64, error)
}

func countedTables() []countedTable {
	return []countedTable{
		{tagObject, countObjects, countBytes, objectSizeOf},
		{tagVersion, 0, countBytes, objectSizeOf},
		{tagUpload, countUploads, 0, func([]byte) (int64, error) { return 0, nil }},
		{tagPart, 0, countPartBytes, decodePartSize},
	}
}

// count adds a row to n, the counters of its bucket.
func (t *countedTable) count(n []int64) rowCheck {
	return func(page *pageCheck, p kv.Pair) error {
		size, err := t.size(p.Value)
		if err != nil {
			return nil //nolint:nilerr // rows has reported it
		}
		page.then(func() {
			if t.rows > 0 {
				n[t.rows-1]++
			}
			if t.bytes > 0 {
				n[t.bytes-1] += size
			}
		})
		return nil
	}
}

// objectSizeOf is decodeObject for the size alone.
func objectSizeOf(v []byte) (int64, error) {
	d := openRecord(v)
	for d.next() && d.field <= objectSize {
		if d.field == objectSize {
			size := d.size()
			return size, d.finish("object")
		}
	}
	return 0, d.finish("object")
}

// liveBytes checks the counter of every partition against all extents.
func (c *checker) liveBytes(ctx context.Context) error {
	ids, err := c.partitionIDs(ctx)
	if err != nil {
		return err
	}
	var live map[PartitionID]int64
	n, err := c.recount(ctx, func(r *Reader) ([]int64, error) {
		out := make([]int64, len(ids))
		for i, id := range ids {
			n, err := r.LiveBytes(id)
			if err != nil && !errors.Is(err, ErrCorrupt) { // rows has reported it
				return nil, err
			}
			out[i] = n
		}
		return out, nil
	}, func(each scan) ([]int64, error) {
		live = make(map[PartitionID]int64)
		out := make([]int64, len(ids))
		err := countExtents(c.db.keys, each, live)
		for i, id := range ids {
			out[i] = live[id]
		}
		return out, err
	})
	if err != nil {
		return err
	}
	for i, id := range ids {
		c.compare(&n, i, c.db.keys.liveBytes(id))
	}
	for _, n := range live {
		c.summary.LiveBytes += n
	}
	return nil
}

// partitionIDs are the partitions that have a row or a counter.
func (c *checker) partitionIDs(ctx context.Context) ([]PartitionID, error) {
	ids := make(map[PartitionID]struct{})
	for _, rng := range []kv.Range{c.db.keys.all(tagPartition), kv.PrefixRange(append(c.db.keys.tag(tagCounter, 1), counterPartition))} {
		err := c.walk(ctx, rng, func(_ *pageCheck, p kv.Pair) error {
			id, err := parseUint(p.Key[max(len(p.Key)-8, 0):])
			ids[PartitionID(id)] = struct{}{}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(ids)), nil
}

// countExtents adds up the extents of rows E, and those that objects carry
// themselves and have no rows E.
func countExtents(keys keyspace, each scan, live map[PartitionID]int64) error {
	add := func(c *pageCheck, extents []Extent) {
		c.then(func() {
			for i := range extents {
				live[extents[i].Partition] += int64(extents[i].Length)
			}
		})
	}
	err := each(keys.all(tagExtents), func(c *pageCheck, p kv.Pair) error {
		row, _, err := decodeExtentRow(p)
		if err != nil {
			return nil //nolint:nilerr // rows has reported it
		}
		add(c, row)
		return nil
	})
	for _, tag := range []byte{tagObject, tagVersion} {
		if err != nil {
			return err
		}
		err = each(keys.all(tag), func(c *pageCheck, p kv.Pair) error {
			o, err := decodeObject(p.Value)
			if err != nil || o.Data.Kind != DataExtents {
				return nil //nolint:nilerr // rows has reported it
			}
			end, err := c.endOf(tagExtents, o.Data.ID, nil)
			if err == nil && end < 0 {
				add(c, o.Data.Extents)
			}
			return err
		})
	}
	return err
}
