package sse

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// decrypt writes the stored bytes of a range to a Decrypter, cut by cuts.
func decrypt(d *Data, r Range, stored []byte, cuts func() int) ([]byte, error) {
	var out bytes.Buffer
	var buffers Buffers
	dec := NewDecrypter(d, r, &buffers, &out)
	defer dec.Close()
	offset, length := r.Stored()
	for rest := stored[offset : offset+length]; len(rest) > 0; {
		n := min(cuts(), len(rest))
		m, err := dec.Write(rest[:n])
		if err != nil {
			return out.Bytes(), err
		}
		rest = rest[m:]
	}
	return out.Bytes(), dec.Done()
}

func TestRanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 100, ChunkData - 1, ChunkData, ChunkData + 1, 5*ChunkData + 17, 9 * ChunkData} {
		plain := pattern(size)
		d := testData(t, 1)
		stored := d.SealAll(plain)
		edges := []int{0, 1, ChunkData - 1, ChunkData, ChunkData + 1, size / 2, size - 1, size}
		for range 60 {
			from, to := edges[rng.IntN(len(edges))], edges[rng.IntN(len(edges))]
			if rng.IntN(2) == 0 {
				from, to = rng.IntN(size), rng.IntN(size+1)
			}
			if from, to = min(from, size), min(to, size); from >= to {
				continue
			}
			r := Range{Size: int64(size), Offset: int64(from), Length: int64(to - from)}
			got, err := decrypt(d, r, stored, func() int { return 1 + rng.IntN(5*ChunkSize) })
			if err != nil || !bytes.Equal(got, plain[from:to]) {
				t.Fatalf("%d to %d of %d: %d bytes, error %v", from, to, size, len(got), err)
			}
		}
	}
}

func TestRangeReadsNoMoreThanItsChunks(t *testing.T) {
	const size = 10*ChunkData + 5
	for _, c := range []struct{ from, length, offset, stored int64 }{
		{0, 1, 0, ChunkSize},
		{ChunkData - 1, 2, 0, 2 * ChunkSize},
		{3 * ChunkData, ChunkData, 3 * ChunkSize, ChunkSize},
		{10 * ChunkData, 5, 10 * ChunkSize, 21},
		{10*ChunkData - 1, 3, 9 * ChunkSize, ChunkSize + 21},
		{0, size, 0, StoredSize(size)},
		{7, 0, 0, 0},
	} {
		offset, stored := (Range{Size: size, Offset: c.from, Length: c.length}).Stored()
		if offset != c.offset || stored != c.stored {
			t.Errorf("%d bytes at %d are %d stored at %d, want %d at %d", c.length, c.from, stored, offset, c.stored, c.offset)
		}
	}
}

func TestNothingOfATamperedChunkIsWritten(t *testing.T) {
	const size = 12 * ChunkData
	plain, d := pattern(size), testData(t, 1)
	stored := d.SealAll(plain)
	stored[7*ChunkSize+9] ^= 1
	for _, cut := range []int{1000, ChunkSize, 3 * ChunkSize, 20 * ChunkSize} {
		got, err := decrypt(d, Range{Size: size, Length: size}, stored, func() int { return cut })
		if !errors.Is(err, ErrTampered) {
			t.Errorf("in writes of %d: error %v, want ErrTampered", cut, err)
		}
		if len(got) > 7*ChunkData || !bytes.Equal(got, plain[:len(got)]) {
			t.Errorf("in writes of %d: %d bytes came, at most those before chunk 7 may", cut, len(got))
		}
	}
}

func TestDataThatEndsEarly(t *testing.T) {
	var buffers Buffers
	d := testData(t, 1)
	stored := d.SealAll(pattern(2 * ChunkData))
	for _, n := range []int{0, ChunkSize, 2*ChunkSize - 1} {
		dec := NewDecrypter(d, Range{Size: 2 * ChunkData, Length: 2 * ChunkData}, &buffers, io.Discard)
		if _, err := dec.Write(stored[:n]); err != nil {
			t.Fatal(err)
		}
		if err := dec.Done(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d bytes: error %v, want ErrUnexpectedEOF", n, err)
		}
		dec.Close()
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write(p []byte) (int, error) { return len(p) / 2, w.err }

func TestErrorsOfTheWriter(t *testing.T) {
	var buffers Buffers
	d := testData(t, 1)
	stored := d.SealAll(pattern(5))
	gone := errors.New("gone")
	for want, w := range map[error]io.Writer{gone: brokenWriter{gone}, io.ErrShortWrite: brokenWriter{}} {
		dec := NewDecrypter(d, Range{Size: 5, Length: 5}, &buffers, w)
		if _, err := dec.Write(stored); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
		dec.Close()
	}
}

func BenchmarkDecrypter(b *testing.B) {
	const size = 64 * ChunkData
	d := testData(b, 1)
	stored := d.SealAll(pattern(size))
	var buffers Buffers
	b.SetBytes(size)
	for b.Loop() {
		dec := NewDecrypter(d, Range{Size: size, Length: size}, &buffers, io.Discard)
		for rest := stored; len(rest) > 0; {
			n := min(len(rest), 512<<10-300)
			if _, err := dec.Write(rest[:n]); err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
		dec.Close()
	}
}
