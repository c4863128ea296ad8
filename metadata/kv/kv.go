// Package kv is the transactional key-value contract under the metadata layer.
//
// An [Engine] holds byte keys in lexicographic order and runs strictly
// serializable optimistic transactions over them, with FoundationDB's rules:
// reads see one version, writes are buffered until the commit, and a
// transaction whose read ranges were written by a later commit is run again.
//
// Promises: a commit is atomic and durable before Update returns; whatever a
// View returned is durable; an Update that ends without writing returns only
// once the version it read is durable. After a commit whose outcome is unknown
// nothing is applied again: Update returns [ErrUnknownCommit] at once.
//
// It does not promise that fn runs only once, that a transaction may outlive
// [MaxAge], or any layout of keys: the metadata package, its only importer
// besides the program that opens an engine, owns the key space.
package kv

import (
	"context"
	"errors"
	"time"
)

// Limits of every engine. Sizes are bytes.
const (
	// MaxKey is the longest key, inclusive.
	MaxKey = 10_000
	// MaxValue is the longest value, inclusive.
	MaxValue = 100_000
	// MaxTx is the largest transaction: keys and values of its writes plus the
	// keys of its conflict ranges, inclusive.
	MaxTx = 10_000_000
	// MaxAge is how long after its read version was taken a transaction may
	// still read and commit.
	MaxAge = 5 * time.Second
)

// Errors of an engine. They are compared with errors.Is.
var (
	// ErrConflict says that another commit wrote what this transaction read and
	// that the retries ran out. Nothing was applied.
	ErrConflict = errors.New("kv: transaction conflict")
	// ErrUnknownCommit says that the commit may or may not have been applied.
	// What it wrote may come to be seen only after the return of the call, where
	// the log does not answer: who reads and does not find it may not say that it
	// was not applied, only that nobody was told so.
	ErrUnknownCommit = errors.New("kv: commit outcome unknown")
	// ErrTooOld says that the transaction outlived MaxAge. Nothing was applied.
	ErrTooOld = errors.New("kv: transaction too old")
	// ErrTxTooLarge says that the transaction is larger than MaxTx.
	ErrTxTooLarge = errors.New("kv: transaction too large")
	// ErrKeyTooLarge says that a key is longer than MaxKey.
	ErrKeyTooLarge = errors.New("kv: key too large")
	// ErrKeyReserved says that a key, or the end of a range, lies in the engine's
	// own part of the key space: keys whose first byte is 0xff.
	ErrKeyReserved = errors.New("kv: key is reserved")
	// ErrValueTooLarge says that a value is longer than MaxValue.
	ErrValueTooLarge = errors.New("kv: value too large")
	// ErrUnavailable says that the engine cannot serve now; nothing was applied.
	ErrUnavailable = errors.New("kv: engine unavailable")
	// ErrTimeout says that TxOptions.Timeout ran out before the commit was sent.
	ErrTimeout = errors.New("kv: transaction timed out")
	// ErrClosed says that the engine is closed, or that a transaction was used
	// after its function returned.
	ErrClosed = errors.New("kv: closed")
	// ErrNoSpace says that the disk under the engine is full. Reads go on.
	ErrNoSpace = errors.New("kv: no space left")
	// ErrUnreadable says that the generation was read after BumpGeneration in
	// the same transaction: its value is known only after the commit.
	ErrUnreadable = errors.New("kv: value not readable before commit")
)

// Range is the keys k with Begin <= k < End. A range whose End is not after
// its Begin is empty.
type Range struct{ Begin, End []byte }

// RangeOptions shape a range read.
type RangeOptions struct {
	// Limit is the most pairs to return; 0 reads to the end of the range.
	Limit int
	// Reverse returns the pairs in descending order.
	Reverse bool
}

// Pair is a key and its value.
type Pair struct{ Key, Value []byte }

// TxOptions shape one View or Update. Zero fields take the engine's default.
type TxOptions struct {
	// Class names the kind of transaction in metrics and logs.
	Class string
	// Timeout bounds the whole call, retries included.
	Timeout time.Duration
	// MaxRetries bounds how often fn is run again; a negative value means never.
	MaxRetries int
	// Session, when set, is the request whose read version may be reused: see
	// [Session]. Engines that are not [Remote] ignore it.
	Session *Session
}

// Engine is a transactional key-value store. It is safe for concurrent use.
type Engine interface {
	// Name identifies the engine, for example in metrics.
	Name() string
	// View runs fn on a durable read version that is at least that of every
	// Update that returned before. It never conflicts. It runs fn again when fn
	// returns an error that wraps ErrTooOld, on a newer version.
	View(ctx context.Context, o TxOptions, fn func(Reader) error) error
	// Update runs fn and commits what it wrote, atomically. fn may run many
	// times and must have no effect outside the transaction that a repetition
	// would spoil. An error of fn aborts the transaction and is returned as is.
	// Conflicts and expiry are retried with backoff until ctx, the timeout or
	// the retry limit ends it. The commit is durable on return.
	Update(ctx context.Context, o TxOptions, fn func(Tx) error) (Commit, error)
	// Close ends the engine. Calls under way are allowed to finish first.
	Close() error
}

