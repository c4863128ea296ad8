package metadata

import (
	"encoding/binary"
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
)

// extentsPerRow is how many extents a row E packs.
const extentsPerRow = 128

// extentsLike is the prefix of the first key of a row E or Y that ends at or
// after an offset.
func (s keyspace) extentsLike(tag byte, id DataID, end int64) []byte {
	return u64(s.byID(tag, id), uint64(end))
}

// Extents are the extents of a data id from the one that holds the byte at
// fromOffset on, at most limit (0: all), and the offset at which the first of
// them starts. There are none at or past the end.
func (r *Reader) Extents(id DataID, fromOffset int64, limit int) (extents []Extent, start int64, err error) {
	rng := kv.PrefixRange(r.keys.byID(tagExtents, id))
	rng.Begin = r.keys.extents(id, fromOffset+1)
	err = r.each(rng, 0, func(p kv.Pair) (bool, error) {
		row, offset, err := decodeExtentRow(p)
		if err != nil {
			return false, err
		}
		for i := range row {
			end := offset + int64(row[i].Length)
			if end > fromOffset {
				if len(extents) == 0 {
					start = offset
				}
				extents = append(extents, row[i])
			}
			if limit > 0 && len(extents) == limit {
				return false, nil
			}
			offset = end
		}
		return true, nil
	})
	return extents, start, err
}

// decodeExtentRow is a row E and the offset at which it starts.
func decodeExtentRow(p kv.Pair) (extents []Extent, start int64, err error) {
	d := openRecord(p.Value)
	for d.next() {
		if d.field != extentList {
			d.unknown()
			continue
		}
		extents = d.extents()
	}
	if err := d.finish("extents"); err != nil {
		return nil, 0, fmt.Errorf("key %q: %w", p.Key, err)
	}
	if len(p.Key) < 8 {
		return nil, 0, errKey(p.Key)
	}
	start = int64(binary.BigEndian.Uint64(p.Key[len(p.Key)-8:]))
	for i := range extents {
		start -= int64(extents[i].Length)
	}
	return extents, start, nil
}

// extentList is the field of a row E.
const extentList = 1

// PutExtents writes consecutive extents of a data id, the first of which holds
// the byte at startOffset. Writing the same again changes nothing, provided
// that the calls are cut in the same way. Extents written in more than one
// transaction need an intent.
func (t *Tx) PutExtents(id DataID, startOffset int64, extents []Extent) error {
	t.putExtents(id, startOffset, extents)
	return t.err
}

func (t *Tx) putExtents(id DataID, startOffset int64, extents []Extent) {
	end := startOffset
	for len(extents) > 0 {
		row := extents[:min(len(extents), extentsPerRow)]
		for i := range row {
			if row[i].Length == 0 || row[i].Stripe < 0 {
				t.invalid("extent %+v", row[i])
				return
			}
			end += int64(row[i].Length)
		}
		e := newRecord(16 + 24*len(row))
		e.bytes(extentList, appendExtents(nil, row))
		t.set(t.keys.extents(id, end), e.b)
		extents = extents[len(row):]
	}
}

// DeleteExtents removes the rows E of a data id that end at or before end;
// a negative end removes all.
func (t *Tx) DeleteExtents(id DataID, end int64) error {
	rng := kv.PrefixRange(t.keys.byID(tagExtents, id))
	if end >= 0 {
		rng.End = t.keys.extents(id, end+1)
	}
	t.kv.DeleteRange(rng)
	return t.err
}

// Publish makes placed bytes of a data id referenced: one row R for each
// stripe, and the live bytes of its partition. It reads the row of every
// partition concerned serializably and fails with ErrFenced unless that has the
// epoch under which the bytes were placed and still takes publications. The
// caller writes the extents, in a row or with PutExtents, in the same
// transaction.
func (t *Tx) Publish(id DataID, placed []Placed) error {
	type grant struct {
		partition PartitionID
		epoch     Epoch
	}
	granted := make(map[grant]struct{}, 2)
	for i := range placed {
		x := &placed[i].Extent
		g := grant{x.Partition, placed[i].Epoch}
		if _, ok := granted[g]; !ok {
			if err := t.mayPublish(g.partition, g.epoch); err != nil {
				return err
			}
			granted[g] = struct{}{}
		}
		t.set(t.keys.ref(x.Partition, x.Stripe, id), []byte{})
		t.add(t.keys.liveBytes(x.Partition), int64(x.Length))
	}
	return nil
}

func (t *Tx) mayPublish(id PartitionID, epoch Epoch) error {
	p, err := t.Partition(id)
	if err != nil {
		return err
	}
	if p == nil {
		return fmt.Errorf("%w: no partition %016x", ErrFenced, uint64(id))
	}
	if p.Epoch != epoch || (p.State != PartitionOpen && p.State != PartitionClosing) {
		return fmt.Errorf("%w: partition %016x is in epoch %d and state %d, written in epoch %d",
			ErrFenced, uint64(id), p.Epoch, p.State, epoch)
	}
	return nil
}

