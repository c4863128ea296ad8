package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
)

// object checks what is the same for current and noncurrent versions.
func (c *pageCheck) object(id BucketID, o *Object, key []byte) error {
	if err := errors.Join(c.inBucket(id, key), c.checkLock(id, o, key)); err != nil {
		return err
	}
	switch o.Data.Kind {
	case DataEmpty:
		if o.Size != 0 {
			c.problem(MissingData, key, fmt.Sprintf("%d bytes and no data", o.Size))
		}
		return nil
	case DataInline:
		inline, err := c.Inline(id, o.Key, o.Ord)
		if err == nil && (inline == nil || int64(len(inline)) != o.stored()) {
			c.problem(MissingInline, key, fmt.Sprintf("%d bytes are inline, of %d", len(inline), o.stored()))
		}
		return err
	case DataExtents:
		if err := c.rowExtents(o, key); err != nil {
			return err
		}
	case DataRows:
		if err := c.covers(tagExtents, o.Data.ID, o.stored(), key); err != nil {
			return err
		}
	case DataManifest:
		if err := c.covers(tagManifest, o.Data.ID, o.Size, key); err != nil {
			return err
		}
	}
	c.claims++
	if o.Data.Shared {
		return c.pinned(o.Data.ID, &Owner{Kind: OwnerVersion, Bucket: id, Key: o.Key, Ord: o.Ord}, key)
	}
	return c.homeStays(o.Data.ID, key)
}

// rowExtents checks extents that a row carries itself.
func (c *pageCheck) rowExtents(o *Object, key []byte) error {
	var size int64
	for i := range o.Data.Extents {
		size += int64(o.Data.Extents[i].Length)
		if err := c.extent(o.Data.ID, &o.Data.Extents[i], key); err != nil {
			return err
		}
	}
	if size != o.stored() {
		c.problem(MissingData, key, fmt.Sprintf("extents hold %d bytes of %d", size, o.stored()))
	}
	if o.Data.Shared {
		c.problem(CorruptRow, key, "carries extents of data that it shares")
	}
	rows, _, err := c.Extents(o.Data.ID, 0, 0)
	if err == nil && rows != nil && !equalExtents(rows, o.Data.Extents) {
		c.problem(MissingData, key, "rows E say otherwise than the row itself")
	}
	return err
}

func equalExtents(a, b []Extent) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// endOf is the end offset of the last row of an id in E or Y, of those below
// the key before unless that is nil; -1 when there is none.
func (c *pageCheck) endOf(tag byte, id DataID, before []byte) (int64, error) {
	rng := kv.PrefixRange(c.keys.byID(tag, id))
	if before != nil {
		rng.End = before
	}
	end := int64(-1)
	it := c.kv.GetRange(rng, kv.RangeOptions{Limit: 1, Reverse: true})
	defer it.Close()
	for it.Next() {
		k := it.Pair().Key[len(rng.Begin):]
		if len(k) < 8 {
			return 0, errKey(it.Pair().Key)
		}
		end = int64(binary.BigEndian.Uint64(k))
	}
	return end, it.Err()
}

// covers checks that the rows of an id hold exactly size bytes.
func (c *pageCheck) covers(tag byte, id DataID, size int64, key []byte) error {
	end, err := c.endOf(tag, id, nil)
	if err == nil && end != size {
		c.problem(MissingData, key, fmt.Sprintf("id %x ends at %d instead of %d", id[:], end, size))
	}
	return err
}

func (c *pageCheck) pinned(id DataID, o *Owner, key []byte) error {
	v, err := c.get(c.keys.owner(id, o))
	if err == nil && v == nil {
		c.problem(MissingPin, key, fmt.Sprintf("shares id %x without a row K", id[:]))
	}
	return err
}

// homeStays checks that the home of an id has not given it up.
func (c *pageCheck) homeStays(id DataID, key []byte) error {
	v, err := c.get(c.keys.homeGone(id))
	if err == nil && v != nil {
		c.problem(ReleasedData, key, fmt.Sprintf("is the home of id %x, which is marked as gone", id[:]))
	}
	return err
}

// unowned says that an id is written under an intent or has lost its home and
// its owners: whether its parts are complete is not defined.
func (c *pageCheck) unowned(id DataID) (bool, error) {
	v, err := c.get(c.keys.intent(id))
	if err != nil || v != nil {
		return v != nil, err
	}
	owners, gone, err := c.Owners(id, 1)
	return gone && len(owners) == 0, err
}

func (c *pageCheck) partition(id PartitionID) (*Partition, error) {
	if p, ok := c.partitions[id]; ok {
		return p, nil
	}
	p, err := c.Partition(id)
	if err == nil {
		c.partitions[id] = p
	}
	return p, err
}

func (c *pageCheck) inPartition(id PartitionID, key []byte) error {
	p, err := c.partition(id)
	if err == nil && (p == nil || p.State == PartitionDropped) {
		c.problem(MissingPartition, key, fmt.Sprintf("partition %016x is not there or dropped", uint64(id)))
	}
	return err
}

