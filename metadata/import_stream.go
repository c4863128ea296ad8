package metadata

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// ExportStart is how many bytes the beginning of an export has at most that
// [CheckExportStart] needs.
const ExportStart = 4 << 10

// CheckExportStart reports whether a stream that begins so is an export that this
// program knows, before anything is done for it.
func CheckExportStart(start []byte) error {
	in := chunkReader{r: bufio.NewReader(bytes.NewReader(start)), sum: sha256.New()}
	_, err := in.header()
	return err
}

// chunkReader reads the stream and verifies each chunk.
type chunkReader struct {
	r      *bufio.Reader
	sum    hash.Hash
	before []byte // the sum of all before the chunk that was read last
	buf    []byte
}

func (c *chunkReader) first() (kind byte, payload []byte, err error) {
	magic := make([]byte, len(exportMagic))
	if _, err := io.ReadFull(c.r, magic); err != nil || string(magic) != exportMagic {
		return 0, nil, fmt.Errorf("%w: it does not begin as one", ErrNoExport)
	}
	c.sum.Write(magic)
	return c.next()
}

// header reads the first chunk, and returns the id of the export.
func (c *chunkReader) header() (DataID, error) {
	kind, payload, err := c.first()
	if err != nil {
		return DataID{}, err
	}
	var h ExportHeader
	if kind != chunkHeader || json.Unmarshal(payload, &h) != nil {
		return DataID{}, fmt.Errorf("%w: it does not begin with a header", ErrNoExport)
	}
	switch {
	case h.Version != exportVersion:
		return DataID{}, fmt.Errorf("%w: the export has version %d, this program knows %d", ErrFormat, h.Version, exportVersion)
	case h.Format == 0 || h.Format > Format:
		return DataID{}, fmt.Errorf("%w: %d, this program knows up to %d", ErrFormat, h.Format, Format)
	}
	id, err := hex.DecodeString(h.ID)
	if err != nil || len(id) != len(DataID{}) {
		return DataID{}, fmt.Errorf("%w: id %q", ErrNoExport, h.ID)
	}
	return DataID(id), nil
}

// next returns the next chunk; its payload is valid until the next call.
func (c *chunkReader) next() (kind byte, payload []byte, err error) {
	c.before = c.sum.Sum(nil)
	var head [5]byte
	if err := c.read(head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxChunk {
		return 0, nil, fmt.Errorf("%w: a chunk of %d bytes", ErrNoExport, n)
	}
	size := len(head) + int(n)
	if cap(c.buf) < size+crc32.Size {
		c.buf = make([]byte, size+crc32.Size)
	}
	c.buf = c.buf[:size+crc32.Size]
	copy(c.buf, head[:])
	if err := c.read(c.buf[len(head):]); err != nil {
		return 0, nil, err
	}
	if crc32.Checksum(c.buf[:size], castagnoli()) != binary.BigEndian.Uint32(c.buf[size:]) {
		return 0, nil, fmt.Errorf("%w: a chunk does not have its checksum", ErrNoExport)
	}
	c.sum.Write(c.buf)
	return head[0], c.buf[len(head):size], nil
}

func (c *chunkReader) read(p []byte) error {
	_, err := io.ReadFull(c.r, p)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ends too early", ErrNoExport)
	case err != nil:
		return fmt.Errorf("read the export: %w", err)
	}
	return nil
}
