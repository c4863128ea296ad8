package blobd

import "context"

// Auditor is a [Disk] that remembers more of its shards than their files say, and
// can look past that. A disk without it reads everything anew each time.
type Auditor interface {
	// Audit looks at the shard's file under its name: that it is there, and that what
	// it says of itself can be read, in every place where it says it.
	// [ErrShardNotFound] and [ErrCorrupt] say that it does not. A file that was
	// replaced or renamed while it was open is let go: calls from then on meet
	// what lies there now.
	Audit(ctx context.Context, id ShardID) error
	// Cool drops what the system keeps in memory of a range of a shard, so that the
	// next read of it is one of the medium. It is advice: what cannot be
	// dropped stays.
	Cool(ctx context.Context, id ShardID, offset, length int64) error
}
