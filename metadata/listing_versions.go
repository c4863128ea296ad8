package metadata

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/undercroft/undercroft/metadata/kv"
)

// VersionSummary is what a listing says of a version or delete marker.
type VersionSummary struct {
	ObjectSummary
	Ord          Ord
	Suffix       uint64
	Null         bool
	DeleteMarker bool
	// Latest says that it is the newest of its key.
	Latest bool
}

// VersionRange selects versions of a bucket.
type VersionRange struct {
	Prefix string
	// From is the first key that may follow, "" for the first of all.
	From string
	// Below leaves out the versions of the key From of this order and above;
	// 0 leaves out none.
	Below Ord
	// Expect is how many will be asked for at most, 0 where that is not known: a remote
	// engine is asked for that many.
	Expect int
}

// VersionIter walks all versions and delete markers: keys in strict byte order,
// the versions of a key newest first. Close it; it ends with its transaction at
// the latest.
type VersionIter struct {
	keys   keyspace
	bucket BucketID
	o, v   versionHead
	head   *versionHead // the current row; nil before the first
	latest bool
	seen   []byte // the key of the row before, and whether there was one
	any    bool
	last   ObjectSummary // its texts are shared with the next summary where equal
	err    error
}

// versionHead is where the walk of one of the tables O and V is.
type versionHead struct {
	rowIter
	prefix  int    // length of a row's key before the object's
	key     []byte // of the row; nil at the end
	ord     Ord    // of a row V
	escaped bool   // the table's keys are
	buf     []byte // backs key where an escape had to be undone
}

// VersionsIn iterates over the versions that o selects.
func (r *Reader) VersionsIn(id BucketID, o VersionRange) (*VersionIter, error) {
	live := kv.PrefixRange(r.keys.object(id, o.Prefix))
	rest := kv.PrefixRange(escBody(r.keys.inBucket(tagVersion, id, len(o.Prefix)), o.Prefix))
	i := &VersionIter{keys: r.keys, bucket: id}
	if o.From >= o.Prefix && o.From != "" {
		live.Begin = r.keys.object(id, o.From)
		rest.Begin = escBody(r.keys.inBucket(tagVersion, id, len(o.From)), o.From)
		if o.Below != 0 {
			if err := i.startBelow(r, &o, &live, &rest); err != nil {
				return nil, err
			}
		}
	}
	prefix := len(r.keys.root) + 9
	i.o = versionHead{rowIter: newRowIter(r, live, 0), prefix: prefix}
	i.v = versionHead{rowIter: newRowIter(r, rest, 0), prefix: prefix, escaped: true}
	if o.Expect > 0 && r.SendsAhead() {
		i.o.expect(o.Expect)
		i.v.expect(o.Expect)
	}
	i.advance(&i.o)
	i.advance(&i.v)
	return i, nil
}

// startBelow starts within a key. What is left out counts when it comes to
// what the newest version of the key is.
func (i *VersionIter) startBelow(r *Reader, o *VersionRange, live, rest *kv.Range) error {
	current, err := r.Object(i.bucket, o.From)
	if err != nil {
		return err
	}
	newest, err := r.Versions(i.bucket, o.From, 1)
	if err != nil {
		return err
	}
	if current != nil && current.Ord >= o.Below {
		live.Begin = kv.KeyAfter(live.Begin)
		i.see([]byte(o.From))
	}
	if len(newest) > 0 && newest[0].Ord >= o.Below {
		i.see([]byte(o.From))
	}
	rest.Begin = kv.KeyAfter(r.keys.version(i.bucket, o.From, o.Below))
	return nil
}

func (i *VersionIter) see(key []byte) { i.seen, i.any = append(i.seen[:0], key...), true }

// Next moves to the next version. It returns false at the end and on error.
func (i *VersionIter) Next() bool {
	if i.head != nil {
		i.see(i.head.key)
		i.advance(i.head)
	}
	i.head = &i.o
	if i.o.key == nil || i.v.key != nil && bytes.Compare(i.v.key, i.o.key) < 0 {
		i.head = &i.v // of one key, the row O is the newest
	}
	if i.err != nil || i.head.key == nil {
		i.head = nil
		return false
	}
	i.latest = !i.any || !bytes.Equal(i.head.key, i.seen)
	return true
}

func (i *VersionIter) advance(h *versionHead) {
	h.key = nil
	if !h.next() {
		if i.err == nil {
			i.err = h.err
		}
		return
	}
	if err := h.read(); err != nil && i.err == nil {
		i.err = err
	}
}

// read takes the key apart.
func (h *versionHead) read() error {
	k := h.pair.Key[h.prefix:]
	if !h.escaped {
		h.key = k
		return nil
	}
	const tail = 2 + 8 // the end of the text, the order
	if len(k) < tail || k[len(k)-tail] != 0 || k[len(k)-tail+1] != 1 {
		return errKey(h.pair.Key)
	}
	h.ord = Ord(^binary.BigEndian.Uint64(k[len(k)-8:]))
	k = k[:len(k)-tail]
	if bytes.IndexByte(k, 0) >= 0 {
		h.buf = h.buf[:0]
		for j := 0; j < len(k); j++ {
			h.buf = append(h.buf, k[j])
			if k[j] == 0 {
				j++ // the 0xff behind it
			}
		}
		k = h.buf
	}
	h.key = k
	return nil
}

// SkipTo makes the following Next go to the newest version of the first key
// that is not below key and above the current one. It is cheap, whatever lies
// between.
func (i *VersionIter) SkipTo(key string) {
	for _, h := range [...]*versionHead{&i.o, &i.v} {
		if h.key == nil || h == i.head || string(h.key) >= key {
			continue
		}
		h.skipTo(i.place(h, key))
		i.advance(h)
	}
	if i.head != nil {
		i.head.skipTo(i.place(i.head, key))
	}
}

// place is where the rows of key and those above it begin in a table.
func (i *VersionIter) place(h *versionHead, key string) []byte {
	if !h.escaped {
		return i.keys.object(i.bucket, key)
	}
	return escBody(i.keys.inBucket(tagVersion, i.bucket, len(key)+4), key)
}

// Spent is as that of an ObjectIter.
func (i *VersionIter) Spent() bool { return i.o.opened()+i.v.opened() >= farRanges }

// KeyBytes is the current version's key, valid until the next call of Next or
// SkipTo.
func (i *VersionIter) KeyBytes() []byte { return i.head.key }

// Summary decodes what a listing needs of the current version.
func (i *VersionIter) Summary() (VersionSummary, error) {
	s := VersionSummary{Latest: i.latest}
	d := openRecord(i.head.pair.Value)
	for d.next() {
		switch d.field {
		case objectOrd:
			s.Ord = Ord(d.uint(math.MaxUint64))
		case objectSuffix:
			s.Suffix = d.fixed()
		case objectFlags:
			flags := d.uint(flagsKnown)
			s.Null, s.DeleteMarker = flags&flagNull != 0, flags&flagDeleteMarker != 0
		default:
			s.decodeField(&d, &i.last)
		}
	}
	if err := d.finish("version"); err != nil {
		return VersionSummary{}, fmt.Errorf("version of %q: %w", i.head.key, err)
	}
	i.last = s.ObjectSummary
	s.Key = string(i.head.key)
	return s, nil
}

// Err is the error that ended the iteration, or nil.
func (i *VersionIter) Err() error { return i.err }

// Close frees the iterator. It may be called repeatedly.
func (i *VersionIter) Close() {
	i.o.close()
	i.v.close()
}
