//go:build fdb

package fdb

import (
	"github.com/apple/foundationdb/bindings/go/src/fdb"

	"github.com/undercroft/undercroft/metadata/kv"
)

// generationKey comes with each read version, so that reading it costs nothing.
// It is the cluster's: everything else in it changes it too.
const generationKey = "\xff/metadataVersion"

// stampOperand is the only value that may be written to generationKey.
const stampOperand = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// space is the part of FoundationDB's keys that belongs to an engine.
type space struct {
	prefix []byte
	end    []byte // of its keys, exclusive
}

func newSpace(prefix []byte) space {
	return space{prefix: prefix, end: kv.PrefixRange(prefix).End}
}

// key is the key in FoundationDB.
func (s space) key(key []byte) fdb.Key {
	out := make([]byte, 0, len(s.prefix)+len(key)+1) // with room for keyAfter
	return append(append(out, s.prefix...), key...)
}

// bound is the begin or end of a range in FoundationDB. kv's ranges end at 0xff
// at the latest, which is where the engine's part ends.
func (s space) bound(key []byte) fdb.Key {
	if len(key) > 0 && key[0] == 0xff {
		return s.end
	}
	return s.key(key)
}

func (s space) rng(r kv.Range) fdb.KeyRange {
	return fdb.KeyRange{Begin: s.bound(r.Begin), End: s.bound(r.End)}
}

// point is the range of one key.
func (s space) point(key []byte) fdb.KeyRange {
	k := s.key(key)
	return fdb.KeyRange{Begin: k, End: append(k, 0)}
}

// strip is the key without the prefix.
func (s space) strip(key fdb.Key) []byte { return key[len(s.prefix):] }
