package objects_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/undercroft/undercroft/checksum"
	"github.com/undercroft/undercroft/metadata"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
	"github.com/undercroft/undercroft/sse"
)

// makersAs are the kinds of sources: inline, in a row, and a manifest.
func makersAs() map[string]func(*env, s3.Key, objects.Encryption) []byte {
	single := func(size int) func(*env, s3.Key, objects.Encryption) []byte {
		return func(e *env, key s3.Key, as objects.Encryption) []byte {
			data := bytesOf(uint64(size), size)
			e.putAs(key, data, as)
			return data
		}
	}
	return map[string]func(*env, s3.Key, objects.Encryption) []byte{
		"empty": single(0), "inline": single(5 * kib), "extents": single(200 * kib),
		"manifest": func(e *env, key s3.Key, as objects.Encryption) []byte {
			return e.putParts(key, as, 5*mib+3, 90*kib)
		},
	}
}

// putParts uploads an object in parts of these sizes.
func (e *env) putParts(key s3.Key, as objects.Encryption, sizes ...int) []byte {
	e.t.Helper()
	u := e.uploadAs(key, as)
	var all []byte
	var list []objects.CompletedPart
	for i, size := range sizes {
		data := bytesOf(uint64(100+i), size)
		all = append(all, data...)
		list = append(list, e.partAs(u, i+1, data, as))
	}
	e.complete(u, list...)
	return all
}

func (e *env) uploadAs(key s3.Key, as objects.Encryption) objects.Upload {
	e.t.Helper()
	u, err := e.CreateMultipartUpload(e.ctx, objects.CreateUploadInput{Bucket: bucket, Key: key, Owner: owner, Encryption: as})
	e.must(err)
	return u
}

func (e *env) partAs(u objects.Upload, number int, data []byte, as objects.Encryption) objects.CompletedPart {
	e.t.Helper()
	p, err := e.UploadPart(e.ctx, objects.UploadPartInput{
		Bucket: bucket, Key: u.Key, Upload: u.ID, Number: number, Body: bodyOf(data), CustomerKey: as.Customer,
	})
	e.must(err)
	return objects.CompletedPart{Number: number, ETag: p.ETag}
}

func (e *env) copyAs(from, to s3.Key, was, as objects.Encryption) objects.Object {
	e.t.Helper()
	out, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
		Source: objects.CopySource{Bucket: bucket, Key: from, CustomerKey: was.Customer},
		Bucket: bucket, Key: to, Owner: owner, Encryption: as,
	})
	e.must(err)
	return out.Object
}

// TestEncryptedCopies copies every kind of object between all ways to encrypt.
// The data is shared where mode and key stay, and written anew where not.
func TestEncryptedCopies(t *testing.T) {
	for kind, produce := range makersAs() {
		t.Run(kind, func(t *testing.T) {
			e, _ := openEncrypting(t)
			for _, from := range modesFor(kind) {
				was := encryptions()[from]
				data := produce(e, "source", was)
				source := e.row("source")
				for _, to := range modesFor(kind) {
					as := encryptions()[to]
					o := e.copyAs("source", "copy", was, as)
					e.holdsAs("copy", data, as)
					e.rangesHold("copy", data, as)
					row := e.row("copy")
					same := sameKey(was, as)
					if shared := row.Data.Shared; shared != (same && row.Data.Kind != metadata.DataEmpty && row.Data.Kind != metadata.DataInline) {
						t.Fatalf("%s to %s: shared %v", from, to, shared)
					}
					if same && o.ETag != s3.ETag(source.ETag) || o.Size != int64(len(data)) {
						t.Fatalf("%s to %s: entity tag %s of %s, %d bytes", from, to, o.ETag, source.ETag, o.Size)
					}
					if same && row.Encryption != nil && bytes.Equal(row.Encryption.Sealed, source.Encryption.Sealed) {
						t.Fatalf("%s to %s: the object's key was not sealed anew", from, to)
					}
				}
				// Onto itself, and on without the source.
				e.copyAs("source", "source", was, encryptions()["s3"])
				e.holdsAs("source", data, encryptions()["s3"])
				e.copyAs("source", "copy", encryptions()["s3"], encryptions()["s3"])
				e.remove("source")
				e.RunSteward()
				e.holdsAs("copy", data, encryptions()["s3"])
				e.rangesHold("copy", data, encryptions()["s3"])
			}
		})
	}
}

