package checksum

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

var crcs = []Algorithm{CRC32, CRC32C, CRC64NVME}

func combineParts(t *testing.T, a Algorithm, typ Type, parts [][]byte) *Combiner {
	t.Helper()
	c, err := NewCombiner(a, typ)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if err := c.Add(reference(a, p), int64(len(p))); err != nil {
			t.Fatal(err)
		}
	}
	if c.Parts() != len(parts) {
		t.Fatalf("Parts() = %d, want %d", c.Parts(), len(parts))
	}
	return c
}

// split cuts data at random places; some parts are empty.
func split(rng *rand.Rand, data []byte, n int) [][]byte {
	cuts := make([]int, 0, n+1)
	for range n - 1 {
		cuts = append(cuts, rng.IntN(len(data)+1))
	}
	cuts = append(cuts, 0, len(data))
	slices.Sort(cuts)
	parts := [][]byte{}
	for i := range cuts[1:] {
		parts = append(parts, data[cuts[i]:cuts[i+1]])
	}
	if rng.IntN(2) == 0 {
		parts = slices.Insert(parts, rng.IntN(len(parts)+1), []byte{})
	}
	return parts
}

func TestFullObjectMatchesDirect(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		data := randomBytes(rng, rng.IntN(3000))
		parts := split(rng, data, 1+rng.IntN(8))
		for _, a := range crcs {
			c := combineParts(t, a, FullObject, parts)
			want := reference(a, data)
			if got := c.Sum(); !bytes.Equal(got, want) {
				t.Fatalf("%v of %d bytes in %d parts = %x, want %x", a, len(data), len(parts), got, want)
			}
			if got := c.String(); got != a.Encode(want) {
				t.Fatalf("%v: String() = %q", a, got)
			}
		}
	}
}

// Equal parts are the usual case and take the remembered multiplier.
func TestFullObjectEqualParts(t *testing.T) {
	data := randomBytes(rand.New(rand.NewPCG(5, 6)), 1<<20+5)
	parts := slices.Collect(slices.Chunk(data, 64<<10))
	for _, a := range crcs {
		if got, want := combineParts(t, a, FullObject, parts).Sum(), reference(a, data); !bytes.Equal(got, want) {
			t.Errorf("%v = %x, want %x", a, got, want)
		}
	}
}

// A part of 5 GiB of zeros cannot be hashed here, but its effect can be built
// by doubling: crc(z+z) from crc(z), checked against the direct path below 1 MiB.
func TestFullObjectHugeParts(t *testing.T) {
	const huge = 5 << 30
	for _, a := range crcs {
		zeros := make([]byte, 1<<20)
		sum := reference(a, zeros)
		for size := int64(len(zeros)); size < huge; size *= 2 {
			c, err := NewCombiner(a, FullObject)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := c.Add(sum, size); err != nil {
					t.Fatal(err)
				}
			}
			sum = c.Sum()
		}
		// Now the same 8 GiB of zeros in 1 MiB parts.
		c, err := NewCombiner(a, FullObject)
		if err != nil {
			t.Fatal(err)
		}
		one := reference(a, zeros)
		for range 8 << 10 {
			if err := c.Add(one, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.Sum(); !bytes.Equal(got, sum) {
			t.Errorf("%v: %x by doubling, %x by equal parts", a, sum, got)
		}
	}
}

func TestComposite(t *testing.T) {
	parts := [][]byte{[]byte("first"), {}, []byte("third part")}
	for _, a := range allAlgorithms {
		if !a.Supports(Composite) {
			continue
		}
		var concatenated []byte
		for _, p := range parts {
			concatenated = append(concatenated, reference(a, p)...)
		}
		want := reference(a, concatenated)
		c := combineParts(t, a, Composite, parts)
		if got := c.Sum(); !bytes.Equal(got, want) {
			t.Errorf("%v = %x, want %x", a, got, want)
		}
		if got := c.String(); got != a.Encode(want)+"-3" {
			t.Errorf("%v = %q", a, got)
		}
	}
}

func TestCombinerRefuses(t *testing.T) {
	for _, a := range append([]Algorithm{0, 99}, allAlgorithms...) {
		for _, typ := range []Type{0, FullObject, Composite, 9} {
			if _, err := NewCombiner(a, typ); a.Supports(typ) != (err == nil) || err != nil && !errors.Is(err, ErrUnsupportedType) {
				t.Errorf("NewCombiner(%d, %d): %v", uint8(a), uint8(typ), err)
			}
		}
	}
	c, err := NewCombiner(CRC32, FullObject)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Add(make([]byte, 8), 1); !errors.Is(err, ErrInvalidDigest) {
		t.Errorf("long digest: %v", err)
	}
	if err := c.Add(make([]byte, 4), -1); !errors.Is(err, ErrInvalidDigest) {
		t.Errorf("negative length: %v", err)
	}
	if c.Parts() != 0 || !bytes.Equal(c.Sum(), make([]byte, 4)) {
		t.Error("a refused part changed the combiner")
	}
}

func TestMultipartETag(t *testing.T) {
	parts := [][]byte{bytes.Repeat([]byte("a"), 5<<20), []byte("end")}
	sums := [][md5.Size]byte{md5.Sum(parts[0]), md5.Sum(parts[1])}
	all := md5.Sum(append(append([]byte{}, sums[0][:]...), sums[1][:]...))
	want := hex.EncodeToString(all[:]) + "-2"
	if got := MultipartETag(slices.Values(sums)); got != want {
		t.Errorf("ETag = %q, want %q", got, want)
	}
	// One empty part: the ETag that AWS gives for it.
	empty := [][md5.Size]byte{md5.Sum(nil)}
	if got, want := MultipartETag(slices.Values(empty)), "59adb24ef3cdbe0297f05b395827453f-1"; got != want {
		t.Errorf("ETag = %q, want %q", got, want)
	}
}

func FuzzFullObject(f *testing.F) {
	f.Add([]byte("123456789"), uint16(4), uint16(4))
	f.Add([]byte{}, uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, i, j uint16) {
		x, y := int(i)%(len(data)+1), int(j)%(len(data)+1)
		x, y = min(x, y), max(x, y)
		parts := [][]byte{data[:x], data[x:y], data[y:]}
		for _, a := range crcs {
			if got, want := combineParts(t, a, FullObject, parts).Sum(), reference(a, data); !bytes.Equal(got, want) {
				t.Errorf("%v = %x, want %x", a, got, want)
			}
		}
	})
}

func BenchmarkCombine10000Parts(b *testing.B) {
	for _, step := range []int64{0, 1} {
		b.Run("step="+strconv.FormatInt(step, 10), func(b *testing.B) {
			sum := make([]byte, 8)
			for b.Loop() {
				c, err := NewCombiner(CRC64NVME, FullObject)
				if err != nil {
					b.Fatal(err)
				}
				for i := range int64(10_000) {
					_ = c.Add(sum, 8<<20+i*step)
				}
			}
		})
	}
}
