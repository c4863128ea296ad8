package sse

import (
	"io"
	"sync"
)

// batch is how many chunks are decrypted before they are handed on: one large
// write to a connection costs less than several, and fewer stay in the cache.
const batch = 4

// Buffers recycles the memory of decrypters. The zero value is ready.
type Buffers struct{ stored, plain sync.Pool }

type storedBuffer [ChunkSize]byte

type plainBuffer [batch * ChunkData]byte

func take[T any](p *sync.Pool) *T {
	if b, ok := p.Get().(*T); ok {
		return b
	}
	return new(T)
}

// Range is a range of the plaintext of one data id.
type Range struct {
	Size           int64 // of all plaintext of the id
	Offset, Length int64
}

// Stored is what must be read of the stored bytes of the id for the range:
// whole chunks.
func (r Range) Stored() (offset, length int64) {
	if r.Length <= 0 {
		return 0, 0
	}
	first, after := r.Offset/ChunkData, (r.Offset+r.Length-1)/ChunkData+1
	offset = first * ChunkSize
	return offset, min(after*ChunkSize, StoredSize(r.Size)) - offset
}

// Decrypter is an [io.Writer] of the stored bytes of a range, in order, that
// writes the plaintext of the range to another. It holds a buffer of a chunk until
// Close, and one of four chunks during Write.
type Decrypter struct {
	data    *Data
	w       io.Writer
	buffers *Buffers
	place   Place // of the next chunk
	last    Place
	tail    int   // stored size of the last chunk of the id
	skip    int   // plaintext before the range, in the next chunk
	left    int64 // plaintext of the range still to be written
	partial *storedBuffer
	n       int // bytes in partial
}

// NewDecrypter decrypts a range of some data to w. The caller closes it.
func NewDecrypter(d *Data, r Range, b *Buffers, w io.Writer) *Decrypter {
	chunks := (r.Size + ChunkData - 1) / ChunkData
	first := r.Offset / ChunkData
	return &Decrypter{
		data: d, w: w, buffers: b,
		place: Place{Number: first}, last: Place{Number: chunks - 1, Last: true},
		tail: int(StoredSize(r.Size) - (chunks-1)*ChunkSize),
		skip: int(r.Offset - first*ChunkData), left: r.Length,
	}
}

// Done is nil once all of the range has been written: that the data ended
// before is an error.
func (d *Decrypter) Done() error {
	if d.left > 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// Close gives the memory back.
func (d *Decrypter) Close() {
	if d.partial != nil {
		d.buffers.stored.Put(d.partial)
		d.partial = nil
	}
}

// next is the stored size of the next chunk.
func (d *Decrypter) next() int {
	if d.place.Number == d.last.Number {
		return d.tail
	}
	return ChunkSize
}

// Write takes stored bytes. Nothing of a chunk that does not authenticate is
// written: that is [ErrTampered].
func (d *Decrypter) Write(p []byte) (int, error) {
	taken := len(p)
	out := take[plainBuffer](&d.buffers.plain)
	defer d.buffers.plain.Put(out)
	plain := out[:0]
	for len(p) > 0 && d.left > 0 {
		chunk, rest := d.chunk(p)
		p = rest
		if chunk == nil {
			break
		}
		var err error
		if plain, err = d.open(plain, chunk); err != nil {
			return 0, err
		}
		if len(plain)+ChunkData <= len(out) && d.left > int64(len(plain)-d.skip) {
			continue
		}
		if err := d.flush(plain); err != nil {
			return 0, err
		}
		plain = out[:0]
	}
	if err := d.flush(plain); err != nil {
		return 0, err
	}
	return taken, nil
}

// chunk is the next whole chunk, of p or of what was kept and p; nil while
// some of it is missing, which is kept.
func (d *Decrypter) chunk(p []byte) (chunk, rest []byte) {
	size := d.next()
	if d.n == 0 && len(p) >= size {
		return p[:size], p[size:]
	}
	if d.partial == nil {
		d.partial = take[storedBuffer](&d.buffers.stored)
	}
	n := copy(d.partial[d.n:size], p)
	d.n += n
	if d.n < size {
		return nil, nil
	}
	d.n = 0
	return d.partial[:size], p[n:]
}

func (d *Decrypter) open(plain, chunk []byte) ([]byte, error) {
	d.place.Last = d.place.Number == d.last.Number
	plain, err := d.data.Open(plain, chunk, d.place)
	d.place.Number++
	return plain, err
}

// flush writes what of some decrypted chunks is in the range.
func (d *Decrypter) flush(plain []byte) error {
	if len(plain) == 0 {
		return nil
	}
	plain = plain[d.skip:]
	d.skip = 0
	plain = plain[:min(int64(len(plain)), d.left)]
	d.left -= int64(len(plain))
	n, err := d.w.Write(plain)
	if err == nil && n < len(plain) {
		err = io.ErrShortWrite
	}
	return err
}
