package blobd

import (
	"encoding/binary"
	"fmt"
)

// Align is the unit of offsets: frames start at multiples of it.
const Align = 4096

// BlockSize is a block on disk, BlockPayload what it carries: a block is up
// to BlockPayload bytes of payload followed by their CRC-32C (big-endian); the
// last block of a frame may be shorter.
const (
	BlockSize    = 64 << 10
	BlockPayload = BlockSize - 4
)

// FrameHeaderSize is the encoded length of a [FrameHeader].
const FrameHeaderSize = 96

// FrameHeader describes a frame: the column of one stripe that one shard
// holds. On disk a frame is the header, then the column's payload in blocks,
// padded to a multiple of [Align]. Multi-byte fields are big-endian.
//
//	 0  magic "UCFR"               4
//	 4  format (1)                 1
//	 5  shard index                1
//	 6  column                     1   0..k-1 data, k..k+m-1 parity
//	 7  columns (c)                1   data columns present, 1..k
//	 8  k                          1
//	 9  m                          1
//	10  zero                       2
//	12  epoch                      4
//	16  partition                  8
//	24  offset                     8   of the frame in the shard
//	32  stripe id                  8   random
//	40  height (h)                 4   payload bytes of each column
//	44  used                       4   bytes of the stripe's content in all data columns
//	48  directory                  4   length of the blob directory, the last bytes of used
//	52  zero                       40
//	92  CRC-32C of bytes 0..91     4   seeded, see Summer
type FrameHeader struct {
	Shard     ShardID
	Column    uint8
	Columns   uint8
	K, M      uint8
	Epoch     Epoch
	Offset    int64
	StripeID  uint64
	Height    uint32
	Used      uint32
	Directory uint32
}

const (
	frameMagic  = "UCFR"
	frameFormat = 1
	headerSum   = FrameHeaderSize - 4 // where the header's checksum starts
)

// FrameSize is the length on disk of a frame whose column is height bytes:
// header and blocks, padded to [Align].
func FrameSize(height uint32) int64 {
	return roundUp(FrameHeaderSize + blocksSize(height))
}

// Append appends the encoded header to dst.
func (h FrameHeader) Append(dst []byte, secret Secret) []byte {
	start := len(dst)
	dst = append(dst, frameMagic...)
	dst = append(dst, frameFormat, h.Shard.Index, h.Column, h.Columns, h.K, h.M, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.Epoch))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Shard.Partition))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Offset))
	dst = binary.BigEndian.AppendUint64(dst, h.StripeID)
	dst = binary.BigEndian.AppendUint32(dst, h.Height)
	dst = binary.BigEndian.AppendUint32(dst, h.Used)
	dst = binary.BigEndian.AppendUint32(dst, h.Directory)
	var reserved [40]byte
	dst = append(dst, reserved[:]...)
	sum := NewSummer(secret, h.Shard, h.Offset).Block(headerBlock, dst[start:])
	return binary.BigEndian.AppendUint32(dst, sum)
}

// ParseFrameHeader decodes the header at the start of b, which was read from
// offset of shard id. Anything but a header written with this secret at this
// very place is [ErrCorrupt].
func ParseFrameHeader(b []byte, secret Secret, id ShardID, offset int64) (FrameHeader, error) {
	if len(b) < FrameHeaderSize || string(b[:4]) != frameMagic {
		return FrameHeader{}, fmt.Errorf("%w: no header at offset %d of %s", ErrCorrupt, offset, id)
	}
	b = b[:FrameHeaderSize]
	sum := NewSummer(secret, id, offset).Block(headerBlock, b[:headerSum])
	if binary.BigEndian.Uint32(b[headerSum:]) != sum {
		return FrameHeader{}, fmt.Errorf("%w: checksum of the header at offset %d of %s", ErrCorrupt, offset, id)
	}
	if b[4] != frameFormat {
		return FrameHeader{}, fmt.Errorf("%w: frame format %d at offset %d of %s is not known", ErrCorrupt, b[4], offset, id)
	}
	h := FrameHeader{
		Shard:     ShardID{Partition: PartitionID(binary.BigEndian.Uint64(b[16:])), Index: b[5]},
		Column:    b[6],
		Columns:   b[7],
		K:         b[8],
		M:         b[9],
		Epoch:     Epoch(binary.BigEndian.Uint32(b[12:])),
		Offset:    int64(binary.BigEndian.Uint64(b[24:])),
		StripeID:  binary.BigEndian.Uint64(b[32:]),
		Height:    binary.BigEndian.Uint32(b[40:]),
		Used:      binary.BigEndian.Uint32(b[44:]),
		Directory: binary.BigEndian.Uint32(b[48:]),
	}
	if h.Shard != id || h.Offset != offset {
		return FrameHeader{}, fmt.Errorf("%w: header at offset %d of %s names offset %d of %s", ErrCorrupt, offset, id, h.Offset, h.Shard)
	}
	if !h.sane() {
		return FrameHeader{}, fmt.Errorf("%w: header at offset %d of %s contradicts itself", ErrCorrupt, offset, id)
	}
	return h, nil
}

// sane reports whether the numbers of h can belong to one stripe.
func (h FrameHeader) sane() bool {
	return h.Columns >= 1 && h.Columns <= h.K &&
		int(h.Column) < int(h.K)+int(h.M) &&
		uint64(h.Used) <= uint64(h.Columns)*uint64(h.Height) &&
		h.Directory <= h.Used
}

// Size is the length of the frame on disk.
func (h FrameHeader) Size() int64 { return FrameSize(h.Height) }

// ScratchSize is the room that [AppendFrame] needs for a column of height
// bytes: the header, the checksums and the padding.
func ScratchSize(height uint32) int {
	return int(FrameSize(height) - int64(height))
}

// AppendFrame appends to dst the pieces of a frame, in order: header, payload
// block, checksum, payload block, checksum and padding. The payload, of
// h.Height bytes, is not copied; the other pieces lie in scratch, which is
// used from its start and replaced when it is shorter than [ScratchSize]. The
// pieces are valid as long as payload and scratch are left alone.
func AppendFrame(dst [][]byte, h FrameHeader, secret Secret, payload, scratch []byte) [][]byte {
	if uint64(len(payload)) != uint64(h.Height) {
		panic(fmt.Sprintf("blobd: frame of height %d with %d bytes of payload", h.Height, len(payload)))
	}
	need := ScratchSize(h.Height)
	if cap(scratch) < need {
		scratch = make([]byte, need)
	}
	scratch = scratch[:need]
	summer := NewSummer(secret, h.Shard, h.Offset)
	used := len(h.Append(scratch[:0], secret))
	dst = append(dst, scratch[:used:used])
	for n := uint32(0); len(payload) > 0; n++ {
		block := payload[:min(len(payload), BlockPayload)]
		payload = payload[len(block):]
		binary.BigEndian.PutUint32(scratch[used:], summer.Block(n, block))
		dst = append(dst, block, scratch[used:used+4:used+4])
		used += 4
	}
	pad := scratch[used:]
	clear(pad)
	if len(pad) == 0 {
		return dst
	}
	if h.Height == 0 {
		return append(dst, pad)
	}
	// The padding lies behind the last checksum in scratch: one piece.
	dst[len(dst)-1] = scratch[used-4:]
	return dst
}

func roundUp(n int64) int64 { return (n + Align - 1) &^ (Align - 1) }
