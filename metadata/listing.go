package metadata

import (
	"fmt"
	"time"

	"github.com/undercroft/undercroft/metadata/kv"
)

// ObjectSummary is what a listing says of an object.
type ObjectSummary struct {
	Key          string
	Size         int64
	ETag         string
	Modified     time.Time
	StorageClass string // "" is STANDARD
	Owner        string
	// ChecksumAlgorithm and ChecksumType are those of the first additional
	// checksum, "" where there is none.
	ChecksumAlgorithm string
	ChecksumType      string
}

// ObjectIter walks current live objects in strict byte order of their keys.
// Close it; it ends with its transaction at the latest.
type ObjectIter struct {
	rowIter
	keys   keyspace
	bucket BucketID
	remote bool
	prefix int           // length of a row's key before the object's
	last   ObjectSummary // its texts are shared with the next summary where equal
}

// Objects iterates over the keys of a bucket that start with prefix, from
// begin (inclusive, "" for the first).
func (r *Reader) Objects(id BucketID, begin, prefix string) *ObjectIter {
	rng := kv.PrefixRange(r.keys.object(id, prefix))
	if begin > prefix {
		rng.Begin = r.keys.object(id, begin)
	}
	return &ObjectIter{
		rowIter: newRowIter(r, rng, 0), remote: r.SendsAhead(),
		keys: r.keys, bucket: id, prefix: len(r.keys.root) + 9,
	}
}

// Expect says, before the first Next, how many objects will be asked for at most, so
// that a remote engine is asked for that many. Elsewhere it does nothing.
func (i *ObjectIter) Expect(objects int) {
	if i.remote {
		i.expect(objects)
	}
}

// Spent says that skips have taken so many round trips that a listing had better end its
// page here. It is false on local engines.
func (i *ObjectIter) Spent() bool { return i.opened() >= farRanges }

// Next moves to the next object. It returns false at the end and on error.
func (i *ObjectIter) Next() bool { return i.next() }

// SkipTo makes the following Next go to the first key that is not below key
// and above the current one. It is cheap, whatever lies between.
func (i *ObjectIter) SkipTo(key string) { i.skipTo(i.keys.object(i.bucket, key)) }

// Key is the current object's key.
func (i *ObjectIter) Key() string { return string(i.KeyBytes()) }

// KeyBytes is the current object's key, valid until the next call of Next.
func (i *ObjectIter) KeyBytes() []byte { return i.pair.Key[i.prefix:] }

// Object decodes the current object.
func (i *ObjectIter) Object() (*Object, error) {
	o, err := decodeObject(i.pair.Value)
	if err != nil {
		return nil, fmt.Errorf("object %q: %w", i.KeyBytes(), err)
	}
	o.Key = i.Key()
	return o, nil
}

// Summary decodes what a listing needs of the current object.
func (i *ObjectIter) Summary() (ObjectSummary, error) {
	s := ObjectSummary{}
	d := openRecord(i.pair.Value)
	for d.next() {
		s.decodeField(&d, &i.last)
	}
	if err := d.finish("object"); err != nil {
		return ObjectSummary{}, fmt.Errorf("object %q: %w", i.KeyBytes(), err)
	}
	i.last = s
	s.Key = i.Key()
	return s, nil
}

// decodeField takes a field of an object's record that a listing shows, and
// shares its text with that of the summary before where they are equal.
func (s *ObjectSummary) decodeField(d *decoder, known *ObjectSummary) {
	switch d.field {
	case objectSize:
		s.Size = d.size()
	case objectModified:
		s.Modified = d.time()
	case objectETag:
		s.ETag = d.text()
	case objectOwner:
		s.Owner = d.textLike(known.Owner)
	case attrStorageClass:
		s.StorageClass = d.textLike(known.StorageClass)
	case objectChecksum:
		if s.ChecksumAlgorithm == "" {
			sum := decodeChecksumKind(d)
			s.ChecksumAlgorithm, s.ChecksumType = sum.Algorithm, sum.Type
		}
	default:
		// Object and the checker complain of what is unknown.
	}
}

// Err is the error that ended the iteration, or nil.
func (i *ObjectIter) Err() error { return i.err }

// Close frees the iterator. It may be called repeatedly.
func (i *ObjectIter) Close() { i.close() }

// UploadIter walks multipart uploads by key, then by time of initiation.
type UploadIter struct {
	rowIter
	keys   keyspace
	bucket BucketID
}

// UploadRange selects uploads of a bucket.
type UploadRange struct {
	Prefix string
	// AfterKey is exclusive: uploads of greater keys follow, and, when
	// AfterUpload is set, those of AfterKey with a greater id before them. It is
	// ignored when it is empty.
	AfterKey    string
	AfterUpload UploadID
	// Page is how many rows to fetch at a time, 0 for a default.
	Page int
}

// Uploads iterates over the uploads in progress that o selects.
func (r *Reader) Uploads(id BucketID, o UploadRange) *UploadIter {
	rng := kv.PrefixRange(escBody(r.keys.inBucket(tagUpload, id, len(o.Prefix)), o.Prefix))
	if o.AfterKey != "" {
		after := kv.Strinc(esc(r.keys.inBucket(tagUpload, id, len(o.AfterKey)+4), o.AfterKey))
		if o.AfterUpload != (UploadID{}) {
			after = kv.KeyAfter(r.keys.upload(id, o.AfterKey, o.AfterUpload))
		}
		if string(after) > string(rng.Begin) {
			rng.Begin = after
		}
	}
	return &UploadIter{rowIter: newRowIter(r, rng, o.Page), keys: r.keys, bucket: id}
}

// Next moves to the next upload. It returns false at the end and on error.
func (i *UploadIter) Next() bool { return i.next() }

// SkipTo makes the following Next go to the first upload whose key is not
// below key.
func (i *UploadIter) SkipTo(key string) {
	i.skipTo(esc(i.keys.inBucket(tagUpload, i.bucket, len(key)+4), key))
}

// Upload decodes the current upload.
func (i *UploadIter) Upload() (*Upload, error) {
	k, err := i.keys.parseUpload(i.pair.Key)
	if err != nil {
		return nil, err
	}
	u, err := decodeUpload(i.pair.Value)
	if err != nil {
		return nil, fmt.Errorf("upload of %q: %w", k.key, err)
	}
	u.Key, u.ID = k.key, k.upload
	return u, nil
}

// Err is the error that ended the iteration, or nil.
func (i *UploadIter) Err() error { return i.err }

// Close frees the iterator. It may be called repeatedly.
func (i *UploadIter) Close() { i.close() }
