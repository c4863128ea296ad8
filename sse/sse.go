// Package sse is the arithmetic of server-side encryption: the bytes of an
// object as a sequence of authenticated chunks, and the keys around them.
//
// The data of one id is cut into chunks of [ChunkData] bytes; each is stored
// as its AES-256-GCM ciphertext with the tag after it, [ChunkSize] bytes, the
// last one shorter. The key of the chunks is derived from the object's key and the data
// id, the nonce is the chunk's number and whether it is the last one. So a
// range decrypts alone, parts and copies are independent of each other and of
// names, and a chunk that is changed, moved, taken from other data, or cut off
// is an error, never bytes.
//
// Keys never print: their types redact themselves wherever fmt and slog meet
// them. They are wiped when they are given up, as far as Go allows; what the
// ciphers of the standard library expand of them is not.
//
// It is a leaf: it knows no metadata, no disks and no HTTP. objects uses it,
// metadata its sizes, and the gateway makes the [CustomerKey].
package sse

import "errors"

const (
	// ChunkSize is a stored chunk, in bytes.
	ChunkSize = 64 << 10
	// Overhead is the tag that each chunk ends with, in bytes.
	Overhead = 16
	// ChunkData is how much plaintext a chunk holds, in bytes.
	ChunkData = ChunkSize - Overhead
	// KeySize is every key, in bytes.
	KeySize = 32
)

// ErrTampered says that a chunk does not authenticate: it was changed, is in
// another place than where it was written, or the key is another.
var ErrTampered = errors.New("sse: encrypted data does not authenticate")

// ErrWrongKey says that a sealed object key does not open with a key.
var ErrWrongKey = errors.New("sse: not the key that the object was encrypted with")

// StoredSize is how many bytes size bytes of plaintext take when they are
// stored under one data id.
func StoredSize(size int64) int64 {
	if size <= 0 {
		return size
	}
	return size + (size+ChunkData-1)/ChunkData*Overhead
}
