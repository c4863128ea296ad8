package sse

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// Place is where a chunk is in the data of its id.
type Place struct {
	Number int64 // from 0
	Last   bool  // no chunk follows
}

// Data encrypts and decrypts the chunks of one data id. It is used by one
// goroutine at a time.
type Data struct {
	aead  cipher.AEAD
	nonce [12]byte
}

// Data is the cipher of the data of an id under an object's key. No id is
// encrypted twice.
func (k *ObjectKey) Data(id [16]byte) (*Data, error) {
	aead, err := aeadOf(k.key[:], id[:], forChunks)
	if err != nil {
		return nil, err
	}
	return &Data{aead: aead}, nil
}

// at is the nonce of a place: three zero bytes, the number in eight, big-endian,
// and 1 for the last chunk.
func (d *Data) at(p Place) []byte {
	binary.BigEndian.PutUint64(d.nonce[3:], uint64(p.Number))
	d.nonce[11] = 0
	if p.Last {
		d.nonce[11] = 1
	}
	return d.nonce[:]
}

// Seal encrypts the first n bytes of a slot where they lie and puts the tag
// behind them. It returns the stored chunk. The slot has room for it, and n is
// [ChunkData] but for the last chunk.
func (d *Data) Seal(slot []byte, n int, p Place) []byte {
	if n > ChunkData || n+Overhead > len(slot) {
		panic(fmt.Sprintf("sse: %d bytes in a slot of %d", n, len(slot)))
	}
	return d.aead.Seal(slot[:0], d.at(p), slot[:n], nil)
}

// Open appends the plaintext of a stored chunk to dst, which is stored[:0] or
// does not overlap it. What it returns with [ErrTampered] is nothing of the
// plaintext.
func (d *Data) Open(dst, stored []byte, p Place) ([]byte, error) {
	out, err := d.aead.Open(dst, d.at(p), stored, nil)
	if err != nil {
		return dst, fmt.Errorf("%w: chunk %d of %d bytes", ErrTampered, p.Number, len(stored))
	}
	return out, nil
}

// SealAll is the stored form of all data of an id.
func (d *Data) SealAll(plain []byte) []byte {
	out := make([]byte, StoredSize(int64(len(plain))))
	for at, place := 0, (Place{}); !place.Last && len(plain) > 0; at, place.Number = at+ChunkSize, place.Number+1 {
		n := copy(out[at:min(at+ChunkData, len(out)-Overhead)], plain)
		plain = plain[n:]
		place.Last = len(plain) == 0
		d.Seal(out[at:], n, place)
	}
	return out
}

// OpenAll is the reverse of SealAll; size is that of the plaintext.
func (d *Data) OpenAll(stored []byte, size int64) ([]byte, error) {
	if size < 0 || int64(len(stored)) != StoredSize(size) {
		return nil, fmt.Errorf("%w: %d bytes are stored for %d", ErrTampered, len(stored), size)
	}
	out := make([]byte, 0, size)
	for place := (Place{}); len(stored) > 0; place.Number++ {
		n := min(len(stored), ChunkSize)
		place.Last = n == len(stored)
		var err error
		if out, err = d.Open(out, stored[:n], place); err != nil {
			return nil, err
		}
		stored = stored[n:]
	}
	return out, nil
}
