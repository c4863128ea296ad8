package partition

import (
	"bytes"
	"testing"

	"github.com/klauspost/reedsolomon"
)

// Parity over the columns present is that of the whole scheme with zeros for
// those absent, and every loss of m columns is made good.
func TestCodeOverColumnsPresent(t *testing.T) {
	var c codes
	for _, s := range []Scheme{{1, 1}, {2, 1}, {2, 2}, {4, 2}, {6, 3}, {8, 4}} {
		for columns := 1; columns <= s.K; columns++ {
			code, err := c.get(codeShape{s.K, s.M, columns})
			if err != nil {
				t.Fatal(err)
			}
			part, full := encodeBoth(t, code, s, columns)
			for j := range s.M {
				if !bytes.Equal(part[columns+j], full[s.K+j]) {
					t.Fatalf("%s with %d columns: parity %d differs", s, columns, j)
				}
			}
			checkErasures(t, code, part, columns, s.M)
		}
	}
}

func encodeBoth(t *testing.T, code reedsolomon.Encoder, s Scheme, columns int) (part, full [][]byte) {
	t.Helper()
	const size = 192
	reference, err := reedsolomon.New(s.K, s.M, reedsolomon.WithFastOneParityMatrix())
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.K + s.M {
		full = append(full, make([]byte, size))
		if i < columns {
			copy(full[i], pattern(size, uint64(i)))
			part = append(part, bytes.Clone(full[i]))
		}
	}
	for range s.M {
		part = append(part, make([]byte, size))
	}
	if err := reference.Encode(full); err != nil {
		t.Fatal(err)
	}
	if err := code.Encode(part); err != nil {
		t.Fatal(err)
	}
	return part, full
}

func checkErasures(t *testing.T, code reedsolomon.Encoder, shards [][]byte, columns, m int) {
	t.Helper()
	for lost := range 1 << len(shards) {
		have := make([][]byte, len(shards))
		gone := 0
		for i := range shards {
			if lost>>i&1 == 0 {
				have[i] = bytes.Clone(shards[i])
			} else {
				gone++
			}
		}
		if gone > m {
			continue
		}
		if err := code.ReconstructData(have); err != nil {
			t.Fatalf("lost %b of %d+%d: %v", lost, columns, m, err)
		}
		for i := range columns {
			if !bytes.Equal(have[i], shards[i]) {
				t.Fatalf("lost %b of %d+%d: column %d is wrong", lost, columns, m, i)
			}
		}
	}
}