// modesFor are all ways to encrypt; of large objects, one of each mode.
func modesFor(kind string) []string {
	if kind == "manifest" {
		return []string{"plain", "c1", "s3", "kms"}
	}
	return names()
}

func sameKey(a, b objects.Encryption) bool {
	id := func(e objects.Encryption) string {
		return map[string]string{"": "one", "one": "one", "alias/two": "two"}[e.KeyID]
	}
	return a.Mode == b.Mode && (a.Mode != objects.EncryptedC || a.Customer.Equal(b.Customer)) &&
		(a.Mode != objects.EncryptedKMS || id(a) == id(b))
}

func TestEncryptedCopiesKeepChecksums(t *testing.T) {
	e, _ := openEncrypting(t)
	data := bytesOf(1, 100*kib)
	body := bodyOf(data)
	body.Checksum = checksum.SHA256
	kms, s3s := encryptions()["kms"], encryptions()["s3"]
	e.must(second(e.tryPutAs("k", body, kms)))
	for _, c := range []struct {
		to    objects.Encryption
		asked checksum.Algorithm
		want  checksum.Algorithm
	}{{kms, 0, checksum.SHA256}, {s3s, 0, checksum.SHA256}, {s3s, checksum.CRC32, checksum.CRC32}, {kms, checksum.CRC32, checksum.CRC32}} {
		out, err := e.CopyObject(e.ctx, objects.CopyObjectInput{
			Source: objects.CopySource{Bucket: bucket, Key: "k"}, Bucket: bucket, Key: "copy", Owner: owner, Encryption: c.to, Checksum: c.asked,
		})
		e.must(err)
		if sums := out.Object.Checksums; len(sums) != 1 || sums[0].Algorithm != c.want.String() || sums[0].Value != sumOf(c.want, data) {
			t.Errorf("to mode %d, asking for %v: checksums %v", c.to.Mode, c.asked, sums)
		}
		e.holdsAs("copy", data, c.to)
	}
}

func second[T any](_ T, err error) error { return err }

// TestEncryptedUploads writes parts in every mode, and reads them by ranges, by
// numbers and as copies.
func TestEncryptedUploads(t *testing.T) {
	for name, as := range encryptions() {
		t.Run(name, func(t *testing.T) {
			e, _ := openEncrypting(t)
			u := e.uploadAs("k", as)
			if u.Encryption.Mode != as.Mode || as.Customer != nil && u.Encryption.CustomerMD5 != as.Customer.MD5() {
				t.Errorf("the upload answers %+v", u.Encryption)
			}
			sizes := []int{5*mib + 1, 5 * mib, 100 * kib}
			var list []objects.CompletedPart
			var data []byte
			for i := range sizes {
				e.partAs(u, 9-3*i, bytesOf(99, 30*kib), as) // replaced
			}
			for i, size := range sizes {
				part := bytesOf(uint64(i), size)
				data = append(data, part...)
				list = append(list, e.partAs(u, 3+3*i, part, as))
			}
			o := e.complete(u, list...)
			if o.Encryption.Mode != as.Mode || o.Size != int64(len(data)) || o.PartCount != 3 {
				t.Errorf("completed to %+v", o)
			}
			e.holdsAs("k", data, as)
			e.rangesHold("k", data, as)
			at := 0
			for i, size := range sizes {
				_, got, err := e.tryGet(objects.GetObjectInput{Bucket: bucket, Key: "k", PartNumber: 3 + 3*i, CustomerKey: as.Customer})
				e.must(err)
				if !bytes.Equal(got, data[at:at+size]) {
					t.Errorf("part %d: %s", 3+3*i, difference(got, data[at:at+size]))
				}
				at += size
			}
			e.Summary()
		})
	}
}

