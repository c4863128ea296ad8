package sigv4

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math"
	"strconv"
)

const (
	// bufferSize is that of the buffer for chunk headers and trailers. Chunk
	// data goes from the transport straight to the caller's buffer, save what
	// was read along with a header.
	bufferSize = 4 << 10
	// maxLine bounds a chunk header or a trailer.
	maxLine = 1 << 10
	// minChunk is the least size of a chunk that is not the last.
	minChunk = 8 << 10
	// maxEpilogue is how many line ends may follow the body: some clients send
	// one too many.
	maxEpilogue = 4
)

// chunkReader decodes an aws-chunked body:
//
//	chunk    = hex-size [";chunk-signature=" 64*hex] CRLF data CRLF
//	last     = "0" [";chunk-signature=" 64*hex] CRLF
//	body     = *chunk last *trailer [signature] CRLF
//	trailer  = name ":" value (CRLF / LF CRLF)
//
// The size of a chunk has no limit but what is left of the declared length,
// since chunks are not buffered.
type chunkReader struct {
	r    io.Reader
	res  *Result
	sign *chunkSigner // nil when chunks are unsigned

	left      int64 // payload bytes to come
	chunkLeft int64 // bytes to come in this chunk
	chunkSize int64 // of this chunk
	chunks    int   // how many began
	provided  [sha256.Size]byte
	err       error // sticky

	lo, hi int // what buf holds
	buf    [bufferSize]byte
}

func newChunkReader(res *Result, r io.Reader) *chunkReader {
	return &chunkReader{r: r, res: res, sign: res.signer, left: res.Length}
}

// Read implements io.Reader. A read that fails gives no bytes.
func (c *chunkReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.read(p)
	if err != nil {
		c.err = err
		return 0, err
	}
	return n, nil
}

// read gives bytes of one chunk, or io.EOF.
func (c *chunkReader) read(p []byte) (int, error) {
	if c.left == 0 { // the payload is empty
		if err := c.finish(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	if c.chunkLeft == 0 {
		if err := c.beginChunk(); err != nil {
			return 0, err
		}
	}
	p = p[:min(int64(len(p)), c.chunkLeft)]
	if err := c.readFull(p); err != nil {
		return 0, err
	}
	if c.sign != nil {
		c.sign.write(p)
	}
	c.chunkLeft -= int64(len(p))
	c.left -= int64(len(p))
	if c.chunkLeft == 0 {
		if err := c.endChunk(); err != nil {
			return 0, err
		}
	}
	if c.left == 0 {
		if err := c.finish(); err != nil {
			return 0, err
		}
		c.err = io.EOF
	}
	return len(p), nil
}

// beginChunk reads the header of a chunk with data.
func (c *chunkReader) beginChunk() error {
	size, err := c.readHeader()
	switch {
	case err != nil:
		return err
	case size == 0 || size > c.left:
		return refuse(KindLengthMismatch)
	case c.chunks > 0 && c.chunkSize < minChunk:
		return refuse(KindInvalidChunkSize,
			"Chunk", strconv.Itoa(c.chunks), "BadChunkSize", strconv.FormatInt(c.chunkSize, 10))
	}
	c.chunks++
	c.chunkSize, c.chunkLeft = size, size
	return nil
}

// endChunk reads the line end that follows the data of a chunk and verifies the
// chunk.
func (c *chunkReader) endChunk() error {
	line, err := c.readLine()
	if err != nil {
		return err
	}
	if string(line) != "\r" {
		return refuse(KindIncompleteBody)
	}
	return c.verifyChunk()
}

func (c *chunkReader) verifyChunk() error {
	if c.sign == nil {
		return nil
	}
	return c.sign.endChunk(c.provided)
}

// finish reads and verifies all that follows the payload.
func (c *chunkReader) finish() error {
	size, err := c.readHeader()
	if err != nil {
		return err
	}
	if size != 0 {
		return refuse(KindLengthMismatch)
	}
	if err := c.verifyChunk(); err != nil {
		return err
	}
	if err := c.readTrailers(); err != nil {
		return err
	}
	if err := c.expectEOF(); err != nil {
		return err
	}
	for i := range c.res.trailers {
		c.res.trailers[i].verified = true
	}
	return nil
}

// readHeader reads a chunk header and returns the size of the chunk.
func (c *chunkReader) readHeader() (int64, error) {
	line, err := c.readLine()
	if err != nil {
		return 0, err
	}
	line, ok := bytes.CutSuffix(line, []byte("\r"))
	if !ok {
		return 0, refuse(KindIncompleteBody)
	}
	if c.sign != nil {
		size, signature, found := bytes.Cut(line, []byte(";chunk-signature="))
		if c.provided, ok = parseSignature(signature); !ok || !found {
			return 0, refuse(KindIncompleteBody)
		}
		line = size
	}
	return parseSize(line)
}

// parseSize parses a chunk size: hexadecimal digits and nothing else.
func parseSize(text []byte) (int64, error) {
	if len(text) == 0 || len(text) > 16 {
		return 0, refuse(KindIncompleteBody)
	}
	var size uint64
	for _, c := range text {
		digit := anyHex(c)
		if digit > 15 {
			return 0, refuse(KindIncompleteBody)
		}
		size = size<<4 | uint64(digit)
	}
	if size > math.MaxInt64 {
		return 0, refuse(KindIncompleteBody)
	}
	return int64(size), nil
}

// readLine returns the next line without its LF. The line is valid until the
// next read.
func (c *chunkReader) readLine() ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.IndexByte(c.buf[c.lo+seen:c.hi], '\n'); i >= 0 {
			line := c.buf[c.lo : c.lo+seen+i]
			if len(line) >= maxLine { // however it arrived
				return nil, refuse(KindIncompleteBody)
			}
			c.lo += len(line) + 1
			return line, nil
		}
		seen = c.hi - c.lo
		if seen >= maxLine {
			return nil, refuse(KindIncompleteBody)
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads more into the buffer, which holds at most a line then.
func (c *chunkReader) fill() error {
	if c.lo > 0 {
		c.hi = copy(c.buf[:], c.buf[c.lo:c.hi])
		c.lo = 0
	}
	n, err := io.ReadAtLeast(c.r, c.buf[c.hi:], 1)
	c.hi += n
	if err != nil {
		return transportError(err)
	}
	return nil
}

// readFull fills p with the bytes that come next.
func (c *chunkReader) readFull(p []byte) error {
	n := copy(p, c.buf[c.lo:c.hi])
	c.lo += n
	if _, err := io.ReadFull(c.r, p[n:]); err != nil {
		return transportError(err)
	}
	return nil
}

// expectEOF refuses anything after the end of the body.
func (c *chunkReader) expectEOF() error {
	for extra := 0; ; {
		for _, b := range c.buf[c.lo:c.hi] {
			extra++
			if b != '\r' && b != '\n' || extra > maxEpilogue {
				return refuse(KindIncompleteBody)
			}
		}
		n, err := io.ReadAtLeast(c.r, c.buf[:], 1)
		c.lo, c.hi = 0, n
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return transportError(err)
		}
	}
}
