package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Body returns a reader of the payload in r, the body of the verified request.
// It decodes aws-chunked bodies and checks what the request declared:
//
//   - a body that is shorter, longer, broken, or not the signed one is an
//     [Error] instead of io.EOF; errors of r itself are wrapped;
//   - the last bytes of a payload whose length is known are given only once all
//     of it has been verified, trailers included;
//   - the bytes of a signed chunk are given before its signature is verified
//     only when the chunk does not fit the buffer of the caller.
//
// Wrap a body once. The reader is not safe for concurrent use.
func (res *Result) Body(r io.Reader) io.Reader {
	if res.Payload.Chunked() {
		return newChunkReader(res, r)
	}
	b := &bodyReader{r: r, res: res, left: res.Length}
	if res.Payload == PayloadSHA256 {
		b.sum = sha256.New()
	}
	return b
}

// Trailer returns the value of a trailer, by its lower-case name. It reports
// false for a trailer that was not sent, and for all before the reader of the
// body has given the last byte.
func (res *Result) Trailer(name string) (string, bool) {
	for _, t := range res.trailers {
		if t.name == name && t.verified {
			return t.value, true
		}
	}
	return "", false
}

// bodyReader reads a body that is not aws-chunked.
type bodyReader struct {
	r    io.Reader
	res  *Result
	sum  hash.Hash // nil when the payload is unsigned
	left int64     // negative when the length is unknown
	err  error     // sticky
}

// Read implements io.Reader. A read that fails gives no bytes.
func (b *bodyReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.read(p)
	if err != nil {
		b.err = err
	}
	return n, err
}

func (b *bodyReader) read(p []byte) (int, error) {
	if b.left == 0 {
		// All is there. An empty body has not been compared yet.
		if err := b.verify(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	n, err := b.r.Read(p)
	if b.sum != nil {
		_, _ = b.sum.Write(p[:n]) // a hash.Hash never fails
	}
	if b.left > 0 {
		if b.left -= int64(n); b.left < 0 {
			return 0, refuse(KindLengthMismatch)
		}
	}
	atEOF := errors.Is(err, io.EOF)
	switch {
	case err != nil && !atEOF:
		return 0, transportError(err)
	case atEOF && b.left > 0:
		return 0, refuse(KindIncompleteBody)
	case atEOF || b.left == 0:
		if err := b.verify(); err != nil {
			return 0, err
		}
	}
	if atEOF {
		return n, io.EOF
	}
	return n, nil
}

// verify compares the digest of all that was read.
func (b *bodyReader) verify() error {
	if b.sum == nil {
		return nil
	}
	var buf [sha256.Size]byte
	got := b.sum.Sum(buf[:0])
	if hmac.Equal(got, b.res.sha256[:]) {
		return nil
	}
	return refuse(KindContentSHA256Mismatch,
		"ClientComputedContentSHA256", hex.EncodeToString(b.res.sha256[:]),
		"S3ComputedContentSHA256", hex.EncodeToString(got))
}

// transportError tells a body that was cut off, which is the client's doing,
// from a transport that failed.
func transportError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return refuse(KindIncompleteBody)
	}
	return fmt.Errorf("sigv4: read body: %w", err)
}
