package partition

import "errors"

// The errors of a Store. Callers test with errors.Is.
var (
	// ErrOverloaded says that buffers ran out and the bounded queue for them is
	// full, or that the wait took too long. Nothing was done; try again later.
	ErrOverloaded = errors.New("partition: overloaded")
	// ErrNoDisks says that fewer than m+1 disks are in service.
	ErrNoDisks = errors.New("partition: too few usable disks")
	// ErrElsewhere says that other processes have the disks.
	ErrElsewhere = errors.New("partition: the data directories are served by another process")
	// ErrNoSpace says that enough disks serve but too few of them have room.
	ErrNoSpace = errors.New("partition: no space left on the disks")
	// ErrGone says that an extent's partition is unknown or was dropped:
	// compaction moved the bytes, the row that named the extent has changed.
	ErrGone = errors.New("partition: partition is gone")
	// ErrUnreadable says that more than m columns of a stripe are lost.
	ErrUnreadable = errors.New("partition: too many columns lost")
	// ErrNoTarget says that no disk can take a shard that is to be rebuilt: each
	// that serves holds another one of the partition, or has no room.
	ErrNoTarget = errors.New("partition: no disk can take the shard")
	// ErrBusy says that another job of this process is at work on the partition.
	ErrBusy = errors.New("partition: another job is at work on the partition")
	// ErrClosed says that the Store is closed.
	ErrClosed = errors.New("partition: store is closed")
	// ErrDirectory says that the bytes of a stripe's directory do not decode.
	ErrDirectory = errors.New("partition: malformed directory")
	// ErrInvalid says that an argument breaks a limit of the format.
	ErrInvalid = errors.New("partition: invalid argument")
)

// errRetired says that a partition takes no more stripes: another one must.
var errRetired = errors.New("partition: retired")
