// Package blobd is the contract of a disk that serves shards.
//
// A disk is one directory with an identity of its own. It holds shards: one
// append-only file for each share of a partition that lives there. A disk
// decides nothing: the writer of a partition assigns every offset, and truth
// about names, placement and liveness is in metadata. What a disk promises is
// durability (an [Appender.Append] that returned nil survives power loss),
// fencing (an epoch once raised is never forgotten, and no append of a lower
// epoch becomes durable after [Fencer.Fence] answered) and that a read returns
// what the file holds: whether the bytes are the right ones, the reader
// decides by the checksums of the frame format that this package defines.
//
// Implementations: blobd/disk (a directory), blobd/memory (a full fake); both
// pass blobd/blobdtest. Anything above may import this package; it imports
// nothing of ours.
package blobd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
)

// DiskID is the random identity of a disk, written in a file at its root.
type DiskID [16]byte

// String returns the identity in hexadecimal.
func (d DiskID) String() string { return hex.EncodeToString(d[:]) }

// PartitionID is a random, never reused name of a partition.
type PartitionID uint64

// String returns the id as 16 hexadecimal digits.
func (p PartitionID) String() string { return fmt.Sprintf("%016x", uint64(p)) }

// Epoch fences the writers of a partition: it only ever rises.
type Epoch uint32

// Secret seeds every checksum of a partition, so that bytes a client chose
// never verify as a frame. It is kept in metadata and in each shard's
// superblock, and never leaves the storage layer.
type Secret [16]byte

// ShardID names one shard: a partition and the shard's index in it, 0 to
// k+m-1.
type ShardID struct {
	Partition PartitionID
	Index     uint8
}

// String returns partition.index.
func (s ShardID) String() string { return fmt.Sprintf("%s.%02d", s.Partition, s.Index) }

// ShardSpec is what a shard is created with.
type ShardSpec struct {
	ID       ShardID
	Epoch    Epoch
	Secret   Secret
	Capacity int64 // bytes that appends may use; a multiple of [Align]
}

// ShardStat describes a shard.
type ShardStat struct {
	ID        ShardID
	Epoch     Epoch // highest epoch persisted
	Sealed    bool  // no append will ever be taken again
	Capacity  int64
	Allocated int64 // bytes of the file system in use
	// End is an offset, a multiple of Align, at and after which the shard
	// holds nothing: no byte was ever written there. Frames whose append
	// failed may lie before it.
	End int64
}

// DiskUsage is the space of the file system that holds a disk, in bytes. Of what is
// free shards never take the reserve.
type DiskUsage struct {
	Total, Free, Reserve uint64
}

// Append is one frame on its way to a shard.
type Append struct {
	Shard  ShardID
	Epoch  Epoch
	Offset int64    // multiple of Align; never used before in this shard
	Data   [][]byte // the encoded frame, in pieces; its sum is at most Capacity-Offset
}

// The errors of a disk. Callers test with errors.Is.
var (
	ErrShardNotFound = errors.New("blobd: no such shard")
	ErrShardExists   = errors.New("blobd: shard exists")
	// ErrStaleEpoch: the shard was fenced at a higher epoch, or, for an append
	// of a higher epoch than the shard's, is not fenced at that one yet.
	ErrStaleEpoch = errors.New("blobd: stale epoch")
	// ErrSealed: the shard takes no appends any more, because it was sealed or
	// because a sync failed.
	ErrSealed = errors.New("blobd: shard is closed for appends")
	// ErrBadOffset: not aligned, negative or past the capacity; also a capacity
	// that is not positive or not aligned.
	ErrBadOffset = errors.New("blobd: bad offset")
	ErrNoSpace   = errors.New("blobd: no space left on disk")
	// ErrDiskFailed: the directory is gone, was replaced, or a sync failed.
	ErrDiskFailed = errors.New("blobd: disk failed")
	ErrClosed     = errors.New("blobd: disk is closed")
	// ErrCorrupt: bytes that are not what was written at this place. The frame
	// codec returns it, and a disk for a shard whose own description cannot be
	// read; of frames a disk hands out what the file holds.
	ErrCorrupt = errors.New("blobd: corrupt frame")
)

// Disk is everything that a disk can do. All methods are safe for concurrent
// use. A context's end makes a call return early; whether its work was done is
// then unknown.
type Disk interface {
	Inventory
	Appender
	Reader
	Fencer
	Restorer
}

