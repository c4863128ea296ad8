package metadata

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/undercroft/undercroft/metadata/kv"
)

const (
	// MaxSlices is how many slices a part may have. A part that copies more
	// must be written as bytes of its own.
	MaxSlices = 1500
	// MaxPart is the largest part number.
	MaxPart = 10_000

	// manifestRow is the size in bytes at which a row Y is closed; a part of
	// MaxSlices slices comes on top.
	manifestRow = 32 << 10
)

// Upload is a multipart upload in progress.
func (r *Reader) Upload(id BucketID, key string, upload UploadID) (*Upload, error) {
	u, err := decode(r, r.keys.upload(id, key, upload), decodeUpload)
	if u != nil {
		u.ID, u.Key = upload, key
	}
	return u, err
}

// Part is one uploaded part.
func (r *Reader) Part(id BucketID, upload UploadID, number int) (*Part, error) {
	if number < 0 || number > math.MaxUint16 {
		return nil, nil
	}
	p, err := decode(r, r.keys.part(id, upload, number), decodePart)
	if p != nil {
		p.Number = number
	}
	return p, err
}

// Parts lists the parts of an upload in order of their numbers: those above
// after, at most limit (0: all). more says that there are others.
func (r *Reader) Parts(id BucketID, upload UploadID, after, limit int) (parts []Part, more bool, err error) {
	if after >= math.MaxUint16 {
		return nil, false, nil
	}
	fetch := 0
	if limit > 0 {
		fetch = limit + 1
	}
	err = r.each(r.keys.partsAfter(id, upload, after), fetch, func(p kv.Pair) (bool, error) {
		if limit > 0 && len(parts) == limit {
			more = true
			return false, nil
		}
		part, err := decodePart(p.Value)
		if err != nil {
			return false, fmt.Errorf("key %q: %w", p.Key, err)
		}
		part.Number = int(binary.BigEndian.Uint16(p.Key[len(p.Key)-2:]))
		parts = append(parts, *part)
		return true, nil
	})
	return parts, more, err
}

// partsAfter is the range of the parts above a number, which is below math.MaxUint16.
func (s keyspace) partsAfter(id BucketID, upload UploadID, after int) kv.Range {
	return kv.Range{Begin: s.part(id, upload, max(after+1, 0)), End: kv.PrefixRange(s.parts(id, upload)).End}
}

// PartsStamp is a stamp that changes with every change of an upload's parts;
// nil before the first. A Complete reads it, then the parts by snapshot, and
// in its last transaction requires it to be the same, read serializably.
func (r *Reader) PartsStamp(id BucketID, upload UploadID) ([]byte, error) {
	return r.get(r.keys.partsStamp(id, upload))
}

// PutUpload starts an upload.
func (t *Tx) PutUpload(id BucketID, u *Upload) error {
	t.set(t.keys.upload(id, u.Key, u.ID), encodeUpload(u))
	t.add(t.keys.bucketCounter(id, countUploads), 1)
	return t.err
}

// DeleteUpload ends an upload, which this transaction has read serializably:
// no part can be added any more. A Complete then calls DeleteParts, an Abort
// ReleaseUpload.
func (t *Tx) DeleteUpload(id BucketID, u *Upload) error {
	t.kv.Delete(t.keys.upload(id, u.Key, u.ID))
	t.kv.Delete(t.keys.partsStamp(id, u.ID))
	t.add(t.keys.bucketCounter(id, countUploads), -1)
	return t.err
}

// ReleaseUpload leaves the parts of an aborted upload to the collector.
func (t *Tx) ReleaseUpload(id BucketID, upload UploadID) error {
	g := Garbage{Kind: GarbageUpload, Bucket: id, Added: t.db.now()}
	t.set(t.keys.garbage(DataID(upload)), encodeGarbage(&g))
	return t.err
}

// PutPart stores a part in place of old, the row that this transaction has
// read serializably, or nil; what old held is released and the stamp of the
// parts changes. The caller has read the upload serializably.
func (t *Tx) PutPart(id BucketID, upload UploadID, old, p *Part) error {
	if p.Number < 1 || p.Number > MaxPart || len(p.Slices) > MaxSlices {
		t.invalid("part %d with %d slices", p.Number, len(p.Slices))
		return t.err
	}
	size := p.Size
	if old != nil {
		size -= old.Size
		t.releaseSlices(old.Slices)
	}
	t.set(t.keys.part(id, upload, p.Number), encodePart(p))
	t.add(t.keys.bucketCounter(id, countPartBytes), size)
	return t.BumpParts(id, upload)
}

// DeletePart removes one part of an upload that has ended and releases what it
// held: how the collector frees an aborted upload.
func (t *Tx) DeletePart(id BucketID, upload UploadID, p *Part) error {
	t.kv.Delete(t.keys.part(id, upload, p.Number))
	t.add(t.keys.bucketCounter(id, countPartBytes), -p.Size)
	t.releaseSlices(p.Slices)
	return t.err
}

