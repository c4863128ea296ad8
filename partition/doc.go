// Package partition stores blobs in erasure-coded, append-only partitions.
//
// A partition is k data and m parity shards on k+m different disks, written
// by one process at a time under an epoch. One append to it is a stripe: blobs
// one after another and a directory of them, cut into c <= k columns of equal
// height with m parity columns over the c present ones, each a frame at the
// same offset of its shard. docs/format/stripe.md draws it.
//
// Promises. A blob whose [Pending.Wait] returned nil is durable on every frame
// of its stripe: it survives the loss of any m disks. A [Reader] hands out
// only bytes that verified against checksums bound to their place, rebuilt
// from other columns where they must be, or an error. An offset of a shard is
// never used twice, also across restarts. Memory is bounded: blobs lie in
// buffers of one pool, and what does not fit waits, briefly, and is then
// refused with [ErrOverloaded].
//
// It does not promise that a durable blob stays: one that no transaction
// published (metadata.Tx.Publish) is garbage as soon as its partition is
// sealed, which it is not before [Pending.Done]. It knows nothing of objects and
// moves no data. It frees space only when asked, by [Store.Drop] and
// [Store.Sweep], and then what is garbage by state, never by age.
//
// Lock order: lane.mu, then openPartition.mu, then diskSet.mu; Store.mu and
// the locks of pools are leaves.
//
// Only objects, steward and cmd may import it.
package partition