// Inventory creates, lists and removes shards.
type Inventory interface {
	// ID never changes over the life of the value.
	ID() DiskID
	// Create makes an empty shard, durable with its name and its first space
	// preallocated when it returns. [ErrShardExists] when there is one.
	Create(ctx context.Context, spec ShardSpec) error
	// Delete removes a shard; deleting one that is not there is no error.
	Delete(ctx context.Context, id ShardID) error
	Stat(ctx context.Context, id ShardID) (ShardStat, error)
	// List names all shards, in any order.
	List(ctx context.Context) ([]ShardID, error)
	Usage(ctx context.Context) (DiskUsage, error)
	// Failed answers why the disk is out of service, nil while it serves.
	Failed() error
	Close() error
}

// Appender writes frames.
type Appender interface {
	// Append writes a frame and returns when it is durable: data synced, and
	// the file still reachable by its name (a deleted directory keeps
	// accepting writes). Appends of one shard share syncs. After an error the
	// frame may or may not be there, in part or whole, and its offset must not
	// be used again. A failed sync closes the shard for appends for good. The
	// epoch must be the shard's. a.Data is not modified, and not retained after
	// the return: a write that blocks is waited for even when ctx ends.
	Append(ctx context.Context, a Append) error
}

// Reader reads what appends wrote.
type Reader interface {
	// ReadAt fills p from offset of the shard (0 is where the first frame may
	// start). Ranges never written read as zeros; past Capacity is io.EOF.
	ReadAt(ctx context.Context, id ShardID, p []byte, offset int64) (int, error)
	// Frames walks the frames with a valid header from offset on, in order of
	// offset. It verifies headers, not payloads. Ranges without a valid header
	// are stepped over. An I/O error is yielded and ends the walk.
	Frames(ctx context.Context, id ShardID, from int64) iter.Seq2[FrameHeader, error]
}

// CachedReader is a [Reader] that knows what it has in memory.
type CachedReader interface {
	// ReadCached fills as much of p, from its start, as it can without waiting
	// for a device, and returns how many bytes those are. Fewer than all say
	// nothing: ReadAt is asked for the rest, and says what is wrong if anything is.
	ReadCached(id ShardID, p []byte, offset int64) int
}

// Fencer raises epochs and frees space.
type Fencer interface {
	// Fence persists epoch, drains the appends of lower ones and answers the
	// shard's state after that. An epoch lower than the persisted one is
	// [ErrStaleEpoch]; the same one again is no error.
	Fence(ctx context.Context, id ShardID, epoch Epoch) (ShardStat, error)
	// Seal fences and closes the shard for appends for good. Space beyond its
	// end is freed.
	Seal(ctx context.Context, id ShardID, epoch Epoch) (ShardStat, error)
	// Punch frees the whole file-system blocks inside [offset, offset+length);
	// they read as zeros afterwards, but may come back after a power loss. It
	// never lowers ShardStat.End.
	Punch(ctx context.Context, id ShardID, offset, length int64) error
}

// Restorer writes shards anew as a whole, and takes away those that are not wanted.
type Restorer interface {
	// Restore begins to write a shard anew, sealed, of which nothing will lie
	// at or after end. Until it is committed nothing shows it, and what the
	// disk holds under its name stays as it is.
	Restore(ctx context.Context, spec ShardSpec, end int64) (Restoration, error)
	// Discard removes a shard that was superseded: one whose epoch is lower
	// than epoch. One that has that or a higher epoch stays: [ErrStaleEpoch].
	// One that is not there is no error, and one that cannot be read goes.
	Discard(ctx context.Context, id ShardID, epoch Epoch) error
	// Disown moves a shard that metadata does not know out of sight of every
	// other method, to where people may look at it. One that is not there is no
	// error.
	Disown(ctx context.Context, id ShardID) error
}

// Restoration is a shard that is being written anew. It is used by one
// goroutine at a time, and ended by Commit or Abort.
type Restoration interface {
	// Write writes a frame at an offset, a multiple of [Align]; it is durable
	// after Commit. data is not retained.
	Write(ctx context.Context, offset int64, data [][]byte) error
	// Commit makes the shard durable as a whole and then gives it its name, in
	// place of what the disk held under it, durably. A crash leaves the one or
	// the other. What was there stays where it has a higher epoch:
	// [ErrStaleEpoch].
	Commit(ctx context.Context) error
	// Abort takes away what was written. After Commit it does nothing.
	Abort() error
}
