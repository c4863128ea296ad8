package objects_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/memory"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// withKeys gives a store providers of keys, which outlive its restarts.
func withKeys(p *memory.Provider) func(*single.Options) {
	return func(o *single.Options) {
		o.Keys = func(context.Context, *metadata.DB) (keys.Providers, error) {
			return keys.Providers{S3: p, KMS: p, Default: "one"}, nil
		}
	}
}

func openEncrypting(tb testing.TB, edits ...func(*single.Options)) (*env, *memory.Provider) {
	tb.Helper()
	p := memory.New(keys.SSES3, "one", "two")
	return open(tb, append(edits, withKeys(p))...), p
}

func customerKey(n byte) *sse.CustomerKey {
	k, err := sse.NewCustomerKey(bytes.Repeat([]byte{n}, sse.KeySize))
	if err != nil {
		panic(err)
	}
	return k
}

// encryptions are the ways to encrypt, by a name.
func encryptions() map[string]objects.Encryption {
	return map[string]objects.Encryption{
		"plain":  {},
		"c1":     {Mode: objects.EncryptedC, Customer: customerKey(1)},
		"c2":     {Mode: objects.EncryptedC, Customer: customerKey(2)},
		"s3":     {Mode: objects.EncryptedS3},
		"kms":    {Mode: objects.EncryptedKMS},
		"kms2":   {Mode: objects.EncryptedKMS, KeyID: "alias/two", Context: []byte(`{"team":"blue"}`)},
		"bucket": {Mode: objects.EncryptedKMS, KeyID: "one", BucketKey: true},
	}
}

func names() []string {
	var out []string
	for name := range encryptions() {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (e *env) tryPutAs(key s3.Key, body objects.Body, as objects.Encryption) (objects.Object, error) {
	return e.PutObject(e.ctx, objects.PutObjectInput{Bucket: bucket, Key: key, Owner: owner, Body: body, Encryption: as})
}

func (e *env) putAs(key s3.Key, data []byte, as objects.Encryption) objects.Object {
	e.t.Helper()
	o, err := e.tryPutAs(key, bodyOf(data), as)
	e.must(err)
	return o
}

// holdsAs is holds for an object that is encrypted so, or not at all.
func (e *env) holdsAs(key s3.Key, data []byte, as objects.Encryption) *objects.GetObjectOutput {
	e.t.Helper()
	out, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: key, CustomerKey: as.Customer})
	e.must(err)
	if !bytes.Equal(got, data) {
		e.t.Fatalf("object %q reads back wrong: %s", key, difference(got, data))
	}
	if out.Object.Encryption.Mode != as.Mode {
		e.t.Fatalf("object %q has mode %d, want %d", key, out.Object.Encryption.Mode, as.Mode)
	}
	return out
}

// rangesOf are ranges of an object that touch the edges of chunks.
func rangesOf(size int64) []s3.ByteRange {
	var out []s3.ByteRange
	for _, r := range []s3.ByteRange{
		{First: 0, Last: 0},
		{First: size - 1, Last: size - 1},
		{First: size / 3, Last: size / 2},
		{First: sse.ChunkData - 1, Last: sse.ChunkData},
		{First: sse.ChunkData, Last: 2*sse.ChunkData - 1},
		{First: 64*sse.ChunkData - 1, Last: 64 * sse.ChunkData},
		{First: 5*mib - 2, Last: 5*mib + sse.ChunkData},
	} {
		if r.First <= r.Last && r.Last < size && r.First >= 0 {
			out = append(out, r)
		}
	}
	return out
}

func (e *env) rangesHold(key s3.Key, data []byte, as objects.Encryption) {
	e.t.Helper()
	for _, r := range rangesOf(int64(len(data))) {
		_, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: key, CustomerKey: as.Customer, Range: &r})
		e.must(err)
		if !bytes.Equal(got, data[r.First:r.Last+1]) {
			e.t.Fatalf("bytes %d to %d of %q read back wrong: %s", r.First, r.Last, key, difference(got, data[r.First:r.Last+1]))
		}
	}
}

