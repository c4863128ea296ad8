package checksum

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var allAlgorithms = []Algorithm{CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512, MD5}

func TestKnownVectors(t *testing.T) {
	// The check values of the CRC catalogue, and the digests of RFC 1321 and FIPS 180.
	want := map[Algorithm]string{
		CRC32:     "cbf43926",
		CRC32C:    "e3069283",
		CRC64NVME: "ae8b14860a799888",
		SHA1:      "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
		SHA256:    "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
		SHA512: "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a" +
			"d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
		MD5: "25f9e794323b453885f5181f1b624d0b",
	}
	h := NewHasher(SetOf(allAlgorithms...))
	if _, err := h.Write([]byte("123456789")); err != nil {
		t.Fatal(err)
	}
	got := map[Algorithm]string{}
	for a := range h.Set().All() {
		got[a] = hex.EncodeToString(h.Sum(a))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("digests of 123456789 (-want +got):\n%s", diff)
	}
}

// Values that AWS accepts for the body "the object data".
func TestBase64VectorsOfS3(t *testing.T) {
	want := map[string]string{
		"x-amz-checksum-crc32":     "z3mWAA==",
		"x-amz-checksum-crc32c":    "rxvjPA==",
		"x-amz-checksum-crc64nvme": "dYnI3/Fh0gM=",
		"x-amz-checksum-sha1":      "8O8FwCfmd5fCbCBvH09mrKMVoHU=",
		"x-amz-checksum-sha256":    "OoSow5X4zTIPl27MtdFdYT+9O3C367C75+Cb2MFtRBc=",
		"x-amz-checksum-sha512":    "uiz+VuENyLjzFxWrdmbN/NdIdldj/V3saJF6FsckcYu6xu26fM0CfAaTySaoFJmIdI2m5wbYMJxtShQ1PXk3Tg==",
		"x-amz-checksum-md5":       "EtWtthXtCk3RxUiXKw+ydw==",
	}
	h := NewHasher(SetOf(allAlgorithms...))
	if _, err := h.Write([]byte("the object data")); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for a := range h.Set().All() {
		got[a.Header()] = a.Encode(h.Sum(a))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for _, a := range allAlgorithms {
		for _, name := range []string{a.String(), strings.ToLower(a.String())} {
			if got, ok := Parse(name); !ok || got != a {
				t.Errorf("Parse(%q) = %v, %v", name, got, ok)
			}
		}
		for _, name := range []string{a.Header(), strings.ToUpper(a.Header())} {
			if got, ok := ParseHeader(name); !ok || got != a {
				t.Errorf("ParseHeader(%q) = %v, %v", name, got, ok)
			}
		}
	}
	for _, typ := range []Type{FullObject, Composite} {
		if got, ok := ParseType(typ.String()); !ok || got != typ {
			t.Errorf("ParseType(%q) = %v, %v", typ, got, ok)
		}
	}
}

func TestUnknownNames(t *testing.T) {
	for _, name := range []string{"", "CRC", "XXHASH64", "XXHASH3", "XXHASH128", "CRC32 ", "CRC64"} {
		if a, ok := Parse(name); ok {
			t.Errorf("Parse(%q) = %v", name, a)
		}
	}
	for _, name := range []string{
		"", HeaderPrefix, "crc32", "x-amz-checksum-algorithm", "x-amz-checksum-type",
		"x-amz-checksum-mode", "x-amz-checksum-xxhash3", "y-amz-checksum-crc32",
	} {
		if a, ok := ParseHeader(name); ok {
			t.Errorf("ParseHeader(%q) = %v", name, a)
		}
	}
	for _, name := range []string{"", "FULL", "COMPOSITE "} {
		if typ, ok := ParseType(name); ok {
			t.Errorf("ParseType(%q) = %v", name, typ)
		}
	}
	for _, a := range []Algorithm{0, lastAlgorithm + 1, 255} {
		if a.Valid() || a.String() != "" || a.Header() != "" || a.Size() != 0 || a.Supports(FullObject) || a.Supports(Composite) {
			t.Errorf("algorithm %d passes for a valid one", uint8(a))
		}
	}
}

func TestDecode(t *testing.T) {
	for _, a := range allAlgorithms {
		raw := make([]byte, a.Size())
		for i := range raw {
			raw[i] = byte(0xff - i)
		}
		text := a.Encode(raw)
		got, err := a.Decode(text)
		if err != nil {
			t.Fatalf("%v: %v", a, err)
		}
		if diff := cmp.Diff(raw, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", a, diff)
		}
		bad := []string{
			"", "invalid", text + "=", text[:len(text)-1], text + text, " " + text[1:],
			text[:4] + "\n" + text[5:], strings.Repeat("*", len(text)), strings.Repeat("=", len(text)),
			a.Encode(raw[1:]), a.Encode(append(slices.Clip(raw), 0)),
		}
		for _, text := range bad {
			if got, err := a.Decode(text); !errors.Is(err, ErrInvalidDigest) {
				t.Errorf("%v.Decode(%q) = %x, %v", a, text, got, err)
			}
		}
	}
	if _, err := Algorithm(0).Decode(""); !errors.Is(err, ErrInvalidDigest) {
		t.Errorf("no algorithm: %v", err)
	}
	// Padding bits that are not zero: two texts must not stand for one digest.
	if _, err := CRC32.Decode("z3mWAB=="); !errors.Is(err, ErrInvalidDigest) {
		t.Errorf("loose padding: %v", err)
	}
}

func TestTypes(t *testing.T) {
	type row struct {
		Full, Composite bool
		Default         Type
	}
	want := map[Algorithm]row{
		CRC32:     {true, true, Composite},
		CRC32C:    {true, true, Composite},
		CRC64NVME: {true, false, FullObject},
		SHA1:      {false, true, Composite},
		SHA256:    {false, true, Composite},
		SHA512:    {false, true, Composite},
		MD5:       {false, true, Composite},
	}
	got := map[Algorithm]row{}
	for _, a := range allAlgorithms {
		got[a] = row{a.Supports(FullObject), a.Supports(Composite), a.DefaultType()}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(uint8(CRC32), "z3mWAA==")
	f.Add(uint8(SHA512), strings.Repeat("A", 86)+"==")
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		a := Algorithm(n)
		raw, err := a.Decode(text)
		if err != nil {
			return
		}
		if len(raw) != a.Size() || a.Encode(raw) != text {
			t.Errorf("%v.Decode(%q) = %x, which encodes to %q", a, text, raw, a.Encode(raw))
		}
	})
}
