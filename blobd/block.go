package blobd

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// headerBlock stands for the header where a block number is asked for.
const headerBlock = 0xffffffff

// Summer computes the checksums of one frame: CRC-32C over the partition's
// secret, the partition (8 bytes), the shard's index (1), the frame's offset
// (8), the block's number (4; 0xffffffff for the header) and then the bytes.
// Numbers are big-endian. The state before the block's number is computed
// once. It is a value: copy it freely, use it concurrently.
type Summer struct {
	table *crc32.Table
	state uint32
}

// NewSummer returns the summer of the frame at frameOffset of shard id.
func NewSummer(secret Secret, id ShardID, frameOffset int64) Summer {
	s := Summer{table: crc32.MakeTable(crc32.Castagnoli)}
	// By hand: crc32.Update would make its argument escape, and one small
	// allocation for each frame read is one too many.
	for _, b := range secret {
		s.state = s.step(s.state, b)
	}
	s.state = s.step64(s.state, uint64(id.Partition))
	s.state = s.step(s.state, id.Index)
	s.state = s.step64(s.state, uint64(frameOffset))
	return s
}

// Block returns the checksum of block n, or of the header.
func (s Summer) Block(n uint32, payload []byte) uint32 {
	state := s.state
	for shift := 24; shift >= 0; shift -= 8 {
		state = s.step(state, byte(n>>shift))
	}
	return crc32.Update(state, s.table, payload)
}

func (s Summer) step(state uint32, b byte) uint32 {
	state = ^state
	return ^(s.table[byte(state)^b] ^ state>>8)
}

func (s Summer) step64(state uint32, v uint64) uint32 {
	for shift := 56; shift >= 0; shift -= 8 {
		state = s.step(state, byte(v>>shift))
	}
	return state
}

// BlockCount is the number of blocks of a column of height bytes.
func BlockCount(height uint32) uint32 {
	return uint32((int64(height) + BlockPayload - 1) / BlockPayload)
}

// BlockOf is the number of the block that holds byte a of a column's payload.
func BlockOf(a int64) uint32 { return uint32(a / BlockPayload) }

func blocksSize(height uint32) int64 {
	return int64(height) + 4*int64(BlockCount(height))
}

// BlockSpan returns where in the shard the whole blocks lie that cover the
// payload bytes [a,b), 0 <= a < b <= height, of the column in the frame at
// frameOffset. The first of them is block [BlockOf](a).
func BlockSpan(frameOffset int64, height uint32, a, b int64) (offset int64, length int) {
	first, end := int64(BlockOf(a)), int64(BlockOf(b-1))+1
	start := first * BlockSize
	return frameOffset + FrameHeaderSize + start, int(min(end*BlockSize, blocksSize(height)) - start)
}

// VerifyBlocks walks raw, which holds whole blocks of a column of height bytes
// from firstBlock on, as read from where [BlockSpan] said. It checks each
// block and hands its payload, a part of raw, to yield, whose error ends the
// walk and is returned. The first bad or incomplete block is [ErrCorrupt].
func VerifyBlocks(s Summer, firstBlock, height uint32, raw []byte, yield func(payload []byte) error) error {
	count := BlockCount(height)
	for n := firstBlock; len(raw) > 0; n++ {
		if n >= count {
			return fmt.Errorf("%w: block %d of %d", ErrCorrupt, n, count)
		}
		size := int(min(BlockPayload, int64(height)-int64(n)*BlockPayload))
		if len(raw) < size+4 {
			return fmt.Errorf("%w: block %d ends after %d of %d bytes", ErrCorrupt, n, len(raw), size+4)
		}
		payload := raw[:size:size]
		if s.Block(n, payload) != binary.BigEndian.Uint32(raw[size:]) {
			return fmt.Errorf("%w: checksum of block %d", ErrCorrupt, n)
		}
		if err := yield(payload); err != nil {
			return err
		}
		raw = raw[size+4:]
	}
	return nil
}