func TestEncryptedObjects(t *testing.T) {
	sizes := []int{0, 1, 8 * kib, 8*kib + 1, sse.ChunkData - 1, sse.ChunkData, sse.ChunkData + 1, 300 * kib, 64*sse.ChunkData - 1, 64 * sse.ChunkData, 64*sse.ChunkData + 1}
	for name, as := range encryptions() {
		t.Run(name, func(t *testing.T) {
			e, _ := openEncrypting(t)
			for i, size := range sizes {
				data := bytesOf(uint64(i), size)
				key := s3.Key(fmt.Sprint(size))
				o := e.putAs(key, data, as)
				if o.Size != int64(size) {
					t.Fatalf("size %d, want %d", o.Size, size)
				}
				e.holdsAs(key, data, as)
				e.rangesHold(key, data, as)
				o, err := e.tryPutAs(key, unsized(data), as)
				e.must(err)
				e.holdsAs(key, data, as)
				if row := e.row(key); o.Size != int64(size) || row.Size != int64(size) {
					t.Fatalf("without a length: size %d, row %d, want %d", o.Size, row.Size, size)
				}
			}
			e.Summary()
		})
	}
}

// TestEncryptedAnswers holds what is shown of an encrypted object.
func TestEncryptedAnswers(t *testing.T) {
	e, _ := openEncrypting(t)
	data := bytesOf(1, 100*kib)
	for name, as := range encryptions() {
		want := objects.Encrypted{Mode: as.Mode, BucketKey: as.BucketKey}
		switch as.Mode {
		case objects.EncryptedC:
			want.CustomerMD5 = as.Customer.MD5()
		case objects.EncryptedKMS:
			want.KeyID = map[string]string{"": "one", "one": "one", "alias/two": "two"}[as.KeyID]
		}
		put := e.putAs("k", data, as)
		head, err := e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k", CustomerKey: as.Customer})
		e.must(err)
		attributes, err := e.GetObjectAttributes(e.ctx, objects.AttributesInput{Bucket: bucket, Key: "k", CustomerKey: as.Customer})
		e.must(err)
		for _, got := range []objects.Encrypted{head.Object.Encryption, attributes.Object.Encryption} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s is shown as (-want +got):\n%s", name, diff)
			}
		}
		want.Context = as.Context
		if diff := cmp.Diff(want, put.Encryption); diff != "" {
			t.Errorf("the answer to a put of %s (-want +got):\n%s", name, diff)
		}
		if plain := as.Mode == 0 || as.Mode == objects.EncryptedS3; plain != (put.ETag == etagOf(data)) || put.ETag != head.Object.ETag || len(put.ETag) != 32 {
			t.Errorf("%s: entity tag %s of the put, %s of HEAD, MD5 %s", name, put.ETag, head.Object.ETag, etagOf(data))
		}
		if sums := head.Object.Checksums; len(sums) != 1 || sums[0].Value != sumOf(checksum.CRC64NVME, data) {
			t.Errorf("%s: checksums %v", name, sums)
		}
	}
}

// TestNoPlaintextIsStored looks for the plaintext in everything that is kept.
func TestNoPlaintextIsStored(t *testing.T) {
	text := strings.Repeat("plaintext that must not be stored ", 10)
	for name, as := range encryptions() {
		e, _ := openEncrypting(t)
		e.putAs("large", []byte(strings.Repeat(text, 100)), as)
		e.putAs("inline", []byte(text), as)
		found := e.stores(text[:34])
		if found != (as.Mode == 0) {
			t.Errorf("%s: the plaintext is found: %v", name, found)
		}
	}
}

// stores reports whether any data of the bucket has these bytes as they are stored.
func (e *env) stores(text string) bool {
	e.t.Helper()
	rest := e.row("large").Data.Extents
	if len(rest) == 0 {
		e.t.Fatal("the row has no extents")
	}
	r := e.Store.NewReader(e.ctx, func(context.Context) (partition.Segment, bool, error) {
		if len(rest) == 0 {
			return partition.Segment{}, false, nil
		}
		x := rest[0]
		rest = rest[1:]
		return partition.Segment{Extent: x, Length: int64(x.Length)}, true, nil
	})
	var raw bytes.Buffer
	_, err := r.WriteTo(&raw)
	e.must(err)
	e.must(r.Close())
	found := strings.Contains(raw.String(), text)
	e.must(e.DB.View(e.ctx, "test", func(r *metadata.Reader) error {
		b, err := r.BucketByName(string(bucket))
		if err != nil {
			return err
		}
		o, err := r.Object(b.ID, "inline")
		if err != nil {
			return err
		}
		inline, err := r.Inline(b.ID, "inline", o.Ord)
		found = found || strings.Contains(string(inline), text)
		return err
	}))
	return found
}

