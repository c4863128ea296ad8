package partition

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/undercroft/undercroft/metadata"
)

func encodeDirectory(entries []Entry) []byte {
	d := appendDirectoryHeader(nil, len(entries))
	for _, e := range entries {
		b := Blob{ID: e.ID, Piece: e.Piece, Key: e.Key, Version: e.Version}
		d = appendEntry(d, &b, e.Start, e.Length)
	}
	return d
}

func sampleDirectory() []Entry {
	return []Entry{
		{ID: metadata.DataID{1}, Piece: 7, Key: "0000000000000001/a", Version: "null", Length: 10},
		{ID: metadata.DataID{2}, Key: strings.Repeat("k", maxKey), Version: strings.Repeat("v", maxVersion), Start: 10, Length: 90},
		{Start: 100},
	}
}

func TestDirectoryRoundTrip(t *testing.T) {
	want := sampleDirectory()
	d := encodeDirectory(want)
	got, err := ParseDirectory(d, 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	size := directoryHeader
	for _, e := range want {
		size += (&Blob{Key: e.Key, Version: e.Version}).directorySize()
	}
	if size != len(d) {
		t.Errorf("directory of %d bytes, computed %d", len(d), size)
	}
}

func TestDirectoryRejects(t *testing.T) {
	good := encodeDirectory(sampleDirectory())
	for n := range good {
		if _, err := ParseDirectory(good[:n], 100); !errors.Is(err, ErrDirectory) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for name, d := range map[string][]byte{
		"left over": append(slices.Clip(good), 0),
		"format":    append([]byte{9}, good[1:]...),
	} {
		if _, err := ParseDirectory(d, 100); !errors.Is(err, ErrDirectory) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseDirectory(good, 99); !errors.Is(err, ErrDirectory) {
		t.Errorf("an entry outside the content: %v", err)
	}
}

func FuzzParseDirectory(f *testing.F) {
	f.Add(encodeDirectory(sampleDirectory()), uint32(100))
	f.Add([]byte{1, 0, 255, 255}, uint32(0))
	f.Fuzz(func(t *testing.T, d []byte, content uint32) {
		entries, err := ParseDirectory(d, content)
		if err != nil {
			if !errors.Is(err, ErrDirectory) {
				t.Fatal(err)
			}
			return
		}
		if diff := cmp.Diff(d, encodeDirectory(entries)); diff != "" {
			t.Fatal(diff)
		}
	})
}
