package metadata

import (
	"bytes"
	"fmt"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/sse"
)

// EncryptionMode says who has the key that an object's key is sealed with.
type EncryptionMode uint8

// The modes of encryption. No encryption has no mode.
const (
	EncryptedC   EncryptionMode = 1 // SSE-C: the client, who sends it with each request
	EncryptedS3  EncryptionMode = 2 // SSE-S3: the store
	EncryptedKMS EncryptionMode = 3 // SSE-KMS: a key provider
)

// Encryption says how the bytes of an object, or of an upload's parts, are
// encrypted. All of them are encrypted under one object key, which nobody has
// unsealed but while it is used: see docs/format/encryption.md.
type Encryption struct {
	Mode      EncryptionMode
	KeyID     string // SSE-KMS: the key of the provider
	DataKey   []byte // not SSE-C: the data key that Sealed is sealed with, as the provider sealed it
	Sealed    []byte // the object key, sealed with the data key or the client's
	Context   []byte // SSE-KMS: what DataKey is bound to
	BucketKey bool   // SSE-KMS: the bucket key is enabled
}

// Fields of an Encryption, which is the field attrEncryption of an Object and
// of an Upload.
const (
	attrEncryption = 23

	encryptionMode      = 1
	encryptionKeyID     = 2
	encryptionDataKey   = 3
	encryptionSealed    = 4
	encryptionContext   = 5
	encryptionBucketKey = 6
)

func encodeEncryption(e *encoder, x *Encryption) {
	if x == nil {
		return
	}
	e.nested(attrEncryption, func(in *encoder) {
		in.uint(encryptionMode, uint64(x.Mode))
		in.text(encryptionKeyID, x.KeyID)
		in.bytes(encryptionDataKey, x.DataKey)
		in.bytes(encryptionSealed, x.Sealed)
		in.bytes(encryptionContext, x.Context)
		if x.BucketKey {
			in.uint(encryptionBucketKey, 1)
		}
	})
}

func decodeEncryption(d *decoder) *Encryption {
	x := &Encryption{}
	in := d.nested()
	for in.next() {
		switch in.field {
		case encryptionMode:
			x.Mode = EncryptionMode(in.uint(uint64(EncryptedKMS)))
		case encryptionKeyID:
			x.KeyID = in.text()
		case encryptionDataKey:
			x.DataKey = bytes.Clone(in.bytes())
		case encryptionSealed:
			x.Sealed = bytes.Clone(in.bytes())
		case encryptionContext:
			x.Context = bytes.Clone(in.bytes())
		case encryptionBucketKey:
			x.BucketKey = in.uint(1) == 1
		default:
			in.unknown()
		}
	}
	if in.err == nil && x.Mode == 0 {
		in.fail("no mode of encryption")
	}
	d.join(&in)
	return x
}

// stored is how many bytes the data of the version takes, whose size is that
// of the plaintext. Of a manifest it is the size: its parts know what they take.
func (o *Object) stored() int64 {
	if o.Encryption == nil || o.Data.Kind == DataManifest {
		return o.Size
	}
	return sse.StoredSize(o.Size)
}

// EncryptedRow is a row of an object or upload whose data key a provider has
// sealed.
type EncryptedRow struct {
	Encryption Encryption
	key        []byte
}

// encryptedTables are where such rows are, in the order in which they move on:
// an upload becomes an object, and that a noncurrent version.
func encryptedTables() [3]byte { return [...]byte{tagUpload, tagObject, tagVersion} }

// EncryptedRows looks at rows of uploads and objects, at most limit, and returns
// those whose data key a provider has sealed. It goes on from a cursor, nil being
// the beginning; next is nil at the end. What moves from one table to another
// meanwhile is seen, but for a noncurrent version that becomes the current one.
func (r *Reader) EncryptedRows(cursor []byte, limit int) (rows []EncryptedRow, next []byte, err error) {
	tables := encryptedTables()
	table := 0
	if len(cursor) > 0 {
		table = min(int(cursor[0]), len(tables)-1)
	}
	rng := r.keys.all(tables[table])
	if len(cursor) > 1 {
		rng.Begin = kv.KeyAfter(append(r.keys.tag(tables[table], len(cursor)), cursor[1:]...))
	}
	looked := 0
	err = r.each(rng, limit, func(p kv.Pair) (bool, error) {
		looked++
		next = append([]byte{byte(table)}, r.keys.body(p.Key)...)
		x, err := decodeEncryptionOf(tables[table], p.Value)
		if err != nil {
			return false, fmt.Errorf("key %q: %w", p.Key, err)
		}
		if x != nil && x.DataKey != nil {
			rows = append(rows, EncryptedRow{Encryption: *x, key: bytes.Clone(p.Key)})
		}
		return true, nil
	})
	if err == nil && looked < limit {
		if next = nil; table+1 < len(tables) {
			next = []byte{byte(table + 1)}
		}
	}
	return rows, next, err
}

// decodeEncryptionOf reads the encryption of a row alone, nil where there is none.
func decodeEncryptionOf(tag byte, v []byte) (x *Encryption, err error) {
	d := openRecord(v)
	for d.next() {
		if d.field == attrEncryption {
			x = decodeEncryption(&d)
		}
	}
	return x, d.finish("encryption of " + string(tag))
}

// PutDataKey gives a row the same data key, sealed anew, if it is still there with
// the one that EncryptedRows found.
func (t *Tx) PutDataKey(row *EncryptedRow, dataKey []byte) (bool, error) {
	v, err := t.get(row.key)
	if err != nil || v == nil {
		return false, err
	}
	same := func(x *Encryption) bool { return x != nil && bytes.Equal(x.DataKey, row.Encryption.DataKey) }
	if row.key[len(t.keys.root)] == tagUpload {
		u, err := decodeUpload(v)
		if err != nil || !same(u.Encryption) {
			return false, err
		}
		u.Encryption.DataKey = dataKey
		t.set(row.key, encodeUpload(u))
		return true, t.err
	}
	o, err := decodeObject(v)
	if err != nil || !same(o.Encryption) {
		return false, err
	}
	o.Encryption.DataKey = dataKey
	t.set(row.key, encodeObject(o))
	return true, t.err
}