func TestCustomerKeysAreRequired(t *testing.T) {
	e, _ := openEncrypting(t)
	mine := objects.Encryption{Mode: objects.EncryptedC, Customer: customerKey(1)}
	for _, size := range []int{0, 10, 100 * kib} {
		e.putAs("k", bytesOf(1, size), mine)
		e.putAs("plain", bytesOf(1, size), objects.Encryption{})
		e.putAs("s3", bytesOf(1, size), objects.Encryption{Mode: objects.EncryptedS3})
		for _, c := range []struct {
			key  s3.Key
			with *sse.CustomerKey
		}{{"k", nil}, {"k", customerKey(2)}, {"plain", customerKey(1)}, {"s3", customerKey(1)}} {
			in := objects.GetObjectInput{Bucket: bucket, Key: c.key, CustomerKey: c.with}
			_, err := e.GetObject(e.ctx, in)
			e.refuse(err, s3.InvalidRequest)
			_, err = e.HeadObject(e.ctx, in)
			e.refuse(err, s3.InvalidRequest)
			_, err = e.GetObjectAttributes(e.ctx, objects.AttributesInput{Bucket: bucket, Key: c.key, CustomerKey: c.with})
			e.refuse(err, s3.InvalidRequest)
			_, err = e.CopyObject(e.ctx, objects.CopyObjectInput{
				Source: objects.CopySource{Bucket: bucket, Key: c.key, CustomerKey: c.with}, Bucket: bucket, Key: "copy", Owner: owner,
			})
			e.refuse(err, s3.InvalidRequest)
			e.absent("copy")
			u := e.upload("u")
			_, err = e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{
				Source: objects.CopySource{Bucket: bucket, Key: c.key, CustomerKey: c.with}, Bucket: bucket, Key: "u", Upload: u.ID, Number: 1,
			})
			e.refuse(err, s3.InvalidRequest)
		}
	}
	_, err := e.tryPutAs("k", bodyOf(nil), objects.Encryption{Mode: objects.EncryptedC})
	e.refuse(err, s3.InvalidRequest)
}

// TestKeysThatAreGone: what is sealed under a key that is deleted or disabled is
// unreadable at once, and what is known of it still shows.
func TestKeysThatAreGone(t *testing.T) {
	e, p := openEncrypting(t)
	as := objects.Encryption{Mode: objects.EncryptedKMS, KeyID: "two"}
	data := bytesOf(1, 100*kib)
	e.putAs("k", data, as)
	u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: "u", Owner: owner, Encryption: as})
	e.must(err)
	refused := func(want s3.Code) {
		t.Helper()
		_, err := e.GetObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k"})
		e.refuse(err, want)
		_, err = e.tryPutAs("z", bodyOf(data), as)
		e.refuse(err, want)
		_, err = e.tryPart(u, 1, bodyOf(data))
		e.refuse(err, want)
		_, err = e.CopyObject(e.ctx, objects.CopyObjectInput{Source: objects.CopySource{Bucket: bucket, Key: "k"}, Bucket: bucket, Key: "z", Owner: owner})
		e.refuse(err, want)
		_, err = e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k"})
		e.must(err)
		_, err = e.HeadObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k", WantSums: true})
		e.refuse(err, want)
		_, err = e.GetObjectAttributes(e.ctx, objects.AttributesInput{Bucket: bucket, Key: "k"})
		e.must(err)
		_, err = e.GetObjectAttributes(e.ctx, objects.AttributesInput{Bucket: bucket, Key: "k", WantSums: true})
		e.refuse(err, want)
		_, err = e.ListParts(e.ctx, objects.ListPartsInput{Bucket: bucket, Key: "u", Upload: u.ID, Max: 1})
		e.refuse(err, want)
		e.absent("z")
	}
	p.Disable("two")
	refused(s3.KMSDisabled)
	p.Enable("two")
	e.holdsAs("k", data, as)
	p.Delete("two")
	refused(s3.KMSNotFound)
}

func TestNotImplementedWithoutProviders(t *testing.T) {
	e := open(t)
	for _, mode := range []objects.EncryptionMode{objects.EncryptedS3, objects.EncryptedKMS} {
		_, err := e.tryPutAs("k", bodyOf([]byte("x")), objects.Encryption{Mode: mode, KeyID: "one"})
		e.refuse(err, s3.NotImplemented)
	}
	c := objects.Encryption{Mode: objects.EncryptedC, Customer: customerKey(1)}
	e.putAs("k", []byte("x"), c)
	e.holdsAs("k", []byte("x"), c)
}

