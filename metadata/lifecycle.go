package metadata

import (
	"fmt"
	"math"
)

// LifecycleRow is what lifecycle rules ask of a version or delete marker. Texts of
// one row are gone with the next.
type LifecycleRow struct {
	Ord          Ord
	DeleteMarker bool
	Latest       bool
	Size         int64
	Modified     int64 // milliseconds since 1970
	// StorageClass is empty for STANDARD, and where it was not asked for.
	StorageClass string
	Tags         []Pair // where they were asked for
}

// LifecycleFields says how much of a row is to be read: each is all before it too.
type LifecycleFields uint8

// The fields.
const (
	LifecycleTimes   LifecycleFields = iota // all but the class and tags
	LifecycleClasses                        // and the class
	LifecycleTags                           // and the tags
)

// last is the number of the last field of a record that is needed.
func (f LifecycleFields) last() uint64 {
	switch f {
	case LifecycleTags:
		return attrTag
	case LifecycleClasses:
		return attrStorageClass
	case LifecycleTimes:
	}
	return objectModified
}

// Lifecycle reads the current row into dst, whose memory it uses again.
func (i *VersionIter) Lifecycle(dst *LifecycleRow, fields LifecycleFields) error {
	class := dst.StorageClass
	*dst = LifecycleRow{Latest: i.latest, Tags: dst.Tags[:0]}
	last := fields.last()
	d := openRecord(i.head.pair.Value)
	for d.next() && d.field <= last {
		switch d.field {
		case objectOrd:
			dst.Ord = Ord(d.uint(math.MaxUint64))
		case objectFlags:
			dst.DeleteMarker = d.uint(flagsKnown)&flagDeleteMarker != 0
		case objectSize:
			dst.Size = d.size()
		case objectModified:
			u := d.uint(math.MaxUint64)
			dst.Modified = int64(u>>1) ^ -int64(u&1)
		case attrStorageClass:
			dst.StorageClass = d.textLike(class)
		case attrTag:
			dst.Tags = append(dst.Tags, decodePair(&d))
		default:
			// Object and the checker complain of what is unknown.
		}
	}
	if err := d.finish("version"); err != nil {
		return fmt.Errorf("version of %q: %w", i.head.key, err)
	}
	return nil
}

// Name is which upload the current one is, also where its row cannot be read.
func (i *UploadIter) Name() (key string, id UploadID, err error) {
	k, err := i.keys.parseUpload(i.pair.Key)
	return k.key, k.upload, err
}

// BucketConfig is one document of a bucket, nil where it is not set.
func (r *Reader) BucketConfig(id BucketID, kind ConfigKind) ([]byte, error) {
	v, err := r.get(r.keys.config(id, kind))
	if err != nil || v == nil {
		return nil, err
	}
	return decodeConfig(v)
}

// BucketsWith lists the ids of buckets that have a document of a kind, in their
// order: those from an id on, at most limit.
func (r *Reader) BucketsWith(kind ConfigKind, from BucketID, limit int) (ids []BucketID, err error) {
	rng := r.keys.all(tagConfig)
	rng.Begin = r.keys.config(from, kind)
	i := newRowIter(r, rng, min(limit, defaultPage))
	defer i.close()
	for len(ids) < limit && i.next() {
		id, found, err := r.keys.parseConfig(i.pair.Key)
		if err != nil {
			return nil, err
		}
		switch {
		case found == kind:
			ids = append(ids, id)
			fallthrough
		case found > kind:
			if id == math.MaxUint64 {
				return ids, nil
			}
			i.skipTo(r.keys.config(id+1, kind))
		default:
			i.skipTo(r.keys.config(id, kind))
		}
	}
	return ids, i.err
}
