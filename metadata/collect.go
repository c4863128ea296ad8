package metadata

import (
	"bytes"
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
)

// GarbageRow is the row G of an id.
func (r *Reader) GarbageRow(id DataID) (*Garbage, error) {
	g, err := decode(r, r.keys.garbage(id), decodeGarbage)
	if g != nil {
		g.ID = id
	}
	return g, err
}

// FreeExtents removes rows E of a data id that nothing owns, from the first
// on, with what Publish wrote for their extents. It stops after the row in
// which limit extents are reached, and says whether rows are left. It reads the
// rows serializably, so that nothing is freed twice.
func (t *Tx) FreeExtents(id DataID, limit int) (freed []Extent, more bool, err error) {
	var rows [][]byte
	err = t.each(kv.PrefixRange(t.keys.byID(tagExtents, id)), 0, func(p kv.Pair) (bool, error) {
		if more = len(freed) >= limit; more {
			return false, nil
		}
		row, _, err := decodeExtentRow(p)
		rows, freed = append(rows, bytes.Clone(p.Key)), append(freed, row...)
		return err == nil, err
	})
	if err != nil {
		return nil, false, err
	}
	for _, key := range rows {
		t.kv.Delete(key)
	}
	return freed, more, t.Unpublish(id, freed)
}

// FreeManifest removes rows of a manifest that nothing owns, from the first
// on, and releases the slices in them. It stops after the row in which limit
// slices are reached, and says how many it released and whether rows are left.
// It reads the rows serializably.
func (t *Tx) FreeManifest(id DataID, limit int) (released int, more bool, err error) {
	var rows [][]byte
	var parts []ManifestPart
	err = t.each(kv.PrefixRange(t.keys.byID(tagManifest, id)), 0, func(p kv.Pair) (bool, error) {
		if more = released >= limit; more {
			return false, nil
		}
		row, err := decodeManifest(p.Value)
		if err != nil {
			return false, fmt.Errorf("key %q: %w", p.Key, err)
		}
		for i := range row {
			released += len(row[i].Slices)
		}
		rows, parts = append(rows, bytes.Clone(p.Key)), append(parts, row...)
		return true, nil
	})
	if err != nil {
		return 0, false, err
	}
	for _, key := range rows {
		t.kv.Delete(key)
	}
	for i := range parts {
		t.releaseSlices(parts[i].Slices)
	}
	return released, more, t.err
}

// TakeParts removes parts of an upload that has ended without releasing what
// they held: a manifest has taken it over. Those that are left are the
// collector's, see ReleaseUpload.
func (t *Tx) TakeParts(id BucketID, upload UploadID, parts []Part) error {
	var total int64
	for i := range parts {
		t.kv.Delete(t.keys.part(id, upload, parts[i].Number))
		total += parts[i].Size
	}
	t.add(t.keys.bucketCounter(id, countPartBytes), -total)
	return t.err
}
