// Package blobdtest is the conformance suite of package blobd: every disk,
// every wrapper of one and every network client of one passes [Run]; engines
// on a file system also pass [RunDurable].
//
// A rule of the contract is one function and one subtest, named after it. To
// add a rule, add it to a table here and see all implementations pass. Only
// tests import this package.
package blobdtest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/undercroft/undercroft/blobd"
)

// Capacity of the shards that the suite makes: small, for fakes keep them in
// memory.
const Capacity = 1 << 20

// Secret is the secret of those shards.
var Secret = blobd.Secret{0xde, 0xad, 0xbe, 0xef, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

type rule struct {
	name string
	test func(t *testing.T, d blobd.Disk)
}

// Run runs the suite. open returns a fresh, empty disk, and closes it by
// t.Cleanup if it is not closed by then.
func Run(t *testing.T, open func(t *testing.T) blobd.Disk) {
	t.Helper()
	for _, table := range [][]rule{inventoryRules(), appendRules(), readRules(), fenceRules(), restoreRules()} {
		for _, r := range table {
			t.Run(r.name, func(t *testing.T) { r.test(t, open(t)) })
		}
	}
}

// Shard names a shard for tests.
func Shard(partition uint64, index uint8) blobd.ShardID {
	return blobd.ShardID{Partition: blobd.PartitionID(0xa0b1c2d3_00000000 + partition), Index: index}
}

func spec(id blobd.ShardID, epoch blobd.Epoch) blobd.ShardSpec {
	return blobd.ShardSpec{ID: id, Epoch: epoch, Secret: Secret, Capacity: Capacity}
}

// Payload is height bytes that depend on seed.
func Payload(seed uint64, height int) []byte {
	p := make([]byte, height)
	for i := range p {
		seed = seed*6364136223846793005 + 1442695040888963407
		p[i] = byte(seed >> 56)
	}
	return p
}

// Frame is an append of one frame with the payload at offset.
func Frame(id blobd.ShardID, epoch blobd.Epoch, offset int64, payload []byte) blobd.Append {
	h := blobd.FrameHeader{
		Shard: id, Columns: 1, K: 1, Epoch: epoch, Offset: offset,
		StripeID: uint64(offset) + 1, Height: uint32(len(payload)), Used: uint32(len(payload)),
	}
	return blobd.Append{Shard: id, Epoch: epoch, Offset: offset, Data: blobd.AppendFrame(nil, h, Secret, payload, nil)}
}

// ReadFrame reads the frame at offset and answers its payload, verified.
func ReadFrame(ctx context.Context, d blobd.Reader, id blobd.ShardID, offset int64) ([]byte, error) {
	head := make([]byte, blobd.FrameHeaderSize)
	if _, err := d.ReadAt(ctx, id, head, offset); err != nil {
		return nil, err
	}
	h, err := blobd.ParseFrameHeader(head, Secret, id, offset)
	if err != nil {
		return nil, err
	}
	at, n := blobd.BlockSpan(offset, h.Height, 0, int64(h.Height))
	raw := make([]byte, n)
	if _, err := d.ReadAt(ctx, id, raw, at); err != nil {
		return nil, err
	}
	var payload []byte
	err = blobd.VerifyBlocks(blobd.NewSummer(Secret, id, offset), 0, h.Height, raw, func(p []byte) error {
		payload = append(payload, p...)
		return nil
	})
	return payload, err
}

func create(t *testing.T, d blobd.Disk, id blobd.ShardID, epoch blobd.Epoch) {
	t.Helper()
	if err := d.Create(t.Context(), spec(id, epoch)); err != nil {
		t.Fatalf("create %s: %v", id, err)
	}
}

// put appends a frame and answers where the next one may start.
func put(t *testing.T, d blobd.Disk, a blobd.Append) int64 {
	t.Helper()
	if err := d.Append(t.Context(), a); err != nil {
		t.Fatalf("append to %s at %d: %v", a.Shard, a.Offset, err)
	}
	n := a.Offset
	for _, p := range a.Data {
		n += int64(len(p))
	}
	return n
}

func wantFrame(t *testing.T, d blobd.Disk, id blobd.ShardID, offset int64, want []byte) {
	t.Helper()
	got, err := ReadFrame(t.Context(), d, id, offset)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("frame of %s at %d: %d bytes of %d, %v", id, offset, len(got), len(want), err)
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func stat(t *testing.T, d blobd.Disk, id blobd.ShardID) blobd.ShardStat {
	t.Helper()
	st, err := d.Stat(t.Context(), id)
	if err != nil {
		t.Fatalf("stat %s: %v", id, err)
	}
	return st
}
