package kv_test

import (
	"bytes"
	"testing"

	"github.com/undercroft/undercroft/metadata/kv"
)

func TestStrinc(t *testing.T) {
	for _, c := range []struct {
		prefix string
		want   []byte
	}{
		{"", nil},
		{"a", []byte("b")},
		{"ab", []byte("ac")},
		{"a\xff", []byte("b")},
		{"a\xff\xff", []byte("b")},
		{"\xff", nil},
		{"\xff\xff", nil},
		{"\x00", []byte{1}},
		{"a\x00", []byte("a\x01")},
	} {
		prefix := []byte(c.prefix)
		if got := kv.Strinc(prefix); !bytes.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("Strinc(%q) = %q, want %q", c.prefix, got, c.want)
		}
		if string(prefix) != c.prefix {
			t.Errorf("Strinc(%q) changed its argument", c.prefix)
		}
	}
}

func TestKeyAfterIsTheNextKey(t *testing.T) {
	key := append(make([]byte, 0, 8), "key"...)
	after := kv.KeyAfter(key)
	if string(after) != "key\x00" {
		t.Errorf("KeyAfter = %q", after)
	}
	after[0] = 'x'
	if string(key) != "key" {
		t.Error("KeyAfter shares memory with its argument")
	}
}

func TestPrefixRange(t *testing.T) {
	in := func(r kv.Range, key string) bool {
		return bytes.Compare(r.Begin, []byte(key)) <= 0 && bytes.Compare([]byte(key), r.End) < 0
	}
	for _, c := range []struct {
		prefix, key string
		want        bool
	}{
		{"ab", "ab", true},
		{"ab", "ab\xff\xff", true},
		{"ab", "ac", false},
		{"ab", "aa\xff", false},
		{"a\xff", "a\xff\xff\xff", true},
		{"a\xff", "b", false},
		{"", "", true},
		{"", "\xfe\xff\xff", true},
		{"", "\xff", false},
		{"\xff", "\xff\x00", false},
	} {
		if got := in(kv.PrefixRange([]byte(c.prefix)), c.key); got != c.want {
			t.Errorf("%q in the range of prefix %q: %v", c.key, c.prefix, got)
		}
	}
}
