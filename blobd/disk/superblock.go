package disk

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/undercroft/undercroft/blobd"
)

const (
	slotSize       = 4096
	dataStart      = 2 * slotSize // where offset 0 of the shard is in the file
	superSize      = 96
	superMagic     = "UCSH"
	superFormat    = 1
	flagSealed     = 1
	maxCapacity    = 1 << 42
	superSumOffset = superSize - 4
)

// superblock is what a shard's file says of itself. Two slots take turns: a
// superblock with an even sequence is in the first one, with an odd sequence in
// the second, so that a torn write leaves the one before.
type superblock struct {
	Sequence uint64
	ID       blobd.ShardID
	Epoch    blobd.Epoch
	Sealed   bool
	Capacity int64
	// End is a lower bound of ShardStat.End: it keeps the offsets of punched
	// frames from being used again.
	End    int64
	Secret blobd.Secret
}

// slot is where in the file the superblock belongs.
func (s superblock) slot() int64 { return int64(s.Sequence%2) * slotSize }

func (s superblock) encode() []byte {
	b := make([]byte, slotSize)
	copy(b, superMagic)
	b[4] = superFormat
	b[5] = s.ID.Index
	if s.Sealed {
		b[6] |= flagSealed
	}
	binary.BigEndian.PutUint64(b[8:], s.Sequence)
	binary.BigEndian.PutUint64(b[16:], uint64(s.ID.Partition))
	binary.BigEndian.PutUint32(b[24:], uint32(s.Epoch))
	binary.BigEndian.PutUint64(b[32:], uint64(s.Capacity))
	binary.BigEndian.PutUint64(b[40:], uint64(s.End))
	copy(b[48:64], s.Secret[:])
	sum := crc32.Checksum(b[:superSumOffset], crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(b[superSumOffset:], sum)
	return b
}

// decodeSlot decodes one slot; slot is 0 or 1.
func decodeSlot(b []byte, slot uint64) (superblock, error) {
	if len(b) < superSize || string(b[:4]) != superMagic {
		return superblock{}, fmt.Errorf("%w: slot %d is no superblock", blobd.ErrCorrupt, slot)
	}
	sum := crc32.Checksum(b[:superSumOffset], crc32.MakeTable(crc32.Castagnoli))
	if binary.BigEndian.Uint32(b[superSumOffset:]) != sum {
		return superblock{}, fmt.Errorf("%w: checksum of superblock %d", blobd.ErrCorrupt, slot)
	}
	if b[4] != superFormat {
		return superblock{}, fmt.Errorf("%w: shard format %d is not known", blobd.ErrCorrupt, b[4])
	}
	s := superblock{
		Sequence: binary.BigEndian.Uint64(b[8:]),
		ID:       blobd.ShardID{Partition: blobd.PartitionID(binary.BigEndian.Uint64(b[16:])), Index: b[5]},
		Epoch:    blobd.Epoch(binary.BigEndian.Uint32(b[24:])),
		Sealed:   b[6]&flagSealed != 0,
		Capacity: int64(binary.BigEndian.Uint64(b[32:])),
		End:      int64(binary.BigEndian.Uint64(b[40:])),
		Secret:   blobd.Secret(b[48:64]),
	}
	if s.Sequence%2 != slot {
		return superblock{}, fmt.Errorf("%w: superblock %d lies in slot %d", blobd.ErrCorrupt, s.Sequence, slot)
	}
	if err := checkCapacity(s.Capacity); err != nil || s.End < 0 || s.End > s.Capacity || s.End%blobd.Align != 0 {
		return superblock{}, fmt.Errorf("%w: superblock %d contradicts itself", blobd.ErrCorrupt, s.Sequence)
	}
	return s, nil
}

// decodeSuperblock picks the newest valid one of both slots in b.
func decodeSuperblock(b []byte, id blobd.ShardID) (superblock, error) {
	if len(b) < dataStart {
		return superblock{}, fmt.Errorf("%w: file of %d bytes has no superblocks", blobd.ErrCorrupt, len(b))
	}
	best, err := decodeSlot(b[:slotSize], 0)
	other, err1 := decodeSlot(b[slotSize:], 1)
	if err != nil && err1 != nil {
		return superblock{}, fmt.Errorf("both superblocks of %s: %w", id, err)
	}
	if err != nil || err1 == nil && other.Sequence > best.Sequence {
		best = other
	}
	if best.ID != id {
		return superblock{}, fmt.Errorf("%w: the file of %s says it is %s", blobd.ErrCorrupt, id, best.ID)
	}
	return best, nil
}

func checkCapacity(n int64) error {
	if n <= 0 || n > maxCapacity || n%blobd.Align != 0 {
		return fmt.Errorf("%w: capacity %d", blobd.ErrBadOffset, n)
	}
	return nil
}
