package objects_test

import (
	"encoding/hex"
	"runtime"
	"testing"

	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// sliced gives an upload parts that each hold as many slices of one object's
// data as a part may: what copies of fragmented sources leave.
func (e *env) sliced(u objects.Upload, first, last int) {
	e.t.Helper()
	source := e.put("source", bytesOf(1, 20_000))
	var id metadata.UploadID
	raw, err := hex.DecodeString(string(u.ID))
	e.must(err)
	copy(id[:], raw)
	for n := first; n <= last; n++ {
		err := e.DB.Update(e.ctx, "test", func(tx *metadata.Tx) error {
			b, err := tx.BucketIDByName(string(bucket))
			if err != nil {
				return err
			}
			from, err := tx.Object(b, string(source.Key))
			if err != nil {
				return err
			}
			if err := tx.PutExtents(from.Data.ID, 0, from.Data.Extents); err != nil {
				return err
			}
			owner := metadata.Owner{Kind: metadata.OwnerPart, Bucket: b, Upload: id, Part: n, Token: metadata.Token{byte(n), byte(n >> 8), 1}}
			part := &metadata.Part{Number: n, Size: metadata.MaxSlices, ETag: string(etagOf(nil)), Modified: e.Now(), Token: owner.Token}
			for i := range int64(metadata.MaxSlices) {
				part.Slices = append(part.Slices, metadata.Slice{ID: from.Data.ID, Offset: i, Length: 1, Owner: &owner})
			}
			if err := tx.Pin(from.Data.ID, owner); err != nil {
				return err
			}
			return tx.PutPart(b, id, nil, part)
		})
		e.must(err)
	}
}

func TestAbortOfManySlices(t *testing.T) {
	e := open(t)
	u := e.upload("k")
	e.sliced(u, 1, 100)
	e.must(e.AbortMultipartUpload(e.ctx, objects.AbortUploadInput{Bucket: bucket, Key: "k", Upload: u.ID}))
	e.RunSteward()
	if s := e.Summary(); s.Parts != 0 || s.Uploads != 0 {
		t.Errorf("left over: %+v", s)
	}
	e.holds("source", bytesOf(1, 20_000))
}

func TestCompleteWithManyUnusedSlices(t *testing.T) {
	e := open(t)
	u := e.upload("k")
	e.sliced(u, 2, 101)
	o := e.complete(u, e.part(u, 1, bytesOf(2, 9000)))
	if o.Size != 9000 || o.PartCount != 1 {
		t.Errorf("object %+v", o)
	}
	e.holds("k", bytesOf(2, 9000))
	e.RunSteward()
	if s := e.Summary(); s.Parts != 0 || s.Uploads != 0 {
		t.Errorf("left over: %+v", s)
	}
	e.holds("source", bytesOf(1, 20_000))
	e.holds("k", bytesOf(2, 9000))
}

// TestCompleteHoldsNoSlicesOfManyUnusedParts: their number is the client's to
// choose, up to ten million.
func TestCompleteHoldsNoSlicesOfManyUnusedParts(t *testing.T) {
	e := open(t)
	u := e.upload("k")
	const unused = 300
	e.sliced(u, 2, unused+1)
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	in := objects.CompleteUploadInput{
		Bucket: bucket, Key: "k", Upload: u.ID, Size: -1, Parts: []objects.CompletedPart{e.part(u, 1, bytesOf(2, 9000))},
	}
	before, held := live(), int64(0)
	in.Precondition = func(*objects.Object) error {
		held = live() - before
		return nil
	}
	_, err := e.CompleteMultipartUpload(e.ctx, in)
	e.must(err)
	if most := int64(unused * metadata.MaxSlices * 8); held > most {
		t.Errorf("%d bytes are held, more than %d", held, most)
	}
	e.RunSteward()
	if s := e.Summary(); s.Parts != 0 || s.Uploads != 0 {
		t.Errorf("left over: %+v", s)
	}
}

// A bucket whose uploads do not fit into one transaction says what to do, and
// is still there.
func TestDeleteBucketWithTooManyUploads(t *testing.T) {
	e := open(t)
	long := make([]byte, s3.MaxKeyBytes)
	for i := range long {
		long[i] = 'k'
	}
	for range 4000 {
		e.upload(s3.Key(long))
	}
	err := e.DeleteBucket(e.ctx, bucket)
	e.refuse(err, s3.BucketNotEmpty)
	_, err = e.BucketState(e.ctx, bucket)
	e.must(err)
}
