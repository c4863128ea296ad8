package checksum

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/minio/crc64nvme"
)

// Algorithm is a digest algorithm of S3. The numbers appear in stored
// metadata: they never change and are never reused.
type Algorithm uint8

// The implemented algorithms. The zero Algorithm means none.
const (
	CRC32     Algorithm = 1
	CRC32C    Algorithm = 2
	CRC64NVME Algorithm = 3
	SHA1      Algorithm = 4
	SHA256    Algorithm = 5
	SHA512    Algorithm = 6
	MD5       Algorithm = 7

	lastAlgorithm = MD5
)

// MaxSize is the length in bytes of the longest raw digest.
const MaxSize = sha512.Size

// HeaderPrefix starts the name of every header, and of every trailer, that
// carries a digest. Beware: the headers x-amz-checksum-algorithm, -type and
// -mode start with it too and carry none.
const HeaderPrefix = "x-amz-checksum-"

// ErrInvalidDigest says that a text is not the base64 form of a digest of the
// algorithm: bad base64, or the wrong length.
var ErrInvalidDigest = errors.New("checksum: invalid digest")

// ErrUnsupportedType says that an algorithm has no combination of the
// requested [Type].
var ErrUnsupportedType = errors.New("checksum: type not supported by the algorithm")

// Valid reports whether a is one of the implemented algorithms.
func (a Algorithm) Valid() bool { return a >= CRC32 && a <= lastAlgorithm }

// String returns the name that S3 uses, such as "CRC32C"; "" when a is not valid.
func (a Algorithm) String() string {
	switch a {
	case CRC32:
		return "CRC32"
	case CRC32C:
		return "CRC32C"
	case CRC64NVME:
		return "CRC64NVME"
	case SHA1:
		return "SHA1"
	case SHA256:
		return "SHA256"
	case SHA512:
		return "SHA512"
	case MD5:
		return "MD5"
	default:
		return ""
	}
}

// Header returns the lower-case name of the header or trailer that carries
// the digest, such as "x-amz-checksum-crc32c"; "" when a is not valid.
func (a Algorithm) Header() string {
	switch a {
	case CRC32:
		return HeaderPrefix + "crc32"
	case CRC32C:
		return HeaderPrefix + "crc32c"
	case CRC64NVME:
		return HeaderPrefix + "crc64nvme"
	case SHA1:
		return HeaderPrefix + "sha1"
	case SHA256:
		return HeaderPrefix + "sha256"
	case SHA512:
		return HeaderPrefix + "sha512"
	case MD5:
		return HeaderPrefix + "md5"
	default:
		return ""
	}
}

// Size returns the length in bytes of the raw digest; 0 when a is not valid.
func (a Algorithm) Size() int {
	switch a {
	case CRC32, CRC32C:
		return crc32.Size
	case CRC64NVME:
		return crc64nvme.Size
	case SHA1:
		return sha1.Size
	case SHA256:
		return sha256.Size
	case SHA512:
		return sha512.Size
	case MD5:
		return md5.Size
	default:
		return 0
	}
}

// Encode returns the base64 form of a raw digest, as S3 carries it in headers.
func (a Algorithm) Encode(raw []byte) string {
	return base64.StdEncoding.EncodeToString(raw)
}

// Decode returns the raw digest of its base64 form. A text that is not strict,
// padded base64 of exactly [Algorithm.Size] bytes is an [ErrInvalidDigest].
func (a Algorithm) Decode(text string) ([]byte, error) {
	var buf [MaxSize + 2]byte // decoding writes whole groups of three bytes
	size := a.Size()
	if size == 0 || len(text) != base64.StdEncoding.EncodedLen(size) {
		return nil, fmt.Errorf("%w: length %d", ErrInvalidDigest, len(text))
	}
	n, err := base64.StdEncoding.Strict().Decode(buf[:], []byte(text))
	if err != nil || n != size {
		return nil, fmt.Errorf("%w: not base64 of %d bytes", ErrInvalidDigest, size)
	}
	return append([]byte(nil), buf[:size]...), nil
}

// Parse finds an algorithm by its S3 name, as in the values of
// x-amz-checksum-algorithm and x-amz-sdk-checksum-algorithm. Case is ignored,
// as AWS does. It reports false when the name is unknown.
func Parse(name string) (Algorithm, bool) {
	for a := CRC32; a <= lastAlgorithm; a++ {
		if strings.EqualFold(name, a.String()) {
			return a, true
		}
	}
	return 0, false
}

// ParseHeader finds an algorithm by the name of the header or trailer that
// carries its digest. Case is ignored. It reports false for any other header.
func ParseHeader(name string) (Algorithm, bool) {
	if len(name) <= len(HeaderPrefix) || !strings.EqualFold(name[:len(HeaderPrefix)], HeaderPrefix) {
		return 0, false
	}
	return Parse(name[len(HeaderPrefix):])
}

// Type says what the checksum of a multipart object is computed over. The
// checksum of an object made of one PUT is always a FullObject one. The
// numbers appear in stored metadata and never change.
type Type uint8

const (
	// FullObject is the digest of all bytes of the object.
	FullObject Type = 1
	// Composite is the digest of the concatenated raw digests of the parts,
	// written with a suffix that counts them: "base64-N".
	Composite Type = 2
)

// String returns the name that S3 uses; "" when t is not valid.
func (t Type) String() string {
	switch t {
	case FullObject:
		return "FULL_OBJECT"
	case Composite:
		return "COMPOSITE"
	default:
		return ""
	}
}

// ParseType finds a type by its S3 name, as in x-amz-checksum-type. Case is
// ignored. It reports false when the name is unknown.
func ParseType(name string) (Type, bool) {
	for _, t := range [...]Type{FullObject, Composite} {
		if strings.EqualFold(name, t.String()) {
			return t, true
		}
	}
	return 0, false
}

// Supports reports whether a multipart object can have a checksum of the
// algorithm with type t: CRC64NVME only FullObject, the cryptographic digests
// only Composite, CRC32 and CRC32C both.
func (a Algorithm) Supports(t Type) bool {
	switch a {
	case CRC32, CRC32C:
		return t == FullObject || t == Composite
	case CRC64NVME:
		return t == FullObject
	case SHA1, SHA256, SHA512, MD5:
		return t == Composite
	default:
		return false
	}
}

// DefaultType returns the type that a multipart upload gets when it names the
// algorithm and no type.
func (a Algorithm) DefaultType() Type {
	if a == CRC64NVME {
		return FullObject
	}
	return Composite
}
