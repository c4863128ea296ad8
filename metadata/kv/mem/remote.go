package mem

import (
	"bytes"

	"github.com/undercroft/undercroft/metadata/kv"
	"github.com/undercroft/undercroft/metadata/kv/internal/txn"
)

// remote is a snapshot across a network: nothing of it is there before it is
// waited for.
type remote struct{ *snapshot }

var _ txn.Remote = remote{}

// Start reads key when it is waited for.
func (r remote) Start(key []byte) kv.Future {
	key = bytes.Clone(key)
	return &sent{get: func() ([]byte, error) { return r.Get(key) }}
}

// StartGeneration reads the stamp when it is waited for.
func (r remote) StartGeneration() kv.Future {
	return &sent{get: func() ([]byte, error) { return r.Generation(), nil }}
}

// Scan walks a range.
func (r remote) Scan(rng kv.Range, o kv.RangeOptions) txn.Cursor {
	if o.Reverse {
		return &backward{cursor{s: r.snapshot, r: rng}}
	}
	return &cursor{s: r.snapshot, r: rng}
}

// Touch does nothing: the version is there.
func (r remote) Touch() {}

// Await returns the version.
func (r remote) Await() (uint64, error) { return r.version, nil }

// sent is a read that is under way until it is waited for.
type sent struct {
	get   func() ([]byte, error) // nil once it was called
	value []byte
	err   error
}

// Wait returns the value.
func (s *sent) Wait() ([]byte, error) {
	if s.get != nil {
		s.value, s.err = s.get()
		s.get = nil
	}
	return s.value, s.err
}
