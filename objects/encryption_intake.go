package objects

import (
	"errors"
	"io"

	"github.com/undercroft/undercroft/sse"
)

// encrypt prepares for a body that is to be encrypted.
func (in *intake) encrypt() (err error) {
	if in.seal != nil {
		in.data, err = in.seal.key.Data(in.id)
	}
	return err
}

// storedSize is how much room so many bytes of the body need; they start with a
// chunk. Negative, where nobody knows, stays so.
func (in *intake) storedSize(n int64) int64 {
	if in.data == nil {
		return n
	}
	return sse.StoredSize(n)
}

// fillSealed fills a buffer with whole chunks, each encrypted where it lies once
// it has been digested and while the cache has it. Pieces are whole chunks, the
// end of the body apart, so that one after another they are the chunks of the data.
func (in *intake) fillSealed(space []byte, remaining int64) (n int, last bool, err error) {
	for !last && len(space)-n >= sse.ChunkSize {
		slot := space[n : n+sse.ChunkSize]
		room := slot[:sse.ChunkData]
		if remaining >= 0 {
			room = room[:min(int64(len(room)), remaining)]
		}
		m, err := in.fill(room)
		if err != nil {
			return n, false, err
		}
		if remaining >= 0 {
			remaining -= int64(m)
		}
		if last, err = in.ends(len(room)-m, remaining); err != nil {
			return n, false, err
		}
		if m > 0 {
			n += len(in.data.Seal(slot, m, sse.Place{Number: in.chunk, Last: last}))
			in.chunk++
		}
	}
	return n, last, nil
}

// ends reports whether nothing of the body remains after a chunk, which lacked
// some bytes of being full.
func (in *intake) ends(lacking int, remaining int64) (bool, error) {
	if lacking > 0 || remaining >= 0 {
		return lacking > 0 || remaining == 0, nil
	}
	return in.peek()
}

// peek reports whether the body has ended. If not, it holds a byte of it for the
// next read.
func (in *intake) peek() (ended bool, err error) {
	var b [1]byte
	_, err = io.ReadFull(in.body.Reader, b[:])
	switch {
	case errors.Is(err, io.EOF):
		return true, nil
	case err != nil:
		return false, &bodyError{err}
	}
	in.peeked = b[:]
	return false, nil
}

// read reads from the body.
func (in *intake) read(p []byte) (int, error) {
	if len(in.peeked) > 0 {
		n := copy(p, in.peeked)
		in.peeked = in.peeked[n:]
		return n, nil
	}
	return in.body.Reader.Read(p)
}
