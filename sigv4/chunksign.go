package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

const (
	algorithmChunk   = "AWS4-HMAC-SHA256-PAYLOAD"
	algorithmTrailer = "AWS4-HMAC-SHA256-TRAILER"
	emptySHA256      = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// chunkSigner computes the chain of chunk signatures. Each signs the one
// before; the first signs that of the request.
type chunkSigner struct {
	key       *signingKey
	accessKey string
	canonical string // for the answer to a mismatch
	scope     string // "\ntime\nscope\n"
	previous  [sha256.Size]byte
	sum       hash.Hash // of the current chunk
	sts       []byte
	buf       [sha256.Size]byte
}

func newChunkSigner(key *signingKey, c *claim, canonical string) *chunkSigner {
	previous, _ := parseSignature(c.signature) // it was just verified
	return &chunkSigner{
		key:       key,
		accessKey: c.accessKey,
		canonical: canonical,
		scope:     "\n" + c.timestamp + "\n" + c.scope + "\n",
		previous:  previous,
		sum:       sha256.New(),
	}
}

// write adds data to the current chunk.
func (s *chunkSigner) write(p []byte) { _, _ = s.sum.Write(p) } // a hash.Hash never fails

// endChunk verifies the signature of the data written since the last chunk.
func (s *chunkSigner) endChunk(provided [sha256.Size]byte) error {
	s.begin(algorithmChunk)
	s.sts = append(s.sts, emptySHA256...)
	s.sts = append(s.sts, '\n')
	return s.finish(provided)
}

// endTrailers verifies the signature of the trailers written.
func (s *chunkSigner) endTrailers(provided [sha256.Size]byte) error {
	s.begin(algorithmTrailer)
	return s.finish(provided)
}

func (s *chunkSigner) begin(name string) {
	s.sts = append(s.sts[:0], name...)
	s.sts = append(s.sts, s.scope...)
	s.sts = hex.AppendEncode(s.sts, s.previous[:])
	s.sts = append(s.sts, '\n')
}

func (s *chunkSigner) finish(provided [sha256.Size]byte) error {
	s.sts = hex.AppendEncode(s.sts, s.sum.Sum(s.buf[:0]))
	s.sum.Reset()
	want := s.key.sign(s.buf[:0], s.sts)
	if !hmac.Equal(want, provided[:]) {
		return mismatch(s.accessKey, hex.EncodeToString(provided[:]), string(s.sts), s.canonical)
	}
	s.previous = provided
	return nil
}