// extent checks the reverse reference and the partition of an extent.
func (c *pageCheck) extent(id DataID, x *Extent, key []byte) error {
	if err := c.inPartition(x.Partition, key); err != nil {
		return err
	}
	v, err := c.get(c.keys.ref(x.Partition, x.Stripe, id))
	if err == nil && v == nil {
		c.problem(MissingRef, key, fmt.Sprintf("id %x at stripe %d of partition %016x has no row R", id[:], x.Stripe, uint64(x.Partition)))
	}
	return err
}

// idKey is the id of a key of E, Y or K and what follows it.
func (c *pageCheck) idKey(key []byte) (DataID, []byte, error) {
	b := c.keys.body(key)
	if len(b) < 16 {
		return DataID{}, nil, errKey(key)
	}
	return DataID(b), b[16:], nil
}

// follows checks that a row of E or Y starts where the one before it ends.
func (c *pageCheck) follows(tag byte, id DataID, start int64, key []byte) error {
	end, err := c.endOf(tag, id, append([]byte(nil), key...))
	if err != nil {
		return err
	}
	if max(end, 0) != start {
		c.problem(MissingData, key, fmt.Sprintf("starts at %d, the row before ends at %d", start, end))
	}
	return nil
}

func checkExtents(c *pageCheck, p kv.Pair) error {
	id, rest, err := c.idKey(p.Key)
	if err != nil || len(rest) != 8 {
		return orKey(err, p.Key)
	}
	row, start, err := decodeExtentRow(p)
	if err != nil {
		return err
	}
	c.tally.Extents += int64(len(row))
	if start == 0 {
		c.tally.DataIDs++
	}
	dead, err := c.unowned(id)
	if err != nil {
		return err
	}
	if !dead {
		if err := c.follows(tagExtents, id, start, p.Key); err != nil {
			return err
		}
	}
	for i := range row {
		if err := c.extent(id, &row[i], p.Key); err != nil {
			return err
		}
	}
	return nil
}

// checkRef holds a reference against the rows E of its id. One without such
// rows is held against the objects that carry extents themselves, by homes.
func checkRef(c *pageCheck, p kv.Pair) error {
	c.tally.Refs++
	at, id, err := c.keys.parseRef(p.Key)
	if err != nil {
		return err
	}
	if err := c.inPartition(at.partition, p.Key); err != nil {
		return err
	}
	return c.refInRows(at, id, p.Key)
}

// refInRows reports a reference that the rows E of its id do not name, if the
// id has such rows.
func (c *pageCheck) refInRows(at place, id DataID, key []byte) error {
	places, err := c.placesOf(id)
	if err != nil || places == nil {
		return err
	}
	if _, ok := places[at]; !ok {
		c.problem(OrphanRef, key, "rows E of the id do not name this stripe")
	}
	return nil
}

func (s keyspace) parseRef(key []byte) (at place, id DataID, err error) {
	b := s.body(key)
	if len(b) != 32 {
		return place{}, DataID{}, errKey(key)
	}
	at = place{PartitionID(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))}
	return at, DataID(b[16:]), nil
}

// placesOf are the stripes that the rows E of an id name, nil when it has none.
func (c *pageCheck) placesOf(id DataID) (map[place]struct{}, error) {
	if places, ok := c.extentsOf[id]; ok {
		return places, nil
	}
	extents, _, err := c.Extents(id, 0, 0)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return nil, err
	}
	var places map[place]struct{}
	if len(extents) > 0 {
		places = make(map[place]struct{}, len(extents))
	}
	for i := range extents {
		places[place{extents[i].Partition, extents[i].Stripe}] = struct{}{}
	}
	c.extentsOf[id] = places
	return places, nil
}

// checkOwner checks rows K. Owners that are parts of completed uploads are
// left to homes.
func checkOwner(c *pageCheck, p kv.Pair) error {
	c.tally.Pins++
	id, suffix, err := c.idKey(p.Key)
	if err != nil {
		return err
	}
	if len(suffix) == 1 && suffix[0] == homeGone {
		c.tally.Pins--
		return c.stillReleasing(id, p.Key)
	}
	o, err := parseOwner(suffix)
	if err != nil || o.Kind != OwnerVersion {
		return err
	}
	row, err := c.Object(o.Bucket, o.Key)
	if err != nil {
		return err
	}
	if row == nil || row.Ord != o.Ord {
		if row, err = c.Version(o.Bucket, o.Key, o.Ord); err != nil {
			return err
		}
	}
	if row == nil || row.Data.ID != id || !row.Data.Shared {
		c.problem(OrphanPin, p.Key, "the version is not there or does not share this data")
	}
	return nil
}

// stillReleasing checks that something keeps or collects an id without a home.
func (c *pageCheck) stillReleasing(id DataID, key []byte) error {
	v, err := c.get(c.keys.garbage(id))
	if err != nil || v != nil {
		return err
	}
	owners, _, err := c.Owners(id, 1)
	if err == nil && len(owners) == 0 {
		c.problem(OrphanData, key, "the home is gone, nothing else owns the data, and the collector is not told")
	}
	return err
}

func checkGarbage(c *pageCheck, p kv.Pair) error {
	c.tally.Garbage++
	g, err := garbageRow(c.keys.body(p.Key), p.Value)
	if err == nil && g.Kind == 0 {
		c.problem(CorruptRow, p.Key, "garbage of no kind")
	}
	return err
}