// Future is a read that may still be under way. A nil value means that the key
// is absent; an empty value is non-nil. The value is immutable, and stays valid
// after the transaction.
type Future interface {
	// Wait returns the value or the read's error. It may be called repeatedly.
	Wait() ([]byte, error)
}

// Iterator walks the pairs of a range read. It is used by one goroutine and
// closed by its caller; the end of the transaction closes it too. Writes that
// the transaction makes while it iterates are seen when they lie ahead.
type Iterator interface {
	// Next moves to the next pair. It returns false at the end and on error.
	Next() bool
	// Pair is the current pair, valid until the next call of Next or Close.
	Pair() Pair
	// Err is the error that ended the iteration, or nil.
	Err() error
	// Close frees the iterator. It may be called repeatedly.
	Close()
}

// Reader reads at one version. In an Update its reads are serializable: a
// commit that changes what they returned makes the transaction conflict. A
// range read conflicts with the part of the range that it has covered, all of
// it once exhausted.
//
// An engine that is [Remote] sends a read where it is asked for, not where it is
// waited for, so that reads asked for one after the other share a round trip:
// Get and GetRange send at the call, a range its first reply at once and the next
// ones as they are asked for. What of a range was fetched and not consumed does
// not conflict.
//
// A Reader is used by one goroutine at a time. Arguments may be reused once the
// call has returned.
type Reader interface {
	// Get reads one key.
	Get(key []byte) Future
	// GetRange reads the pairs of r in order.
	GetRange(r Range, o RangeOptions) Iterator
	// ReadVersion is the version that this transaction reads.
	ReadVersion() (uint64, error)
	// Generation reads the configuration's validity stamp, an opaque short
	// value that is nil until the first bump. It conflicts as Get does.
	Generation() Future
}

// Writer buffers writes. A write that breaks a limit is recorded, and the
// commit returns its error.
type Writer interface {
	// Set writes key.
	Set(key, value []byte)
	// Delete removes key; an absent key is no error.
	Delete(key []byte)
	// DeleteRange removes every key of r.
	DeleteRange(r Range)
	// Add adds delta to the little-endian 64-bit integer at key without reading
	// it; an absent value counts as 0, a shorter one is extended with zeros, a
	// longer one is cut. Two adds never conflict with each other.
	Add(key []byte, delta int64)
	// BumpGeneration changes the generation stamp at the commit.
	BumpGeneration()
}

// Conflicts adds conflict ranges by hand.
type Conflicts interface {
	// AddReadConflictRange makes the transaction conflict with writes in r as
	// if it had read r.
	AddReadConflictRange(r Range)
	// AddWriteConflictRange makes other transactions that read in r conflict
	// with this one as if it had written r.
	AddWriteConflictRange(r Range)
}

// Tx is one attempt of an Update. It sees its own writes. It is used by one
// goroutine at a time.
type Tx interface {
	Reader
	Writer
	Conflicts
	// Snapshot reads the same version, own writes included, without adding read
	// conflicts.
	Snapshot() Reader
	// Attempt is 0 in the first run of fn and grows by one each time.
	Attempt() int
	// Size is the size in bytes that counts against MaxTx.
	Size() int
}

// Pinner is what an engine is as well that can hold on to a version for longer
// than [MaxAge]: it is found by assertion. While a version is held, what was
// overwritten since keeps its space.
type Pinner interface {
	// Pin holds the version that a View would read now.
	Pin() (Pin, error)
}

// Pin is one durable version. It is safe for concurrent use.
type Pin interface {
	// View runs fn on the version, once. It may be called any number of times, and
	// fails with ErrClosed after the end of the pin or of the engine, and may with
	// ErrNoSpace when space runs short that the pin holds.
	View(ctx context.Context, fn func(Reader) error) error
	// Close lets the version go. It may be called repeatedly.
	Close()
}

// Commit describes how an Update ended.
type Commit struct {
	// Version is the commit's version, or the read version when ReadOnly.
	// Later commits have larger versions.
	Version uint64
	// ReadOnly says that the transaction wrote nothing.
	ReadOnly bool
}

// PrefixRange is the range of all keys that start with prefix, prefix itself
// included. A prefix of nothing but 0xff bytes, or an empty one, has no
// successor: the range then ends before the key of a single 0xff byte, the
// end of the user key space, which for such prefixes makes it empty or whole.
func PrefixRange(prefix []byte) Range {
	end := Strinc(prefix)
	if end == nil {
		end = []byte{0xff}
	}
	return Range{Begin: prefix, End: end}
}

// KeyAfter is the first key after key: key followed by a zero byte.
func KeyAfter(key []byte) []byte {
	after := make([]byte, len(key)+1)
	copy(after, key)
	return after
}

// Strinc is the first key that does not start with prefix and sorts after all
// keys that do. It is nil when there is none: prefix is empty or all 0xff.
func Strinc(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] == 0xff {
			continue
		}
		out := make([]byte, i+1)
		copy(out, prefix)
		out[i]++
		return out
	}
	return nil
}
