package pebble

import (
	"encoding/binary"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// mergerName is stored by Pebble in its OPTIONS file: a directory opens only
// with the merger that wrote it, so the name changes with the meaning.
const mergerName = "undercroft.add64.v1"

// addMerger sums little-endian 64-bit integers. A short operand is extended
// with zeros and a long one, which only a Set can have stored, is cut.
func addMerger() *pebble.Merger {
	return &pebble.Merger{
		Name: mergerName,
		Merge: func(_, value []byte) (pebble.ValueMerger, error) {
			return &sum{total: operand(value)}, nil
		},
	}
}

type sum struct{ total uint64 }

func operand(value []byte) uint64 {
	if len(value) >= 8 {
		return binary.LittleEndian.Uint64(value)
	}
	var b [8]byte
	copy(b[:], value)
	return binary.LittleEndian.Uint64(b[:])
}

// MergeNewer adds one operand; the order does not matter.
func (s *sum) MergeNewer(value []byte) error {
	s.total += operand(value)
	return nil
}

// MergeOlder adds one operand; the order does not matter.
func (s *sum) MergeOlder(value []byte) error {
	s.total += operand(value)
	return nil
}

// Finish returns the sum.
func (s *sum) Finish(bool) ([]byte, io.Closer, error) {
	return binary.LittleEndian.AppendUint64(nil, s.total), nil, nil
}
