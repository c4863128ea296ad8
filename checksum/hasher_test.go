package checksum

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"math/rand/v2"
	"testing"

	"github.com/minio/crc64nvme"
)

// reference returns digests made by other means than the hasher.
func reference(a Algorithm, data []byte) []byte {
	makers := map[Algorithm]func() hash.Hash{
		CRC32:  func() hash.Hash { return crc32.NewIEEE() },
		CRC32C: func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
		// The table-driven code of the standard library, not the vectorised one.
		CRC64NVME: func() hash.Hash { return crc64.New(crc64.MakeTable(crc64nvme.NVME)) },
		SHA1:      sha1.New,
		SHA256:    sha256.New,
		SHA512:    sha512.New,
		MD5:       md5.New,
	}
	h := makers[a]()
	h.Write(data)
	return h.Sum(nil)
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestHasherMatchesReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var pool Pool
	for _, size := range []int{0, 1, block - 1, block, block + 1, 3*block + 17} {
		data := randomBytes(rng, size)
		set := SetOf(allAlgorithms...)
		h := pool.Get(set)
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(block*2))
			if m, err := h.Write(rest[:n]); m != n || err != nil {
				t.Fatalf("Write: %d, %v", m, err)
			}
			rest = rest[n:]
		}
		if h.Size() != int64(size) {
			t.Errorf("Size() = %d, want %d", h.Size(), size)
		}
		for _, a := range allAlgorithms {
			if got, want := h.Sum(a), reference(a, data); !bytes.Equal(got, want) {
				t.Errorf("%v of %d bytes = %x, want %x", a, size, got, want)
			}
		}
		pool.Put(h)
	}
}

func TestSumDoesNotDisturb(t *testing.T) {
	h := NewHasher(SetOf(allAlgorithms...))
	_, _ = h.Write([]byte("1234"))
	for _, a := range allAlgorithms {
		h.Sum(a)
	}
	_, _ = h.Write([]byte("56789"))
	for _, a := range allAlgorithms {
		if got, want := h.Sum(a), reference(a, []byte("123456789")); !bytes.Equal(got, want) {
			t.Errorf("%v = %x, want %x", a, got, want)
		}
	}
}

func TestResetChangesTheSet(t *testing.T) {
	h := NewHasher(SetOf(MD5, SHA256))
	_, _ = h.Write([]byte("left over"))
	h.Reset(SetOf(SHA256, CRC32C))
	if h.Sum(MD5) != nil || h.Sum(CRC32) != nil || len(h.AppendSum(nil, MD5)) != 0 {
		t.Error("a digest outside the set was returned")
	}
	_, _ = h.Write([]byte("x"))
	for _, a := range []Algorithm{SHA256, CRC32C} {
		if got, want := h.Sum(a), reference(a, []byte("x")); !bytes.Equal(got, want) {
			t.Errorf("%v = %x, want %x", a, got, want)
		}
	}
	// MD5 went unused for one round; it must come back clean.
	h.Reset(SetOf(MD5))
	if got, want := h.Sum(MD5), reference(MD5, nil); !bytes.Equal(got, want) {
		t.Errorf("MD5 = %x, want %x", got, want)
	}
}

func TestSetIgnoresInvalid(t *testing.T) {
	s := SetOf(0, 200, CRC32)
	var got []Algorithm
	for a := range s.All() {
		got = append(got, a)
	}
	if len(got) != 1 || got[0] != CRC32 || s.Has(0) || s.Has(200) {
		t.Errorf("set = %v", got)
	}
	for range SetOf(allAlgorithms...).All() {
		break // an early stop must not panic
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	data := make([]byte, 100<<10)
	var pool Pool
	pool.Put(NewHasher(SetOf(allAlgorithms...)))
	sum := make([]byte, 0, MaxSize)
	h := pool.Get(SetOf(allAlgorithms...))
	allocs := testing.AllocsPerRun(20, func() {
		h.Reset(SetOf(allAlgorithms...))
		_, _ = h.Write(data)
		for _, a := range allAlgorithms {
			sum = h.AppendSum(sum[:0], a)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkHasher(b *testing.B) {
	data := randomBytes(rand.New(rand.NewPCG(1, 1)), 4<<20)
	for _, set := range [][]Algorithm{{MD5}, {CRC32C}, {CRC64NVME}, {SHA256}, {MD5, CRC64NVME}, {MD5, SHA256, CRC32C}} {
		name := ""
		for _, a := range set {
			name += "+" + a.String()
		}
		b.Run(name[1:], func(b *testing.B) {
			h := NewHasher(SetOf(set...))
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = h.Write(data)
			}
		})
	}
}

func BenchmarkPoolSmall(b *testing.B) {
	data := make([]byte, 4096)
	var pool Pool
	sum := make([]byte, 0, MaxSize)
	b.ReportAllocs()
	for b.Loop() {
		h := pool.Get(SetOf(MD5, CRC64NVME))
		_, _ = h.Write(data)
		sum = h.AppendSum(sum[:0], MD5)
		pool.Put(h)
	}
}
