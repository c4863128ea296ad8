package metadata

import (
	"math"

	"github.com/undercroft/undercroft/metadata/kv"
)

// Rows of a key that may be read together: see [Reader.Ahead].
type Rows uint8

// The rows of a key.
const (
	// RowCurrent is the row O, the current live version.
	RowCurrent Rows = 1 << iota
	// RowNewest is the first row V, the newest of the others.
	RowNewest
	// RowsNewest are the first two rows V, for who removes the first.
	RowsNewest
	// RowNull is the row N.
	RowNull
	// RowInline is the first row D: the bytes of the current version, if it is inline.
	RowInline
)

// ahead is where reads are sent ahead, nil where that would save nothing.
func (r *Reader) ahead() *ahead {
	switch t := r.kv.(type) {
	case *aheadReader:
		return &t.ahead
	case *aheadTx:
		return &t.ahead
	}
	return nil
}

// SendsAhead says whether Ahead and its like do anything: on engines whose reads
// cross a network. Who would have to find out what to send can save itself that.
func (r *Reader) SendsAhead() bool { return r.ahead() != nil }

// Ahead sends the reads of rows of a key without waiting for them, so that the
// calls that ask for them share a round trip. What is never asked for
// conflicts with nothing. On local engines it does nothing.
func (r *Reader) Ahead(id BucketID, key string, rows Rows) {
	a := r.ahead()
	if a == nil {
		return
	}
	if rows&RowCurrent != 0 {
		a.sendGet(r.keys.object(id, key))
	}
	if rows&RowsNewest != 0 {
		a.sendRange(kv.PrefixRange(r.keys.versions(tagVersion, id, key)), 2)
	} else if rows&RowNewest != 0 {
		a.sendRange(kv.PrefixRange(r.keys.versions(tagVersion, id, key)), 1)
	}
	if rows&RowNull != 0 {
		a.sendGet(r.keys.null(id, key))
	}
	if rows&RowInline != 0 {
		a.sendRange(kv.PrefixRange(r.keys.versions(tagInline, id, key)), 1)
	}
}

// AheadVersion sends the read of a noncurrent version, as Ahead does.
func (r *Reader) AheadVersion(id BucketID, key string, ord Ord) {
	if a := r.ahead(); a != nil {
		a.sendGet(r.keys.version(id, key, ord))
	}
}

// AheadInline sends the read of the inline bytes of a version, as Ahead does.
func (r *Reader) AheadInline(id BucketID, key string, ord Ord) {
	if a := r.ahead(); a != nil {
		a.sendGet(r.keys.inline(id, key, ord))
	}
}

// AheadBucket sends the reads of a bucket's row, and of the name's unless that is
// empty, as Ahead does.
func (r *Reader) AheadBucket(name string, id BucketID) {
	a := r.ahead()
	if a == nil {
		return
	}
	if name != "" {
		a.sendGet(r.keys.bucketName(name))
	}
	if id != 0 {
		a.sendGet(r.keys.bucket(id))
	}
}

// AheadPublish sends the reads of Publish, as Ahead does.
func (r *Reader) AheadPublish(placed []Placed) {
	a := r.ahead()
	if a == nil {
		return
	}
	for i := range placed {
		a.sendGet(r.keys.partition(placed[i].Extent.Partition))
	}
}

// AheadUpload sends the reads of an upload and, unless part is 0, of one of its
// parts, as Ahead does.
func (r *Reader) AheadUpload(id BucketID, key string, upload UploadID, part int) {
	a := r.ahead()
	if a == nil {
		return
	}
	a.sendGet(r.keys.upload(id, key, upload))
	if part != 0 {
		a.sendGet(r.keys.part(id, upload, part))
	}
}

// AheadPartsStamp sends the read of PartsStamp, as Ahead does.
func (r *Reader) AheadPartsStamp(id BucketID, upload UploadID) {
	if a := r.ahead(); a != nil {
		a.sendGet(r.keys.partsStamp(id, upload))
	}
}

// AheadParts sends the reads of Parts, which has a limit, as Ahead does.
func (r *Reader) AheadParts(id BucketID, upload UploadID, after, limit int) {
	if a := r.ahead(); a != nil && limit > 0 && after < math.MaxUint16 {
		a.sendRange(r.keys.partsAfter(id, upload, after), limit+1)
	}
}

// AheadEncryptionKey sends the read of MayPublish, as Ahead does.
func (r *Reader) AheadEncryptionKey(name string) {
	if a := r.ahead(); a != nil {
		a.sendGet(r.keys.encryptionKey(name))
	}
}

// AheadAccessKey sends the reads of an access key, its account and, unless that is
// empty, its user, as Ahead does.
func (r *Reader) AheadAccessKey(key, account, user string) {
	a := r.ahead()
	if a == nil {
		return
	}
	a.sendGet(r.keys.accessKey(key))
	a.sendGet(r.keys.account(account))
	if user != "" {
		a.sendGet(r.keys.user(account, user))
	}
}
