package metadata

import (
	"github.com/undercroft/undercroft/metadata/kv"
)

// BucketCounts are a bucket's counters. They are exact at every version.
type BucketCounts struct {
	Objects   int64 // current live objects
	Bytes     int64 // sizes of all versions
	Uploads   int64 // multipart uploads in progress
	PartBytes int64 // sizes of uploaded parts, those of aborted uploads until they are collected
}

// BucketIDByName is the id of the bucket called name, or 0.
func (r *Reader) BucketIDByName(name string) (BucketID, error) {
	v, err := r.get(r.keys.bucketName(name))
	if err != nil || v == nil {
		return 0, err
	}
	return decodeBucketID(v)
}

// BucketByName is the bucket called name.
func (r *Reader) BucketByName(name string) (*Bucket, error) {
	id, err := r.BucketIDByName(name)
	if err != nil || id == 0 {
		return nil, err
	}
	return r.Bucket(id)
}

// Bucket is the bucket with an id.
func (r *Reader) Bucket(id BucketID) (*Bucket, error) {
	b, err := decode(r, r.keys.bucket(id), decodeBucket)
	if b != nil {
		b.ID = id
	}
	return b, err
}

// Buckets lists the buckets of owner in the order of their names: those after
// the name after (exclusive, "" for all) that start with prefix, at most limit
// (0: all). more says that there are others.
func (r *Reader) Buckets(owner, after, prefix string, limit int) (buckets []Bucket, more bool, err error) {
	rng := kv.PrefixRange(r.keys.owned(owner, prefix))
	if after >= prefix && after != "" {
		rng.Begin = kv.KeyAfter(r.keys.owned(owner, after))
	}
	var ids []BucketID
	var rows []kv.Future
	fetch := 0
	if limit > 0 {
		fetch = limit + 1
	}
	err = r.each(rng, fetch, func(p kv.Pair) (bool, error) {
		if limit > 0 && len(ids) == limit {
			more = true
			return false, nil
		}
		id, err := decodeBucketID(p.Value)
		if err != nil {
			return false, err
		}
		ids = append(ids, id)
		rows = append(rows, r.kv.Get(r.keys.bucket(id)))
		return true, nil
	})
	if err != nil {
		return nil, false, err
	}
	for i, row := range rows {
		v, err := row.Wait()
		if err != nil {
			return nil, false, err
		}
		if v == nil {
			continue
		}
		b, err := decodeBucket(v)
		if err != nil {
			return nil, false, err
		}
		b.ID = ids[i]
		buckets = append(buckets, *b)
	}
	return buckets, more, nil
}

// CountBuckets counts the buckets of an owner, up to limit.
func (r *Reader) CountBuckets(owner string, limit int) (n int, err error) {
	err = r.each(kv.PrefixRange(r.keys.owned(owner, "")), limit, func(kv.Pair) (bool, error) {
		n++
		return n < limit, nil
	})
	return n, err
}

// BucketCount reads the counters of a bucket. In an Update read them from
// Tx.Snapshot: a serializable read conflicts with every write to the bucket.
func (r *Reader) BucketCount(id BucketID) (BucketCounts, error) {
	var c BucketCounts
	fields := [...]*int64{
		countObjects: &c.Objects, countBytes: &c.Bytes, countUploads: &c.Uploads, countPartBytes: &c.PartBytes,
	}
	rows := [len(fields)]kv.Future{}
	for i := countObjects; i < len(fields); i++ {
		rows[i] = r.kv.Get(r.keys.bucketCounter(id, byte(i)))
	}
	for i := countObjects; i < len(fields); i++ {
		v, err := rows[i].Wait()
		if err == nil {
			*fields[i], err = decodeCounter(v)
		}
		if err != nil {
			return BucketCounts{}, err
		}
	}
	return c, nil
}

// IsEmpty says whether a bucket has no object and no version; it may have
// uploads in progress. Read through the Tx, an answer of true makes the
// transaction conflict with whoever adds one.
func (r *Reader) IsEmpty(id BucketID) (bool, error) {
	for _, tag := range []byte{tagObject, tagVersion} {
		empty, err := r.empty(kv.PrefixRange(r.keys.inBucket(tag, id, 0)))
		if err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}

// HoldBucket makes the transaction conflict with every change of a bucket's row,
// as reading it serializably would, without reading it.
func (t *Tx) HoldBucket(id BucketID) error {
	key := t.keys.bucket(id)
	t.kv.AddReadConflictRange(kv.Range{Begin: key, End: kv.KeyAfter(key)})
	return t.err
}

// CreateBucket writes the rows of a new bucket. The caller has read
// BucketIDByName serializably and found none. Of a bucket with Object Lock it
// reads the lock time.
func (t *Tx) CreateBucket(b *Bucket) error {
	if err := t.lockBucket(b); err != nil {
		return err
	}
	t.set(t.keys.bucketName(b.Name), encodeBucketID(b.ID))
	t.set(t.keys.owned(b.Owner, b.Name), encodeBucketID(b.ID))
	t.set(t.keys.bucket(b.ID), encodeBucket(b))
	return t.err
}

// PutBucket replaces the configuration of an existing bucket, whose name and
// owner never change, and the generation stamp. It reads as CreateBucket.
func (t *Tx) PutBucket(b *Bucket) error {
	if err := t.lockBucket(b); err != nil {
		return err
	}
	t.set(t.keys.bucket(b.ID), encodeBucket(b))
	t.kv.BumpGeneration()
	return t.err
}

// DeleteBucket removes the rows of a bucket with its configuration, and its counters but the bytes of
// parts of aborted uploads that are still to be collected. The caller has
// found it empty with a serializable IsEmpty and ended all uploads.
func (t *Tx) DeleteBucket(b *Bucket) error {
	if b.ObjectLock != nil {
		// What is locked keeps its bucket, whatever the caller has looked at.
		if empty, err := t.IsEmpty(b.ID); err != nil {
			return err
		} else if !empty {
			t.refuseLocked()
			return t.err
		}
	}
	t.kv.Delete(t.keys.bucketName(b.Name))
	t.kv.Delete(t.keys.owned(b.Owner, b.Name))
	t.kv.Delete(t.keys.bucket(b.ID))
	t.kv.DeleteRange(kv.PrefixRange(t.keys.inBucket(tagConfig, b.ID, 0)))
	for counter := byte(countObjects); counter <= countUploads; counter++ {
		t.kv.Delete(t.keys.bucketCounter(b.ID, counter))
	}
	t.kv.BumpGeneration()
	return t.err
}
