package objects_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/memory"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// interrupted is a provider in which something happens before a data key is opened.
type interrupted struct {
	*memory.Provider
	before atomic.Pointer[func()]
}

func (p *interrupted) Unseal(ctx context.Context, keyID string, sealed, encCtx []byte) (keys.DataKey, error) {
	if fn := p.before.Swap(nil); fn != nil {
		(*fn)()
	}
	return p.Provider.Unseal(ctx, keyID, sealed, encCtx)
}

// TestRotationsBetweenTheRowAndItsKey: a key is rotated, all data keys moved and
// the old version dropped, after a request has read the row and before it opens
// the data key. The request finds the data key that the row has by then.
func TestRotationsBetweenTheRowAndItsKey(t *testing.T) {
	p := &interrupted{Provider: memory.New(keys.SSES3, "one", "two")}
	e := open(t, func(o *single.Options) {
		o.Keys = func(context.Context, *metadata.DB) (keys.Providers, error) {
			return keys.Providers{S3: p, KMS: p, Default: "one"}, nil
		}
	})
	kms := encryptions()["kms"]
	small, large := bytesOf(1, 100), bytesOf(2, 100*kib)
	source := objects.CopySource{Bucket: bucket, Key: "large"}
	u := e.uploadAs("u", kms)
	for name, ask := range map[string]func() error{
		"get, inline": func() error {
			_, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: "small"})
			if err == nil && string(got) != string(small) {
				t.Error("the inline object reads back wrong")
			}
			return err
		},
		"get": func() error { e.holdsAs("large", large, kms); return nil },
		"copy": func() error {
			return second(e.CopyObject(e.ctx, objects.CopyObjectInput{Source: source, Bucket: bucket, Key: "copy", Owner: owner, Encryption: kms}))
		},
		"copy to another mode": func() error {
			return second(e.CopyObject(e.ctx, objects.CopyObjectInput{Source: source, Bucket: bucket, Key: "copy", Owner: owner}))
		},
		"part": func() error { return second(e.tryPart(u, 1, bodyOf(large))) },
		"part copy": func() error {
			return second(e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{Source: source, Bucket: bucket, Key: "u", Upload: u.ID, Number: 2}))
		},
		"another key": func() error { return second(e.reseal("small", "two", false)) },
	} {
		e.putAs("small", small, kms)
		e.putAs("large", large, kms)
		rotate := func() {
			p.Rotate("one")
			e.rewrapAll()
			p.Drop("one")
		}
		p.before.Store(&rotate)
		if err := ask(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if p.before.Load() != nil {
			t.Errorf("%s: no key was opened", name)
		}
	}
	e.Summary()
}

// TestTheKeyOfSSES3IsForNothingElse: nobody names it.
func TestTheKeyOfSSES3IsForNothingElse(t *testing.T) {
	e, _ := openEncrypting(t)
	e.putAs("k", []byte("x"), encryptions()["kms"])
	for _, id := range []string{keys.SSES3, "alias/" + keys.SSES3, "arn:aws:kms:us-east-1:1:key/" + keys.SSES3} {
		_, err := e.tryPutAs("z", bodyOf([]byte("x")), objects.Encryption{Mode: objects.EncryptedKMS, KeyID: id})
		e.refuse(err, s3.KMSNotFound)
		_, err = e.reseal("k", id, false)
		e.refuse(err, s3.KMSNotFound)
	}
	e.absent("z")
}

// TestPartsAreListedWithTheirKey: checksums of a client's plaintext are for who
// has the key.
func TestPartsAreListedWithTheirKey(t *testing.T) {
	e, _ := openEncrypting(t)
	one, other := encryptions()["c1"], encryptions()["c2"]
	for _, algorithm := range []checksum.Algorithm{0, checksum.SHA256} {
		u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: "u", Owner: owner, Encryption: one, Checksum: algorithm})
		e.must(err)
		part := e.partAs(u, 1, []byte("secret"), one)
		in := objects.ListPartsInput{Bucket: bucket, Key: "u", Upload: u.ID, Max: 10}
		out, err := e.ListParts(e.ctx, in)
		if algorithm != 0 {
			e.refuse(err, s3.InvalidRequest)
		} else if e.must(err); len(out.Parts) != 1 || len(out.Parts[0].Checksums) != 0 {
			t.Errorf("without the key: %+v", out.Parts)
		}
		in.CustomerKey = other.Customer
		_, err = e.ListParts(e.ctx, in)
		e.refuse(err, s3.InvalidRequest)
		in.CustomerKey = one.Customer
		if out, err = e.ListParts(e.ctx, in); err != nil || len(out.Parts) != 1 || len(out.Parts[0].Checksums) == 0 {
			t.Errorf("with the key: %+v, %v", out.Parts, err)
		}
		in.CustomerKey, in.Max = nil, 0 // what gateways look up of the upload
		if out, err = e.ListParts(e.ctx, in); err != nil || out.Upload.Encryption.Mode != objects.EncryptedC {
			t.Errorf("the upload: %+v, %v", out.Upload, err)
		}
		done := objects.CompleteUploadInput{Bucket: bucket, Key: "u", Upload: u.ID, Size: -1, Parts: []objects.CompletedPart{part}, CustomerKey: one.Customer}
		if algorithm == 0 {
			done.CustomerKey = nil
		}
		o, err := e.CompleteMultipartUpload(e.ctx, done)
		if e.must(err); (len(o.Checksums) == 0) != (algorithm == 0) {
			t.Errorf("completed with %v", o.Checksums)
		}
		// Again, after the answer was lost.
		done.CustomerKey = other.Customer
		_, err = e.CompleteMultipartUpload(e.ctx, done)
		e.refuse(err, s3.InvalidRequest)
		done.CustomerKey = nil
		if o, err = e.CompleteMultipartUpload(e.ctx, done); err != nil || len(o.Checksums) != 0 {
			t.Errorf("completed again: %v, %v", o.Checksums, err)
		}
	}
	u := e.uploadAs("plain", encryptions()["s3"])
	_, err := e.ListParts(e.ctx, objects.ListPartsInput{Bucket: bucket, Key: "plain", Upload: u.ID, Max: 10, CustomerKey: one.Customer})
	e.refuse(err, s3.InvalidRequest)
}
