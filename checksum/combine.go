package checksum

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"iter"
	"strconv"

	"github.com/minio/crc64nvme"
)

// Combiner computes the checksum of a multipart object from the checksums of
// its parts, added in order. It does not need the bytes.
//
// A Combiner is not safe for concurrent use.
type Combiner struct {
	algorithm Algorithm
	kind      Type
	parts     int

	hasher *Hasher // Composite: digest of the raw digests

	crc      crcField // FullObject
	sum      uint64   // FullObject: CRC of all parts so far
	shiftLen int64    // the length that shift belongs to
	shift    uint64   // x^(8·shiftLen) mod P: parts mostly have one length
}

// NewCombiner returns a combiner. The error is [ErrUnsupportedType] when the
// algorithm has no checksums of that type.
func NewCombiner(a Algorithm, t Type) (*Combiner, error) {
	if !a.Supports(t) {
		return nil, fmt.Errorf("%w: %s %s", ErrUnsupportedType, a, t)
	}
	c := &Combiner{algorithm: a, kind: t}
	if t == Composite {
		c.hasher = NewHasher(SetOf(a))
		return c, nil
	}
	c.crc = fieldOf(a)
	c.shift = c.crc.one()
	return c, nil
}

// Add appends a part by its raw digest and its length in bytes. The error is
// [ErrInvalidDigest] when the digest or the length cannot be one; the combiner
// is unchanged then.
func (c *Combiner) Add(raw []byte, length int64) error {
	if len(raw) != c.algorithm.Size() {
		return fmt.Errorf("%w: %d bytes", ErrInvalidDigest, len(raw))
	}
	if length < 0 {
		return fmt.Errorf("%w: part of %d bytes", ErrInvalidDigest, length)
	}
	c.parts++
	if c.kind == Composite {
		_, _ = c.hasher.Write(raw) // a Hasher never fails
		return nil
	}
	var wide [8]byte
	copy(wide[8-len(raw):], raw)
	if length != c.shiftLen {
		c.shiftLen, c.shift = length, c.crc.shiftBytes(length)
	}
	// Appending L bytes multiplies what came before by x^(8L). The inversions
	// before and after each CRC cancel out.
	c.sum = c.crc.mul(c.shift, c.sum) ^ binary.BigEndian.Uint64(wide[:])
	return nil
}

// Parts returns how many parts were added.
func (c *Combiner) Parts() int { return c.parts }

// Sum returns the raw checksum of all parts added so far, without the suffix
// of composite ones.
func (c *Combiner) Sum() []byte {
	if c.kind == Composite {
		return c.hasher.Sum(c.algorithm)
	}
	wide := binary.BigEndian.AppendUint64(nil, c.sum)
	return wide[8-c.algorithm.Size():]
}

// String returns the checksum as S3 writes it: base64, and for composite
// checksums a dash and the number of parts.
func (c *Combiner) String() string {
	text := c.algorithm.Encode(c.Sum())
	if c.kind == Composite {
		text += "-" + strconv.Itoa(c.parts)
	}
	return text
}

// MultipartETag returns the ETag of a multipart object, without quotes: the MD5
// of the raw MD5 digests of its parts in hexadecimal, a dash, and their number.
func MultipartETag(parts iter.Seq[[md5.Size]byte]) string {
	h, n := md5.New(), 0
	for p := range parts {
		_, _ = h.Write(p[:]) // a hash.Hash never fails
		n++
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(n)
}

// crcField is arithmetic on polynomials over GF(2) modulo the polynomial P of
// a CRC. As in all reflected CRCs, the highest bit is the coefficient of x^0.
type crcField struct {
	poly uint64 // P without its leading term, reflected
	top  uint64 // the coefficient of x^0
}

// fieldOf returns the field of an algorithm that supports FullObject.
func fieldOf(a Algorithm) crcField {
	if a == CRC64NVME {
		return crcField{poly: crc64nvme.NVME, top: 1 << 63}
	}
	if a == CRC32C {
		return crcField{poly: crc32.Castagnoli, top: 1 << 31}
	}
	return crcField{poly: crc32.IEEE, top: 1 << 31}
}

func (f crcField) one() uint64 { return f.top }

// mul returns a·b mod P. The cost is that of the bits of a up to its highest
// power of x.
func (f crcField) mul(a, b uint64) uint64 {
	var product uint64
	for bit := f.top; a != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
			a ^= bit
		}
		carry := b & 1
		b = b>>1 ^ f.poly&-carry
	}
	return product
}

// shiftBytes returns x^(8n) mod P by squaring.
func (f crcField) shiftBytes(n int64) uint64 {
	result, power := f.one(), f.top>>8
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			result = f.mul(power, result)
		}
		power = f.mul(power, power)
	}
	return result
}
