//go:build fdb

package fdb

import "encoding/binary"

// Transactions that FoundationDB commits in one batch share its version, and have
// an order in it. A version of kv has both, so that each is larger than those
// before it: 51 bits of version, which are 71 years of the cluster's microseconds,
// and 13 bits of order. No batch comes near their end.
const orderBits = 13

const maxOrder = 1<<orderBits - 1

// commitVersion is kv's version of a versionstamp.
func commitVersion(stamp []byte) uint64 {
	if len(stamp) < 10 {
		return 0
	}
	order := uint64(binary.BigEndian.Uint16(stamp[8:]))
	return binary.BigEndian.Uint64(stamp)<<orderBits | min(order, maxOrder)
}

// readVersion is kv's version of one that was read: it shows its whole batch.
func readVersion(version int64) uint64 { return uint64(version)<<orderBits | maxOrder }