// TestKeysOfParts: parts of an upload with a client's key come with that key.
func TestKeysOfParts(t *testing.T) {
	e, _ := openEncrypting(t)
	for name, as := range encryptions() {
		u := e.uploadAs("k", as)
		for _, with := range []*sse.CustomerKey{nil, customerKey(1), customerKey(3)} {
			_, err := e.UploadPart(e.ctx, objects.UploadPartInput{
				Bucket: bucket, Key: "k", Upload: u.ID, Number: 1, Body: bodyOf([]byte("x")), CustomerKey: with,
			})
			if as.Customer.Equal(with) {
				e.must(err)
				continue
			}
			if got := s3.CodeOf(err); got != s3.InvalidRequest {
				t.Errorf("%s with %v: %v", name, with, err)
			}
		}
		p := e.partAs(u, 1, []byte("y"), as)
		_, err := e.CompleteMultipartUpload(e.ctx, objects.CompleteUploadInput{
			Bucket: bucket, Key: "k", Upload: u.ID, Parts: []objects.CompletedPart{p}, Size: -1, CustomerKey: customerKey(3),
		})
		e.refuse(err, s3.InvalidRequest)
		_, err = e.CompleteMultipartUpload(e.ctx, objects.CompleteUploadInput{
			Bucket: bucket, Key: "k", Upload: u.ID, Parts: []objects.CompletedPart{p}, Size: -1, CustomerKey: as.Customer,
		})
		e.must(err)
		e.holdsAs("k", []byte("y"), as)
	}
}

// TestEncryptedPartCopies makes parts of ranges between all ways to encrypt.
func TestEncryptedPartCopies(t *testing.T) {
	for kind, produce := range makersAs() {
		t.Run(kind, func(t *testing.T) {
			e, _ := openEncrypting(t)
			for _, from := range modesFor(kind) {
				was := encryptions()[from]
				data := produce(e, "source", was)
				for _, to := range []string{"plain", "c1", "kms2"} {
					as := encryptions()[to]
					u := e.uploadAs("k", as)
					var r *s3.ByteRange
					want := data
					if size := int64(len(data)); size > 10 {
						r = &s3.ByteRange{First: 3, Last: size - 4}
						want = data[3 : size-3]
					}
					out, err := e.UploadPartCopy(e.ctx, objects.UploadPartCopyInput{
						Source: objects.CopySource{Bucket: bucket, Key: "source", CustomerKey: was.Customer}, Range: r,
						Bucket: bucket, Key: "k", Upload: u.ID, Number: 1, CustomerKey: as.Customer,
					})
					e.must(err)
					if got := out.Part.Encryption; got.Mode != as.Mode {
						t.Fatalf("%s to %s: the part answers %+v", from, to, got)
					}
					e.complete(u, objects.CompletedPart{Number: 1, ETag: out.Part.ETag})
					e.holdsAs("k", want, as)
				}
			}
			e.Summary()
		})
	}
}

// TestEncryptedUploadOfManyParts reads over the pages of a manifest.
func TestEncryptedUploadOfManyParts(t *testing.T) {
	heavy(t)
	e, _ := openEncrypting(t)
	as := encryptions()["s3"]
	u := e.uploadAs("k", as)
	part := bytesOf(1, 5*mib)
	var list []objects.CompletedPart
	const parts = 35 // manifestPage is 32
	for n := range parts {
		part[0] = byte(n)
		list = append(list, e.partAs(u, n+1, part, as))
	}
	e.complete(u, list...)
	out, err := e.GetObject(e.ctx, objects.GetObjectInput{Bucket: bucket, Key: "k", Range: &s3.ByteRange{First: 1, Last: parts*5*mib - 1}})
	e.must(err)
	check := &repeated{of: part, at: 1}
	n, err := out.Body.WriteTo(check)
	e.must(errors.Join(err, out.Body.Close()))
	if n != parts*5*mib-1 || check.wrong != 0 {
		t.Errorf("%d bytes, %d of them wrong", n, check.wrong)
	}
}

// repeated counts bytes that are not those of a text again and again, whose
// first byte counts up.
type repeated struct {
	of        []byte
	at, wrong int
}

func (r *repeated) Write(p []byte) (int, error) {
	for i := range p {
		want := r.of[r.at%len(r.of)]
		if r.at%len(r.of) == 0 {
			want = byte(r.at / len(r.of))
		}
		if p[i] != want {
			r.wrong++
		}
		r.at++
	}
	return len(p), nil
}
