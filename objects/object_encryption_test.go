package objects_test

import (
	"testing"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func (e *env) reseal(key s3.Key, keyID string, bucketKey bool) (objects.Object, error) {
	return e.UpdateObjectEncryption(e.ctx, objects.UpdateEncryptionInput{Bucket: bucket, Key: key, KeyID: keyID, BucketKey: bucketKey})
}

// TestUpdateObjectEncryption: the key of an object is sealed otherwise, and
// nothing else of it changes.
func TestUpdateObjectEncryption(t *testing.T) {
	e, p := openEncrypting(t)
	for _, name := range []string{"s3", "kms", "kms2", "bucket"} {
		for _, size := range []int{100, 100 * kib} {
			data := bytesOf(3, size)
			before := e.putAs("k", data, encryptions()[name])
			was := e.row("k")
			after, err := e.reseal("k", "arn:aws:kms:us-east-1:1:key/two", true)
			e.must(err)
			row := e.row("k")
			if after.ETag != before.ETag || !after.Modified.Equal(before.Modified) || row.Data.ID != was.Data.ID || row.Token != was.Token {
				t.Errorf("%s: %+v became %+v", name, before, after)
			}
			if got := after.Encryption; got.Mode != objects.EncryptedKMS || got.KeyID != "two" || !got.BucketKey {
				t.Errorf("%s: %+v", name, got)
			}
			e.holdsAs("k", data, objects.Encryption{Mode: objects.EncryptedKMS})
		}
	}
	if got := string(e.row("k").Encryption.Context); got != `{"aws:s3:arn":"arn:aws:s3:::bucket"}` {
		t.Errorf("context %s", got)
	}
	e.putAs("blue", []byte("x"), encryptions()["kms2"])
	_, err := e.reseal("blue", "one", false)
	e.must(err)
	if got := string(e.row("blue").Encryption.Context); got != `{"aws:s3:arn":"arn:aws:s3:::bucket/blue","team":"blue"}` {
		t.Errorf("context %s", got)
	}
	p.Delete("two") // which what was sealed under one now does not need
	e.holdsAs("blue", []byte("x"), objects.Encryption{Mode: objects.EncryptedKMS})
	_, err = e.reseal("k", "one", false)
	e.refuse(err, s3.KMSNotFound)
	e.Summary()
}

func TestUpdateObjectEncryptionRefuses(t *testing.T) {
	e, _ := openEncrypting(t)
	for _, name := range []string{"plain", "c1"} {
		e.putAs("k", []byte("x"), encryptions()[name])
		_, err := e.reseal("k", "one", false)
		e.refuse(err, s3.InvalidRequest)
	}
	_, err := e.reseal("none", "one", false)
	e.refuse(err, s3.NoSuchKey)
	e.putAs("k", []byte("x"), encryptions()["s3"])
	_, err = e.reseal("k", "three", false)
	e.refuse(err, s3.KMSNotFound)
	asked := 0
	_, err = e.UpdateObjectEncryption(e.ctx, objects.UpdateEncryptionInput{Bucket: bucket, Key: "k", KeyID: "one", Access: func(*objects.Object) error {
		asked++
		return s3.NewError(s3.AccessDenied)
	}})
	e.refuse(err, s3.AccessDenied)
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	e.must(e.PutBucketVersioning(e.ctx, bucket, s3.VersioningEnabled))
	e.must(e.PutObjectLock(e.ctx, bucket, objects.ObjectLock{}))
	_, err = e.PutObject(e.ctx, objects.PutObjectInput{
		Bucket: bucket, Key: "locked", Owner: owner, Body: bodyOf([]byte("x")), Encryption: encryptions()["s3"],
		Lock: objects.Lock{LegalHold: metadata.LegalHoldOn},
	})
	e.must(err)
	_, err = e.reseal("locked", "one", false)
	e.refuse(err, s3.AccessDenied)
	_, err = e.PutObjectLegalHold(e.ctx, objects.PutObjectLegalHoldInput{Bucket: bucket, Key: "locked", LegalHold: metadata.LegalHoldOff})
	e.must(err)
	_, err = e.reseal("locked", "one", false)
	e.must(err)
}

// TestUpdateObjectEncryptionOfAnother: a version that is written while the key
// of the one before is sealed gets its own.
func TestUpdateObjectEncryptionOfAnother(t *testing.T) {
	e, _ := openEncrypting(t)
	e.putAs("k", []byte("one"), encryptions()["s3"])
	asked := 0
	o, err := e.UpdateObjectEncryption(e.ctx, objects.UpdateEncryptionInput{Bucket: bucket, Key: "k", KeyID: "two", Access: func(*objects.Object) error {
		if asked++; asked == 1 {
			e.putAs("k", []byte("another"), encryptions()["kms"])
		}
		return nil
	}})
	e.must(err)
	if o.Encryption.KeyID != "two" {
		t.Errorf("%+v", o)
	}
	e.holdsAs("k", []byte("another"), objects.Encryption{Mode: objects.EncryptedKMS})
	_, err = e.UpdateObjectEncryption(e.ctx, objects.UpdateEncryptionInput{Bucket: bucket, Key: "k", KeyID: "two", Access: func(*objects.Object) error {
		e.putAs("k", []byte("always"), encryptions()["kms"])
		return nil
	}})
	e.refuse(err, s3.OperationAborted)
	e.holdsAs("k", []byte("always"), objects.Encryption{Mode: objects.EncryptedKMS})
}

// TestCompletionNeedsTheKeyOfItsUpload where that was begun with a checksum.
func TestCompletionNeedsTheKeyOfItsUpload(t *testing.T) {
	e, _ := openEncrypting(t)
	one, other := encryptions()["c1"], encryptions()["c2"]
	for _, algorithm := range []checksum.Algorithm{0, checksum.CRC32} {
		u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: "u", Owner: owner, Encryption: one, Checksum: algorithm})
		e.must(err)
		part, err := e.UploadPart(e.ctx, objects.UploadPartInput{Bucket: bucket, Key: "u", Upload: u.ID, Number: 1, Body: bodyOf([]byte("part")), CustomerKey: one.Customer})
		e.must(err)
		in := objects.CompleteUploadInput{
			Bucket: bucket, Key: "u", Upload: u.ID, Size: -1, CustomerKey: other.Customer,
			Parts: []objects.CompletedPart{{Number: 1, ETag: part.ETag}},
		}
		_, err = e.CompleteMultipartUpload(e.ctx, in)
		e.refuse(err, s3.InvalidRequest)
		if in.CustomerKey = nil; algorithm != 0 {
			_, err = e.CompleteMultipartUpload(e.ctx, in)
			e.refuse(err, s3.InvalidRequest)
			in.CustomerKey = one.Customer
		}
		_, err = e.CompleteMultipartUpload(e.ctx, in)
		e.must(err)
		e.holdsAs("u", []byte("part"), one)
	}
}