func TestEncryptionContexts(t *testing.T) {
	e, _ := openEncrypting(t)
	for in, want := range map[string]string{
		"":                           `{"aws:s3:arn":"arn:aws:s3:::bucket/a/b"}`,
		`{"b":"2","a":"1"}`:          `{"a":"1","aws:s3:arn":"arn:aws:s3:::bucket/a/b","b":"2"}`,
		`{"aws:s3:arn":"something"}`: `{"aws:s3:arn":"something"}`,
	} {
		e.putAs("a/b", []byte("x"), objects.Encryption{Mode: objects.EncryptedKMS, Context: []byte(in)})
		if got := string(e.row("a/b").Encryption.Context); got != want {
			t.Errorf("context %s is sealed with %s, want %s", in, got, want)
		}
	}
	e.putAs("a/b", []byte("x"), objects.Encryption{Mode: objects.EncryptedKMS, BucketKey: true})
	if got := string(e.row("a/b").Encryption.Context); got != `{"aws:s3:arn":"arn:aws:s3:::bucket"}` {
		t.Errorf("with a bucket key: %s", got)
	}
	for _, bad := range []string{"x", "[]", "null", `{"a":1}`, `{"a":"` + strings.Repeat("x", keys.MaxContext) + `"}`} {
		_, err := e.tryPutAs("k", bodyOf([]byte("x")), objects.Encryption{Mode: objects.EncryptedKMS, Context: []byte(bad)})
		e.refuse(err, s3.InvalidArgument)
	}
}

// TestEncryptedBodiesThatFail leave nothing behind.
func TestEncryptedBodiesThatFail(t *testing.T) {
	e, _ := openEncrypting(t)
	as := objects.Encryption{Mode: objects.EncryptedS3}
	data := bytesOf(1, 64*sse.ChunkData+5)
	for _, size := range []int{10, 100 * kib, len(data)} {
		body := bodyOf(data[:size])
		body.MD5 = make([]byte, 16)
		_, err := e.tryPutAs("k", body, as)
		e.refuse(err, s3.BadDigest)
		body = bodyOf(data[:size])
		body.Size++
		_, err = e.tryPutAs("k", body, as)
		e.refuse(err, s3.IncompleteBody)
		body = bodyOf(data[:size])
		body.Size--
		_, err = e.tryPutAs("k", body, as)
		e.refuse(err, s3.IncompleteBody)
	}
	e.absent("k")
	e.noIntents()
}

// TestEncryptionUnderMemoryPressure takes bodies in pieces of a MiB.
func TestEncryptionUnderMemoryPressure(t *testing.T) {
	e, _ := openEncrypting(t, func(o *single.Options) { o.BufferMemory = 3 * mib })
	as := objects.Encryption{Mode: objects.EncryptedS3}
	data := bytesOf(1, 9*mib+77)
	e.putAs("k", data, as)
	row := e.row("k")
	if row.Data.Kind != metadata.DataRows {
		t.Fatalf("kind %d: the body was not taken in small pieces", row.Data.Kind)
	}
	e.holdsAs("k", data, as)
	e.rangesHold("k", data, as)
}

// TestDataOfAnotherRow: a row that points to data of another one gives an error
// and no bytes.
func TestDataOfAnotherRow(t *testing.T) {
	e, _ := openEncrypting(t)
	as := objects.Encryption{Mode: objects.EncryptedS3}
	for _, size := range []int{100, 200 * kib} {
		a := e.putAs("a", bytesOf(1, size), as)
		e.putAs("b", bytesOf(2, size), as)
		row, stolen := e.row("a"), e.row("b").Encryption
		mine := row.Encryption
		e.setEncryption("a", stolen)
		out, err := e.GetObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "a"})
		if err == nil {
			var got []byte
			if got, err = drain(out); len(got) != 0 {
				t.Errorf("%d bytes come from another object's data", len(got))
			}
		}
		e.refuse(err, s3.InternalError)
		e.setEncryption("a", mine)
		if o := e.holdsAs("a", bytesOf(1, size), as); o.Object.ETag != a.ETag {
			t.Errorf("entity tag %s, want %s", o.Object.ETag, a.ETag)
		}
	}
}

func (e *env) setEncryption(key s3.Key, x *metadata.Encryption) {
	e.t.Helper()
	e.must(e.DB.Update(e.ctx, "test", func(tx *metadata.Tx) error {
		b, err := tx.BucketByName(string(bucket))
		if err != nil {
			return err
		}
		o, err := tx.Object(b.ID, string(key))
		if err != nil {
			return err
		}
		o.Encryption = x
		return tx.UpdateObject(b.ID, o)
	}))
}
