package checksum

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"iter"
	"sync"

	"github.com/minio/crc64nvme"
)

// block is how many bytes every hash sees before the next block is touched: a
// block that the first hash brought into the first-level cache is still there
// for the last one.
const block = 32 << 10

// Set is a set of algorithms. The zero Set is empty.
type Set uint16

// SetOf returns the set of the given algorithms. What is not a valid algorithm
// is left out.
func SetOf(algorithms ...Algorithm) Set {
	var s Set
	for _, a := range algorithms {
		s = s.With(a)
	}
	return s
}

// With returns the set with a added, if a is valid.
func (s Set) With(a Algorithm) Set {
	if !a.Valid() {
		return s
	}
	return s | 1<<a
}

// Has reports whether a is in the set.
func (s Set) Has(a Algorithm) bool { return a.Valid() && s&(1<<a) != 0 }

// All yields the algorithms of the set in the order of their numbers.
func (s Set) All() iter.Seq[Algorithm] {
	return func(yield func(Algorithm) bool) {
		for a := CRC32; a <= lastAlgorithm; a++ {
			if s.Has(a) && !yield(a) {
				return
			}
		}
	}
}

// Hasher computes any set of digests in one pass over the bytes written to it.
// The ETag of an object is its MD5 digest, so a writer of objects puts [MD5]
// in the set unless the ETag comes from elsewhere.
//
// Write allocates nothing. A Hasher is not safe for concurrent use. Get one
// from a [Pool], or make one with [NewHasher].
type Hasher struct {
	set    Set
	size   int64
	crc32  uint32
	crc32c uint32
	crc64  uint64
	// The states are made when first asked for and kept for the next use.
	md5    hash.Hash
	sha1   hash.Hash
	sha256 hash.Hash
	sha512 hash.Hash
	table  *crc32.Table
}

// NewHasher returns a hasher for the set.
func NewHasher(set Set) *Hasher {
	h := &Hasher{table: crc32.MakeTable(crc32.Castagnoli)}
	h.Reset(set)
	return h
}

// Reset forgets all that was written and makes h compute the given set.
func (h *Hasher) Reset(set Set) {
	h.set, h.size = set, 0
	h.crc32, h.crc32c, h.crc64 = 0, 0, 0
	if set.Has(MD5) {
		h.md5 = renew(h.md5, md5.New)
	}
	if set.Has(SHA1) {
		h.sha1 = renew(h.sha1, sha1.New)
	}
	if set.Has(SHA256) {
		h.sha256 = renew(h.sha256, sha256.New)
	}
	if set.Has(SHA512) {
		h.sha512 = renew(h.sha512, sha512.New)
	}
}

// renew returns a state ready for use: the old one where there is one.
func renew(state hash.Hash, create func() hash.Hash) hash.Hash {
	if state == nil {
		return create()
	}
	state.Reset()
	return state
}

// Set returns the algorithms that h computes.
func (h *Hasher) Set() Set { return h.set }

// Size returns how many bytes were written since the last Reset.
func (h *Hasher) Size() int64 { return h.size }

// Write adds p to every digest. It never fails.
func (h *Hasher) Write(p []byte) (int, error) {
	n := len(p)
	h.size += int64(n)
	for len(p) > 0 {
		b := p[:min(len(p), block)]
		p = p[len(b):]
		h.writeBlock(b)
	}
	return n, nil
}

func (h *Hasher) writeBlock(b []byte) {
	if h.set.Has(CRC32) {
		h.crc32 = crc32.Update(h.crc32, crc32.IEEETable, b)
	}
	if h.set.Has(CRC32C) {
		h.crc32c = crc32.Update(h.crc32c, h.table, b)
	}
	if h.set.Has(CRC64NVME) {
		h.crc64 = crc64nvme.Update(h.crc64, b)
	}
	if h.set.Has(MD5) {
		_, _ = h.md5.Write(b) // a hash.Hash never fails
	}
	if h.set.Has(SHA1) {
		_, _ = h.sha1.Write(b)
	}
	if h.set.Has(SHA256) {
		_, _ = h.sha256.Write(b)
	}
	if h.set.Has(SHA512) {
		_, _ = h.sha512.Write(b)
	}
}

// AppendSum appends the raw digest of all bytes written so far to dst and
// returns the result. It appends nothing when a is not in the set of h. More
// may be written afterwards.
func (h *Hasher) AppendSum(dst []byte, a Algorithm) []byte {
	if !h.set.Has(a) {
		return dst
	}
	switch a {
	case CRC32:
		return binary.BigEndian.AppendUint32(dst, h.crc32)
	case CRC32C:
		return binary.BigEndian.AppendUint32(dst, h.crc32c)
	case CRC64NVME:
		return binary.BigEndian.AppendUint64(dst, h.crc64)
	case SHA1:
		return h.sha1.Sum(dst)
	case SHA256:
		return h.sha256.Sum(dst)
	case SHA512:
		return h.sha512.Sum(dst)
	case MD5:
		return h.md5.Sum(dst)
	default:
		return dst
	}
}

// Sum returns the raw digest of all bytes written so far; nil when a is not in
// the set of h.
func (h *Hasher) Sum(a Algorithm) []byte {
	if !h.set.Has(a) {
		return nil
	}
	return h.AppendSum(make([]byte, 0, a.Size()), a)
}

// Pool keeps hashers for reuse, so that a request pays for no hash states. The
// zero Pool is ready. It is safe for concurrent use.
type Pool struct{ pool sync.Pool }

// Get returns a hasher for the set, as if new.
func (p *Pool) Get(set Set) *Hasher {
	if h, ok := p.pool.Get().(*Hasher); ok {
		h.Reset(set)
		return h
	}
	return NewHasher(set)
}

// Put gives h back. The caller must not use h afterwards.
func (p *Pool) Put(h *Hasher) {
	if h != nil {
		p.pool.Put(h)
	}
}
