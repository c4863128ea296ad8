package metadata

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Salt is the id that the keys of encrypted bytes derive from: that under which
// they were written first. Bytes that move to another id stay as they are.
func (d *Data) Salt() DataID { return salt(d.Origin, d.ID) }

// Salt is as that of a Data.
func (s *Slice) Salt() DataID { return salt(s.Origin, s.ID) }

func salt(origin, id DataID) DataID {
	if origin != (DataID{}) {
		return origin
	}
	return id
}

// ReplaceData rewrites the row of a version that this transaction has read
// serializably as old with other data, which the caller has published: what old
// held is released as if the version were gone. The order and the size must be
// those of old; neither is inline or a delete marker.
func (t *Tx) ReplaceData(id BucketID, old, o *Object) error {
	if o.DeleteMarker || o.Key != old.Key || o.Ord != old.Ord || o.Size != old.Size ||
		old.Data.Kind == DataInline || o.Data.Kind == DataInline || o.Data.ID == old.Data.ID || !t.validData(o, nil) {
		t.invalid("other data of version %q", o.Key)
		return t.err
	}
	if !t.mayRewrite(id, old, o) {
		return t.err
	}
	current, err := t.Object(id, o.Key)
	if err != nil {
		return err
	}
	if current != nil && current.Ord == o.Ord {
		t.set(t.keys.object(id, o.Key), encodeObject(o))
	} else {
		t.set(t.keys.version(id, o.Key, o.Ord), encodeObject(t.asNoncurrent(o)))
	}
	t.releaseData(id, old)
	return t.err
}

// ManifestRow reads the parts of one row of a manifest: the first, or the one behind the place that it
// returned last. There are none behind the last one. The parts of a row are few enough to be held, all
// of a manifest may not be.
func (r *Reader) ManifestRow(id DataID, after []byte) (parts []ManifestPart, place []byte, err error) {
	rng := kv.PrefixRange(r.keys.byID(tagManifest, id))
	if after != nil {
		rng.Begin = kv.KeyAfter(after)
	}
	i := newRowIter(r, rng, 1)
	defer i.close()
	if !i.next() {
		return nil, nil, i.err
	}
	if parts, err = decodeManifest(i.pair.Value); err != nil {
		return nil, nil, fmt.Errorf("key %q: %w", i.pair.Key, err)
	}
	return parts, slices.Clone(i.pair.Key), nil
}

// StoredLength is how many bytes the rows E of a data id are for.
func (r *Reader) StoredLength(id DataID) (end int64, err error) {
	it := r.kv.GetRange(kv.PrefixRange(r.keys.byID(tagExtents, id)), kv.RangeOptions{Limit: 1, Reverse: true})
	defer it.Close()
	for it.Next() {
		key := it.Pair().Key
		end = int64(binary.BigEndian.Uint64(key[len(key)-8:]))
	}
	return end, it.Err()
}