// DeleteParts removes all parts of an upload at once, without releasing
// anything: the manifest has taken over their slices, and the caller calls
// ReleaseSlices for the parts it did not use. The caller knows the parts, by their
// stamp, and says how many bytes they have.
func (t *Tx) DeleteParts(id BucketID, upload UploadID, total int64) error {
	t.kv.DeleteRange(kv.PrefixRange(t.keys.parts(id, upload)))
	t.add(t.keys.bucketCounter(id, countPartBytes), -total)
	return t.err
}

// BumpParts changes the stamp of an upload's parts without reading it.
func (t *Tx) BumpParts(id BucketID, upload UploadID) error {
	stamp := t.db.randomID()
	t.set(t.keys.partsStamp(id, upload), stamp[:])
	return t.err
}

// ReleaseSlices gives up what a part or manifest part held.
func (t *Tx) ReleaseSlices(slices []Slice) error {
	t.releaseSlices(slices)
	return t.err
}

func (t *Tx) releaseSlices(slices []Slice) {
	for i := range slices {
		s := &slices[i]
		if s.Owner == nil {
			t.releaseHome(s.ID, GarbageData)
			continue
		}
		t.unpin(s.ID, s.Owner, GarbageData)
	}
}

// PutManifest writes consecutive parts of a manifest of a fresh id, the first
// of which starts at firstOffset. It may be called in several transactions, in
// order, under an intent for id; rows of 10,000 plain parts are about 500 kB.
func (t *Tx) PutManifest(id DataID, firstOffset int64, parts []ManifestPart) error {
	end := firstOffset
	for len(parts) > 0 {
		row, first, n := newRecord(manifestRow+4096), parts[0].Number, 0
		for n < len(parts) && len(row.b) < manifestRow {
			p := &parts[n]
			if p.Number < 1 || p.Number > MaxPart || p.Size < 0 || len(p.Slices) > MaxSlices {
				t.invalid("manifest part %d", p.Number)
				return t.err
			}
			encodeManifestPart(row, p)
			end += p.Size
			n++
		}
		t.set(t.keys.manifest(id, end, first), row.b)
		parts = parts[n:]
	}
	return t.err
}

// DeleteManifest removes the rows of a manifest that was never published, or
// whose slices were released.
func (t *Tx) DeleteManifest(id DataID) error {
	t.kv.DeleteRange(kv.PrefixRange(t.keys.byID(tagManifest, id)))
	return t.err
}

// ManifestParts are the parts of a manifest from the one that holds the byte
// at fromOffset on, at most limit (0: all), and the offset at which the first
// of them starts. From offset 0 parts of no bytes are included.
func (r *Reader) ManifestParts(id DataID, fromOffset int64, limit int) (parts []ManifestPart, start int64, err error) {
	rng := kv.PrefixRange(r.keys.byID(tagManifest, id))
	if fromOffset > 0 {
		rng.Begin = r.keys.extentsLike(tagManifest, id, fromOffset+1)
	}
	err = r.eachManifestRow(rng, func(row []ManifestPart, offset int64) bool {
		for i := range row {
			end := offset + row[i].Size
			if fromOffset == 0 || end > fromOffset {
				if len(parts) == 0 {
					start = offset
				}
				parts = append(parts, row[i])
			}
			if limit > 0 && len(parts) == limit {
				return false
			}
			offset = end
		}
		return true
	})
	return parts, start, err
}

// ManifestPart is the part of a manifest with a number, and the offset at
// which it starts.
func (r *Reader) ManifestPart(id DataID, number int) (part *ManifestPart, start int64, err error) {
	rng := kv.PrefixRange(r.keys.byID(tagManifest, id))
	err = r.eachManifestRow(rng, func(row []ManifestPart, offset int64) bool {
		for i := range row {
			if row[i].Number >= number {
				if row[i].Number == number {
					part, start = &row[i], offset
				}
				return false
			}
			offset += row[i].Size
		}
		return true
	})
	return part, start, err
}

// EachManifestPart calls fn with the parts of a manifest in order, those of no
// bytes included, until fn returns false.
func (r *Reader) EachManifestPart(id DataID, fn func(*ManifestPart) bool) error {
	return r.eachManifestRow(kv.PrefixRange(r.keys.byID(tagManifest, id)), func(row []ManifestPart, _ int64) bool {
		for i := range row {
			if !fn(&row[i]) {
				return false
			}
		}
		return true
	})
}

// eachManifestRow calls fn with the parts of each row and the offset of the
// first until fn returns false.
func (r *Reader) eachManifestRow(rng kv.Range, fn func([]ManifestPart, int64) bool) error {
	return r.each(rng, 0, func(p kv.Pair) (bool, error) {
		row, err := decodeManifest(p.Value)
		if err != nil {
			return false, fmt.Errorf("key %q: %w", p.Key, err)
		}
		end := int64(binary.BigEndian.Uint64(p.Key[len(p.Key)-10:]))
		for i := range row {
			end -= row[i].Size
		}
		return fn(row, end), nil
	})
}