// Unpublish takes back what Publish wrote for extents of a data id that has no
// owner left; the caller deletes the rows E in the same transaction. Extents
// that share a stripe belong in one call.
func (t *Tx) Unpublish(id DataID, extents []Extent) error {
	for i := range extents {
		x := &extents[i]
		t.kv.Delete(t.keys.ref(x.Partition, x.Stripe, id))
		t.add(t.keys.liveBytes(x.Partition), -int64(x.Length))
	}
	return t.err
}

// Ref says that a stripe holds bytes of a data id.
type Ref struct {
	Stripe int64
	ID     DataID
}

// Refs lists the references into a partition, by stripe, from the stripe at
// fromStripe on. It stops after the stripe in which limit is reached (0: at
// the end), so that the next call starts at the last stripe plus one.
func (r *Reader) Refs(id PartitionID, fromStripe int64, limit int) ([]Ref, error) {
	rng := kv.Range{Begin: r.keys.refs(id, max(fromStripe, 0)), End: kv.Strinc(u64(r.keys.tag(tagRef, 8), uint64(id)))}
	var refs []Ref
	err := r.each(rng, 0, func(p kv.Pair) (bool, error) {
		b := r.keys.body(p.Key)
		if len(b) != 32 {
			return false, errKey(p.Key)
		}
		ref := Ref{Stripe: int64(binary.BigEndian.Uint64(b[8:])), ID: DataID(b[16:])}
		if limit > 0 && len(refs) >= limit && refs[len(refs)-1].Stripe != ref.Stripe {
			return false, nil
		}
		refs = append(refs, ref)
		return true, nil
	})
	return refs, err
}

// DeleteRefs removes one row R, without touching the partition's live bytes.
func (t *Tx) DeleteRefs(id PartitionID, stripe int64, data DataID) error {
	t.kv.Delete(t.keys.ref(id, stripe, data))
	return t.err
}

// Pin makes owner own a data id or manifest beside its home. The transaction
// has read a row that owns the id serializably.
func (t *Tx) Pin(id DataID, owner Owner) error {
	if owner.Kind != OwnerVersion && owner.Kind != OwnerPart {
		t.invalid("owner of kind %d", owner.Kind)
		return t.err
	}
	t.set(t.keys.owner(id, &owner), []byte{})
	return t.err
}

// Unpin takes back the Pin of a data id and asks the collector to look at it.
// Versions and parts that go through DeleteObject, PutPart and the like are
// unpinned there.
func (t *Tx) Unpin(id DataID, owner Owner) error {
	t.unpin(id, &owner, GarbageData)
	return t.err
}

func (t *Tx) unpin(id DataID, owner *Owner, kind GarbageKind) {
	t.kv.Delete(t.keys.owner(id, owner))
	t.putGarbage(id, kind)
}

// ReleaseHome gives up the ownership of the home: it marks the home as gone
// and asks the collector to look at the id. The collector frees an id once it
// is marked and has no owner left.
func (t *Tx) ReleaseHome(id DataID, kind GarbageKind) error {
	t.releaseHome(id, kind)
	return t.err
}

func (t *Tx) releaseHome(id DataID, kind GarbageKind) {
	if kind != GarbageData && kind != GarbageManifest {
		t.invalid("release of garbage kind %d", kind)
		return
	}
	t.set(t.keys.homeGone(id), []byte{recordVersion})
	t.putGarbage(id, kind)
}

func (t *Tx) putGarbage(id DataID, kind GarbageKind) {
	g := Garbage{Kind: kind, Added: t.db.now()}
	t.set(t.keys.garbage(id), encodeGarbage(&g))
}

// Owners lists the owners of an id beside its home, at most limit (0: all),
// and says whether the home is gone.
func (r *Reader) Owners(id DataID, limit int) (owners []Owner, homeIsGone bool, err error) {
	prefix := r.keys.byID(tagOwner, id)
	err = r.each(kv.PrefixRange(prefix), 0, func(p kv.Pair) (bool, error) {
		suffix := p.Key[len(prefix):]
		if len(suffix) == 1 && suffix[0] == homeGone {
			homeIsGone = true
			return true, nil
		}
		if limit > 0 && len(owners) == limit {
			return false, nil
		}
		o, err := parseOwner(suffix)
		if err != nil {
			return false, err
		}
		owners = append(owners, o)
		return true, nil
	})
	return owners, homeIsGone, err
}

// DeleteHomeGone removes the mark of ReleaseHome: the last step of freeing.
func (t *Tx) DeleteHomeGone(id DataID) error {
	t.kv.Delete(t.keys.homeGone(id))
	return t.err
}
