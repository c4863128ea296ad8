package steward_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// racer does one thing after another to the objects of its own, while keys are rotated.
type racer struct {
	*vaulted
	n    int
	data []byte
	done bool // a round: what it wrote is there
}

func (r *racer) key(name string) s3.Key { return s3.Key(fmt.Sprintf("%s-%d", name, r.n)) }

func (r *racer) as(round int) objects.Encryption {
	return []objects.Encryption{{Mode: objects.EncryptedS3}, kms("mine"), {Mode: objects.EncryptedKMS, KeyID: "mine", BucketKey: true}}[round%3]
}

// round writes, reads, copies and uploads. What it wrote before it reads first.
func (r *racer) round(round int) error {
	ctx, as := r.t.Context(), r.as(round)
	if r.done {
		for _, name := range []string{"put", "copy", "upload"} {
			if err := r.reads(r.key(name)); err != nil {
				return fmt.Errorf("get of %s: %w", name, err)
			}
		}
	}
	put := objects.PutObjectInput{Bucket: bucket, Key: r.key("put"), Owner: owner, Body: body(r.data), Encryption: as}
	if _, err := r.Objects.PutObject(ctx, put); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	source := objects.CopySource{Bucket: bucket, Key: r.key("put")}
	_, err := r.Objects.CopyObject(ctx, objects.CopyObjectInput{Source: source, Bucket: bucket, Key: r.key("copy"), Owner: owner, Encryption: r.as(round / 3)})
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	u, err := r.Objects.CreateMultipartUpload(ctx, objects.CreateUploadInput{Bucket: bucket, Key: r.key("upload"), Owner: owner, Encryption: as})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	p, err := r.Objects.UploadPart(ctx, objects.UploadPartInput{Bucket: bucket, Key: r.key("upload"), Upload: u.ID, Number: 1, Body: body(r.data)})
	if err != nil {
		return fmt.Errorf("part: %w", err)
	}
	_, err = r.Objects.CompleteMultipartUpload(ctx, objects.CompleteUploadInput{
		Bucket: bucket, Key: r.key("upload"), Upload: u.ID, Size: -1, Parts: []objects.CompletedPart{{Number: 1, ETag: p.ETag}},
	})
	if err != nil {
		return fmt.Errorf("complete: %w", err)
	}
	_, err = r.Objects.UpdateObjectEncryption(ctx, objects.UpdateEncryptionInput{Bucket: bucket, Key: r.key("put"), KeyID: "mine"})
	r.done = r.done || err == nil
	return err
}

func (r *racer) reads(key s3.Key) error {
	out, err := r.Objects.GetObject(r.t.Context(), objects.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		return err
	}
	var got bytes.Buffer
	_, err = out.Body.WriteTo(&got)
	if err = errors.Join(err, out.Body.Close()); err == nil && !bytes.Equal(got.Bytes(), r.data) {
		err = errors.New("it reads back wrong")
	}
	return err
}

// TestRotationsBesideRequests: keys are rotated, retired and dropped all the time
// while requests seal and open. None of them fails but with 503, and no version that
// something is sealed under ends.
func TestRotationsBesideRequests(t *testing.T) {
	v := newVaulted(t)
	_, err := v.other.Create(t.Context(), "mine", "")
	v.must(err)
	v.putSealed("first", []byte("x"), objects.Encryption{Mode: objects.EncryptedS3})
	v.must(v.Objects.PutBucketVersioning(t.Context(), bucket, s3.VersioningEnabled))
	var done atomic.Bool
	var wg sync.WaitGroup
	for n := range 3 {
		r := &racer{vaulted: v, n: n, data: bytes.Repeat([]byte{byte(n)}, []int{100, 20 << 10, 90 << 10}[n])}
		wg.Go(func() {
			for round := 0; !done.Load(); round++ {
				if err := r.round(round); err != nil && s3.CodeOf(err) != s3.ServiceUnavailable {
					t.Errorf("round %d: %v", round, err)
					return
				}
			}
		})
	}
	for range 10 {
		for _, key := range []string{keys.SSES3, "mine"} {
			v.change(key, v.other.Rotate, v.other.Retire)
		}
		v.pass()
	}
	done.Store(true)
	wg.Wait()
	v.pass()
	v.pass()
	for _, key := range []string{keys.SSES3, "mine"} {
		if row, err := v.other.Show(t.Context(), key); err != nil || len(row.Versions) != 1 {
			t.Errorf("%s has the versions %s, %v", key, v.versions(key), err)
		}
	}
	v.must(v.DB.WalkEncrypted(t.Context(), func(x *metadata.Encryption) (bool, error) {
		name := x.KeyID
		if x.Mode == metadata.EncryptedS3 {
			name = keys.SSES3
		}
		plain, err := v.other.Unseal(t.Context(), name, x.DataKey, x.Context)
		plain.Wipe()
		return true, err
	}))
}
