package vfs_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/undercroft/undercroft/internal/vfs"
)

func TestSumOfSmallFiles(t *testing.T) {
	object, err := json.MarshalIndent(map[string]string{"a": "b", "c": "d"}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text := vfs.AddSum(object)
	if !json.Valid(text) {
		t.Fatalf("%s is no JSON", text)
	}
	if got, err := vfs.CutSum(text); err != nil || !bytes.Equal(got, object) {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := vfs.CutSum(object); err != nil || !bytes.Equal(got, object) {
		t.Errorf("without a checksum: %s, %v", got, err)
	}
	for i := range text {
		for bit := range 8 {
			spoiled := bytes.Clone(text)
			spoiled[i] ^= 1 << bit
			got, err := vfs.CutSum(spoiled)
			if err == nil && bytes.Equal(got, object) {
				t.Errorf("bit %d of byte %d: %s", bit, i, got)
			}
			// What is taken for a text without a checksum has a field that nobody knows.
			if err == nil && !bytes.Equal(got, spoiled) {
				t.Errorf("bit %d of byte %d is not found", bit, i)
			}
		}
	}
}
