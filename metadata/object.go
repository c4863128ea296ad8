package metadata

import (
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Object is the current live version of key.
func (r *Reader) Object(id BucketID, key string) (*Object, error) {
	o, err := decode(r, r.keys.object(id, key), decodeObject)
	if o != nil {
		o.Key = key
	}
	return o, err
}

// Version is a noncurrent version or a delete marker of key.
func (r *Reader) Version(id BucketID, key string, ord Ord) (*Object, error) {
	o, err := decode(r, r.keys.version(id, key, ord), decodeObject)
	if o != nil {
		o.Key = key
	}
	return o, err
}

// Versions are the noncurrent versions and delete markers of key, newest
// first, at most limit (0: all).
func (r *Reader) Versions(id BucketID, key string, limit int) ([]Object, error) {
	var out []Object
	rng := kv.PrefixRange(r.keys.versions(tagVersion, id, key))
	err := r.each(rng, limit, func(p kv.Pair) (bool, error) {
		o, err := decodeObject(p.Value)
		if err != nil {
			return false, fmt.Errorf("key %q: %w", p.Key, err)
		}
		o.Key = key
		out = append(out, *o)
		return true, nil
	})
	return out, err
}

// NullOrd is the order of the null version of key while that is noncurrent or
// a delete marker, else 0.
func (r *Reader) NullOrd(id BucketID, key string) (Ord, error) {
	v, err := r.get(r.keys.null(id, key))
	if err != nil || v == nil {
		return 0, err
	}
	return decodeOrd(v)
}

// Inline are the bytes of a version of kind DataInline, which the caller must
// not change; nil when there is no row.
func (r *Reader) Inline(id BucketID, key string, ord Ord) ([]byte, error) {
	v, err := r.get(r.keys.inline(id, key, ord))
	if err != nil || v == nil {
		return nil, err
	}
	if len(v) == 0 || v[0] != recordVersion {
		return nil, fmt.Errorf("%w: inline bytes of %q", ErrCorrupt, key)
	}
	return v[1:], nil
}

// PutObject makes o the current live version of its key in place of old, the
// row O that this transaction has read serializably, or nil: the counters
// follow, and what old held is released. inline are the bytes of a version of
// kind DataInline, nil for others.
//
// Where old stays as a noncurrent version, call Demote first and pass nil.
func (t *Tx) PutObject(id BucketID, old, o *Object, inline []byte) error {
	if old != nil {
		t.dropVersion(id, old)
		t.add(t.keys.bucketCounter(id, countObjects), -1)
	}
	if o.DeleteMarker || !t.validData(o, inline) {
		t.invalid("live object %q", o.Key)
		return t.err
	}
	t.set(t.keys.object(id, o.Key), encodeObject(o))
	if o.Data.Kind == DataInline {
		t.set(t.keys.inline(id, o.Key, o.Ord), append([]byte{recordVersion}, inline...))
	}
	t.add(t.keys.bucketCounter(id, countObjects), 1)
	t.add(t.keys.bucketCounter(id, countBytes), o.Size)
	return t.err
}

func (t *Tx) validData(o *Object, inline []byte) bool {
	size := o.stored()
	switch o.Data.Kind {
	case DataEmpty:
		size = 0
	case DataInline:
		size = int64(len(inline))
	case DataExtents:
		size = 0
		for _, x := range o.Data.Extents {
			size += int64(x.Length)
		}
		if o.Data.Shared || len(o.Data.Extents) > MaxRowExtents {
			return false
		}
	case DataRows, DataManifest:
	}
	return o.Ord != 0 && o.stored() == size && (inline == nil || o.Data.Kind == DataInline)
}

// DeleteObject removes the current live version, which this transaction has
// read serializably, with its counters, and releases its data.
func (t *Tx) DeleteObject(id BucketID, old *Object) error {
	t.kv.Delete(t.keys.object(id, old.Key))
	t.dropVersion(id, old)
	t.add(t.keys.bucketCounter(id, countObjects), -1)
	return t.err
}

// Demote moves the current live version to the noncurrent ones; its data stays
// as it is, but extents that it carries itself move to rows E. The caller sets
// the row N where the version is the null version.
func (t *Tx) Demote(id BucketID, o *Object) error {
	t.kv.Delete(t.keys.object(id, o.Key))
	t.set(t.keys.version(id, o.Key, o.Ord), encodeObject(t.asNoncurrent(o)))
	t.add(t.keys.bucketCounter(id, countObjects), -1)
	return t.err
}

// Promote moves a noncurrent version to be the current live one; its data
// stays as it is. The caller clears the row N where the version is the null
// version.
func (t *Tx) Promote(id BucketID, o *Object) error {
	if o.DeleteMarker {
		t.invalid("promotion of a delete marker of %q", o.Key)
		return t.err
	}
	t.kv.Delete(t.keys.version(id, o.Key, o.Ord))
	t.set(t.keys.object(id, o.Key), encodeObject(o))
	t.add(t.keys.bucketCounter(id, countObjects), 1)
	return t.err
}

// PutVersion adds a noncurrent version without inline bytes, or a delete
// marker.
func (t *Tx) PutVersion(id BucketID, o *Object) error {
	if o.Data.Kind == DataInline || !t.validData(o, nil) {
		t.invalid("version %q", o.Key)
		return t.err
	}
	t.set(t.keys.version(id, o.Key, o.Ord), encodeObject(t.asNoncurrent(o)))
	t.add(t.keys.bucketCounter(id, countBytes), o.Size)
	return t.err
}

// DeleteVersion removes a noncurrent version or delete marker, which this
// transaction has read serializably, and releases its data.
func (t *Tx) DeleteVersion(id BucketID, old *Object) error {
	t.kv.Delete(t.keys.version(id, old.Key, old.Ord))
	t.dropVersion(id, old)
	return t.err
}

// SetNull records that the null version of key is the row V of ord.
func (t *Tx) SetNull(id BucketID, key string, ord Ord) error {
	t.set(t.keys.null(id, key), encodeOrd(ord))
	return t.err
}

// ClearNull removes the record of SetNull.
func (t *Tx) ClearNull(id BucketID, key string) error {
	t.kv.Delete(t.keys.null(id, key))
	return t.err
}

// UpdateObject rewrites the row of a version that this transaction has read
// serializably, with other tags, another ACL or another lock. The order, the size, the
// data and whether it is a delete marker must be those that were read.
func (t *Tx) UpdateObject(id BucketID, o *Object) error {
	key := t.keys.object(id, o.Key)
	stored, err := t.Object(id, o.Key)
	if err == nil && (stored == nil || stored.Ord != o.Ord) {
		key = t.keys.version(id, o.Key, o.Ord)
		stored, err = t.Version(id, o.Key, o.Ord)
	}
	if err != nil {
		return err
	}
	if t.mayRewrite(id, stored, o) {
		t.set(key, encodeObject(o))
	}
	return t.err
}

// dropVersion takes the bytes of a version off the counters and releases them.
// Every way by which a version goes leads through here, so that none goes that
// is locked.
func (t *Tx) dropVersion(id BucketID, o *Object) {
	if !t.mayDrop(id, o) {
		return
	}
	t.add(t.keys.bucketCounter(id, countBytes), -o.Size)
	t.releaseData(id, o)
}

// releaseData gives up what a version holds.
func (t *Tx) releaseData(id BucketID, o *Object) {
	owner := Owner{Kind: OwnerVersion, Bucket: id, Key: o.Key, Ord: o.Ord}
	switch o.Data.Kind {
	case DataEmpty:
	case DataInline:
		t.kv.Delete(t.keys.inline(id, o.Key, o.Ord))
	case DataExtents:
		// The collector finds extents in rows E only.
		t.putExtents(o.Data.ID, 0, o.Data.Extents)
		t.releaseHome(o.Data.ID, GarbageData)
	case DataRows:
		t.release(o, owner, GarbageData)
	case DataManifest:
		t.release(o, owner, GarbageManifest)
	}
}

func (t *Tx) release(o *Object, owner Owner, kind GarbageKind) {
	if o.Data.Shared {
		t.unpin(o.Data.ID, &owner, kind)
		return
	}
	t.releaseHome(o.Data.ID, kind)
}
