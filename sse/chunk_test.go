package sse

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i/251)
	}
	return p
}

func testKey() *ObjectKey { return &ObjectKey{secret{[32]byte{1, 2, 3}}} }

func testData(tb testing.TB, id byte) *Data {
	tb.Helper()
	d, err := testKey().Data([16]byte{id})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

type vectors struct {
	ObjectKey string `json:"object_key"`
	DataID    string `json:"data_id"`
	Chunks    []struct {
		Size, Stored       int
		SHA256, Head, Tail string
	}
	SealingKey string `json:"sealing_key"`
	Salt       string
	Sealed     string
	Digest     string
	Tag        string
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectors holds the bytes on disk against those of another implementation.
func TestVectors(t *testing.T) {
	v := readVectors(t)
	key := &ObjectKey{secret{[32]byte(unhex(t, v.ObjectKey))}}
	if len(v.Chunks) < 5 {
		t.Fatalf("only %d vectors", len(v.Chunks))
	}
	for _, c := range v.Chunks {
		d, err := key.Data([16]byte(unhex(t, v.DataID)))
		if err != nil {
			t.Fatal(err)
		}
		stored := d.SealAll(pattern(c.Size))
		sum := sha256.Sum256(stored)
		if len(stored) != c.Stored || hex.EncodeToString(sum[:]) != c.SHA256 {
			t.Errorf("%d bytes are stored as %d bytes %x…, want %d bytes %s…", c.Size, len(stored), stored[:16], c.Stored, c.Head)
		}
		plain, err := d.OpenAll(stored, int64(c.Size))
		if err != nil || !bytes.Equal(plain, pattern(c.Size)) {
			t.Errorf("%d bytes do not open: %v", c.Size, err)
		}
	}
}

func TestKeyVectors(t *testing.T) {
	v := readVectors(t)
	key := &ObjectKey{secret{[32]byte(unhex(t, v.ObjectKey))}}
	with := [32]byte(unhex(t, v.SealingKey))
	sealed, err := key.Seal(bytes.NewReader(unhex(t, v.Salt)), &with)
	if err != nil || hex.EncodeToString(sealed) != v.Sealed {
		t.Errorf("sealed as %x (%v), want %s", sealed, err, v.Sealed)
	}
	if tag := key.Tag(unhex(t, v.Digest)); hex.EncodeToString(tag[:]) != v.Tag {
		t.Errorf("tag %x, want %s", tag, v.Tag)
	}
}

func TestStoredSize(t *testing.T) {
	for size, want := range map[int64]int64{
		0: 0, 1: 17, ChunkData - 1: ChunkSize - 1, ChunkData: ChunkSize, ChunkData + 1: ChunkSize + 17,
		64 * ChunkData: 4 << 20, 5 << 30: 5<<30 + (5<<30/ChunkData+1)*16,
	} {
		if got := StoredSize(size); got != want {
			t.Errorf("%d bytes take %d, want %d", size, got, want)
		}
	}
}

// TestTampering changes stored data in every way that must show.
func TestTampering(t *testing.T) {
	const size = 3*ChunkData + 100
	whole := testData(t, 1).SealAll(pattern(size))
	chunk := func(i int) []byte { return whole[i*ChunkSize : min((i+1)*ChunkSize, len(whole))] }
	join := func(chunks ...[]byte) []byte { return bytes.Join(chunks, nil) }
	flipped := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 1
		return b
	}
	other := testData(t, 2).SealAll(pattern(size))
	for name, c := range map[string]struct {
		stored []byte
		size   int64
	}{
		"first bit":                  {flipped(0), size},
		"a tag":                      {flipped(ChunkSize - 1), size},
		"last bit":                   {flipped(len(whole) - 1), size},
		"cut after a chunk":          {whole[:3*ChunkSize], 3 * ChunkData},
		"cut inside a chunk":         {whole[:len(whole)-1], size - 1},
		"the last chunk alone":       {chunk(3), 100},
		"chunks exchanged":           {join(chunk(1), chunk(0), chunk(2), chunk(3)), size},
		"a chunk twice":              {join(chunk(0), chunk(0), chunk(2), chunk(3)), size},
		"a chunk left out":           {join(chunk(0), chunk(2), chunk(3)), 2*ChunkData + 100},
		"all of another id":          {other, size},
		"a chunk of another id":      {join(chunk(0), other[ChunkSize:2*ChunkSize], chunk(2), chunk(3)), size},
		"continued with another one": {join(whole[:3*ChunkSize], other[3*ChunkSize:]), size},
	} {
		got, err := testData(t, 1).OpenAll(c.stored, c.size)
		if !errors.Is(err, ErrTampered) || got != nil {
			t.Errorf("%s: %d bytes, error %v, want ErrTampered and none", name, len(got), err)
		}
	}
	if _, err := testData(t, 1).OpenAll(whole, size); err != nil {
		t.Errorf("untouched: %v", err)
	}
}

func TestWrongKey(t *testing.T) {
	stored := testData(t, 1).SealAll(pattern(100))
	d, err := (&ObjectKey{secret{[32]byte{9}}}).Data([16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.OpenAll(stored, 100); !errors.Is(err, ErrTampered) {
		t.Errorf("error %v, want ErrTampered", err)
	}
}

func TestSealInPlaceDoesNotAllocate(t *testing.T) {
	d, slot := testData(t, 1), make([]byte, ChunkSize)
	if n := testing.AllocsPerRun(20, func() {
		stored := d.Seal(slot, ChunkData, Place{Number: 3})
		if &stored[0] != &slot[0] || len(stored) != ChunkSize {
			t.Fatal("not where the plaintext was")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzOpen holds that bytes which were not sealed never open.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("plaintext"), []byte{}, uint32(0), byte(1))
	f.Add([]byte("x"), bytes.Repeat([]byte{7}, 17), uint32(5), byte(0))
	f.Fuzz(func(t *testing.T, plain, garbage []byte, at uint32, mask byte) {
		if len(plain) == 0 || len(plain) > 3*ChunkData {
			return
		}
		d := testData(t, 1)
		stored := d.SealAll(plain)
		got, err := d.OpenAll(stored, int64(len(plain)))
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes do not come back: %v", len(plain), err)
		}
		stored[int(at)%len(stored)] ^= mask
		if got, err := d.OpenAll(stored, int64(len(plain))); mask != 0 && (err == nil || got != nil) {
			t.Fatalf("changed at %d by %x and still opens", int(at)%len(stored), mask)
		}
		if _, err := d.OpenAll(garbage, int64(len(garbage))-Overhead); len(garbage) > 0 && err == nil {
			t.Fatalf("%x opens", garbage)
		}
		if k, err := OpenKey(garbage, &[32]byte{1}); err == nil {
			t.Fatalf("%x opens as a key %v", garbage, k)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	d, slot := testData(b, 1), make([]byte, ChunkSize)
	b.SetBytes(ChunkData)
	for i := 0; b.Loop(); i++ {
		d.Seal(slot, ChunkData, Place{Number: int64(i)})
	}
}

func BenchmarkOpen(b *testing.B) {
	d, slot := testData(b, 1), make([]byte, ChunkSize)
	stored := d.Seal(slot, ChunkData, Place{})
	out := make([]byte, 0, ChunkData)
	b.SetBytes(ChunkData)
	for b.Loop() {
		if _, err := d.Open(out, stored, Place{}); err != nil {
			b.Fatal(err)
		}
	}
}
